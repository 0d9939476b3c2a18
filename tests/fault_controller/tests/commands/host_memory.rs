// SPDX-License-Identifier: MIT

//! The Host Memory Buffer is lent by the rules, and really used.

use nvme_proto::command::{Cns, Command};
use nvme_proto::status::Status;

use super::{code, number, page, raw, Driver};

const SET: u8 = 0x09;

/// Lends pages as they are listed.
fn lend(driver: &mut Driver, ranges: &[(u64, u32)], pages: u32) -> Status {
    let list = page(&mut driver.heap);
    for (index, (address, pages)) in (0..).zip(ranges) {
        driver.heap.write(list + 16 * index, &address.to_le_bytes());
        driver
            .heap
            .write(list + 16 * index + 8, &pages.to_le_bytes());
    }
    let (low, high) = ((list & 0xffff_ffff) as u32, (list >> 32) as u32);
    let count = ranges.len() as u32;
    let lent = driver.send(0, raw(SET, 0, &[0x0d, 1, pages, low, high, count]));
    code(&lent)
}

fn flushes(driver: &mut Driver) {
    for _ in 0..200 {
        driver.send(1, Command::flush(1));
    }
}

#[test]
fn what_is_lent_is_used_and_given_back_whole() {
    let mut driver = Driver::usual();
    let id = driver.identify(0, Cns::Controller);
    assert_eq!((number(&id, 272, 4), number(&id, 276, 4)), (1024, 16));
    let (one, two) = (driver.heap.take(24), driver.heap.take(8));
    let ranges = [(one, 24), (two, 8)];
    assert_eq!(lend(&mut driver, &ranges, 32), Status::SUCCESS);
    flushes(&mut driver);
    assert_eq!(driver.controller.admin.features.memory.uses(), 200);
    let used = driver.heap.read(one, 24 * 4096);
    assert!(used.iter().any(|byte| *byte != 0), "nothing was written");
    let (got, attributes) = driver.fetch(raw(0x0a, 0, &[0x0d]), 16);
    assert_eq!((got.dw0(), number(&attributes, 0, 4)), (1, 32));
    let back = driver.send(0, raw(SET, 0, &[0x0d, 0]));
    assert_eq!(back.status, Status::SUCCESS);
    for (address, pages) in ranges {
        driver.heap.free(address, pages.into());
    }
    flushes(&mut driver);
    driver.heap.assert_free_is_untouched();
    driver.assert_no_complaint();
}

#[test]
fn memory_that_others_write_to_is_noticed() {
    let mut driver = Driver::usual();
    let lent = driver.heap.take(16);
    assert_eq!(lend(&mut driver, &[(lent, 16)], 16), Status::SUCCESS);
    flushes(&mut driver);
    driver.assert_no_complaint();
    driver.heap.write(lent, &[0x5a; 16 * 4096]);
    driver.send(0, raw(SET, 0, &[0x0d, 0]));
    let complaints = driver.complaints();
    assert!(
        complaints
            .iter()
            .any(|line| line.contains("not what was left")),
        "{complaints:?}"
    );
}

#[test]
fn a_reset_ends_the_loan() {
    let mut driver = Driver::usual();
    let lent = driver.heap.take(16);
    assert_eq!(lend(&mut driver, &[(lent, 16)], 16), Status::SUCCESS);
    assert!(driver.disable());
    driver.heap.free(lent, 16);
    driver.bring_up();
    flushes(&mut driver);
    driver.heap.assert_free_is_untouched();
    driver.assert_no_complaint();
}

#[test]
fn a_wrong_list_is_refused_and_the_judge_says_why() {
    let good = {
        let mut driver = Driver::usual();
        driver.heap.take(16)
    };
    for (ranges, pages, why) in [
        (vec![(good, 16)], 17, "HSIZE"),
        (vec![(good, 8)], 8, "HMMIN"),
        (vec![(good + 8, 16)], 16, "descriptor 0"),
        (vec![(0x1000, 16)], 16, "descriptor 0"),
        (vec![(good, 16), (good + 4096, 16)], 32, "descriptor 1"),
        (vec![], 16, "HMMAXD"),
    ] {
        let mut driver = Driver::usual();
        assert_eq!(driver.heap.take(16), good, "the same in each run");
        let refused = lend(&mut driver, &ranges, pages);
        assert_eq!(refused, Status::INVALID_FIELD, "{ranges:x?}");
        let complaints = driver.complaints();
        assert!(
            complaints.iter().any(|line| line.contains(why)),
            "{ranges:x?}: {complaints:?}"
        );
    }
}
