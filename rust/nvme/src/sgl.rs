// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Scatter gather lists (Base 4.3.2): descriptors, and how a command's data is laid out in them.
//!
//! Relies on the caller for bus addresses that are mapped for the device, for memory in which
//! descriptors lie, and for the number of segments that there may be. Which transfers are
//! described so, and which by PRP entries, is in [`choice`].

use core::fmt;

use crate::prp::{Segment, MAX_LAYOUT};

pub mod choice;

/// The size of a descriptor in bytes.
pub const DESCRIPTOR_BYTES: usize = 16;

/// Descriptors of one page.
pub const DESCRIPTORS_PER_PAGE: usize = crate::PAGE as usize / DESCRIPTOR_BYTES;

/// The most segments of one command: the block layer counts them in 16 bits.
pub const MAX_SEGMENTS: usize = u16::MAX as usize;

/// SGL Descriptor Type (Base 4.3.2), all with an absolute address (sub type 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DescriptorType {
    /// Where data lies.
    DataBlock = 0x0,
    /// Where further descriptors lie, the last of which leads on.
    Segment = 0x2,
    /// Where the last descriptors lie.
    LastSegment = 0x3,
}

/// An SGL descriptor (Base 4.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Where that lies of which it tells.
    pub addr: u64,
    /// How many bytes that has.
    pub len: u32,
    /// What it tells of.
    pub kind: DescriptorType,
}

impl Descriptor {
    /// Of data.
    #[inline]
    const fn data(segment: Segment) -> Self {
        Self {
            addr: segment.addr,
            len: segment.len,
            kind: DescriptorType::DataBlock,
        }
    }

    /// The two words that it is, each to be stored little-endian.
    #[inline]
    pub const fn to_words(self) -> [u64; 2] {
        [self.addr, self.len as u64 | ((self.kind as u64) << 60)]
    }
}

/// What SGLS demands of the address and the length of each data block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alignment {
    /// Nothing.
    Byte,
    /// Both are multiples of 4.
    Dword,
}

impl Alignment {
    /// Whether a number is a multiple of what is demanded.
    #[inline]
    pub const fn holds(self, number: u64) -> bool {
        match self {
            Self::Byte => true,
            Self::Dword => number & 3 == 0,
        }
    }
}

/// SGLS: what a controller can do with scatter gather lists (Base 5.1.13.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SglSupport {
    /// SGLS bits 1:0: what data blocks must be aligned to.
    pub alignment: Alignment,
    /// SDT: with more data blocks than so many a command may be slower; 0 if nothing is said.
    pub threshold: u8,
    /// SBBDS: whether there are Bit Bucket descriptors.
    pub bit_bucket: bool,
    /// MBA: whether a contiguous metadata buffer may begin at any byte.
    pub metadata_any_byte: bool,
    /// LLDTS: whether a list may be longer than the transfer.
    pub longer_than_transfer: bool,
    /// MSDS: whether the metadata pointer may point to a descriptor (PSDT 10b).
    pub metadata_sgl: bool,
}

impl SglSupport {
    /// Takes SGLS apart; `None` if the controller has no lists, or says what is reserved.
    pub const fn parse(sgls: u32) -> Option<Self> {
        let alignment = match sgls & 0x3 {
            1 => Alignment::Byte,
            2 => Alignment::Dword,
            _ => return None,
        };
        Some(Self {
            alignment,
            threshold: ((sgls >> 8) & 0xff) as u8,
            bit_bucket: sgls & (1 << 16) != 0,
            metadata_any_byte: sgls & (1 << 17) != 0,
            longer_than_transfer: sgls & (1 << 18) != 0,
            metadata_sgl: sgls & (1 << 19) != 0,
        })
    }
}

/// Where memory for descriptors comes from. Pages are numbered from 0 in the order in which they
/// are added.
pub trait DescriptorPages {
    /// Why there is no page.
    type Error;

    /// How many descriptors to put into the first page before going on in a second: 2 to 256.
    #[inline]
    fn first_room(&self) -> usize {
        DESCRIPTORS_PER_PAGE
    }

