// SPDX-License-Identifier: MIT

//! What registers say, and what follows or does not follow from writing them.

use std::time::Duration;

use nvme_proto::command::{Cns, Command};
use nvme_proto::feature::FeatureId;
use nvme_proto::register::offset;

use crate::driver::data::Shape;
use crate::driver::Driver;
use crate::{enabled, fired, running, untouched};

/// A register of the usual controller.
fn usual(at: usize) -> u64 {
    Driver::new(crate::Setup::default()).read64(at)
}

#[test]
fn a_field_reads_as_told_and_all_else_as_ever() {
    for (kind, at, mask, value) in [
        ("cap-mqes", offset::CAP, 0xffff, 0),
        ("cap-mqes-one", offset::CAP, 0xffff, 1),
        ("cap-dstrd", offset::CAP, 0xf << 32, 0xf << 32),
        ("cap-mpsmin", offset::CAP, 0xff << 48, 0xff << 48),
        ("cap-mpsmax", offset::CAP, 0xff << 48, 0x0f << 48),
        ("cap-css", offset::CAP, 0xff << 37, 0),
        ("cap-to-zero", offset::CAP, 0xff << 24, 0),
        ("cap-to-longest", offset::CAP, 0xff << 24, 0xff << 24),
        ("cap-cqr", offset::CAP, 1 << 16, 0),
        ("cap-crms", offset::CAP, 3 << 59, 0),
        ("vs-zero", offset::VS, 0xffff_ffff, 0),
        ("vs-ones", offset::VS, 0xffff_ffff, 0xffff_ffff),
        ("crto-zero", offset::CRTO, 0xffff_ffff, 0),
        ("crto-longest", offset::CRTO, 0xffff_ffff, 0xffff_ffff),
        ("csts-reserved", offset::CSTS, 0xffff_ff80, 0xffff_ff80),
        ("csts-shst", offset::CSTS, 0xc, 0xc),
        ("csts-nssro", offset::CSTS, 0x10, 0x10),
        ("csts-paused", offset::CSTS, 0x20, 0x20),
        ("csts-fatal-read", offset::CSTS, 0x2, 0x2),
    ] {
        let expected: u64 = (usual(at) & !mask) | value;
        let mut driver = untouched(kind);
        assert_eq!(driver.read64(at), expected, "{kind}, read at once");
        let halves = [driver.read32(at), driver.read32(at + 4)].map(u64::from);
        assert_eq!(
            halves[0] | (halves[1] << 32),
            expected,
            "{kind}, read in halves"
        );
        let elsewhere = driver.read32(offset::AQA);
        assert_eq!(elsewhere, 0, "{kind}");
        driver.tell("disarm");
        assert_eq!(driver.read64(at), usual(at), "{kind}, disarmed");
    }
}

#[test]
fn a_read_of_other_bytes_is_no_occasion() {
    let mut driver = untouched("cap-dstrd");
    driver.read32(offset::CAP);
    driver.read32(offset::VS);
    assert_eq!(fired(&driver), 0);
    driver.read32(offset::CAP + 4);
    assert_eq!(fired(&driver), 1);
}

#[test]
fn all_registers_read_as_ones_or_zeros() {
    for (spec, ones) in [
        ("registers-ones", true),
        ("registers-ones-at-start", true),
        ("registers-zeros", false),
    ] {
        let mut driver = running(spec);
        let expected = if ones { u64::MAX } else { 0 };
        for at in [offset::CAP, offset::VS, offset::CSTS, offset::ASQ] {
            assert_eq!(driver.read64(at), expected, "{spec} at {at:#x}");
        }
    }
}

#[test]
fn a_register_reads_as_ones_once() {
    let mut driver = running("registers-ones-once:offset=0x1c");
    assert_ne!(driver.read32(offset::VS), u32::MAX);
    assert_eq!(
        [driver.read32(offset::CSTS), driver.read32(offset::CSTS)],
        [u32::MAX, 1]
    );
}

#[test]
fn a_register_reads_as_a_number() {
    let mut driver = running("register-value:offset=0x1c,arg=0x55");
    assert_eq!(
        [driver.read32(offset::CSTS), driver.read32(offset::CSTS)],
        [0x55, 1]
    );
}

#[test]
fn a_slow_read_asks_who_serves_it_to_wait_two_seconds_at_most() {
    for (spec, pause) in [("register-slow", 500), ("register-slow:arg=9999999", 2000)] {
        let mut driver = running(spec);
        driver.read32(offset::CSTS);
        let asked = std::mem::take(&mut driver.controller.lies.pause);
        assert_eq!(asked, Duration::from_millis(pause), "{spec}");
    }
}

