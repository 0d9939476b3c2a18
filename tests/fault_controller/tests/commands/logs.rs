// SPDX-License-Identifier: MIT

//! Log pages.

use nvme_proto::command::Command;
use nvme_proto::status::Status;

use super::{code, log_page, number, Driver};

#[test]
fn failed_commands_are_in_the_error_log_newest_first() {
    let mut driver = Driver::usual();
    let beyond = driver.send(1, Command::write_zeroes(1, 5000, 0, false, false));
    assert_eq!(code(&beyond), Status::LBA_OUT_OF_RANGE);
    assert!(beyond.status.more(), "the log has more");
    driver.send(2, Command::flush(77));
    let page = log_page(&mut driver, 0x01, 192);
    let entry = |index: usize| &page[64 * index..64 * index + 64];
    assert_eq!(number(entry(0), 0, 8), 2, "error count");
    assert_eq!(number(entry(0), 8, 2), 2, "queue");
    assert_eq!(number(entry(0), 24, 4), 77, "namespace");
    assert_eq!(number(entry(1), 0, 8), 1, "error count");
    assert_eq!(number(entry(1), 10, 2), u64::from(beyond.cid));
    assert_eq!(number(entry(1), 12, 2) >> 1, u64::from(beyond.status.raw()));
    assert_eq!(number(entry(1), 16, 8), 5000, "block");
    assert_eq!(number(entry(2), 0, 8), 0, "no third entry");
    // The count outlasts a reset, the entries do not.
    assert!(driver.disable());
    driver.bring_up();
    assert_eq!(log_page(&mut driver, 0x01, 64), [0; 64]);
    assert_eq!(number(&log_page(&mut driver, 0x02, 512), 176, 8), 2);
}

#[test]
fn health_counts_what_was_read_and_written() {
    let mut driver = Driver::usual();
    for block in 0..300 {
        driver.write_blocks(1, 2, block, &[1; 4096]);
    }
    driver.read_blocks(1, 1, 0, 1);
    let page = log_page(&mut driver, 0x02, 512);
    assert_eq!((page[0], number(&page, 1, 2), page[3]), (0, 300, 100));
    assert_eq!(number(&page, 32, 8), 1, "one sector is one unit");
    assert_eq!(number(&page, 48, 8), 3, "2400 sectors are three");
    assert_eq!((number(&page, 64, 8), number(&page, 80, 8)), (1, 300));
    driver.assert_no_complaint();
}

#[test]
fn the_pages_that_are_said_to_be_there_are() {
    let mut driver = Driver::usual();
    let supported = log_page(&mut driver, 0x00, 1024);
    for lid in 0..=255u8 {
        let said = supported[4 * usize::from(lid)] & 1 != 0;
        let command = Command::get_log_page(u32::MAX, lid, 16, 0, true);
        let (completion, _) = driver.fetch(command, 64);
        let expected = if said {
            Status::SUCCESS
        } else {
            Status::INVALID_LOG_PAGE
        };
        assert_eq!(code(&completion), expected, "log page {lid:#04x}");
    }
}

#[test]
fn an_offset_reads_the_rest_of_a_page() {
    let mut driver = Driver::usual();
    let whole = log_page(&mut driver, 0x05, 4096);
    assert_eq!(number(&whole, 4 * 0x06, 4), 1, "Identify is supported");
    assert_eq!(number(&whole, 1024 + 4, 4), 3, "Write changes content");
    let command = Command::get_log_page(u32::MAX, 0x05, 768, 1024, false);
    let (completion, rest) = driver.fetch(command, 3072);
    assert_eq!(completion.status, Status::SUCCESS);
    assert_eq!(rest, whole[1024..]);
    let command = Command::get_log_page(u32::MAX, 0x05, 1, 4100, false);
    let (completion, _) = driver.fetch(command, 4);
    assert_eq!(code(&completion), Status::INVALID_FIELD, "beyond the end");
}