    /// Adds memory for up to `descriptors` (1 to 256): its bus address, a multiple of 8. It may
    /// be as short as they are, and need not be a page.
    fn add_page(&mut self, descriptors: usize) -> Result<u64, Self::Error>;

    /// Writes a descriptor; only within what was announced. A page's last descriptor may be
    /// written after some of a later page.
    fn write(&mut self, page: usize, index: usize, descriptor: Descriptor);
}

/// Why a transfer cannot be laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SglError<E> {
    /// There is no memory for descriptors.
    Memory(E),
    /// A segment is not aligned as the controller demands, or runs past the last address; or
    /// memory for descriptors does.
    Misaligned,
    /// The segments do not add up to the transfer's length, or one of them is empty.
    Length,
    /// There are more segments than were announced.
    Segments,
    /// More than [`MAX_LAYOUT`] bytes or [`MAX_SEGMENTS`] segments.
    TooLong,
}

impl<E: fmt::Display> fmt::Display for SglError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(error) => write!(f, "no memory for SGL descriptors: {error}"),
            Self::Misaligned => f.write_str("data or descriptors are not aligned as SGLs need"),
            Self::Length => f.write_str("the data segments do not add up to the length"),
            Self::Segments => f.write_str("more data segments than were announced"),
            Self::TooLong => f.write_str("more data than one command can describe"),
        }
    }
}

/// How many pages hold the descriptors of `segments` segments: none for one, whose descriptor is
/// in the command; each page but the last gives its last slot to the descriptor of the next.
#[inline]
pub const fn pages_for(segments: usize) -> usize {
    match segments {
        0 | 1 => 0,
        2..=DESCRIPTORS_PER_PAGE => 1,
        _ => segments
            .wrapping_sub(1)
            .div_ceil(DESCRIPTORS_PER_PAGE.wrapping_sub(1)),
    }
}

/// How many segments `pages` pages always have room for: the other way round.
#[inline]
pub const fn segments_for(pages: usize) -> usize {
    let segments = pages
        .saturating_mul(DESCRIPTORS_PER_PAGE.wrapping_sub(1))
        .saturating_add(1);
    if segments > MAX_SEGMENTS {
        MAX_SEGMENTS
    } else {
        segments
    }
}

/// Lays out a transfer of `bytes` (at least 1) over `segments`, of which there are no more than
/// `at_most`: SGL1, the descriptor that goes into the command.
///
/// Segments are pulled until they cover `bytes`, and none after that. Fewer than announced are
/// welcome: mapping may join them.
///
/// On an error some pages may have been added: they are the caller's to free.
#[inline]
pub fn layout<I, P>(
    bytes: u32,
    at_most: usize,
    alignment: Alignment,
    mut segments: I,
    pages: &mut P,
) -> Result<Descriptor, SglError<P::Error>>
where
    I: Iterator<Item = Segment>,
    P: DescriptorPages,
{
    if bytes > MAX_LAYOUT || at_most > MAX_SEGMENTS {
        return Err(SglError::TooLong);
    }
    let first = segments.next().ok_or(SglError::Length)?;
    check(first, bytes, alignment)?;
    if first.len == bytes {
        return Ok(Descriptor::data(first));
    }
    layout_list(bytes, at_most, alignment, first, segments, pages)
}

fn layout_list<I, P>(
    bytes: u32,
    at_most: usize,
    alignment: Alignment,
    first: Segment,
    mut segments: I,
    pages: &mut P,
) -> Result<Descriptor, SglError<P::Error>>
where
    I: Iterator<Item = Segment>,
    P: DescriptorPages,
{
    // The first is not all of the transfer, so there must be another one.
    if at_most < 2 {
        return Err(SglError::Segments);
    }
    let room = pages.first_room().clamp(2, DESCRIPTORS_PER_PAGE);
    let mut list = List {
        page: 0,
        open: OpenPage::add(at_most, room, pages)?,
        promised: at_most,
        head: None,
    };
    let (mut segment, mut left) = (first, bytes);
    loop {
        let last = segment.len == left;
        list.push(segment, last, pages)?;
        if last {
            return Ok(list.finish(pages));
        }
        // Not below 0, since a segment was checked against what was left.
        left = left.wrapping_sub(segment.len);
        segment = segments.next().ok_or(SglError::Length)?;
        check(segment, left, alignment)?;
    }
}

