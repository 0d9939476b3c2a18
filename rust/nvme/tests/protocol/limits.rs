// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Sizes and counts: known answers, and bounds that hold for every input.

use nvme_proto::identify::NamespaceFormat;
use nvme_proto::limits::{
    check_controller, doorbell_offset, io_transfer, queue_entries, queues_that_fit, transfer_limit,
    ControllerRefused, MAX_QUEUE_ENTRIES, MAX_TRANSFER,
};
use nvme_proto::register::Cap;
use proptest::prelude::*;

use crate::support::for_all;

/// MQES 2047 and the NVM Command Set.
const GOOD_CAP: u64 = 0x7ff | (1 << 37);

#[test]
fn a_transfer_limit_is_whole_pages_within_bounds() {
    assert_eq!(transfer_limit(0, 4096), MAX_TRANSFER);
    assert_eq!(transfer_limit(1, 4096), 8192);
    assert_eq!(transfer_limit(7, 4096), 512 << 10);
    assert_eq!(transfer_limit(11, 4096), 8 << 20);
    assert_eq!(transfer_limit(12, 4096), MAX_TRANSFER);
    assert_eq!(transfer_limit(255, 4096), MAX_TRANSFER);
    assert_eq!(transfer_limit(2, 0), 4096);
    for_all(2000, (any::<u8>(), any::<u64>()), |(mdts, min_page)| {
        let limit = transfer_limit(mdts, min_page);
        assert!(
            limit % 4096 == 0 && (4096..=MAX_TRANSFER).contains(&limit),
            "{limit}"
        );
    });
}

#[test]
fn a_queue_is_as_deep_as_device_host_and_command_ids_allow() {
    let cap = Cap::from_raw(GOOD_CAP);
    assert_eq!(queue_entries(cap, 1024), Ok(1024));
    assert_eq!(queue_entries(cap, 5000), Ok(2048));
    assert_eq!(queue_entries(cap, 0), Ok(2));
    assert_eq!(
        queue_entries(Cap::from_raw(0xffff), u32::MAX),
        Ok(MAX_QUEUE_ENTRIES)
    );
    assert_eq!(
        queue_entries(Cap::from_raw(0), 64),
        Err(ControllerRefused::NoQueueEntries)
    );
}

#[test]
fn doorbells_lie_side_by_side_from_the_second_page_on() {
    assert_eq!(doorbell_offset(0, 4, false), 0x1000);
    assert_eq!(doorbell_offset(0, 4, true), 0x1004);
    assert_eq!(doorbell_offset(3, 16, true), 0x1000 + 7 * 16);
}

#[test]
fn a_bar_holds_the_doorbells_that_end_within_it() {
    assert_eq!(queues_that_fit(0x1000, 4), None);
    assert_eq!(queues_that_fit(0x1007, 4), None);
    assert_eq!(queues_that_fit(0x1008, 4), Some(0));
    assert_eq!(queues_that_fit(0x1010, 4), Some(1));
    assert_eq!(queues_that_fit(0x2000, 4), Some(511));
    // With a wide stride the last doorbell needs only its own 4 bytes.
    assert_eq!(queues_that_fit(0x1000 + 3 * 4096 + 4, 4096), Some(1));
    assert_eq!(queues_that_fit(usize::MAX, 4), Some(u16::MAX));
    assert_eq!(queues_that_fit(0x2000, 0), None);
    for_all(5000, (0usize..1 << 21, 0u32..16), |(bar, dstrd)| {
        let stride = 4usize << dstrd;
        let ends_within = |qid: u16| doorbell_offset(qid, stride, true) + 4 <= bar;
        match queues_that_fit(bar, stride) {
            None => assert!(!ends_within(0)),
            Some(fit) => assert!(ends_within(fit) && (fit == u16::MAX || !ends_within(fit + 1))),
        }
    });
}

#[test]
fn a_controller_that_cannot_be_driven_is_refused_with_its_reason() {
    let check = |raw, bar| check_controller(Cap::from_raw(raw), bar);
    let refused = |raw, bar| check(raw, bar).expect_err("must be refused");
    assert_eq!(check(GOOD_CAP, 0x2000), Ok(()));
    assert_eq!(check(0xf | (1 << 43), 0x2000), Ok(()));
    assert_eq!(refused(u64::MAX, 0x2000), ControllerRefused::Gone);
    assert_eq!(refused(1 << 37, 0x2000), ControllerRefused::NoQueueEntries);
    assert_eq!(
        refused(GOOD_CAP | (1 << 48), 0x2000),
        ControllerRefused::PageSize(8192)
    );
    assert_eq!(
        refused(0xf | (1 << 44), 0x2000),
        ControllerRefused::NoNvmCommandSet(0x80)
    );
    assert_eq!(
        refused(GOOD_CAP, 0x1000),
        ControllerRefused::DoorbellsOutsideBar(0x1000)
    );
    for error in [
        refused(1 << 37, 1),
        refused(0xf, 0x2000),
        refused(GOOD_CAP, 3),
    ] {
        println!("{error}");
        assert!(!error.to_string().contains('\n'));
    }
}

fn format(lba_shift: u8) -> NamespaceFormat {
    NamespaceFormat {
        lba_shift,
        blocks: 1,
        capacity_sectors: 1,
        write_protected: false,
    }
}

#[test]
fn sectors_become_logical_blocks() {
    assert_eq!(io_transfer(8, 4096, &format(9)), Some((8, 7)));
    assert_eq!(io_transfer(8, 4096, &format(12)), Some((1, 0)));
    assert_eq!(io_transfer(0, 32 << 20, &format(9)), Some((0, 65535)));
}

#[test]
fn what_is_not_whole_logical_blocks_is_refused() {
    assert_eq!(io_transfer(4, 4096, &format(12)), None);
    assert_eq!(io_transfer(8, 512, &format(12)), None);
    assert_eq!(io_transfer(8, 0, &format(9)), None);
    assert_eq!(io_transfer(0, (32 << 20) + 512, &format(9)), None);
}

#[test]
fn a_transfer_is_exact_or_refused_for_every_input() {
    let sizes = prop_oneof![any::<u32>(), (0u32..70_000).prop_map(|n| n * 512)];
    let inputs = (any::<u64>(), sizes, any::<u8>());
    for_all(20_000, inputs, |(sector, bytes, lba_shift)| {
        if let Some((slba, nlb0)) = io_transfer(sector, bytes, &format(lba_shift)) {
            assert_eq!(u128::from(sector) << 9, u128::from(slba) << lba_shift);
            assert_eq!(u64::from(bytes), (u64::from(nlb0) + 1) << lba_shift);
        }
    });
}
