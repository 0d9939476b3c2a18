// SPDX-License-Identifier: MIT

//! Completions: lost, invented, wrong, or at the wrong time.

use std::time::{Duration, Instant};

use nvme_proto::command::Command;
use nvme_proto::completion::Completion;
use nvme_proto::register::{offset, Cc};
use nvme_proto::status::Status;

use crate::driver::queue::CQE_BYTES;
use crate::driver::Driver;
use crate::{fired, running};

const NOBODY: u16 = 0xffff;

/// Submits a Flush and tells the controller. Its identifier.
fn flush(driver: &mut Driver, qid: u16) -> u16 {
    let cid = driver.submit(qid, Command::flush(1));
    driver.ring(qid);
    cid
}

/// An entry of a completion queue by its slot.
fn slot(driver: &Driver, qid: u16, index: u64) -> Completion {
    let bytes = driver
        .heap
        .read(driver.queues[&qid].cq + index * CQE_BYTES, 16);
    Completion::from_bytes(bytes.try_into().expect("sixteen bytes"))
}

#[test]
fn a_lost_completion_never_comes_and_the_next_does() {
    let mut driver = running("completion-lost:queue=1,nth=2");
    assert!(driver.try_send(1, Command::flush(1)).is_some());
    assert!(
        driver.try_send(1, Command::flush(1)).is_none(),
        "{}",
        driver.log()
    );
    assert!(driver.try_send(1, Command::flush(1)).is_some());
    assert_eq!(fired(&driver), 1);
}

#[test]
fn a_late_completion_comes_when_its_time_is_over() {
    let mut driver = running("completion-late:queue=1,arg=300");
    let cid = flush(&mut driver, 1);
    driver.advance(Duration::from_millis(299));
    assert_eq!(driver.reap(1), 0);
    driver.advance(Duration::from_millis(1));
    assert_eq!((driver.reap(1), driver.is_in_flight(1, cid)), (1, false));
}

#[test]
fn a_late_completion_does_not_outlive_a_reset() {
    let mut driver = running("completion-late:queue=1,arg=300");
    flush(&mut driver, 1);
    assert!(driver.disable());
    driver.advance(Duration::from_secs(1));
    driver.heap.assert_free_is_untouched();
}

#[test]
fn a_duplicate_completion_comes_twice() {
    let mut driver = running("completion-duplicate:queue=1");
    let cid = flush(&mut driver, 1);
    assert_eq!(driver.reap(1), 2);
    assert_eq!(
        driver
            .strays
            .iter()
            .map(|(_, entry)| entry.cid)
            .collect::<Vec<_>>(),
        [cid]
    );
}

#[test]
fn entries_that_nobody_asked_for_come_in_front_of_the_right_one() {
    for (spec, cid) in [
        ("completion-unknown:queue=1", NOBODY),
        ("completion-unknown:queue=1,arg=0x123", 0x123),
    ] {
        let mut driver = running(spec);
        assert!(driver.send(1, Command::flush(1)).status.is_success());
        let strays: Vec<u16> = driver.strays.iter().map(|(_, entry)| entry.cid).collect();
        assert_eq!(strays, [cid], "{spec}");
    }
}

#[test]
fn a_stale_entry_has_the_tag_of_the_right_one_and_the_generation_before() {
    let mut driver = running("completion-stale:queue=1");
    let cid = flush(&mut driver, 1);
    assert_eq!(driver.reap(1), 2);
    assert_eq!(driver.strays[0].1.cid, cid.wrapping_sub(0x1000));
}

#[test]
fn a_completion_in_another_queue_is_in_that_one_alone() {
    let mut driver = running("completion-other-queue:queue=1");
    let cid = flush(&mut driver, 1);
    assert_eq!((driver.reap(1), driver.reap(2)), (0, 1));
    let (qid, stray) = driver.strays[0];
    assert_eq!((qid, stray.sq_id, stray.cid), (2, 1, cid));
}

#[test]
fn an_admin_entry_comes_in_an_io_queue() {
    let mut driver = running("completion-admin-in-io:queue=1");
    let event = driver.submit(0, Command::async_event_request());
    driver.ring(0);
    assert!(driver.send(1, Command::flush(1)).status.is_success());
    let (qid, stray) = driver.strays[0];
    assert_eq!((qid, stray.sq_id, stray.cid), (1, 0, event));
}

