// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Documentation/status.md has each status code of the table, and nothing else. With
//! `RNVME_WRITE_PAGES=1` in the environment the page is written anew.

use std::fmt::Write as _;

use nvme_proto::status::{Outcome, Revision, Since, Status};

const PAGE: &str = include_str!("../../../../Documentation/status.md");
const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Documentation/status.md");

/// The line before the first row of the table.
const RULE: &str = "|---|---|---|---|---|---|\n";

/// What the block layer is told (`block_error` in drivers/nvme/io.rs), and what a program sees
/// (`blk_errors` in the kernel's block/blk-core.c).
fn block_status(outcome: Outcome) -> (&'static str, &'static str) {
    match outcome {
        Outcome::Success => ("OK", "0"),
        Outcome::NotSupported => ("NOTSUPP", "EOPNOTSUPP"),
        Outcome::Timeout => ("TIMEOUT", "ETIMEDOUT"),
        Outcome::NoSpace => ("NOSPC", "ENOSPC"),
        Outcome::Target => ("TARGET", "EREMOTEIO"),
        Outcome::Medium => ("MEDIUM", "ENODATA"),
        Outcome::Protection => ("PROTECTION", "EILSEQ"),
        Outcome::Reservation => ("RESV_CONFLICT", "EBADE"),
        Outcome::Transport => ("TRANSPORT", "ENOLINK"),
        Outcome::ZoneActiveResource
        | Outcome::ZoneOpenResource
        | Outcome::ResourceBusy
        | Outcome::Io => ("IOERR", "EIO"),
    }
}

fn row(status: Status) -> String {
    let (block, errno) = block_status(status.outcome());
    let again = if status.retryable() { "yes" } else { "no" };
    format!(
        "| {:x}h {:02x}h | {} | {} | {block} | {errno} | {again} |\n",
        status.sct(),
        status.sc(),
        status.name().expect("it is in the table"),
        status.since().expect("it is in the table"),
    )
}

#[test]
fn the_page_and_the_table_agree_row_by_row() {
    let (before, written) = PAGE.split_once(RULE).expect("the page has a table");
    let expected: Vec<String> = Status::ALL.iter().map(|&status| row(status)).collect();
    if std::env::var_os("RNVME_WRITE_PAGES").is_some() {
        let mut page = format!("{before}{RULE}");
        for row in &expected {
            page.write_str(row).expect("memory");
        }
        std::fs::write(PATH, page).expect("the page can be written");
        return;
    }
    let written: Vec<String> = written.lines().map(|line| format!("{line}\n")).collect();
    for (written, expected) in written.iter().zip(&expected) {
        assert_eq!(written, expected, "RNVME_WRITE_PAGES=1 cargo test mends it");
    }
    assert_eq!(written.len(), expected.len(), "rows of the page");
}

#[test]
fn every_code_says_since_when_it_is_there() {
    for status in Status::ALL {
        let since = status.since().expect("in the table");
        let (Since::In(revision) | Since::By(revision)) = since;
        assert!(revision >= Revision::R1_0);
    }
    assert_eq!(Status::from_raw(0x7ee).since(), None);
    let since = |status: Status| status.since().expect("in the table").to_string();
    assert_eq!(since(Status::SUCCESS), "1.0");
    assert_eq!(since(Status::OPERATION_DENIED), "1.3 or before");
    // DNR and the other bits do not matter.
    let status = Status::from_raw(Status::COMMAND_INTERRUPTED.raw() | 0x7800);
    assert_eq!(since(status), "1.4");
}

#[test]
fn codes_that_came_together_lie_together() {
    // Within a status code type and half of it, codes were given out in ascending order.
    let half = |status: &Status| status.code() & 0x780;
    for pair in Status::ALL.windows(2) {
        let zoned = pair[1].code() == Status::ZONED_BOUNDARY_ERROR.code();
        if half(&pair[0]) != half(&pair[1]) || half(&pair[0]) == 0x180 {
            assert!(zoned || pair[0].code() < pair[1].code());
            continue;
        }
        let (Since::In(first) | Since::By(first)) = pair[0].since().expect("in the table");
        let (Since::In(second) | Since::By(second)) = pair[1].since().expect("in the table");
        assert!(first <= second, "{} and {}", pair[0], pair[1]);
    }
}

#[test]
fn every_code_of_the_specifications_is_in_the_table() {
    // Base 2.1, figures 102 to 106, with NVM 1.1 and ZNS 1.2; reserved numbers left out.
    let spans = [
        (0x000, 0x016),
        (0x018, 0x02a),
        (0x080, 0x089),
        (0x100, 0x103),
        (0x105, 0x116),
        (0x118, 0x13b),
        (0x180, 0x19b),
        (0x1b6, 0x1bf),
        (0x280, 0x288),
        (0x300, 0x303),
        (0x360, 0x360),
        (0x370, 0x371),
    ];
    let expected: Vec<u16> = spans.iter().flat_map(|&(from, to)| from..=to).collect();
    let table: Vec<u16> = Status::ALL.iter().map(|status| status.code()).collect();
    assert_eq!(table, expected);
}
