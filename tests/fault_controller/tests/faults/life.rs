// SPDX-License-Identifier: MIT

//! What can happen anywhere: the controller ends, breaks, forgets, or says what nobody asked.

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::Arc;
use std::time::Duration;

use nvme_fault_controller::controller::Wires;
use nvme_proto::command::Command;
use nvme_proto::feature::FeatureId;
use nvme_proto::register::offset;

use crate::driver::Driver;
use crate::{fired, running};

/// Takes note of how the process would have ended.
struct Grave(Arc<AtomicI32>);

impl Wires for Grave {
    fn raise(&mut self, _vector: u16) {}

    fn end(&mut self, status: i32) {
        self.0.store(status, Ordering::SeqCst);
    }
}

#[test]
fn death_ends_the_process_at_the_nth_occasion() {
    let mut driver = running("death:queue=1,nth=3,arg=9");
    let status = Arc::new(AtomicI32::new(-1));
    driver.controller.wires = Box::new(Grave(status.clone()));
    for _ in 0..2 {
        driver.send(1, Command::flush(1));
    }
    assert_eq!(status.load(Ordering::SeqCst), -1);
    driver.send(1, Command::flush(1));
    assert_eq!(status.load(Ordering::SeqCst), 9);
}

#[test]
fn a_controller_that_is_gone_reads_as_ones_and_does_nothing() {
    let mut driver = running("gone:queue=1,nth=2");
    driver.send(1, Command::flush(1));
    assert!(driver.try_send(1, Command::flush(1)).is_none());
    assert_eq!(
        (driver.read32(offset::CSTS), driver.read64(0)),
        (u32::MAX, u64::MAX)
    );
    driver.write32(offset::CC, 0);
    assert_eq!(driver.controller.registers.cc & 1, 1, "writes reach nobody");
    driver.tell("disarm");
    assert!(driver.csts().rdy(), "it is back");
}

#[test]
fn a_controller_that_broke_does_nothing_until_it_is_reset() {
    for (spec, csts) in [("fatal:queue=1,nth=2", 3), ("ready-drops:queue=1,nth=2", 0)] {
        let mut driver = running(spec);
        driver.send(1, Command::flush(1));
        let _ = driver.try_send(1, Command::flush(1));
        assert_eq!(driver.read32(offset::CSTS), csts, "{spec}");
        assert!(driver.try_send(2, Command::flush(1)).is_none(), "{spec}");
        assert!(driver.disable());
        driver.bring_up();
        assert!(
            driver.send(1, Command::flush(1)).status.is_success(),
            "{spec}"
        );
    }
}

#[test]
fn a_controller_breaks_after_each_reset_again() {
    let mut driver = running("fatal-again:queue=1");
    for round in 1..4 {
        let _ = driver.try_send(1, Command::flush(1));
        assert!(driver.csts().cfs());
        assert_eq!(fired(&driver), round);
        assert!(driver.disable());
        driver.bring_up();
    }
}

#[test]
fn a_controller_that_forgets_is_as_after_a_reset() {
    let mut driver = running("forgets:queue=1");
    assert!(driver.try_send(1, Command::flush(1)).is_none());
    assert_eq!(
        (driver.csts().rdy(), driver.read32(offset::CC) & 1),
        (false, 0)
    );
    assert!(driver.controller.submission.is_empty());
    driver.forget();
    driver.bring_up();
    assert!(driver.send(1, Command::flush(1)).status.is_success());
}

#[test]
fn a_controller_that_stands_still_goes_on_where_it_stopped() {
    let mut driver = running("stands-still:queue=1,arg=2000");
    driver.send(1, Command::flush(1));
    let waiting = driver.submit(1, Command::flush(1));
    driver.ring(1);
    driver.advance(Duration::from_millis(1999));
    assert_eq!(driver.reap(1), 0);
    driver.advance(Duration::from_millis(1));
    driver.reap(1);
    assert!(!driver.is_in_flight(1, waiting));
}

#[test]
fn it_happens_at_a_time_though_nobody_does_anything() {
    let mut driver = running("fatal:on=time,after=5");
    driver.advance(Duration::from_millis(4999));
    assert!(!driver.csts().cfs());
    driver.advance(Duration::from_millis(1));
    assert!(driver.csts().cfs());
}

