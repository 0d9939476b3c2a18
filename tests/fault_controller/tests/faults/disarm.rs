// SPDX-License-Identifier: MIT

//! After disarming, the controller is well: what a fault kept back or put off is done, and what it went
//! on doing has ended.

use std::time::Duration;

use nvme_proto::command::Command;
use nvme_proto::feature::FeatureId;
use nvme_proto::register::{offset, Cc};

use crate::driver::data::Shape;
use crate::driver::Driver;
use crate::{fired, running, untouched};

/// Submits a Flush by queue 1 and tells the controller. Its identifier.
fn flush(driver: &mut Driver) -> u16 {
    let cid = driver.submit(1, Command::flush(1));
    driver.ring(1);
    driver.reap(1);
    cid
}

#[test]
fn what_was_kept_back_or_put_off_comes_at_once() {
    for spec in [
        "completion-late:queue=1,arg=60000",
        "completion-reordered:queue=1,arg=60000",
        "completion-torn:queue=1,arg=60000",
        "completion-interrupt-early:queue=1,arg=60000",
        "doorbell-late:queue=1,arg=60000",
        "stands-still:queue=1,on=doorbell,arg=60000",
    ] {
        let mut driver = Driver::usual();
        driver.arm(spec);
        let cid = driver.submit(1, Command::flush(1));
        driver.ring(1);
        if !spec.starts_with("completion-torn") {
            assert_eq!(driver.reap(1), 0, "{spec}");
        }
        driver.tell("disarm");
        driver.reap(1);
        assert!(!driver.is_in_flight(1, cid), "{spec}\n{}", driver.log());
        assert!(driver.strays.is_empty(), "{spec}: {:?}", driver.strays);
        assert!(driver.controller.later.next().is_none(), "{spec}");
        assert!(driver.send(1, Command::flush(1)).status.is_success());
        driver.assert_no_complaint();
    }
}

#[test]
fn a_command_that_was_put_aside_is_carried_out() {
    let mut driver = running("command-taken-for-another:queue=1");
    let write = Command::write(1, 0, 0, false);
    let (buffer, command) = driver.with_buffer(write, 512, Shape::PLAIN);
    buffer.put(&driver.heap, &[5; 512]);
    let cid = driver.submit(1, command);
    driver.ring(1);
    assert_eq!(driver.reap(1), 0);
    driver.tell("disarm");
    driver.reap(1);
    assert!(!driver.is_in_flight(1, cid));
    assert_eq!(driver.read_blocks(1, 1, 0, 1), [5; 512]);
}

#[test]
fn a_late_interrupt_comes_at_once_and_a_storm_ends() {
    let mut driver = running("interrupt-late:queue=1,arg=60000");
    flush(&mut driver);
    assert_eq!(driver.interrupts.count(1), 0);
    driver.tell("disarm");
    assert_eq!(driver.interrupts.count(1), 1);
    let mut driver = running("interrupt-storm:queue=1,arg=60000");
    flush(&mut driver);
    driver.tell("disarm");
    let before = driver.interrupts.count(2);
    driver.advance(Duration::from_secs(1));
    assert_eq!(driver.interrupts.count(2), before);
}

#[test]
fn a_write_that_was_acknowledged_is_there() {
    let mut driver = running("write-after-completion:queue=1,arg=60000");
    let write = Command::write(1, 0, 0, false);
    let (buffer, command) = driver.with_buffer(write, 512, Shape::PLAIN);
    buffer.put(&driver.heap, &[6; 512]);
    assert!(driver.send(1, command).status.is_success());
    driver.tell("disarm");
    assert_eq!(driver.read_blocks(1, 1, 0, 1), [6; 512]);
}

