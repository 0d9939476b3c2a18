// SPDX-License-Identifier: MIT

//! Reservations: registration, holding, conflicts, preemption, report and notices.

use nvme_proto::command::{Cns, Command};
use nvme_proto::completion::Completion;
use nvme_proto::status::Status;

use super::{code, log_page, number, raw, with_page, Driver};

const REGISTER: u8 = 0x0d;
const REPORT: u8 = 0x0e;
const ACQUIRE: u8 = 0x11;
const RELEASE: u8 = 0x15;

const WRITE_EXCLUSIVE: u32 = 1;
const EXCLUSIVE_ACCESS: u32 = 2;

/// Sends a reservation command with two keys.
fn ask(driver: &mut Driver, opcode: u8, cdw10: u32, keys: [u64; 2]) -> Status {
    let data: Vec<u8> = keys.iter().flat_map(|key| key.to_le_bytes()).collect();
    let (completion, _) = with_page(driver, raw(opcode, 1, &[cdw10]), &data);
    code(&completion)
}

/// A controller whose host says that it is this one.
fn host(id: u64) -> Driver {
    let mut driver = Driver::usual();
    become_host(&mut driver, id);
    driver
}

fn become_host(driver: &mut Driver, id: u64) {
    let named = driver.hand_over(raw(0x09, 0, &[0x81, 0]), &id.to_le_bytes());
    assert_eq!(named.status, Status::SUCCESS);
}

fn write(driver: &mut Driver) -> Completion {
    with_page(driver, Command::write(1, 0, 0, false), &[1; 512]).0
}

fn read(driver: &mut Driver) -> Completion {
    with_page(driver, Command::read(1, 0, 0), &[0]).0
}

#[test]
fn another_host_is_kept_out() {
    let mut driver = host(1);
    let id = driver.identify(1, Cns::Namespace);
    assert_eq!(id[31], 0xff, "RESCAP");
    assert_eq!(ask(&mut driver, REGISTER, 0, [0, 0xa]), Status::SUCCESS);
    let acquire = WRITE_EXCLUSIVE << 8;
    assert_eq!(
        ask(&mut driver, ACQUIRE, acquire, [0xa, 0]),
        Status::SUCCESS
    );
    assert_eq!(write(&mut driver).status, Status::SUCCESS);
    driver.assert_no_complaint();
    // The reservation outlasts a reset, after which somebody else is at the controller.
    assert!(driver.disable());
    driver.bring_up();
    become_host(&mut driver, 2);
    assert_eq!(code(&write(&mut driver)), Status::RESERVATION_CONFLICT);
    assert_eq!(read(&mut driver).status, Status::SUCCESS);
    let other = ask(&mut driver, ACQUIRE, acquire, [0xb, 0]);
    assert_eq!(other, Status::RESERVATION_CONFLICT, "not registered");
    assert_eq!(ask(&mut driver, REGISTER, 0, [0, 0xb]), Status::SUCCESS);
    let other = ask(&mut driver, ACQUIRE, acquire, [0xb, 0]);
    assert_eq!(other, Status::RESERVATION_CONFLICT, "it is held");
    // Preempting the holder's key takes it over.
    let preempt = (EXCLUSIVE_ACCESS << 8) | 1;
    assert_eq!(
        ask(&mut driver, ACQUIRE, preempt, [0xb, 0xa]),
        Status::SUCCESS
    );
    assert_eq!(write(&mut driver).status, Status::SUCCESS);
    let release = EXCLUSIVE_ACCESS << 8;
    assert_eq!(
        ask(&mut driver, RELEASE, release, [0xb, 0]),
        Status::SUCCESS
    );
}