#[test]
fn entries_come_that_nobody_asked_for_in_all_queues() {
    let mut driver = running("completion-unasked:queue=1,arg=3");
    driver.send(1, Command::flush(1));
    for qid in [0, 2] {
        assert_eq!(driver.reap(qid), 3);
    }
    assert_eq!(driver.strays.len(), 9);
    assert!(driver.strays.iter().all(|(_, entry)| entry.cid == 0xffff));
}

/// The results of the completions that claim to be events.
fn events(driver: &mut Driver) -> Vec<u32> {
    let event = driver.submit(0, Command::async_event_request());
    driver.ring(0);
    driver.send(1, Command::flush(1));
    while driver.reap(0) > 0 {}
    let first = driver.queue(0).done.remove(&event);
    let strays = driver.strays.iter().map(|(_, entry)| *entry);
    first
        .into_iter()
        .chain(strays)
        .map(|entry| entry.dw0())
        .collect()
}

#[test]
fn events_come_that_did_not_happen() {
    for (spec, expected) in [
        ("event-invented:queue=1", vec![0x0004_0002]),
        ("event-flood:queue=1", vec![0x0004_0002; 64]),
        ("event-absurd:queue=1", vec![0x00ff_ff07]),
        ("event-reserved:queue=1", vec![0x0000_ff02]),
    ] {
        assert_eq!(events(&mut running(spec)), expected, "{spec}");
    }
}

#[test]
fn a_request_that_an_invented_event_answered_is_used_up() {
    let mut driver = running("event-invented:queue=1");
    for _ in 0..4 {
        driver.submit(0, Command::async_event_request());
    }
    driver.ring(0);
    driver.send(1, Command::flush(1));
    assert_eq!(driver.reap(0), 1);
    assert!(driver.strays.is_empty(), "{:?}", driver.strays);
    let again = driver.submit(0, Command::async_event_request());
    driver.ring(0);
    driver.reap(0);
    assert!(driver.is_in_flight(0, again), "there is room for it");
    driver.assert_no_complaint();
}

/// Asks to be told when the activation of firmware begins.
fn listen_for_firmware(driver: &mut Driver) {
    let set = Command::set_features(FeatureId::AsyncEventConfiguration, 1 << 9);
    assert!(driver.send(0, set).status.is_success());
}

#[test]
fn nobody_is_told_of_firmware_who_did_not_ask_for_it() {
    let mut driver = running("firmware-activation:queue=1,arg=1000");
    let event = driver.submit(0, Command::async_event_request());
    driver.ring(0);
    driver.send(1, Command::flush(1));
    assert_eq!(driver.read32(offset::CSTS), 0x21, "CSTS.PP");
    driver.advance(Duration::from_secs(1));
    driver.reap(0);
    assert!(driver.is_in_flight(0, event), "{}", driver.log());
}

#[test]
fn a_request_is_told_of_firmware_once() {
    let mut driver = running("firmware-activation:queue=1,times=3,arg=1000");
    listen_for_firmware(&mut driver);
    let event = driver.submit(0, Command::async_event_request());
    driver.ring(0);
    for _ in 0..3 {
        driver.send(1, Command::flush(1));
        driver.advance(Duration::from_secs(1));
        driver.reap(0);
    }
    assert_eq!(fired(&driver), 3);
    assert!(!driver.is_in_flight(0, event));
    assert!(driver.strays.is_empty(), "{:?}", driver.strays);
}

#[test]
fn firmware_is_activated_and_nothing_is_carried_out_meanwhile() {
    let mut driver = running("firmware-activation:queue=1,arg=1000");
    listen_for_firmware(&mut driver);
    let event = driver.submit(0, Command::async_event_request());
    driver.ring(0);
    driver.send(1, Command::flush(1));
    driver.reap(0);
    let told = driver.queue(0).done.remove(&event);
    assert_eq!(told.map(|entry| entry.dw0()), Some(0x0003_0102));
    assert_eq!(driver.read32(offset::CSTS), 0x21, "CSTS.PP");
    let waiting = driver.submit(1, Command::flush(1));
    driver.ring(1);
    driver.advance(Duration::from_millis(999));
    assert_eq!(driver.reap(1), 0);
    driver.advance(Duration::from_millis(1));
    driver.reap(1);
    assert!(!driver.is_in_flight(1, waiting));
    assert_eq!(driver.read32(offset::CSTS), 1);
}
