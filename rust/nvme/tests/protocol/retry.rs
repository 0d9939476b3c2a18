// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Which failures are tried again, how often, and after how long.

use nvme_proto::retry::{
    retry, Attempt, Decision, RetryPolicy, BUSY_DELAY_MS, DEFAULT_RETRIES, MAX_DELAY_MS,
};
use nvme_proto::status::{Outcome, Status};

const DNR: u16 = 1 << 14;
const CRDT: [u16; 3] = [3, 50, u16::MAX];

fn policy() -> RetryPolicy {
    RetryPolicy::new(CRDT, true, DEFAULT_RETRIES)
}

fn after(retries: u8) -> Attempt {
    Attempt {
        retries,
        ..Attempt::default()
    }
}

/// The same status with a value of CRD.
fn delayed(status: Status, crd: u16) -> Status {
    Status::from_raw(status.raw() | (crd << 11))
}

fn decide(status: Status, retries: u8) -> Decision {
    retry(status, &policy(), after(retries))
}

#[test]
fn each_kind_of_failure_gets_its_answer() {
    let end = Decision::End;
    let wait = |ms| Decision::RetryAfter { ms };
    let now = Decision::RetryNow;
    let table = [
        (Status::SUCCESS, end(Outcome::Success)),
        (Status::INVALID_OPCODE, end(Outcome::NotSupported)),
        (Status::INVALID_FIELD, end(Outcome::NotSupported)),
        (Status::INVALID_NAMESPACE_OR_FORMAT, end(Outcome::Target)),
        (Status::NAMESPACE_WRITE_PROTECTED, end(Outcome::Target)),
        (Status::LBA_OUT_OF_RANGE, end(Outcome::Target)),
        (Status::CAPACITY_EXCEEDED, end(Outcome::NoSpace)),
        (Status::RESERVATION_CONFLICT, end(Outcome::Reservation)),
        (Status::WRITE_TO_READ_ONLY_RANGE, end(Outcome::Medium)),
        (Status::UNWRITTEN_BLOCK, end(Outcome::Medium)),
        (Status::ACCESS_PERSISTENT_LOSS, end(Outcome::Transport)),
        (Status::PRP_OFFSET_INVALID, end(Outcome::Io)),
        (Status::SGL_DESCRIPTOR_TYPE_INVALID, end(Outcome::Io)),
        (Status::COMMAND_SIZE_LIMIT_EXCEEDED, end(Outcome::Io)),
        (Status::ZONE_INVALID_WRITE, end(Outcome::Io)),
        (Status::TOO_MANY_OPEN_ZONES, end(Outcome::ZoneOpenResource)),
        (Status::INTERNAL_ERROR, now),
        (Status::DATA_TRANSFER_ERROR, now),
        (Status::COMMAND_INTERRUPTED, now),
        (Status::ABORT_REQUESTED, now),
        (Status::ABORTED_BY_HOST, now),
        (Status::UNRECOVERED_READ_ERROR, now),
        (Status::WRITE_FAULT, now),
        (Status::GUARD_CHECK_ERROR, now),
        (Status::TRANSIENT_TRANSPORT_ERROR, now),
        (Status::NAMESPACE_NOT_READY, wait(BUSY_DELAY_MS)),
        (Status::FORMAT_IN_PROGRESS, wait(BUSY_DELAY_MS)),
        (Status::SANITIZE_IN_PROGRESS, wait(BUSY_DELAY_MS)),
        (Status::ADMIN_MEDIA_NOT_READY, wait(BUSY_DELAY_MS)),
        (Status::ACCESS_TRANSITION, wait(BUSY_DELAY_MS)),
        // A code that no one has heard of.
        (Status::from_raw(0x7ee), now),
    ];
    for (status, decision) in table {
        assert_eq!(decide(status, 0), decision, "{status}");
    }
}

#[test]
fn a_controller_may_ask_for_a_delay_within_bounds() {
    let read = Status::UNRECOVERED_READ_ERROR;
    assert_eq!(decide(delayed(read, 0), 0), Decision::RetryNow);
    assert_eq!(
        decide(delayed(read, 1), 0),
        Decision::RetryAfter { ms: 300 }
    );
    assert_eq!(
        decide(delayed(read, 2), 4),
        Decision::RetryAfter { ms: 5000 }
    );
    let bounded = Decision::RetryAfter { ms: MAX_DELAY_MS };
    assert_eq!(decide(delayed(read, 3), 0), bounded);
    // What it asks for stands before what we would wait of our own accord.
    let busy = delayed(Status::NAMESPACE_NOT_READY, 1);
    assert_eq!(decide(busy, 3), Decision::RetryAfter { ms: 300 });
}

#[test]
fn a_delay_of_zero_is_none_and_one_not_agreed_on_is_ignored() {
    let read = delayed(Status::UNRECOVERED_READ_ERROR, 2);
    let zero = RetryPolicy::new([0; 3], true, 5);
    let reserved = RetryPolicy::new(CRDT, false, 5);
    for policy in [zero, reserved] {
        assert_eq!(retry(read, &policy, after(0)), Decision::RetryNow);
    }
}

#[test]
fn a_busy_controller_is_asked_at_growing_distances() {
    let mut waited = 0;
    for retries in 0..DEFAULT_RETRIES {
        match decide(Status::NAMESPACE_NOT_READY, retries) {
            Decision::RetryAfter { ms } => waited += ms,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(waited, 3100);
    let patient = RetryPolicy::new([0; 3], true, u8::MAX);
    for retries in 7..u8::MAX {
        let decision = retry(Status::NAMESPACE_NOT_READY, &patient, after(retries));
        assert_eq!(decision, Decision::RetryAfter { ms: MAX_DELAY_MS });
    }
}

#[test]
fn there_is_an_end_to_trying() {
    let read = Status::UNRECOVERED_READ_ERROR;
    let end = Decision::End(Outcome::Medium);
    assert_eq!(decide(read, 4), Decision::RetryNow);
    assert_eq!((decide(read, 5), decide(read, u8::MAX)), (end, end));
    let never = RetryPolicy::new(CRDT, true, 0);
    assert_eq!(retry(read, &never, after(0)), end);
}

#[test]
fn the_fourth_transient_error_is_not_transient() {
    let status = Status::TRANSIENT_TRANSPORT_ERROR;
    assert_eq!(decide(status, 2), Decision::RetryNow);
    assert_eq!(decide(status, 3), Decision::End(Outcome::Transport));
}

#[test]
fn whoever_wants_no_retry_gets_none() {
    let read = Status::UNRECOVERED_READ_ERROR;
    let no_retry = Attempt {
        no_retry: true,
        ..Attempt::default()
    };
    let dying = Attempt {
        dying: true,
        ..Attempt::default()
    };
    for attempt in [no_retry, dying] {
        let decision = retry(read, &policy(), attempt);
        assert_eq!(decision, Decision::End(Outcome::Medium));
    }
}

#[test]
fn no_status_makes_a_request_go_on_for_ever_or_wait_for_long() {
    for raw in 0..=0x7fff {
        let status = Status::from_raw(raw);
        let ended = Decision::End(status.outcome());
        assert_eq!(decide(status, DEFAULT_RETRIES), ended);
        match decide(status, 0) {
            Decision::End(outcome) => assert_eq!(outcome, status.outcome()),
            Decision::RetryAfter { ms } => {
                assert!(
                    (1..=MAX_DELAY_MS).contains(&ms) && !status.dnr(),
                    "{status:?}"
                );
            }
            Decision::RetryNow => assert!(raw & DNR == 0 && !status.is_success()),
        }
    }
}