#[test]
fn the_report_tells_who_holds_what() {
    let mut driver = host(7);
    assert_eq!(
        ask(&mut driver, REGISTER, 3 << 30, [0, 0xa]),
        Status::SUCCESS
    );
    driver.tell("reserve 1 9 register 11");
    let acquire = EXCLUSIVE_ACCESS << 8;
    assert_eq!(
        ask(&mut driver, ACQUIRE, acquire, [0xa, 0]),
        Status::SUCCESS
    );
    let (done, report) = with_page(&mut driver, raw(REPORT, 1, &[31]), &[0]);
    assert_eq!(done.status, Status::SUCCESS);
    assert_eq!(
        (number(&report, 0, 4), report[4]),
        (2, 2),
        "generation, type"
    );
    assert_eq!(
        (number(&report, 5, 2), report[9]),
        (2, 1),
        "registrants, PTPLS"
    );
    let (ours, theirs) = (&report[24..48], &report[48..72]);
    assert_eq!(
        (ours[2], number(ours, 8, 8), number(ours, 16, 8)),
        (1, 7, 0xa)
    );
    assert_eq!(
        (theirs[2], number(theirs, 8, 8), number(theirs, 16, 8)),
        (0, 9, 11)
    );
    let persistence = driver.send(0, raw(0x0a, 1, &[0x83]));
    assert_eq!(persistence.dw0(), 1, "feature 83h");
    let (_, long) = with_page(&mut driver, raw(REPORT, 1, &[47, 1]), &[0]);
    assert_eq!((number(&long, 72, 8), number(&long, 80, 8)), (0xa, 7));
    driver.assert_no_complaint();
}

#[test]
fn a_wrong_key_does_nothing() {
    let mut driver = host(1);
    assert_eq!(ask(&mut driver, REGISTER, 0, [0, 0xa]), Status::SUCCESS);
    for (opcode, cdw10) in [
        (REGISTER, 1),
        (REGISTER, 2),
        (ACQUIRE, 1 << 8),
        (RELEASE, 1),
    ] {
        let refused = ask(&mut driver, opcode, cdw10, [0xb, 0xc]);
        assert_eq!(
            refused,
            Status::RESERVATION_CONFLICT,
            "{opcode:#x} {cdw10:#x}"
        );
    }
    let ignoring = ask(&mut driver, REGISTER, 1 | (1 << 3), [0xb, 0]);
    assert_eq!(ignoring, Status::SUCCESS, "the existing key is ignored");
}

#[test]
fn an_existing_key_is_ignored_only_by_a_registration() {
    let mut driver = host(1);
    let replace = 2 | (1 << 3);
    let registered = ask(&mut driver, REGISTER, replace, [0xb, 0xc]);
    assert_eq!(registered, Status::SUCCESS, "whether or not there was one");
    let refused = ask(&mut driver, REGISTER, 1 << 3, [0, 0xd]);
    assert_eq!(refused, Status::RESERVATION_CONFLICT, "there is another");
    for (opcode, cdw10) in [(ACQUIRE, WRITE_EXCLUSIVE << 8), (RELEASE, 1)] {
        let refused = ask(&mut driver, opcode, cdw10 | (1 << 3), [0xc, 0]);
        assert_eq!(refused, Status::INVALID_FIELD, "{opcode:#x}");
        let done = ask(&mut driver, opcode, cdw10, [0xc, 0]);
        assert_eq!(done, Status::SUCCESS, "{opcode:#x} without it");
    }
}

#[test]
fn whoever_is_preempted_hears_of_it() {
    let mut driver = host(1);
    assert_eq!(ask(&mut driver, REGISTER, 0, [0, 0xa]), Status::SUCCESS);
    let cid = driver.submit(0, Command::async_event_request());
    driver.ring(0);
    driver.tell("reserve 1 9 register 11");
    driver.tell("reserve 1 9 preempt 11 2 10");
    driver.reap(0);
    let event = driver.queue(0).done.remove(&cid).expect("an event");
    assert_eq!(event.dw0(), 0x0080_0006);
    let page = log_page(&mut driver, 0x80, 64);
    assert_eq!(
        (number(&page, 0, 8), page[8]),
        (1, 1),
        "registration preempted"
    );
    assert_eq!((page[9], number(&page, 12, 4)), (0, 1));
    assert_eq!(log_page(&mut driver, 0x80, 64), [0; 64]);
    driver.assert_no_complaint();
}
