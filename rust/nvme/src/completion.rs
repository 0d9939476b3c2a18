// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Completion queue entries (Base 4.2).
//!
//! Relies on the caller to look at the phase first, then to read the entry once, after a read
//! barrier, and to decide by that copy only.

use crate::status::Status;

/// Where the phase tag lies in the second word.
const PHASE: u32 = 48;

/// A completion queue entry, taken apart (Base 4.2.1). Every value is the device's claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Dwords 0 and 1: the command's own result; dword 0 is the low half.
    pub result: u64,
    /// SQHD: how far the submission queue has been read.
    pub sq_head: u16,
    /// SQID: the submission queue of the command.
    pub sq_id: u16,
    /// CID: the command that is done.
    pub cid: u16,
    /// Status, without the phase.
    pub status: Status,
    /// P: the phase tag.
    pub phase: bool,
}

impl Completion {
    /// Takes the entry apart. The words are as they were loaded from memory.
    #[inline]
    pub const fn from_words(words: [u64; 2]) -> Self {
        let [first, second] = words;
        let second = u64::from_le(second);
        Self {
            result: u64::from_le(first),
            sq_head: (second & 0xffff) as u16,
            sq_id: ((second >> 16) & 0xffff) as u16,
            cid: ((second >> 32) & 0xffff) as u16,
            status: Status::from_raw((second >> 49) as u16),
            phase: phase_of_word1(words[1]),
        }
    }

    /// Takes the entry apart from its bytes.
    #[inline]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self::from_words(zerocopy::transmute!(bytes))
    }

    /// The entry as a controller stores it.
    #[inline]
    pub const fn to_words(&self) -> [u64; 2] {
        let second = self.sq_head as u64
            | ((self.sq_id as u64) << 16)
            | ((self.cid as u64) << 32)
            | ((self.phase as u64) << PHASE)
            | ((self.status.raw() as u64) << 49);
        [self.result.to_le(), second.to_le()]
    }

    /// Dword 0 of the result, where most commands put theirs.
    #[inline]
    pub const fn dw0(&self) -> u32 {
        (self.result & 0xffff_ffff) as u32
    }
}

/// The phase tag out of an entry's second word, as it was loaded from memory.
#[inline]
pub const fn phase_of_word1(word: u64) -> bool {
    (u64::from_le(word) >> PHASE) & 1 != 0
}
