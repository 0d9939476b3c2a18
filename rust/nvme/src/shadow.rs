// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Shadow doorbells (Base 5.2.5, Annex B.5): doorbells in memory, which spare a virtual machine
//! an exit for most of those in the BAR.
//!
//! Two buffers mirror the doorbells, each entry 32 bits at its doorbell's distance from the
//! first. To ring, the host stores the new value in the shadow, and then (a full memory barrier
//! lies between, as the device does the same in the other order) reads the EventIdx entry, which
//! tells whether the device still looks at the shadow by itself.
//!
//! What is in the EventIdx buffer is a device's claim like any other: it decides nothing but
//! whether a doorbell is rung, and a device that lies there misses what it should be told. The value that was told last is the host's own record, never read from the shadow,
//! which the device could write to.

use zerocopy::little_endian::U64;

use crate::command::{AdminOpcode, Command};
use crate::PAGE;

/// OACS bit 8 (Base 5.1.13.2.1): whether Doorbell Buffer Config is supported.
pub const OACS_DOORBELL_BUFFER_CONFIG: u16 = 1 << 8;

impl Command {
    /// Doorbell Buffer Config (Base 5.2.5): the bus addresses of the shadow doorbells and of
    /// the event indices. Both buffers are zeroed, contiguous and begin at a page's base, and
    /// stay until the controller is reset.
    #[inline]
    pub fn doorbell_buffer_config(shadow: u64, event: u64) -> Self {
        Self {
            opcode: AdminOpcode::DoorbellBufferConfig as u8,
            prp1: U64::new(shadow),
            prp2: U64::new(event),
            ..Self::default()
        }
    }
}

/// Where in the shadow buffer, and as well in the EventIdx buffer, a doorbell has its entry, in
/// bytes: the submission tail of queue `qid`, or its completion head. `stride` is
/// [`Cap::doorbell_stride`](crate::register::Cap::doorbell_stride).
///
/// The admin queue has entries, too. Its doorbells in the BAR are always rung beside them, since
/// both devices and hosts are known that leave its entries alone.
#[inline]
pub const fn entry_offset(qid: u16, stride: usize, completion: bool) -> usize {
    let index = (qid as usize)
        .wrapping_mul(2)
        .wrapping_add(completion as usize);
    index.saturating_mul(stride)
}

/// The size of each buffer in bytes for the queues 0 to `last_qid`: whole pages. `None` if it
/// cannot be counted, which takes a `stride` that no controller has.
pub const fn buffer_bytes(last_qid: u16, stride: usize) -> Option<usize> {
    let queues = (last_qid as usize).wrapping_add(1);
    match stride.checked_mul(2) {
        Some(pair) => match queues.checked_mul(pair) {
            Some(bytes) => bytes.checked_next_multiple_of(PAGE as usize),
            None => None,
        },
        None => None,
    }
}

/// Whether the doorbell in the BAR must be rung, after the shadow went from `old` to `new` and the
/// EventIdx entry was found to be `event`.
///
/// It must if the slots that were gone through, from `old` up to the one before `new`, have the
/// event index among them, round the queue's end. An index that is no slot is never passed but
/// where the queue ends, and so it may be meant: some controllers that always look at the shadow
/// have all ones there.
#[inline]
pub const fn must_ring(event: u32, old: u16, new: u16) -> bool {
    let event = (event & 0xffff) as u16;
    // Distances from `new` backwards in 16 bits. The queue's own wrap needs no care: from `old`
    // up to the end of 16 bits there are only slots that are passed and numbers that are none.
    let event_behind = new.wrapping_sub(event).wrapping_sub(1);
    event_behind < new.wrapping_sub(old)
}
