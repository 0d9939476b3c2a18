// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Status codes: names, meanings, and that no code is unknown in a harmful way.

use nvme_proto::status::{Outcome, Status};

const DNR: u16 = 1 << 14;

#[test]
fn the_bits_of_a_status_are_where_they_belong() {
    let status = Status::from_raw(0x81 | (2 << 8) | (3 << 11) | (1 << 13) | DNR);
    assert_eq!((status.sct(), status.sc(), status.crd()), (2, 0x81, 3));
    assert!(status.more() && status.dnr() && !status.is_success());
    let none = Status::from_raw(0);
    assert!(!none.more() && !none.dnr() && none.is_success());
    assert_eq!(Status::from_raw(0xffff).raw(), 0x7fff);
}

#[test]
fn a_status_is_logged_by_the_specifications_name() {
    let named = Status::UNRECOVERED_READ_ERROR;
    assert_eq!(named.to_string(), "Unrecovered Read Error (SCT 2h, SC 81h)");
    let unknown = Status::from_raw(0x7ee | DNR);
    assert_eq!(unknown.to_string(), "Unknown Status (SCT 7h, SC eeh)");
    assert_eq!(
        format!("{unknown:?}"),
        "Unknown Status (SCT 7h, SC eeh) DNR"
    );
}

#[test]
fn the_table_has_each_code_and_each_name_once() {
    let mut codes: Vec<u16> = Status::ALL.iter().map(|status| status.code()).collect();
    let mut names: Vec<&str> = Status::ALL.iter().filter_map(|s| s.name()).collect();
    assert!(codes.is_sorted(), "the table is out of order");
    assert_eq!(names.len(), codes.len());
    codes.dedup();
    names.sort();
    names.dedup();
    assert_eq!(
        (codes.len(), names.len()),
        (Status::ALL.len(), Status::ALL.len())
    );
    println!("{} codes", codes.len());
}

#[test]
fn only_a_success_is_a_success() {
    for raw in 0..=0x7fff {
        let status = Status::from_raw(raw);
        let success = raw & 0x7ff == 0;
        assert_eq!(status.is_success(), success);
        assert_eq!(status.outcome() == Outcome::Success, success, "{status}");
    }
}

#[test]
fn a_code_that_no_one_has_heard_of_is_an_io_error() {
    for code in 0..0x800 {
        let status = Status::from_raw(code);
        if status.name().is_none() {
            assert_eq!(status.outcome(), Outcome::Io, "{status}");
        }
    }
}

#[test]
fn errors_keep_their_meaning() {
    let meanings = [
        (0x001, Outcome::NotSupported),
        (0x002, Outcome::NotSupported),
        (0x007, Outcome::Timeout),
        (0x00b, Outcome::Target),
        (0x020, Outcome::Target),
        (0x080, Outcome::Target),
        (0x081, Outcome::NoSpace),
        (0x083, Outcome::Reservation),
        (0x181, Outcome::Protection),
        (0x1bd, Outcome::ZoneActiveResource),
        (0x1be, Outcome::ZoneOpenResource),
        (0x280, Outcome::Medium),
        (0x281, Outcome::Medium),
        (0x282, Outcome::Protection),
        (0x284, Outcome::Protection),
        (0x286, Outcome::Medium),
        (0x370, Outcome::Transport),
        (0x371, Outcome::Timeout),
    ];
    for (code, outcome) in meanings {
        let status = Status::from_raw(code);
        assert_eq!(status.outcome(), outcome, "{status}");
    }
}

#[test]
fn do_not_retry_is_obeyed_for_every_code() {
    for raw in 0..=0x7fff {
        let status = Status::from_raw(raw);
        assert!(!(status.dnr() && status.retryable()), "{status:?}");
    }
}

#[test]
fn only_what_may_change_is_tried_again() {
    let again = [
        Status::INTERNAL_ERROR,
        Status::NAMESPACE_NOT_READY,
        Status::COMMAND_INTERRUPTED,
        Status::UNRECOVERED_READ_ERROR,
        Status::TRANSIENT_TRANSPORT_ERROR,
        Status::ABORT_REQUESTED,
    ];
    let never = [
        Status::SUCCESS,
        Status::INVALID_OPCODE,
        Status::LBA_OUT_OF_RANGE,
        Status::CAPACITY_EXCEEDED,
        Status::RESERVATION_CONFLICT,
        Status::NAMESPACE_WRITE_PROTECTED,
        Status::COMPARE_FAILURE,
        Status::ACCESS_PERSISTENT_LOSS,
        Status::ACCESS_INACCESSIBLE,
    ];
    for status in again {
        assert!(status.retryable(), "{status}");
        assert!(!Status::from_raw(status.raw() | DNR).retryable());
    }
    for status in never {
        assert!(!status.retryable(), "{status}");
    }
}
