// SPDX-License-Identifier: MIT

//! Interrupts that are coalesced: fewer of them, none too late.

use std::time::Duration;

use nvme_proto::command::Command;
use nvme_proto::status::Status;

use super::{raw, Driver};

/// Interrupt Coalescing and Interrupt Vector Configuration.
const COALESCING: u32 = 0x08;
const VECTOR: u32 = 0x09;

/// Four entries at once, or what has waited for 5 ms.
const FOUR_IN_5_MS: u32 = 3 | (50 << 8);

fn set(driver: &mut Driver, id: u32, value: u32) {
    let done = driver.send(0, raw(0x09, 0, &[id, value]));
    assert_eq!(done.status, Status::SUCCESS, "feature {id:#x}");
}

fn coalescing(value: u32) -> Driver {
    let mut driver = Driver::usual();
    set(&mut driver, COALESCING, value);
    driver
}

/// Submits so many Flushes by queue 1. How many interrupts there are since the start.
fn after(driver: &mut Driver, flushes: usize) -> u64 {
    for _ in 0..flushes {
        driver.submit(1, Command::flush(1));
    }
    driver.ring(1);
    driver.reap(1);
    driver.interrupts.count(1)
}

#[test]
fn what_is_not_enough_is_told_of_when_its_time_is_over() {
    let mut driver = coalescing(FOUR_IN_5_MS);
    assert_eq!(after(&mut driver, 1), 0);
    driver.advance(Duration::from_micros(2000));
    assert_eq!(after(&mut driver, 2), 0);
    driver.advance(Duration::from_micros(2999));
    assert_eq!(driver.interrupts.count(1), 0, "after 4999 us");
    driver.advance(Duration::from_micros(1));
    assert_eq!(driver.interrupts.count(1), 1, "after 5 ms");
    driver.advance(Duration::from_secs(1));
    assert_eq!(driver.interrupts.count(1), 1, "nothing is left to tell of");
    driver.assert_no_complaint();
}

#[test]
fn what_is_enough_is_told_of_at_once() {
    let mut driver = coalescing(FOUR_IN_5_MS);
    assert_eq!(after(&mut driver, 4), 1, "together");
    for (flushes, interrupts) in [(1, 1), (2, 1), (1, 2)] {
        assert_eq!(after(&mut driver, flushes), interrupts, "one by one");
    }
    driver.advance(Duration::from_secs(1));
    assert_eq!(driver.interrupts.count(1), 2);
}

#[test]
fn a_vector_can_be_left_out() {
    let mut driver = coalescing(FOUR_IN_5_MS);
    set(&mut driver, VECTOR, 1 | (1 << 16));
    assert_eq!(after(&mut driver, 1), 1);
    driver.submit(2, Command::flush(1));
    driver.ring(2);
    assert_eq!(driver.interrupts.count(2), 0, "the other vector's");
    driver.assert_no_complaint();
}

#[test]
fn without_a_threshold_or_a_time_nothing_waits() {
    for value in [3, 50 << 8] {
        let mut driver = coalescing(value);
        assert_eq!(after(&mut driver, 1), 1, "{value:#x}");
    }
}

#[test]
fn the_admin_queue_waits_for_nothing() {
    let mut driver = coalescing(FOUR_IN_5_MS);
    let before = driver.interrupts.count(0);
    set(&mut driver, COALESCING, FOUR_IN_5_MS);
    assert_eq!(driver.interrupts.count(0), before + 1);
}

#[test]
fn a_reset_forgets_what_waits() {
    let mut driver = coalescing(FOUR_IN_5_MS);
    assert_eq!(after(&mut driver, 1), 0);
    assert!(driver.disable());
    driver.bring_up();
    driver.advance(Duration::from_secs(1));
    assert_eq!(driver.interrupts.count(1), 0);
    assert_eq!(after(&mut driver, 1), 1, "the feature has its default");
}