#[test]
fn cap_says_another_number_of_entries_each_second_time() {
    let mut driver = untouched("cap-changing");
    let entries: Vec<u64> = (0..4)
        .map(|_| driver.read64(offset::CAP) & 0xffff)
        .collect();
    assert_eq!(entries, [1023, 1, 1023, 1]);
}

#[test]
fn a_memory_buffer_is_claimed_that_cannot_be() {
    let mut driver = untouched("cmb-outside");
    assert_ne!(driver.read64(offset::CAP) & (1 << 57), 0, "CMBS");
    let (location, size) = (driver.read32(offset::CMBLOC), driver.read32(offset::CMBSZ));
    assert!(
        u64::from(location >> 12) << 36 > 0x8000,
        "CMBLOC {location:#x}"
    );
    assert_eq!((size >> 8) & 0xf, 6, "64 GiB is CMBSZ's unit: {size:#x}");
    let mut driver = untouched("cmb-over-registers");
    assert_ne!(driver.read64(offset::CAP) & (1 << 57), 0, "CMBS");
    let (location, size) = (driver.read32(offset::CMBLOC), driver.read32(offset::CMBSZ));
    assert_eq!(
        (location, size >> 12, (size >> 8) & 0xf),
        (0, 4, 0),
        "four pages from BAR 0's start"
    );
}

#[test]
fn a_controller_never_becomes_ready() {
    for (kind, csts) in [("never-ready", 0), ("cc-ignored", 0), ("ready-fatal", 2)] {
        let mut driver = untouched(kind);
        assert!(!driver.enable(), "{kind}");
        assert_eq!(driver.read32(offset::CSTS), csts, "{kind}");
    }
}

#[test]
fn a_controller_becomes_ready_and_stops_slowly() {
    let mut driver = untouched("ready-slowly:arg=3000");
    driver.arm("ready-clears-slowly:arg=2000");
    assert!(driver.enable());
    assert_eq!(driver.now(), Duration::from_millis(3000));
    assert!(driver.disable());
    assert_eq!(driver.now(), Duration::from_millis(5000));
}

#[test]
fn a_controller_never_stops() {
    let mut driver = running("ready-never-clears");
    assert!(!driver.disable());
    assert!(driver.csts().rdy());
}

#[test]
fn a_shutdown_ends_late_or_never() {
    for (spec, shst) in [("shutdown-never-finishes", 1), ("shutdown-unseen", 0)] {
        let mut driver = running(spec);
        assert!(!driver.shut_down(), "{spec}");
        assert_eq!(driver.read32(offset::CSTS) >> 2, shst, "{spec}");
    }
    let mut driver = running("shutdown-slowly:arg=3000");
    assert!(driver.shut_down());
    assert_eq!(driver.now(), Duration::from_millis(3000));
}

#[test]
fn what_was_written_to_asq_is_not_there() {
    let mut driver = untouched("asq-ignored");
    driver.write64(offset::ASQ, 0x1_2345_6000);
    driver.write64(offset::ACQ, 0x1_2345_7000);
    assert_eq!(
        (driver.read64(offset::ASQ), driver.read64(offset::ACQ)),
        (0, 0x1_2345_7000)
    );
}

#[test]
fn a_lost_doorbell_is_made_good_by_the_next() {
    let mut driver = running("doorbell-lost:queue=1");
    let first = driver.submit(1, Command::flush(1));
    driver.ring(1);
    assert_eq!(driver.reap(1), 0);
    let second = driver.submit(1, Command::flush(1));
    driver.ring(1);
    assert_eq!(driver.reap(1), 2);
    assert!(!driver.is_in_flight(1, first) && !driver.is_in_flight(1, second));
}

#[test]
fn a_late_doorbell_is_seen_late() {
    let mut driver = running("doorbell-late:queue=1,arg=200");
    driver.submit(1, Command::flush(1));
    driver.ring(1);
    driver.advance(Duration::from_millis(199));
    assert_eq!(driver.reap(1), 0);
    driver.advance(Duration::from_millis(1));
    assert_eq!(driver.reap(1), 1);
}

#[test]
fn a_late_doorbell_does_not_go_back_behind_a_later_one() {
    let mut driver = running("doorbell-late:queue=1,arg=200");
    for _ in 0..3 {
        driver.submit(1, Command::flush(1));
        driver.ring(1);
    }
    assert_eq!(driver.reap(1), 3, "the later ones told of all");
    driver.advance(Duration::from_millis(200));
    assert_eq!(driver.controller.submission[&1].tail, 3);
    assert_eq!(driver.reap(1), 0, "nothing is carried out twice");
    driver.assert_no_complaint();
}

