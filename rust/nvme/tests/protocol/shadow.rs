// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Shadow doorbells: where they are, and when the one in the BAR must be rung all the same.

use nvme_proto::command::Command;
use nvme_proto::limits::doorbell_offset;
use nvme_proto::shadow::{buffer_bytes, entry_offset, must_ring, OACS_DOORBELL_BUFFER_CONFIG};
use proptest::prelude::*;
use zerocopy::IntoBytes;

use crate::support::for_all;

#[test]
fn the_controller_is_told_both_buffers() {
    let command = Command::doorbell_buffer_config(0x1_2345_6000, 0x7_8901_2000);
    let words = command.to_words();
    assert_eq!(command.as_bytes()[0], 0x7c);
    assert_eq!((words[3], words[4]), (0x1_2345_6000, 0x7_8901_2000));
    let rest = [words[1], words[2], words[5], words[6], words[7]];
    assert_eq!((rest, OACS_DOORBELL_BUFFER_CONFIG), ([0; 5], 0x100));
}

#[test]
fn each_entry_lies_as_far_from_the_first_as_its_doorbell() {
    let stride = 4;
    assert_eq!(
        (
            entry_offset(0, stride, false),
            entry_offset(0, stride, true)
        ),
        (0, 4)
    );
    assert_eq!(
        (
            entry_offset(3, stride, false),
            entry_offset(3, stride, true)
        ),
        (24, 28)
    );
    let queues = (any::<u16>(), 0u32..16, any::<bool>());
    for_all(2000, queues, |(qid, dstrd, completion)| {
        let stride = 4usize << dstrd;
        let from_first =
            doorbell_offset(qid, stride, completion) - doorbell_offset(0, stride, false);
        let entry = entry_offset(qid, stride, completion);
        assert_eq!(entry, from_first);
        let bytes = buffer_bytes(qid, stride).expect("a size");
        assert!(entry + 4 <= bytes && bytes % 4096 == 0);
        assert!(
            bytes - 4096 < (usize::from(qid) + 1) * 2 * stride,
            "a page too many"
        );
    });
}

#[test]
fn a_page_has_room_for_512_queues() {
    assert_eq!(buffer_bytes(0, 4), Some(4096));
    assert_eq!(
        (buffer_bytes(511, 4), buffer_bytes(512, 4)),
        (Some(4096), Some(8192))
    );
    assert_eq!(buffer_bytes(1, usize::MAX), None);
    assert_eq!(buffer_bytes(u16::MAX, usize::MAX / 3), None);
}

/// The slots that were passed, one by one.
fn passed(event: u32, old: u16, new: u16, entries: u16) -> bool {
    let mut slot = old;
    while slot != new {
        if u32::from(slot) == event {
            return true;
        }
        slot = (slot + 1) % entries;
    }
    false
}

#[test]
fn every_small_queue_rings_when_the_event_index_was_passed() {
    for entries in 2..=17u16 {
        for (old, new) in (0..entries).flat_map(|old| (0..entries).map(move |new| (old, new))) {
            for event in 0..u32::from(entries) {
                let expected = passed(event, old, new, entries);
                let rings = must_ring(event, old, new);
                assert_eq!(rings, expected, "{event} in {old}..{new} of {entries}");
            }
            for event in [u32::from(entries), 40, 0xffff, u32::MAX] {
                let rings = must_ring(event, old, new);
                assert_eq!(rings, new < old, "{event} is no slot of {entries}");
            }
        }
    }
}

#[test]
fn every_queue_rings_when_it_must() {
    let queue = (2u16..).prop_flat_map(|entries| {
        let slot = 0..entries;
        (Just(entries), slot.clone(), slot.clone(), slot)
    });
    for_all(2000, queue, |(entries, event, old, new)| {
        let event = u32::from(event);
        let rings = must_ring(event, old, new);
        assert_eq!(
            rings,
            passed(event, old, new, entries),
            "{event}, {old}..{new} of {entries}"
        );
    });
}

#[test]
fn the_slot_where_the_device_stopped_looking_rings_and_others_do_not() {
    assert!(must_ring(3, 3, 4));
    assert!(!must_ring(9, 3, 4));
    // A device that always looks at the shadow may say so with all ones.
    assert!(!must_ring(u32::MAX, 3, 4));
}
