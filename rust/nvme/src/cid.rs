// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Command identifiers: a tag that says which command, and a generation that says which use of
//! the tag, so that a late or repeated completion does not end the tag's next user.
//!
//! Four bits wrap: a completion that comes exactly 16 uses of its tag too late is taken for the
//! current one. Nothing narrower than the device itself can tell them apart in 16 bits.

/// Bits of an identifier that hold the tag.
pub const TAG_BITS: u32 = 12;

/// The highest tag. Tag 4095 stays free, so that no identifier is FFFFh, which means "no
/// command" in the Error Information log (Base 4.1.1).
pub const MAX_TAG: u16 = 4094;

/// The most commands of one queue that can be told apart.
pub const MAX_TAGS: u16 = MAX_TAG + 1;

const TAG_MASK: u16 = (1 << TAG_BITS) - 1;

/// Counts the uses of a tag, modulo 16.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Generation(u8);

impl Generation {
    /// The lower four bits of a count.
    #[inline]
    pub const fn new(count: u8) -> Self {
        Self(count & 0xf)
    }

    /// The generation of the tag's next use.
    #[inline]
    #[must_use]
    pub const fn next(self) -> Self {
        Self::new(self.0.wrapping_add(1))
    }

    /// As a number below 16.
    #[inline]
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// CID: a command identifier (Base 4.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandId(u16);

impl CommandId {
    /// Joins a tag (12 bits) and a generation (4 bits); what is beyond is cut off.
    #[inline]
    pub const fn new(tag: u16, generation: u8) -> Self {
        Self(tag & TAG_MASK | (((generation & 0xf) as u16) << TAG_BITS))
    }

    /// Takes an identifier from a completion. Any value may come.
    #[inline]
    pub const fn from_raw(raw: u16) -> Self {
        Self(raw)
    }

    /// As it goes into the command.
    #[inline]
    pub const fn raw(self) -> u16 {
        self.0
    }

    /// Which command: at most 4095, to be checked against the queue's depth.
    #[inline]
    pub const fn tag(self) -> u16 {
        self.0 & TAG_MASK
    }

    /// Which use of the tag.
    #[inline]
    pub const fn generation(self) -> u8 {
        (self.0 >> TAG_BITS) as u8
    }
}