#[test]
fn with_the_wrong_phase_an_entry_is_there_and_cannot_be_seen() {
    let mut driver = running("completion-wrong-phase:queue=1");
    let cid = flush(&mut driver, 1);
    assert_eq!(driver.reap(1), 0);
    let hidden = slot(&driver, 1, 0);
    assert_eq!((hidden.cid, hidden.phase), (cid, false));
    let next = flush(&mut driver, 1);
    let behind = slot(&driver, 1, 1);
    assert_eq!(
        (behind.cid, behind.phase),
        (next, true),
        "the slot is used up"
    );
}

#[test]
fn a_flood_comes_as_there_is_room_and_then_the_right_one() {
    let mut driver = running("completion-flood:queue=1,arg=100");
    let cid = flush(&mut driver, 1);
    assert_eq!(
        driver.look(1, 100),
        15,
        "the ring is filled and not overrun"
    );
    driver.give_back(1);
    assert!(driver.wait(1, cid).is_some());
    assert_eq!(driver.strays.len(), 100);
}

#[test]
fn an_overrun_goes_over_what_was_not_consumed() {
    let mut driver = running("completion-overrun:queue=1,nth=2");
    let first = flush(&mut driver, 1);
    assert_eq!(slot(&driver, 1, 0).cid, first);
    let second = flush(&mut driver, 1);
    assert_eq!(slot(&driver, 1, 0).cid, NOBODY, "{}", driver.log());
    let last = slot(&driver, 1, 1);
    assert_eq!(
        (last.cid, last.phase),
        (second, false),
        "all 16 slots and one more"
    );
}

#[test]
fn without_end_each_consumed_entry_is_followed_by_another() {
    let mut driver = running("completion-endless:queue=1,times=20");
    assert!(driver.try_send(1, Command::flush(1)).is_some());
    while driver.reap(1) > 0 {}
    assert_eq!(fired(&driver), 20);
    assert!(
        driver.strays.len() >= 20 * 15 - 15,
        "{} strays",
        driver.strays.len()
    );
    assert!(driver.strays.iter().all(|(_, entry)| entry.cid == NOBODY));
}

#[test]
fn heads_and_queues_in_entries_say_what_they_are_told() {
    let mut driver = running("completion-sq-head:queue=1");
    assert_eq!(driver.send(1, Command::flush(1)).sq_head, 0xffff);
    let mut driver = running("completion-sq-head-stuck:queue=1");
    for _ in 0..3 {
        assert_eq!(driver.send(1, Command::flush(1)).sq_head, 0);
    }
    let mut driver = running("completion-sq-id:queue=1");
    flush(&mut driver, 1);
    driver.reap(1);
    assert_eq!(driver.strays[0].1.sq_id, 0xffff);
}

#[test]
fn a_torn_entry_has_its_phase_before_the_rest() {
    let mut driver = running("completion-torn:queue=1,arg=3");
    let cid = flush(&mut driver, 1);
    let torn = driver.next_entry(1);
    assert_eq!((torn.phase, torn.cid), (true, NOBODY));
    driver.advance(Duration::from_millis(3));
    let whole = driver.next_entry(1);
    assert_eq!((whole.phase, whole.cid), (true, cid));
}

#[test]
fn a_rewritten_entry_has_two_forms_and_ends_with_the_right_one() {
    let mut driver = running("completion-rewritten:queue=1,arg=200");
    let cid = flush(&mut driver, 1);
    let (start, mut seen) = (Instant::now(), [false; 2]);
    while start.elapsed() < Duration::from_millis(200) && seen != [true; 2] {
        let entry = driver.next_entry(1);
        assert!(entry.phase);
        seen[usize::from(entry.cid == cid)] = true;
        std::thread::yield_now();
    }
    assert_eq!(seen, [true; 2], "the wrong one and the right one");
    let mut quiet = Instant::now();
    while quiet.elapsed() < Duration::from_millis(100) {
        assert!(start.elapsed() < Duration::from_secs(10), "it never ends");
        if driver.next_entry(1).cid != cid {
            quiet = Instant::now();
        }
    }
}

#[test]
fn results_are_what_nobody_asked_for() {
    let mut driver = running("completion-result:queue=1");
    let completion = driver.send(1, Command::flush(1));
    assert_eq!(
        (completion.result, completion.status),
        (u64::MAX, Status::SUCCESS)
    );
}

