// SPDX-License-Identifier: GPL-2.0

//! Sizes and counts that are derived from what a device says, however absurd.

use nvme_proto::identify::NamespaceFormat;
use nvme_proto::limits::{
    check_controller, doorbell_offset, io_transfer, queue_entries, queues_that_fit, transfer_limit,
    MAX_QUEUE_ENTRIES, MAX_TRANSFER,
};
use nvme_proto::queue_plan::QueueWish;
use nvme_proto::register::Cap;

use crate::input::{assert_loggable, Input};

/// CAP and the BAR's length, then what the other functions are asked with.
pub(crate) fn limits(data: &[u8]) {
    let mut input = Input::new(data);
    let cap = Cap::from_raw(input.u64());
    let bar_len = input.u32() as usize;
    let requested = input.u32();
    assert_controller(cap, bar_len, requested);
    // Mostly a stride that CAP can name, else any at all.
    assert_doorbells(bar_len, cap.doorbell_stride(), input.u16());
    assert_doorbells(input.u64() as usize, input.u64() as usize, input.u16());
    assert_transfer_limit(input.u8(), cap.min_page_size());
    assert_transfer_limit(input.u8(), input.u64());
    assert_queue_count(input.u32(), input.u32(), input.u16(), input.u16());
    assert_exact(input.u64(), input.u32(), input.u8());
}

/// A controller that is taken can be driven: nothing that follows is out of bounds.
fn assert_controller(cap: Cap, bar_len: usize, requested: u32) {
    let entries = queue_entries(cap, requested);
    match (&entries, cap.queue_entries()) {
        (Ok(entries), Some(most)) => {
            let most = most.min(u32::from(MAX_QUEUE_ENTRIES));
            assert_eq!(u32::from(*entries), requested.clamp(2, most));
        }
        (Err(refused), None) => assert_loggable(&refused.to_string()),
        (made, most) => panic!("{made:?}, where the controller can do {most:?}"),
    }
    match check_controller(cap, bar_len) {
        Ok(()) => {
            assert!(!cap.is_gone() && entries.is_ok() && cap.supports_nvm_command_set());
            assert_eq!(cap.min_page_size(), 4096);
            let admin = doorbell_offset(0, cap.doorbell_stride(), true);
            assert!(admin + 4 <= bar_len, "the admin doorbells lie outside");
        }
        Err(refused) => assert_loggable(&refused.to_string()),
    }
}

/// Doorbells of the queues that fit lie in the BAR, each beyond the one before.
fn assert_doorbells(bar_len: usize, stride: usize, qid: u16) {
    let offset = |qid: u16, completion| doorbell_offset(qid, stride, completion) as u128;
    for completion in [false, true] {
        let exact = 0x1000 + (u128::from(qid) * 2 + u128::from(completion)) * stride as u128;
        assert_eq!(offset(qid, completion), exact.min(usize::MAX as u128));
    }
    let lies_within = |qid: u16| offset(qid, true) + 4 <= bar_len as u128;
    let Some(fit) = queues_that_fit(bar_len, stride) else {
        assert!(
            stride == 0 || !lies_within(0),
            "room for the admin queue was overlooked"
        );
        return;
    };
    assert!(
        lies_within(fit),
        "queue {fit} has its doorbell outside of {bar_len:#x} bytes"
    );
    assert!(qid > fit || lies_within(qid));
    assert!(
        fit == u16::MAX || !lies_within(fit + 1),
        "more than {fit} queues fit"
    );
}

fn assert_transfer_limit(mdts: u8, min_page: u64) {
    let limit = transfer_limit(mdts, min_page);
    assert!(
        limit % 4096 == 0 && (4096..=MAX_TRANSFER).contains(&limit),
        "{limit}"
    );
    if mdts == 0 {
        assert_eq!(limit, MAX_TRANSFER);
        return;
    }
    // What the device can take, where 128 bits can hold it; a page must always go.
    let own = u128::from(min_page)
        .checked_shl(u32::from(mdts))
        .filter(|_| mdts < 64);
    assert!(
        own.is_none_or(|own| u128::from(limit) <= own.max(4096)),
        "{limit} is too much"
    );
}

fn assert_queue_count(cpus: u32, vectors: u32, fit: u16, granted: u16) {
    let wish = QueueWish {
        cpus,
        write: vectors >> 8,
        poll: cpus >> 8,
        most: 0,
    };
    let asked = wish.total(fit.min(granted));
    let plan = wish.share(asked, vectors);
    assert!(asked <= fit.min(granted) && plan.total() <= asked);
    assert!(u32::from(plan.interrupts()) <= vectors.max(1));
    assert_eq!(plan.default == 0, asked == 0);
}

/// A transfer over any format at all, also one that no namespace is let in with.
fn assert_exact(sector: u64, bytes: u32, lba_shift: u8) {
    let format = NamespaceFormat {
        lba_shift,
        blocks: 1,
        capacity_sectors: 1,
        write_protected: false,
    };
    if let Some((slba, nlb0)) = io_transfer(sector, bytes, &format) {
        let shift = u32::from(lba_shift);
        assert!((9..=31).contains(&shift), "blocks of 2^{shift} bytes");
        assert_eq!(u128::from(sector) << 9, u128::from(slba) << shift);
        assert_eq!(u64::from(bytes), (u64::from(nlb0) + 1) << shift);
    }
}