#[test]
fn late_doorbells_come_in_their_order() {
    let mut driver = running("doorbell-late:queue=1,arg=200,times=2");
    for _ in 0..2 {
        driver.submit(1, Command::flush(1));
        driver.ring(1);
        driver.advance(Duration::from_millis(100));
    }
    assert_eq!(driver.reap(1), 1);
    driver.advance(Duration::from_millis(100));
    assert_eq!(driver.reap(1), 1);
}

#[test]
fn a_late_doorbell_is_not_for_the_next_queue_of_its_number() {
    let mut driver = running("doorbell-late:queue=1,arg=200");
    driver.submit(1, Command::flush(1));
    driver.ring(1);
    driver.delete_queue(1);
    driver.create_queue(1, 16);
    driver.advance(Duration::from_millis(200));
    assert_eq!(driver.controller.submission[&1].tail, 0);
}

/// Hands the buffers of shadow doorbells over.
fn share_doorbells(driver: &mut Driver) {
    let (shadow, event) = (driver.heap.take(1), driver.heap.take(1));
    let answer = driver.send(0, Command::doorbell_buffer_config(shadow, event));
    assert!(answer.status.is_success(), "{}", driver.log());
    driver.shadow = Some((shadow, event));
}

#[test]
fn with_shadow_doorbells_faults_of_heads_are_told_of_each() {
    let mut driver = Driver::usual();
    share_doorbells(&mut driver);
    driver.send(1, Command::flush(1));
    driver.arm("doorbell-head-lost:queue=1,times=3 completion-endless:queue=1,nth=2,times=20");
    for _ in 0..6 {
        driver.try_send(1, Command::flush(1));
    }
    while driver.reap(1) > 0 {}
    assert_eq!(fired(&driver), 23, "{}", driver.log());
    assert!(driver.strays.len() >= 15 * 15, "{}", driver.strays.len());
}

#[test]
fn a_completion_queue_whose_doorbell_is_lost_stays_full() {
    let mut driver = running("doorbell-head-lost:queue=1");
    driver.send(1, Command::flush(1));
    assert_eq!(
        (driver.controller.completion[&1].head, fired(&driver)),
        (0, 1)
    );
    driver.send(1, Command::flush(1));
    assert_eq!(driver.controller.completion[&1].head, 2);
}

/// The answer to a request for so many queues of both kinds.
fn granted(driver: &mut Driver, queues: u32) -> u32 {
    let request = (queues - 1) | ((queues - 1) << 16);
    driver
        .send(0, Command::set_features(FeatureId::NumberOfQueues, request))
        .dw0()
}

#[test]
fn queues_are_granted_as_told() {
    for (kind, dword) in [
        ("queues-one", 0),
        ("queues-many", 0xffff_ffff),
        ("queues-uneven", 0x0000_ffff),
        ("queues-no-completion", 0xffff_0000),
    ] {
        assert_eq!(granted(&mut enabled(kind), 8), dword, "{kind}");
    }
}

#[test]
fn fewer_queues_are_granted_each_time() {
    let mut driver = enabled("queues-shrinking");
    let each: Vec<u32> = (0..4).map(|_| granted(&mut driver, 8)).collect();
    assert_eq!(each, [0x0007_0007, 0x0003_0003, 0x0001_0001, 0]);
}

#[test]
fn event_indices_are_garbage_that_follows_from_the_seed() {
    let of = |seed: u64| {
        let mut driver = running(&format!("event-index-garbage:queue=1,seed={seed}"));
        let (shadow, event) = (driver.heap.take(1), driver.heap.take(1));
        let answer = driver.send(0, Command::doorbell_buffer_config(shadow, event));
        assert!(answer.status.is_success(), "{}", driver.log());
        let stride = 4;
        [0, 1, 2].map(|qid| driver.heap.read32(event + 2 * stride * qid))
    };
    let [admin, first, second] = of(1);
    assert!(
        admin < 8 && second == 0 && first > 16,
        "{admin} {first:#x} {second}"
    );
    assert_eq!(of(1)[1], first);
    assert_ne!(of(2)[1], first);
}

#[test]
fn a_controller_with_a_fault_in_a_register_works_on() {
    let mut driver = running("csts-reserved csts-nssro vs-ones");
    driver.write_blocks(1, 1, 0, &[9; 512]);
    let (completion, data) = driver
        .try_read(2, 1, 0, 1, Shape::PLAIN)
        .expect("a completion");
    assert!(completion.status.is_success());
    assert_eq!(data, vec![9; 512]);
    assert_eq!(driver.identify(0, Cns::Controller)[77], 8, "MDTS");
}