#[test]
fn nothing_is_written_to_memory_that_was_given_back() {
    for spec in [
        "data-after-completion:queue=1,arg=1000",
        "data-written-again:queue=1,arg=1000",
        "list-read-again:queue=1,arg=1000",
    ] {
        let mut driver = Driver::usual();
        driver.write_blocks(1, 1, 0, &[7; 8192]);
        driver.arm(spec);
        driver.read_blocks(1, 1, 0, 16);
        driver.tell("disarm");
        driver.advance(Duration::from_secs(2));
        driver.heap.assert_free_is_untouched();
    }
    let mut driver = running("completion-after-reset:arg=1000");
    assert!(driver.disable());
    driver.tell("disarm");
    driver.advance(Duration::from_secs(2));
    driver.heap.assert_free_is_untouched();
}

#[test]
fn the_status_is_what_cc_says() {
    for spec in ["never-ready", "ready-slowly:arg=60000"] {
        let mut driver = untouched(spec);
        driver.set_admin_queues();
        driver.write32(offset::CC, Cc::enabled(12).raw());
        assert!(!driver.csts().rdy(), "{spec}");
        driver.tell("disarm");
        assert!(driver.csts().rdy(), "{spec}");
    }
    for spec in ["ready-never-clears", "ready-clears-slowly:arg=60000"] {
        let mut driver = running(spec);
        driver.write32(offset::CC, Cc::enabled(12).without_enable().raw());
        assert!(driver.csts().rdy(), "{spec}");
        driver.tell("disarm");
        assert!(!driver.csts().rdy(), "{spec}");
    }
    for spec in [
        "shutdown-never-finishes",
        "shutdown-unseen",
        "shutdown-slowly:arg=60000",
    ] {
        let mut driver = running(spec);
        let cc = Cc::enabled(12).with_shn(nvme_proto::register::Shn::Normal);
        driver.write32(offset::CC, cc.raw());
        driver.tell("disarm");
        assert_eq!((driver.read32(offset::CSTS) >> 2) & 3, 2, "{spec}");
    }
    let mut driver = running("ready-drops:queue=1");
    flush(&mut driver);
    assert!(!driver.csts().rdy());
    driver.tell("disarm");
    assert!(driver.csts().rdy());
    assert!(driver.send(1, Command::flush(1)).status.is_success());
    let mut driver = running("firmware-activation:queue=2,arg=60000");
    let waiting = {
        driver.send(2, Command::flush(1));
        flush(&mut driver)
    };
    driver.tell("disarm");
    driver.reap(1);
    assert!(!driver.is_in_flight(1, waiting));
    assert_eq!(driver.read32(offset::CSTS), 1);
}

#[test]
fn what_is_kept_from_happening_again_and_again_is_owed_once() {
    for spec in [
        "shutdown-never-finishes:times=forever",
        "shutdown-unseen:times=forever",
        "ready-drops:on=register-read,times=forever",
    ] {
        let mut driver = running(spec);
        let cc = Cc::enabled(12);
        for _ in 0..100 {
            let normal = nvme_proto::register::Shn::Normal;
            driver.write32(offset::CC, cc.with_shn(normal).raw());
            driver.write32(offset::CC, cc.raw());
            driver.csts();
        }
        assert_eq!(fired(&driver), 100, "{spec}");
        let owed = driver.controller.later.settle();
        assert_eq!(owed.len(), 1, "{spec}");
    }
}

#[test]
fn what_was_kept_of_a_queue_is_not_for_the_next_of_its_number() {
    for (spec, flushes) in [
        ("completion-reordered:queue=1,arg=1000", 1),
        ("completion-torn:queue=1,arg=1000", 1),
        ("completion-interrupt-early:queue=1,arg=1000", 1),
        ("command-taken-for-another:queue=1,arg=1000", 1),
        ("command-taken-for-another:queue=1,arg=1000", 2),
        ("doorbell-late:queue=1,arg=1000", 1),
    ] {
        for disarmed in [true, false] {
            let mut driver = running(spec);
            for _ in 0..flushes {
                flush(&mut driver);
            }
            driver.delete_queue(1);
            // In the memory of the one before.
            driver.create_queue(1, 16);
            driver.strays.clear();
            if disarmed {
                driver.tell("disarm");
            }
            for _ in 0..3 {
                assert!(driver.send(1, Command::flush(1)).status.is_success());
                driver.advance(Duration::from_millis(600));
                assert_eq!(driver.reap(1), 0, "{spec}, disarmed: {disarmed}");
            }
            assert!(driver.strays.is_empty(), "{spec}: {:?}", driver.strays);
            driver.heap.assert_free_is_untouched();
        }
    }
}

