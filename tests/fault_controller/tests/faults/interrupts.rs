// SPDX-License-Identifier: MIT

//! Interrupts that do not come, come late, or for nothing.

use std::time::Duration;

use nvme_proto::command::{Cns, Command};
use nvme_proto::register::offset;

use crate::driver::Driver;
use crate::{enabled, running};

/// Sends a Flush by queue 1. How many interrupts of a vector came with it.
fn told(driver: &mut Driver, vector: u16) -> u64 {
    let before = driver.interrupts.count(vector);
    driver.submit(1, Command::flush(1));
    driver.ring(1);
    driver.reap(1);
    driver.interrupts.count(vector) - before
}

#[test]
fn a_missing_interrupt_leaves_the_entry_there() {
    let mut driver = running("interrupt-missing:queue=1,nth=2");
    assert_eq!([1, 0, 1], [(); 3].map(|()| told(&mut driver, 1)));
    assert!(
        driver.queues[&1].in_flight.is_empty(),
        "all completions are there"
    );
}

#[test]
fn without_any_interrupt_all_completions_are_there() {
    let mut driver = running("interrupt-never:queue=io");
    assert_eq!([0, 0, 0], [(); 3].map(|()| told(&mut driver, 1)));
    assert!(driver.queues[&1].in_flight.is_empty());
}

#[test]
fn a_late_interrupt_comes_when_its_time_is_over() {
    let mut driver = running("interrupt-late:queue=1,arg=100");
    let before = driver.interrupts.count(1);
    assert_eq!(told(&mut driver, 1), 0);
    driver.advance(Duration::from_millis(99));
    assert_eq!(driver.interrupts.count(1), before);
    driver.advance(Duration::from_millis(1));
    assert_eq!(driver.interrupts.count(1), before + 1);
}

#[test]
fn an_interrupt_comes_twice() {
    assert_eq!(told(&mut running("interrupt-twice:queue=1"), 1), 2);
}

#[test]
fn an_interrupt_comes_by_another_vector() {
    let mut driver = running("interrupt-wrong-vector:queue=1,arg=2,times=2");
    assert_eq!((told(&mut driver, 2), told(&mut driver, 1)), (1, 0));
}

#[test]
fn interrupts_come_for_nothing_on_all_queues() {
    for (spec, count) in [
        ("interrupt-spurious:queue=1", 1),
        ("interrupt-burst:queue=1", 1000),
    ] {
        let mut driver = running(spec);
        let before = [0, 1, 2].map(|vector| driver.interrupts.count(vector));
        told(&mut driver, 1);
        let after = [0, 1, 2].map(|vector| driver.interrupts.count(vector));
        let came = [0, 1, 2].map(|vector| after[vector] - before[vector]);
        assert_eq!(came, [count, count + 1, count], "{spec}");
    }
}

#[test]
fn a_storm_lasts_as_long_as_it_is_told() {
    let mut driver = running("interrupt-storm:queue=1,arg=50");
    let before = driver.interrupts.count(2);
    told(&mut driver, 1);
    driver.advance(Duration::from_secs(1));
    assert_eq!(
        driver.interrupts.count(2) - before,
        51,
        "one each millisecond, for 50"
    );
}

#[test]
fn interrupts_come_before_there_is_a_queue_for_them() {
    let vectors = [0, 1, 16];
    let mut driver = enabled("interrupt-while-enabling:on=register-read");
    let before = vectors.map(|vector| driver.interrupts.count(vector));
    driver.read32(offset::CSTS);
    let after = vectors.map(|vector| driver.interrupts.count(vector));
    assert_eq!(after, before.map(|count| count + 1));
    let mut driver = enabled("interrupt-while-enabling:on=completion,queue=admin");
    driver.identify(0, Cns::Controller);
    let after = vectors.map(|vector| driver.interrupts.count(vector));
    assert_eq!(after, [2, 1, 1], "the first is the completion's, too");
}
