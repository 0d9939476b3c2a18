// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Whether a command's data is described by PRP entries or by a scatter gather list, and what
//! that means for the requests that a queue may be given.
//!
//! Relies on what the controller says of its lists ([`SglSupport`]) and on what is known of a
//! transfer before it is mapped: decisions only.

use core::fmt;

use super::{segments_for, SglSupport};
use crate::PAGE;

/// The default of the parameter `sgl_threshold` in bytes; the C driver's is the same.
pub const DEFAULT_THRESHOLD: u32 = 32 << 10;

/// What every address and length of data must be a multiple of, less one: a dword, as PRP1 and
/// half of the controllers with lists need.
pub const DMA_ALIGNMENT_MASK: u32 = 3;

const OFFSET_MASK: u64 = PAGE as u64 - 1;

/// Which queue a command goes to. Over PCIe admin commands never have lists (Base 4.1.1, PSDT).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// The admin queue.
    Admin,
    /// An I/O queue.
    Io,
}

/// What is known of a transfer before it is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Its length in bytes.
    pub bytes: u32,
    /// How many segments it has; 1 if mapping joins them all.
    pub segments: u32,
    /// Where in its page it begins.
    pub offset: u32,
    /// The offsets of every place where one segment ends and another begins, or'ed: all of the
    /// ends but the last and all of the beginnings but the first. 0 if all are at page borders.
    pub gaps: u64,
    /// Whether the controller should find out if the length is wrong, as with a command that a
    /// program made: a list has a length, which PRP entries have not.
    pub check_length: bool,
}

/// How a transfer is described.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DescribeWith {
    /// By PRP entries ([`crate::prp::layout`]).
    Prp,
    /// By a scatter gather list ([`super::layout`]).
    Sgl,
}

/// A transfer that the controller cannot be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotDescribable;

impl fmt::Display for NotDescribable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the data has gaps that this controller cannot be told of")
    }
}

/// How to describe a transfer.
///
/// Where both ways are open, a list is used if it is told to check the length, if it is a single
/// descriptor where PRP entries would need a list, or if the segments have `threshold` bytes on
/// average, but not if there are more than the controller recommends. With a `threshold` of 0 the
/// length of segments is never a reason.
pub fn describe_with(
    support: Option<SglSupport>,
    queue: Queue,
    transfer: &Transfer,
    threshold: u32,
) -> Result<DescribeWith, NotDescribable> {
    let Transfer {
        bytes,
        segments,
        offset,
        gaps,
        check_length,
    } = *transfer;
    let prp = gaps & OFFSET_MASK == 0 && offset & DMA_ALIGNMENT_MASK == 0;
    let lists = match (queue, support) {
        (Queue::Io, Some(support)) => Some(support).filter(|s| {
            s.alignment
                .holds(gaps | u64::from(offset) | u64::from(bytes))
        }),
        _ => None,
    };
    let Some(support) = lists else {
        return match prp {
            true => Ok(DescribeWith::Prp),
            false => Err(NotDescribable),
        };
    };
    if !prp || check_length {
        return Ok(DescribeWith::Sgl);
    }
    // Without gaps, what lies in two pages takes the command's two entries and no memory.
    let in_page = u64::from(offset) & OFFSET_MASK;
    if in_page.saturating_add(u64::from(bytes)) <= u64::from(PAGE.wrapping_mul(2)) {
        return Ok(DescribeWith::Prp);
    }
    let recommended = support.threshold == 0 || segments <= u32::from(support.threshold);
    let long = segments <= 1 || average(bytes, segments) >= threshold;
    Ok(match threshold != 0 && recommended && long {
        true => DescribeWith::Sgl,
        false => DescribeWith::Prp,
    })
}

/// Bytes per segment, rounded up.
fn average(bytes: u32, segments: u32) -> u32 {
    bytes.div_ceil(segments.max(1))
}

/// The queue's virtual boundary as a mask: segments meet only there. 0 for none, since a list
/// can tell of any gap.
pub const fn virtual_boundary_mask(support: Option<SglSupport>, queue: Queue) -> u64 {
    match (queue, support) {
        (Queue::Io, Some(_)) => 0,
        _ => OFFSET_MASK,
    }
}

/// The most segments of a request, of which there are `pages` pages for descriptors. Without
/// lists their number does not matter: PRP entries depend on the bytes alone.
pub const fn max_segments(support: Option<SglSupport>, queue: Queue, pages: usize) -> u16 {
    match (queue, support) {
        // At most `MAX_SEGMENTS`.
        (Queue::Io, Some(_)) => segments_for(pages) as u16,
        _ => u16::MAX,
    }
}
