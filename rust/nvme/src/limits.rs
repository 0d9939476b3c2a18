// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Decisions about sizes and counts, from what a controller says and what the host has.
//!
//! Relies on nothing: values in, a bounded value or a refusal out.

use core::fmt;

use crate::cid::MAX_TAGS;
use crate::identify::NamespaceFormat;
use crate::register::{offset, Cap};
use crate::PAGE;

/// The largest transfer of one command in bytes, whatever the controller allows.
pub const MAX_TRANSFER: u32 = 8 << 20;

/// The most entries of a queue: one more than the tags, since one slot stays free.
pub const MAX_QUEUE_ENTRIES: u16 = MAX_TAGS + 1;

/// The largest CAP.MPSMIN that a host with 4 KiB pages can serve, in bytes.
const MAX_MIN_PAGE_SIZE: u64 = PAGE as u64;

/// Why a controller cannot be driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControllerRefused {
    /// All registers read as ones.
    Gone,
    /// CAP.MQES is 0.
    NoQueueEntries,
    /// CAP.MPSMIN asks for pages larger than 4 KiB.
    PageSize(u64),
    /// CAP.CSS lacks the NVM Command Set.
    NoNvmCommandSet(u8),
    /// Not even the admin queue's doorbells lie in the BAR.
    DoorbellsOutsideBar(usize),
}

impl fmt::Display for ControllerRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("registers read as all ones: the device is gone"),
            Self::NoQueueEntries => {
                f.write_str("CAP.MQES is 0: a queue needs 2 entries; the device is broken")
            }
            Self::PageSize(bytes) => {
                write!(
                    f,
                    "CAP.MPSMIN needs pages of {bytes} bytes; the host has 4096"
                )
            }
            Self::NoNvmCommandSet(css) => {
                write!(f, "CAP.CSS is {css:#04x}: no NVM Command Set, so no disks")
            }
            Self::DoorbellsOutsideBar(len) => {
                write!(f, "the admin doorbells lie outside of BAR 0 ({len} bytes)")
            }
        }
    }
}

/// Whether a controller can be driven: its capabilities, and the `bar_len` bytes of its BAR 0.
pub fn check_controller(cap: Cap, bar_len: usize) -> Result<(), ControllerRefused> {
    if cap.is_gone() {
        return Err(ControllerRefused::Gone);
    }
    if cap.queue_entries().is_none() {
        return Err(ControllerRefused::NoQueueEntries);
    }
    if cap.min_page_size() > MAX_MIN_PAGE_SIZE {
        return Err(ControllerRefused::PageSize(cap.min_page_size()));
    }
    if !cap.supports_nvm_command_set() {
        return Err(ControllerRefused::NoNvmCommandSet(cap.css()));
    }
    if queues_that_fit(bar_len, cap.doorbell_stride()).is_none() {
        return Err(ControllerRefused::DoorbellsOutsideBar(bar_len));
    }
    Ok(())
}

/// The largest transfer in bytes: a multiple of [`PAGE`], at least one and at most
/// [`MAX_TRANSFER`].
///
/// MDTS (Base 5.1.13.2.1) is an exponent over `min_page`, the size of CAP.MPSMIN; 0 means that
/// the controller has no limit.
pub fn transfer_limit(mdts: u8, min_page: u64) -> u32 {
    if mdts == 0 {
        return MAX_TRANSFER;
    }
    let bytes = 1u64
        .checked_shl(u32::from(mdts))
        .and_then(|pages| pages.checked_mul(min_page))
        .unwrap_or(u64::MAX);
    let bounded = bytes.clamp(u64::from(PAGE), u64::from(MAX_TRANSFER)) as u32;
    bounded & !PAGE.wrapping_sub(1)
}

/// The entries of an I/O queue: what the controller can, what was `requested`, what the command
/// identifiers can; at least 2. The queue holds one command less.
pub fn queue_entries(cap: Cap, requested: u32) -> Result<u16, ControllerRefused> {
    let most = cap
        .queue_entries()
        .ok_or(ControllerRefused::NoQueueEntries)?;
    Ok(requested.min(most).clamp(2, u32::from(MAX_QUEUE_ENTRIES)) as u16)
}

/// Where a doorbell lies in BAR 0, in bytes (PCIe 3.1.2): the submission tail of queue `qid`, or
/// its completion head. `stride` is [`Cap::doorbell_stride`].
#[inline]
pub const fn doorbell_offset(qid: u16, stride: usize, completion: bool) -> usize {
    let index = (qid as usize)
        .wrapping_mul(2)
        .wrapping_add(completion as usize);
    index
        .saturating_mul(stride)
        .saturating_add(offset::DOORBELLS)
}

/// How many I/O queue pairs have their doorbells in a BAR of `bar_len` bytes, beside the admin
/// pair; `None` if not even that has.
pub fn queues_that_fit(bar_len: usize, stride: usize) -> Option<u16> {
    let room = bar_len.checked_sub(offset::DOORBELLS)?;
    // The last doorbell of a pair needs its 4 bytes, not a whole stride.
    let beyond_first = room.checked_sub(4)?;
    let doorbells = beyond_first.checked_div(stride)?.saturating_add(1);
    let io_pairs = (doorbells / 2).checked_sub(1)?;
    Some(u16::try_from(io_pairs).unwrap_or(u16::MAX))
}

/// What a request becomes: `bytes` from 512-byte `sector` on, as the first logical block and the
/// 0's based number of blocks; `None` if it is empty, too long, or not of whole blocks.
#[inline]
pub fn io_transfer(sector: u64, bytes: u32, format: &NamespaceFormat) -> Option<(u64, u16)> {
    let shift = u32::from(format.lba_shift);
    let sector_shift = shift.checked_sub(9)?;
    let slba = sector.checked_shr(sector_shift)?;
    let blocks = bytes.checked_shr(shift)?;
    if slba.wrapping_shl(sector_shift) != sector || blocks.wrapping_shl(shift) != bytes {
        return None;
    }
    let nlb0 = u16::try_from(blocks.checked_sub(1)?).ok()?;
    Some((slba, nlb0))
}