#[test]
fn a_torn_entry_stays_torn_when_its_queue_is_deleted() {
    for disarmed in [true, false] {
        let mut driver = running("completion-torn:queue=1,arg=1000");
        flush(&mut driver);
        driver.delete_queue(1);
        if disarmed {
            driver.tell("disarm");
        }
        driver.advance(Duration::from_secs(2));
        driver.heap.assert_free_is_untouched();
    }
}

#[test]
fn a_write_that_was_put_aside_is_gone_with_its_queue() {
    let mut driver = running("command-taken-for-another:queue=1");
    let write = Command::write(1, 0, 0, false);
    let (buffer, command) = driver.with_buffer(write, 512, Shape::PLAIN);
    buffer.put(&driver.heap, &[5; 512]);
    driver.submit(1, command);
    driver.ring(1);
    driver.delete_queue(1);
    buffer.free(&mut driver.heap);
    driver.tell("disarm");
    assert_eq!(driver.read_blocks(2, 1, 0, 1), [0; 512]);
    driver.assert_no_complaint();
}

/// Takes the controller away for a minute, in which all that is due becomes so.
fn vanish(driver: &mut Driver) {
    driver.arm("gone:on=register-read");
    assert_eq!(driver.read32(offset::CSTS), u32::MAX);
    driver.advance(Duration::from_secs(60));
    assert_eq!(driver.controller.tick(), None, "nobody waits for it");
    assert_eq!(driver.read32(offset::CSTS), u32::MAX);
}

#[test]
fn a_pause_that_ends_while_the_controller_is_gone_is_over_when_it_is_back() {
    let mut driver = Driver::usual();
    driver.tell("firmware 7.1 500");
    let waiting = flush(&mut driver);
    vanish(&mut driver);
    driver.tell("disarm");
    driver.advance(Duration::ZERO);
    driver.reap(1);
    assert!(!driver.is_in_flight(1, waiting), "{}", driver.log());
    assert_eq!(driver.read32(offset::CSTS), 1);
}

#[test]
fn what_is_late_when_the_controller_is_gone_comes_when_it_is_back() {
    let mut driver = running("completion-late:queue=1,arg=300");
    let late = flush(&mut driver);
    vanish(&mut driver);
    assert!(driver.is_in_flight(1, late), "nothing comes from nowhere");
    driver.tell("disarm");
    driver.reap(1);
    assert!(!driver.is_in_flight(1, late), "{}", driver.log());
    let mut driver = untouched("never-ready");
    driver.set_admin_queues();
    driver.write32(offset::CC, Cc::enabled(12).raw());
    vanish(&mut driver);
    driver.tell("disarm");
    assert!(driver.csts().rdy());
}

#[test]
fn interrupts_that_wait_for_more_entries_come_when_the_controller_is_back() {
    // Four entries at once, or what has waited for 5 ms.
    let coalescing = Command::set_features(FeatureId::InterruptCoalescing, 3 | (50 << 8));
    let mut driver = Driver::usual();
    assert!(driver.send(0, coalescing).status.is_success());
    flush(&mut driver);
    assert_eq!(driver.interrupts.count(1), 0);
    vanish(&mut driver);
    driver.tell("disarm");
    for interrupts in 1..3 {
        driver.advance(Duration::from_millis(5));
        assert_eq!(driver.interrupts.count(1), interrupts, "{}", driver.log());
        flush(&mut driver);
    }
}

#[test]
fn one_number_ends_it_only_when_it_is_the_last() {
    let mut driver = running("completion-late:queue=1,arg=60000 completion-error:queue=2");
    let cid = flush(&mut driver);
    driver.tell("disarm 2");
    driver.reap(1);
    assert!(driver.is_in_flight(1, cid), "the other is armed");
    driver.tell("disarm 1");
    driver.reap(1);
    assert!(!driver.is_in_flight(1, cid));
}
