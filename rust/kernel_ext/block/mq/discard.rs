// SPDX-License-Identifier: GPL-2.0

//! What a request to discard names.
//!
//! One bio is one range where the queue's limits allow more than one. There may be more ranges
//! than they allow: schedulers merge requests that each have fewer.
//!
//! C header: `include/linux/blk-mq.h`, `blk_rq_nr_discard_segments`.

use super::{Op, Operations, Request};
use crate::bindings;
use core::marker::PhantomData;

/// A range of sectors to discard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiscardRange {
    /// The first sector, in units of 512 bytes.
    pub sector: u64,
    /// The length in bytes.
    pub bytes: u32,
}

/// The ranges of a request to discard, in the order of its bios.
pub struct DiscardRanges<'r, T: Operations> {
    /// The next bio, or null.
    ///
    /// Invariant: it is one of the request's, which keeps them while it is borrowed.
    bio: *mut bindings::bio,
    /// The request as one range, if it may not have more.
    whole: Option<DiscardRange>,
    _request: PhantomData<&'r Request<T>>,
}

impl<T: Operations> Request<T> {
    /// What the request names; nothing unless it is [`Op::Discard`].
    pub fn discard_ranges(&self) -> DiscardRanges<'_, T> {
        let mut ranges = DiscardRanges {
            bio: core::ptr::null_mut(),
            whole: None,
            _request: PhantomData,
        };
        if self.op() != Op::Discard {
            return ranges;
        }
        let rq = self.as_raw();
        // SAFETY: By the invariant of `Request` it is valid, and so is its queue.
        let (several, bio) = unsafe { ((*(*rq).q).limits.max_discard_segments > 1, (*rq).bio) };
        if several {
            ranges.bio = bio;
        } else {
            // Bios that follow each other may have been merged: they are one range.
            ranges.whole = Some(DiscardRange {
                sector: self.sector(),
                bytes: self.bytes(),
            });
        }
        ranges
    }
}

impl<T: Operations> Iterator for DiscardRanges<'_, T> {
    type Item = DiscardRange;

    fn next(&mut self) -> Option<DiscardRange> {
        if let Some(whole) = self.whole.take() {
            return Some(whole);
        }
        if self.bio.is_null() {
            return None;
        }
        // SAFETY: By the invariant this is a bio of a request that is borrowed, which the block
        // layer does not touch until it ends.
        let (iter, next) = unsafe { ((*self.bio).bi_iter, (*self.bio).bi_next) };
        self.bio = next;
        Some(DiscardRange {
            sector: iter.bi_sector,
            bytes: iter.bi_size,
        })
    }
}
