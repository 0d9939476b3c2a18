// SPDX-License-Identifier: MIT

//! Abort, and what else ends a command whose completion is held back.

use std::time::Duration;

use nvme_proto::command::Command;
use nvme_proto::status::Status;

use super::{code, Driver};

/// A flush whose completion comes in a minute.
fn held(driver: &mut Driver) -> u16 {
    driver.arm("completion-late:queue=io,arg=60000");
    let cid = driver.submit(1, Command::flush(1));
    driver.ring(1);
    driver.reap(1);
    assert!(driver.is_in_flight(1, cid));
    cid
}

#[test]
fn a_command_that_is_held_back_is_aborted_and_completes_once() {
    let mut driver = Driver::usual();
    let cid = held(&mut driver);
    let abort = driver.send(0, Command::abort(1, cid));
    assert_eq!((abort.status, abort.dw0()), (Status::SUCCESS, 0));
    driver.reap(1);
    let aborted = driver.queue(1).done.remove(&cid).expect("a completion");
    assert_eq!(aborted.status, Status::ABORT_REQUESTED);
    // What was due later does not come any more.
    driver.advance(Duration::from_secs(120));
    driver.reap(1);
    assert!(driver.strays.is_empty(), "{:?}", driver.strays);
    driver.assert_no_complaint();
}

#[test]
fn what_is_not_aborted_completes_at_its_time() {
    let mut driver = Driver::usual();
    let cid = held(&mut driver);
    // Others of the queue go by.
    assert_eq!(driver.send(1, Command::flush(2)).status, Status::SUCCESS);
    driver.advance(Duration::from_secs(60));
    driver.reap(1);
    let late = driver.queue(1).done.remove(&cid).expect("a completion");
    assert_eq!((late.status, late.sq_head), (Status::SUCCESS, 2));
    driver.assert_no_complaint();
}

#[test]
fn an_abort_of_what_is_not_there_says_so() {
    let mut driver = Driver::usual();
    let abort = driver.send(0, Command::abort(1, 77));
    assert_eq!((abort.status, abort.dw0()), (Status::SUCCESS, 1));
}

#[test]
fn a_request_for_events_can_be_aborted() {
    let mut driver = Driver::usual();
    let cid = driver.submit(0, Command::async_event_request());
    driver.ring(0);
    let abort = driver.send(0, Command::abort(0, cid));
    assert_eq!((abort.status, abort.dw0()), (Status::SUCCESS, 0));
    let aborted = driver.queue(0).done.remove(&cid).expect("a completion");
    assert_eq!(aborted.status, Status::ABORT_REQUESTED);
    driver.assert_no_complaint();
}

#[test]
fn a_queue_that_is_deleted_aborts_what_it_holds_back() {
    let mut driver = Driver::usual();
    let cid = held(&mut driver);
    let deleted = driver.send(0, Command::delete_io_sq(1));
    assert_eq!(deleted.status, Status::SUCCESS);
    driver.reap(1);
    let aborted = driver.queue(1).done.remove(&cid).expect("a completion");
    assert_eq!(aborted.status, Status::ABORTED_SQ_DELETION);
    driver.advance(Duration::from_secs(120));
    driver.reap(1);
    assert!(driver.strays.is_empty(), "{:?}", driver.strays);
    driver.assert_no_complaint();
}

#[test]
fn a_reset_forgets_what_is_held_back() {
    let mut driver = Driver::usual();
    held(&mut driver);
    assert!(driver.disable());
    driver.bring_up();
    driver.advance(Duration::from_secs(120));
    for qid in [0, 1, 2] {
        driver.reap(qid);
    }
    assert!(driver.strays.is_empty(), "{:?}", driver.strays);
    driver.heap.assert_free_is_untouched();
    driver.assert_no_complaint();
}

#[test]
fn a_fifth_abort_at_a_time_exceeds_the_limit() {
    let mut driver = Driver::usual();
    driver.arm("completion-late:opcode=8,queue=admin,arg=60000,times=4");
    for cid in 0..4 {
        driver.submit(0, Command::abort(1, cid));
    }
    driver.ring(0);
    let fifth = driver.send(0, Command::abort(1, 9));
    assert_eq!(code(&fifth), Status::ABORT_LIMIT_EXCEEDED);
}
