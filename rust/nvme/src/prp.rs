// SPDX-License-Identifier: GPL-2.0 OR MIT

//! PRP entries and lists (Base 4.3.1): how a command says where its data lies in memory.
//!
//! Relies on the caller for bus addresses that are mapped for the device, and for list pages of
//! 4096 bytes, each aligned to its size. The memory page is [`PAGE`] (CC.MPS = 0).

use core::fmt;

use crate::limits::MAX_TRANSFER;
use crate::PAGE;

/// Entries of one list page.
pub const ENTRIES_PER_PAGE: usize = 512;

/// The most bytes that can be laid out: the largest transfer and a page.
pub const MAX_LAYOUT: u32 = MAX_TRANSFER + PAGE;

/// The most list pages of one command. A layout has at most `MAX_LAYOUT / PAGE` entries after
/// PRP1, wherever in a page it begins.
pub const MAX_LIST_PAGES: usize = list_pages_for((MAX_LAYOUT / PAGE) as usize);

const OFFSET_MASK: u64 = PAGE as u64 - 1;

/// The data pointer of a command: its two PRP entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataPointer {
    /// PRP1: where the data begins, at any offset in its page.
    pub prp1: u64,
    /// PRP2: the second page, or the list of all further pages, or 0.
    pub prp2: u64,
}

/// A stretch of contiguous bus addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where it begins.
    pub addr: u64,
    /// How many bytes it has.
    pub len: u32,
}

/// Where list pages come from. Pages are numbered from 0 in the order in which they are added.
pub trait ListPages {
    /// Why there is no page.
    type Error;

    /// How many entries the first page has room for, from where its list begins to its end:
    /// 2 to 512. Every page added later is used whole.
    #[inline]
    fn first_room(&self) -> usize {
        ENTRIES_PER_PAGE
    }

    /// Adds a page into which `entries` (1 to 512) entries will be written; the bus address of
    /// the first. Every page but the first must begin at a page's base: an entry that goes on to
    /// the next page has no offset (Base 4.3.1).
    fn add_page(&mut self, entries: usize) -> Result<u64, Self::Error>;

    /// Writes an entry, to be stored little-endian; only within what was announced.
    fn write(&mut self, page: usize, index: usize, entry: u64);
}

/// Why a transfer cannot be laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayoutError<E> {
    /// There is no memory for a list page.
    Memory(E),
    /// A segment begins where no PRP entry can point, or ends within a page though it is not
    /// the last, or runs past the last address; or a list page does not begin at a page's base.
    Misaligned,
    /// The segments do not add up to the transfer's length, or one of them is empty.
    Length,
    /// More than [`MAX_LAYOUT`] bytes, or more than [`MAX_LIST_PAGES`] because the first is short.
    TooLong,
}

impl<E: fmt::Display> fmt::Display for LayoutError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(error) => write!(f, "no memory for a PRP list page: {error}"),
            Self::Misaligned => {
                f.write_str("data or a list page is not aligned as PRP entries need")
            }
            Self::Length => f.write_str("the data segments do not add up to the length"),
            Self::TooLong => f.write_str("more data than one command can describe"),
        }
    }
}

/// How many list pages hold `entries` entries: each page but the last gives its last slot to the
/// address of the next.
#[inline]
pub const fn list_pages_for(entries: usize) -> usize {
    match entries {
        0 => 0,
        1..=ENTRIES_PER_PAGE => 1,
        _ => entries.wrapping_sub(1).div_ceil(ENTRIES_PER_PAGE - 1),
    }
}

/// Lays out a transfer of `bytes` (at least 1) over `segments`.
///
/// Only the first segment may begin within a page, at a multiple of 4, and only the last may end
/// within one. Segments are pulled until they cover `bytes`, and none after that.
///
/// On an error some list pages may have been added: they are the caller's to free.
#[inline]
pub fn layout<I, L>(
    bytes: u32,
    mut segments: I,
    pages: &mut L,
) -> Result<DataPointer, LayoutError<L::Error>>
where
    I: Iterator<Item = Segment>,
    L: ListPages,
{
    let Some(first) = segments.next() else {
        return Err(LayoutError::Length);
    };
    // The common case: contiguous, within two pages, no list.
    let offset = first.addr & OFFSET_MASK;
    let in_page = offset.wrapping_add(u64::from(bytes));
    if first.len == bytes && bytes != 0 && bytes <= PAGE.wrapping_mul(2) && first.addr & 3 == 0 {
        if in_page <= u64::from(PAGE) {
            return Ok(DataPointer {
                prp1: first.addr,
                prp2: 0,
            });
        }
        let second = (first.addr & !OFFSET_MASK).wrapping_add(u64::from(PAGE));
        if in_page <= u64::from(PAGE.wrapping_mul(2)) && second != 0 {
            return Ok(DataPointer {
                prp1: first.addr,
                prp2: second,
            });
        }
    }
    layout_general(bytes, first, segments, pages)
}

