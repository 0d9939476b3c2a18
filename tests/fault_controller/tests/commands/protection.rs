// SPDX-License-Identifier: MIT

//! Protection information: tuples go with their blocks, and what is not right is found.

use std::time::Duration;

use nvme_fault_controller::io::protection::guard;
use nvme_fault_controller::namespace::Namespace;
use nvme_proto::command::{Cns, Command};
use nvme_proto::status::Status;

use super::{code, nameless, number, with_page, Driver};

const PRACT: u32 = 1 << 29;
const GUARD: u32 = 1 << 28;
const APPLICATION: u32 = 1 << 27;
const REFERENCE: u32 = 1 << 26;

/// A driver with a third namespace, of blocks of 512 bytes with tuples of this type.
fn protected(kind: u8) -> Driver {
    let mut driver = Driver::usual();
    let namespace = Namespace::new(3, 1 << 20, 9, nameless(), 0)
        .and_then(|plain| plain.with_tuples(kind, nameless()))
        .expect("a namespace");
    driver.controller.namespaces.insert(3, namespace);
    driver
}

fn tuple(block: &[u8], application: u16, reference: u32) -> Vec<u8> {
    let mut tuple = guard(block).to_be_bytes().to_vec();
    tuple.extend(application.to_be_bytes());
    tuple.extend(reference.to_be_bytes());
    tuple
}

/// A command on a few blocks with a buffer for their tuples: completion, blocks, tuples.
fn carry(
    driver: &mut Driver,
    command: Command,
    flags: u32,
    (data, tuples): (&[u8], &[u8]),
) -> (Status, Vec<u8>, Vec<u8>) {
    let metadata = driver.heap.take(1);
    driver.heap.write(metadata, tuples);
    let mut command = command.with_metadata(metadata);
    command.cdw12.set(command.cdw12.get() | flags);
    command.cdw14 = command.cdw10;
    let (completion, bytes) = with_page(driver, command, data);
    let tuples = driver.heap.read(metadata, 64);
    driver.heap.free(metadata, 1);
    (code(&completion), bytes, tuples)
}

#[test]
fn a_guard_is_the_crc_of_t10() {
    assert_eq!(guard(b"123456789"), 0xd0db);
    assert_eq!(guard(&[0; 512]), 0);
}

#[test]
fn the_format_says_what_there_is() {
    let mut driver = protected(1);
    let id = driver.identify(3, Cns::Namespace);
    assert_eq!((id[26], id[29]), (2, 1), "FLBAS, DPS");
    assert_eq!(number(&id, 128 + 8, 4), (9 << 16) | 8, "512 and 8 bytes");
    let plain = driver.identify(1, Cns::Namespace);
    assert_eq!((plain[26], plain[29]), (0, 0));
}

#[test]
fn tuples_come_back_as_they_were_written() {
    for kind in [1, 2, 3] {
        let mut driver = protected(kind);
        let data = [5; 1024];
        let mut tuples = tuple(&data[..512], 0x1234, 40);
        tuples.extend(tuple(&data[512..], 0x1234, 41));
        let checks = if kind == 3 { GUARD } else { GUARD | REFERENCE };
        let write = Command::write(3, 40, 1, false);
        let (status, _, _) = carry(&mut driver, write, checks, (&data, &tuples));
        assert_eq!(status, Status::SUCCESS, "type {kind}");
        let read = Command::read(3, 40, 1);
        let (status, back, same) = carry(&mut driver, read, checks, (&[], &[]));
        assert_eq!(status, Status::SUCCESS, "type {kind}");
        assert_eq!((&back[..1024], &same[..16]), (&data[..], &tuples[..]));
        driver.assert_no_complaint();
    }
}

