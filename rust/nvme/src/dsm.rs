// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Dataset Management (NVM 3.2.3) as far as deallocation goes, and when Write Zeroes (NVM 3.2.8)
//! may deallocate.
//!
//! Relies on the caller for a buffer of [`BUFFER_BYTES`]: some controllers read all of it,
//! whatever number of ranges they are told.

use core::fmt;

use crate::identify::NamespaceFormat;

/// The most ranges of a command.
pub const MAX_RANGES: u16 = 256;

/// The size of a range in bytes.
pub const RANGE_BYTES: usize = 16;

/// The size of the buffer that ranges are written to.
pub const BUFFER_BYTES: usize = MAX_RANGES as usize * RANGE_BYTES;

/// One range of logical blocks (NVM 3.2.3), without context attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first block.
    pub slba: u64,
    /// How many blocks it has; not 0.
    pub blocks: u32,
}

impl Range {
    /// The two words that it is, each to be stored little-endian: context attributes of 0 and
    /// the length, then the first block.
    #[inline]
    pub const fn to_words(self) -> [u64; 2] {
        [(self.blocks as u64) << 32, self.slba]
    }
}

/// What a controller takes in one command (NVM 4.1.5.4). What is beyond a limit it leaves alone,
/// or it refuses the command (ONCS.NVMDSMSV tells which): so no command goes beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeallocateLimits {
    /// The most ranges: 1 to 256.
    pub ranges: u16,
    /// The most blocks of a range; not 0.
    pub range_blocks: u32,
    /// The most blocks of all ranges together; not 0.
    pub blocks: u64,
}

impl DeallocateLimits {
    /// From DMRL, DMRSL and DMSL, each of which is 0 for no limit. The specification wants them
    /// to be 0 all together, but one alone does no harm.
    pub const fn new(dmrl: u8, dmrsl: u32, dmsl: u64) -> Self {
        Self {
            ranges: if dmrl == 0 { MAX_RANGES } else { dmrl as u16 },
            range_blocks: if dmrsl == 0 { u32::MAX } else { dmrsl },
            blocks: if dmsl == 0 { u64::MAX } else { dmsl },
        }
    }
}

impl Default for DeallocateLimits {
    /// Without limits but those of the command.
    fn default() -> Self {
        Self::new(0, 0, 0)
    }
}

/// Where ranges are written to.
pub trait Ranges {
    /// Writes a range; `index` goes from 0 to 255, upwards.
    fn write(&mut self, index: usize, range: Range);
}

impl<F: FnMut(usize, Range)> Ranges for F {
    fn write(&mut self, index: usize, range: Range) {
        self(index, range);
    }
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// How many ranges: 1 to 256.
    pub ranges: u16,
    /// How many blocks they have together.
    pub blocks: u64,
}

/// Why ranges make no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeallocateRefused {
    /// There is not a single block.
    Empty,
    /// A range is not made of whole blocks.
    NotBlocks,
    /// A range runs past the last block that can be named.
    PastEnd,
    /// It takes more ranges than this.
    TooManyRanges(u16),
    /// They have more blocks than this.
    TooManyBlocks(u64),
}

impl fmt::Display for DeallocateRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("there is nothing to deallocate"),
            Self::NotBlocks => f.write_str("a range to deallocate is not made of whole blocks"),
            Self::PastEnd => f.write_str("a range to deallocate runs past the last block"),
            Self::TooManyRanges(most) => {
                write!(f, "more to deallocate than {most} ranges can hold")
            }
            Self::TooManyBlocks(most) => {
                write!(f, "more to deallocate than {most} blocks at once")
            }
        }
    }
}