#[test]
fn a_reordered_completion_comes_behind_the_next() {
    let mut driver = running("completion-reordered:queue=1");
    let (first, second) = (flush(&mut driver, 1), flush(&mut driver, 1));
    assert_eq!(
        [slot(&driver, 1, 0).cid, slot(&driver, 1, 1).cid],
        [second, first]
    );
}

#[test]
fn a_reordered_completion_without_a_next_comes_late() {
    let mut driver = running("completion-reordered:queue=1,arg=200");
    flush(&mut driver, 1);
    driver.advance(Duration::from_millis(199));
    assert_eq!(driver.reap(1), 0);
    driver.advance(Duration::from_millis(1));
    assert_eq!(driver.reap(1), 1);
}

#[test]
fn an_interrupt_comes_before_its_entry() {
    let mut driver = running("completion-interrupt-early:queue=1,arg=5");
    let before = driver.interrupts.count(1);
    flush(&mut driver, 1);
    assert_eq!(
        (driver.interrupts.count(1) - before, driver.reap(1)),
        (1, 0)
    );
    driver.advance(Duration::from_millis(5));
    assert_eq!(
        (driver.interrupts.count(1) - before, driver.reap(1)),
        (1, 1)
    );
}

#[test]
fn errors_are_those_that_were_asked_for() {
    for (spec, raw) in [
        ("completion-error:queue=1", 0x281),
        ("completion-error:queue=1,arg=0x4283", 0x4283),
        ("completion-error-dnr:queue=1", 0x4006),
        ("completion-error-unknown:queue=1", 0x7ff),
        ("completion-retry-later:queue=1", 0x0821),
        ("completion-retry-later:queue=1,arg=3", 0x1821),
    ] {
        let mut driver = running(spec);
        assert_eq!(
            driver.send(1, Command::flush(1)).status.raw(),
            raw,
            "{spec}"
        );
        assert!(
            driver.send(1, Command::flush(1)).status.is_success(),
            "{spec}"
        );
    }
}

#[test]
fn random_errors_are_never_success_and_the_same_for_a_seed() {
    let errors = |seed: u64| {
        let mut driver = running(&format!("completion-error-random:queue=1,seed={seed}"));
        let mut statuses = Vec::new();
        for _ in 0..50 {
            statuses.push(driver.send(1, Command::flush(1)).status);
        }
        assert!(statuses.iter().all(|status| !status.is_success()));
        statuses
    };
    assert_eq!(errors(3), errors(3));
    assert_ne!(errors(3), errors(4));
}

#[test]
fn aborts_are_refused_or_lost() {
    let mut driver = running("abort-refused");
    assert_eq!(driver.send(0, Command::abort(1, 7)).status.raw(), 0x4103);
    let mut driver = running("abort-lost");
    assert!(driver.try_send(0, Command::abort(1, 7)).is_none());
}

#[test]
fn a_deleted_submission_queue_completes_something() {
    let mut driver = running("completion-after-sq-deletion");
    driver.delete_queue(1);
    let (qid, stray) = driver.strays[0];
    assert_eq!((qid, stray.sq_id, stray.cid), (1, 1, NOBODY));
}

#[test]
fn an_entry_is_written_where_a_completion_queue_was() {
    let mut driver = running("completion-after-cq-deletion");
    assert!(driver.send(0, Command::delete_io_sq(1)).status.is_success());
    assert!(driver.send(0, Command::delete_io_cq(1)).status.is_success());
    let ghost = slot(&driver, 1, 0);
    assert_eq!((ghost.cid, ghost.phase), (NOBODY, true), "{}", driver.log());
}

#[test]
fn entries_are_written_to_the_old_queues_after_a_reset() {
    let mut driver = running("completion-after-reset:arg=10");
    driver.write32(offset::CC, Cc::enabled(12).without_enable().raw());
    let admin = driver.queues[&0].head.index();
    assert_ne!(slot(&driver, 0, admin.into()).cid, NOBODY);
    driver.advance(Duration::from_millis(10));
    for (qid, index) in [(0, admin), (1, 0), (2, 0)] {
        let ghost = slot(&driver, qid, index.into());
        assert_eq!(ghost.cid, NOBODY, "queue {qid}: {ghost:?}");
    }
}