#[test]
fn what_is_not_right_is_found() {
    let mut driver = protected(1);
    let data = [5; 512];
    let right = tuple(&data, 0x1234, 40);
    let write = Command::write(3, 40, 0, false);
    for (at, checks, status) in [
        (0, GUARD, Status::GUARD_CHECK_ERROR),
        (7, REFERENCE, Status::REFERENCE_TAG_CHECK_ERROR),
        (2, APPLICATION, Status::APPLICATION_TAG_CHECK_ERROR),
    ] {
        let mut wrong = right.clone();
        wrong[at] ^= 1;
        let mut command = write;
        command.cdw15.set(0xffff_1234);
        let found = carry(&mut driver, command, checks, (&data, &wrong)).0;
        assert_eq!(found, status);
        let passed = carry(&mut driver, command, checks, (&data, &right)).0;
        assert_eq!(passed, Status::SUCCESS);
    }
    // Tuples that are made by the controller, and a reference tag that is not the block's.
    let mut elsewhere = write;
    elsewhere.cdw12.set(PRACT);
    elsewhere.cdw14.set(99);
    let (made, _) = with_page(&mut driver, elsewhere, &data);
    assert_eq!(made.status, Status::SUCCESS);
    let read = Command::read(3, 40, 0);
    let found = carry(&mut driver, read, REFERENCE, (&[], &[])).0;
    assert_eq!(found, Status::REFERENCE_TAG_CHECK_ERROR);
}

#[test]
fn the_controller_makes_and_strips_tuples() {
    let mut driver = protected(1);
    let data = [6; 512];
    let write = Command::write(3, 8, 0, false);
    assert_eq!(
        carry(&mut driver, write, PRACT, (&data, &[])).0,
        Status::SUCCESS
    );
    let read = Command::read(3, 8, 0);
    let (status, back, none) = carry(&mut driver, read, PRACT | GUARD | REFERENCE, (&[], &[]));
    assert_eq!((status, &back[..512]), (Status::SUCCESS, &data[..]));
    assert_eq!(none, [0; 64], "no tuple is handed out");
    let (_, _, made) = carry(&mut driver, read, 0, (&[], &[]));
    assert_eq!(made[..8], tuple(&data, 0, 8));
}

#[test]
fn blocks_that_were_never_written_pass_all_checks() {
    let mut driver = protected(1);
    let checks = GUARD | REFERENCE;
    let read = Command::read(3, 0, 0);
    let (status, _, tuples) = carry(&mut driver, read, checks, (&[], &[]));
    assert_eq!((status, &tuples[..8]), (Status::SUCCESS, &[0xff; 8][..]));
    // Zeros that are written have tuples of their own if the controller makes them.
    for (deallocate, first) in [(false, 0), (true, 0xff)] {
        let mut zero = Command::write_zeroes(3, 0, 0, deallocate, false);
        zero.cdw12.set(zero.cdw12.get() | PRACT);
        assert_eq!(code(&driver.send(1, zero)), Status::SUCCESS);
        let (status, _, tuples) = carry(&mut driver, read, checks, (&[], &[]));
        assert_eq!((status, tuples[4]), (Status::SUCCESS, first));
    }
    driver.advance(Duration::ZERO);
    driver.assert_no_complaint();
}

#[test]
fn checks_that_cannot_be_are_refused() {
    let mut driver = protected(3);
    let read = Command::read(3, 0, 0);
    let refused = carry(&mut driver, read, REFERENCE, (&[], &[])).0;
    assert_eq!(refused, Status::INVALID_PROTECTION_INFORMATION);
    let mut driver = protected(1);
    let odd = Command::read(3, 0, 0).with_metadata(0x1_2340_0002);
    let (refused, _) = with_page(&mut driver, odd, &[0]);
    assert_eq!(code(&refused), Status::PRP_OFFSET_INVALID, "MPTR");
    let mut read = Command::read(3, 7, 0);
    read.cdw12.set(REFERENCE);
    read.cdw14.set(8);
    let (refused, _) = with_page(&mut driver, read, &[0]);
    assert_eq!(code(&refused), Status::INVALID_PROTECTION_INFORMATION);
}