/// Checks a segment against what is left of the transfer.
#[inline]
fn check<E>(segment: Segment, left: u32, alignment: Alignment) -> Result<(), SglError<E>> {
    let Segment { addr, len } = segment;
    if len == 0 || len > left {
        return Err(SglError::Length);
    }
    // One byte less, since a segment may end with the last address.
    let end = addr.checked_add(u64::from(len.wrapping_sub(1)));
    if end.is_none() || !alignment.holds(addr | u64::from(len)) {
        return Err(SglError::Misaligned);
    }
    Ok(())
}

/// The page that is being filled.
struct OpenPage {
    addr: u64,
    /// The descriptors that were announced.
    room: usize,
    /// Whether the last of them may lead on to another page.
    leads_on: bool,
    /// The descriptors that were written.
    count: usize,
}

impl OpenPage {
    /// Adds a page with `room` slots at most, for `segments` segments that may still come.
    fn add<P: DescriptorPages>(
        segments: usize,
        room: usize,
        pages: &mut P,
    ) -> Result<Self, SglError<P::Error>> {
        let leads_on = segments > room;
        let room = segments.min(room);
        let addr = pages.add_page(room).map_err(SglError::Memory)?;
        let last = room.saturating_mul(DESCRIPTOR_BYTES).saturating_sub(1) as u64;
        if addr & 7 != 0 || addr.checked_add(last).is_none() {
            return Err(SglError::Misaligned);
        }
        Ok(Self {
            addr,
            room,
            leads_on,
            count: 0,
        })
    }
}

/// A list that grows. What leads to a page is written when the page is complete, since it tells
/// the page's length and whether another follows.
struct List {
    page: usize,
    open: OpenPage,
    /// How many segments may still come.
    promised: usize,
    /// SGL1, once the first page is complete, and the slot that leads to the open page.
    head: Option<(Descriptor, usize)>,
}

impl List {
    fn push<P: DescriptorPages>(
        &mut self,
        segment: Segment,
        last: bool,
        pages: &mut P,
    ) -> Result<(), SglError<P::Error>> {
        // The last slot holds a descriptor of data only if that is the last of all.
        let at_end = self.open.count == self.open.room.wrapping_sub(1);
        if at_end && self.open.leads_on && !last {
            self.lead_on(pages)?;
        }
        if self.open.count >= self.open.room {
            return Err(SglError::Segments);
        }
        pages.write(self.page, self.open.count, Descriptor::data(segment));
        self.open.count = self.open.count.wrapping_add(1);
        self.promised = self.promised.saturating_sub(1);
        Ok(())
    }

    /// Goes on in a new page.
    fn lead_on<P: DescriptorPages>(&mut self, pages: &mut P) -> Result<(), SglError<P::Error>> {
        let next = OpenPage::add(self.promised, DESCRIPTORS_PER_PAGE, pages)?;
        let slot = self.open.count;
        self.open.count = slot.wrapping_add(1);
        let sgl1 = self.close(DescriptorType::Segment, pages);
        self.head = Some((sgl1, slot));
        self.page = self.page.wrapping_add(1);
        self.open = next;
        Ok(())
    }

    fn finish<P: DescriptorPages>(&mut self, pages: &mut P) -> Descriptor {
        self.close(DescriptorType::LastSegment, pages)
    }

    /// Writes what leads to the open page, which is complete; SGL1.
    fn close<P: DescriptorPages>(&self, kind: DescriptorType, pages: &mut P) -> Descriptor {
        let bytes = self.open.count.saturating_mul(DESCRIPTOR_BYTES);
        let leading = Descriptor {
            addr: self.open.addr,
            // At most a page.
            len: bytes as u32,
            kind,
        };
        match self.head {
            None => leading,
            Some((sgl1, slot)) => {
                pages.write(self.page.wrapping_sub(1), slot, leading);
                sgl1
            }
        }
    }
}