fn layout_general<I, L>(
    bytes: u32,
    first: Segment,
    segments: I,
    pages: &mut L,
) -> Result<DataPointer, LayoutError<L::Error>>
where
    I: Iterator<Item = Segment>,
    L: ListPages,
{
    if bytes > MAX_LAYOUT {
        return Err(LayoutError::TooLong);
    }
    if first.addr & 3 != 0 {
        return Err(LayoutError::Misaligned);
    }
    let mut cursor = PageCursor {
        segments,
        current: first,
        left: bytes,
    };
    cursor.check()?;
    let prp1 = cursor.next_page()?;
    // All pages but the last are full, which tells how many follow.
    let further = cursor.left.div_ceil(PAGE) as usize;
    let prp2 = match further {
        0 => 0,
        1 => cursor.next_page()?,
        _ => write_list(further, &mut cursor, pages)?,
    };
    Ok(DataPointer { prp1, prp2 })
}

/// Writes the list of the cursor's next `entries` pages; its bus address.
fn write_list<I, L>(
    entries: usize,
    cursor: &mut PageCursor<I>,
    pages: &mut L,
) -> Result<u64, LayoutError<L::Error>>
where
    I: Iterator<Item = Segment>,
    L: ListPages,
{
    let add = |pages: &mut L, entries: usize| pages.add_page(entries).map_err(LayoutError::Memory);
    let mut room = pages.first_room().clamp(2, ENTRIES_PER_PAGE);
    let list = add(pages, entries.min(room))?;
    let (mut page, mut index) = (0usize, 0usize);
    for done in 0..entries {
        let left = entries.wrapping_sub(done);
        // The last slot holds an address of data only if that is the last of all.
        if index == room.wrapping_sub(1) && left > 1 {
            if page.wrapping_add(1) >= MAX_LIST_PAGES {
                return Err(LayoutError::TooLong);
            }
            room = ENTRIES_PER_PAGE;
            let next = add(pages, left.min(room))?;
            if next & OFFSET_MASK != 0 {
                return Err(LayoutError::Misaligned);
            }
            pages.write(page, index, next);
            page = page.wrapping_add(1);
            index = 0;
        }
        pages.write(page, index, cursor.next_page()?);
        index = index.wrapping_add(1);
    }
    Ok(list)
}

/// Walks the pages of a transfer; `current` is what is left of the segment in hand.
struct PageCursor<I> {
    segments: I,
    current: Segment,
    left: u32,
}

impl<I: Iterator<Item = Segment>> PageCursor<I> {
    /// Checks a segment that was just taken, against what is left of the transfer.
    fn check<E>(&self) -> Result<(), LayoutError<E>> {
        let Segment { addr, len } = self.current;
        if len == 0 || len > self.left {
            return Err(LayoutError::Length);
        }
        // One byte less, since a segment may end with the last address.
        let Some(last) = addr.checked_add(u64::from(len.wrapping_sub(1))) else {
            return Err(LayoutError::Misaligned);
        };
        if len != self.left && last & OFFSET_MASK != OFFSET_MASK {
            return Err(LayoutError::Misaligned);
        }
        Ok(())
    }

    /// The address of the next piece, which ends with its page or with the transfer.
    fn next_page<E>(&mut self) -> Result<u64, LayoutError<E>> {
        if self.current.len == 0 {
            self.current = self.segments.next().ok_or(LayoutError::Length)?;
            self.check()?;
            if self.current.addr & OFFSET_MASK != 0 {
                return Err(LayoutError::Misaligned);
            }
        }
        let addr = self.current.addr;
        let in_page = PAGE.wrapping_sub((addr & OFFSET_MASK) as u32);
        let piece = in_page.min(self.current.len);
        self.current.addr = addr.wrapping_add(u64::from(piece));
        self.current.len = self.current.len.wrapping_sub(piece);
        self.left = self.left.wrapping_sub(piece);
        Ok(addr)
    }
}