/// Writes what is to be deallocated, given as sectors of 512 bytes and lengths in bytes, as
/// ranges of the namespace's blocks.
///
/// Of two that come one after the other and touch, one is made; one that is longer than a range
/// may be becomes several. One of no bytes is left out.
///
/// On an error some ranges may have been written: they mean nothing.
pub fn encode<I, W>(
    input: I,
    format: &NamespaceFormat,
    limits: &DeallocateLimits,
    out: &mut W,
) -> Result<Encoded, DeallocateRefused>
where
    I: IntoIterator<Item = (u64, u64)>,
    W: Ranges,
{
    let mut encoder = Encoder {
        limits,
        out,
        done: Encoded {
            ranges: 0,
            blocks: 0,
        },
    };
    let mut pending: Option<Extent> = None;
    for (sector, bytes) in input {
        let Some(extent) = Extent::new(sector, bytes, format)? else {
            continue;
        };
        pending = match pending {
            None => Some(extent),
            Some(before) => match before.joined_with(extent) {
                Some(joined) => Some(joined),
                None => {
                    encoder.emit(before)?;
                    Some(extent)
                }
            },
        };
    }
    match pending {
        None => Err(DeallocateRefused::Empty),
        Some(last) => {
            encoder.emit(last)?;
            Ok(encoder.done)
        }
    }
}

/// Blocks from `begin` up to, but without, `end`; not empty.
#[derive(Clone, Copy)]
struct Extent {
    begin: u64,
    end: u64,
}

impl Extent {
    /// `None` if there are no bytes.
    fn new(
        sector: u64,
        bytes: u64,
        format: &NamespaceFormat,
    ) -> Result<Option<Self>, DeallocateRefused> {
        let shift = u32::from(format.lba_shift);
        let sector_shift = shift.checked_sub(9).ok_or(DeallocateRefused::NotBlocks)?;
        let begin = whole(sector, sector_shift).ok_or(DeallocateRefused::NotBlocks)?;
        let blocks = whole(bytes, shift).ok_or(DeallocateRefused::NotBlocks)?;
        if blocks == 0 {
            return Ok(None);
        }
        let end = begin
            .checked_add(blocks)
            .ok_or(DeallocateRefused::PastEnd)?;
        Ok(Some(Self { begin, end }))
    }

    /// Both as one, if there is no gap between them.
    fn joined_with(self, other: Self) -> Option<Self> {
        let touch = other.begin <= self.end && self.begin <= other.end;
        touch.then(|| Self {
            begin: self.begin.min(other.begin),
            end: self.end.max(other.end),
        })
    }
}

/// `number` in units of `1 << shift`, if it is a multiple.
fn whole(number: u64, shift: u32) -> Option<u64> {
    let units = number.checked_shr(shift)?;
    (units.wrapping_shl(shift) == number).then_some(units)
}

/// Writes ranges while the limits hold.
struct Encoder<'a, W> {
    limits: &'a DeallocateLimits,
    out: &'a mut W,
    done: Encoded,
}

impl<W: Ranges> Encoder<'_, W> {
    fn emit(&mut self, extent: Extent) -> Result<(), DeallocateRefused> {
        let Extent { begin, end } = extent;
        let most_ranges = self.limits.ranges.clamp(1, MAX_RANGES);
        // A range of no blocks would never get to the end.
        let most_blocks = self.limits.range_blocks.max(1);
        let mut slba = begin;
        while slba < end {
            if self.done.ranges >= most_ranges {
                return Err(DeallocateRefused::TooManyRanges(most_ranges));
            }
            let left = u32::try_from(end.wrapping_sub(slba)).unwrap_or(u32::MAX);
            let blocks = left.min(most_blocks);
            let total = self.done.blocks.saturating_add(u64::from(blocks));
            if total > self.limits.blocks {
                return Err(DeallocateRefused::TooManyBlocks(self.limits.blocks));
            }
            let range = Range { slba, blocks };
            self.out.write(usize::from(self.done.ranges), range);
            self.done.ranges = self.done.ranges.wrapping_add(1);
            self.done.blocks = total;
            slba = slba.saturating_add(u64::from(blocks));
        }
        Ok(())
    }
}

/// Whether Write Zeroes may ask for deallocation (DEAC): the request does not forbid it
/// (REQ_NOUNMAP), and DLFEAT (NVM 4.1.5.1) says that the command can, and that deallocated
/// blocks read as zeroes.
#[inline]
pub const fn may_deallocate_zeroes(no_unmap: bool, dlfeat: u8) -> bool {
    let reads_zeroes = dlfeat & 0x7 == 1;
    let can = dlfeat & (1 << 3) != 0;
    !no_unmap && can && reads_zeroes
}
