// SPDX-License-Identifier: MIT

//! Where a command's data lies in the host's memory: PRPs (Base 4.3.1) and SGLs (Base 4.3.2), each
//! rule of theirs checked, since what breaks one is the driver's mistake.

use std::fmt;

use nvme_proto::command::Command;
use nvme_proto::PAGE;

use crate::memory::{DmaFault, Memory};

/// A stretch of the host's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its first address.
    pub address: u64,
    /// Its bytes.
    pub length: usize,
}

/// Where in a data pointer an address stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// PRP1.
    Prp1,
    /// PRP2, which leads to data.
    Prp2,
    /// PRP2, which leads to a list.
    List,
    /// An entry of a list, which leads to data.
    Entry,
    /// The last entry of a list's page, which leads to the next one.
    Chain,
    /// MPTR.
    Metadata,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prp1 => "PRP1",
            Self::Prp2 => "PRP2",
            Self::List => "PRP2, a list's,",
            Self::Entry => "a list's entry",
            Self::Chain => "a list's entry that goes on to the next page",
            Self::Metadata => "MPTR",
        })
    }
}

/// How a data pointer breaks the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointerFault {
    /// An address that must not have this offset in its page.
    Offset(Place, u64),
    /// The memory is not there.
    Memory(DmaFault),
    /// A descriptor of a kind that is not known, or with something reserved in it.
    Descriptor(u8),
    /// A descriptor that leads to another segment, and is not the last of its own.
    Misplaced(u8),
    /// So many descriptors, and still no end.
    Endless(usize),
    /// The descriptors describe another number of bytes than the command moves.
    Length(u64, u64),
    /// A segment, its address and its bytes: they must not be so, or the list does not end where it
    /// must.
    Segment(&'static str, u64, u32),
    /// PSDT says something that this command cannot have.
    Psdt(u8),
}

impl fmt::Display for PointerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offset(what, value) => write!(f, "{what} {value:#x} has a forbidden offset"),
            Self::Memory(fault) => fault.fmt(f),
            Self::Descriptor(kind) => write!(f, "SGL descriptor {kind:#04x} must not stand here"),
            Self::Misplaced(kind) => {
                write!(
                    f,
                    "SGL descriptor {kind:#04x} is not the last of its segment"
                )
            }
            Self::Endless(most) => write!(f, "the SGL does not end after {most} descriptors"),
            Self::Length(said, moved) => {
                write!(
                    f,
                    "the SGL describes {said} bytes, the command moves {moved}"
                )
            }
            Self::Segment(why, address, bytes) => {
                write!(f, "the SGL segment of {bytes} bytes at {address:#x} {why}")
            }
            Self::Psdt(bits) => write!(f, "PSDT is {bits:#04b}"),
        }
    }
}

impl From<DmaFault> for PointerFault {
    fn from(fault: DmaFault) -> Self {
        Self::Memory(fault)
    }
}

/// The stretches of a command's `length` bytes of data.
pub fn pieces(
    memory: &Memory,
    command: &Command,
    length: usize,
) -> Result<Vec<Piece>, PointerFault> {
    match command.flags >> 6 {
        _ if length == 0 => Ok(Vec::new()),
        0 => prp(memory, command.prp1.get(), command.prp2.get(), length),
        1 | 2 => sgl(memory, command, length),
        other => Err(PointerFault::Psdt(other)),
    }
}

/// Bytes of a page.
const PAGE_BYTES: u64 = PAGE as u64;

fn prp(memory: &Memory, prp1: u64, prp2: u64, length: usize) -> Result<Vec<Piece>, PointerFault> {
    if prp1 % 4 != 0 {
        return Err(PointerFault::Offset(Place::Prp1, prp1));
    }
    let first = (PAGE_BYTES - prp1 % PAGE_BYTES) as usize;
    let mut pieces = vec![Piece {
        address: prp1,
        length: first.min(length),
    }];
    let mut rest = length.saturating_sub(first);
    if rest == 0 {
        // A reserved PRP2 is the host's to clear; the data is not in doubt.
        return Ok(pieces);
    }
    if rest <= PAGE as usize {
        pieces.push(page(Place::Prp2, prp2, rest)?);
        return Ok(pieces);
    }
    if prp2 % 8 != 0 {
        return Err(PointerFault::Offset(Place::List, prp2));
    }
    let mut list = prp2;
    while rest > 0 {
        let needed = rest.div_ceil(PAGE as usize);
        let room = ((PAGE_BYTES - list % PAGE_BYTES) / 8) as usize;
        // The last entry of a full page leads on, unless it is the last of all.
        let (here, chained) = if needed > room {
            (room - 1, true)
        } else {
            (needed, false)
        };
        let mut bytes = vec![0; (here + usize::from(chained)) * 8];
        memory.read(list, &mut bytes)?;
        let mut entries = bytes.chunks_exact(8).map(number);
        for entry in entries.by_ref().take(here) {
            let now = rest.min(PAGE as usize);
            pieces.push(page(Place::Entry, entry, now)?);
            rest -= now;
        }
        if let Some(next) = entries.next() {
            if next % PAGE_BYTES != 0 {
                return Err(PointerFault::Offset(Place::Chain, next));
            }
            list = next;
        }
    }
    Ok(pieces)
}

fn page(place: Place, address: u64, length: usize) -> Result<Piece, PointerFault> {
    if address % PAGE_BYTES != 0 {
        return Err(PointerFault::Offset(place, address));
    }
    Ok(Piece { address, length })
}

/// The number that up to 8 bytes make up, little-endian.
pub(crate) fn number(bytes: &[u8]) -> u64 {
    let bytes = bytes.iter().take(8).rev();
    bytes.fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}

/// A descriptor as it lies in memory.
#[derive(Clone, Copy)]
struct Descriptor {
    address: u64,
    length: u32,
    kind: u8,
    /// Whether what is reserved is 0.
    clean: bool,
}

impl Descriptor {
    fn new(low: u64, high: u64) -> Self {
        Self {
            address: low,
            length: (high & 0xffff_ffff) as u32,
            kind: (high >> 56) as u8,
            clean: (high >> 32) & 0xff_ffff == 0,
        }
    }
}

/// Data Block, Segment and Last Segment, each by an address.
const DATA_BLOCK: u8 = 0x00;
const SEGMENT: u8 = 0x20;
const LAST_SEGMENT: u8 = 0x30;

/// Bytes of a descriptor.
const DESCRIPTOR_BYTES: usize = 16;

/// The most descriptors of a list, beside one for each page that the command moves. A list that leads
/// back to itself must end somewhere, and whoever rang waits meanwhile.
const MOST_DESCRIPTORS: usize = 1 << 14;

/// The descriptors of a segment that has no more than `room`.
fn segment(
    memory: &Memory,
    leads: Descriptor,
    room: usize,
) -> Result<Option<Vec<Descriptor>>, PointerFault> {
    let Descriptor {
        address,
        length,
        kind,
        ..
    } = leads;
    let wrong = |why| PointerFault::Segment(why, address, length);
    let bytes = length as usize;
    if bytes == 0 || bytes % DESCRIPTOR_BYTES != 0 {
        return Err(wrong("is not made of whole descriptors"));
    }
    if address % 8 != 0 {
        return Err(wrong("does not begin at a multiple of 8"));
    }
    if bytes / DESCRIPTOR_BYTES > room {
        return Ok(None);
    }
    let mut raw = vec![0; bytes];
    memory.read(address, &mut raw)?;
    let list: Vec<Descriptor> = raw
        .chunks_exact(DESCRIPTOR_BYTES)
        .map(|pair| {
            let (low, high) = pair.split_at(8);
            Descriptor::new(number(low), number(high))
        })
        .collect();
    let leads_on = |one: &Descriptor| matches!(one.kind, SEGMENT | LAST_SEGMENT);
    if kind == SEGMENT && !list.last().is_some_and(leads_on) {
        return Err(wrong("is not the last, and leads to no other"));
    }
    if kind == LAST_SEGMENT && list.iter().any(leads_on) {
        return Err(wrong("is the last, and leads on"));
    }
    Ok(Some(list))
}

fn sgl(memory: &Memory, command: &Command, length: usize) -> Result<Vec<Piece>, PointerFault> {
    let mut pieces = Vec::new();
    let mut list = vec![Descriptor::new(command.prp1.get(), command.prp2.get())];
    let (mut described, moved) = (0u64, length as u64);
    let most = MOST_DESCRIPTORS + length / PAGE as usize;
    let mut room = most;
    loop {
        let count = list.len();
        room = room.saturating_sub(count);
        let mut next = None;
        for (index, one) in list.drain(..).enumerate() {
            match one.kind {
                _ if !one.clean => return Err(PointerFault::Descriptor(one.kind)),
                DATA_BLOCK => {
                    described = described.saturating_add(one.length.into());
                    // What the rest says does not matter any more, and it may have no end.
                    if described > moved {
                        return Err(PointerFault::Length(described, moved));
                    }
                    pieces.push(Piece {
                        address: one.address,
                        length: one.length as usize,
                    });
                }
                SEGMENT | LAST_SEGMENT if index + 1 == count => next = Some(one),
                SEGMENT | LAST_SEGMENT => return Err(PointerFault::Misplaced(one.kind)),
                other => return Err(PointerFault::Descriptor(other)),
            }
        }
        let Some(leads) = next else {
            break;
        };
        list = segment(memory, leads, room)?.ok_or(PointerFault::Endless(most))?;
    }
    if described != moved {
        return Err(PointerFault::Length(described, moved));
    }
    pieces.retain(|piece| piece.length > 0);
    Ok(pieces)
}

/// Reads `pieces` one after the other.
pub fn gather(memory: &Memory, pieces: &[Piece]) -> Result<Vec<u8>, DmaFault> {
    let mut bytes = vec![0; pieces.iter().map(|piece| piece.length).sum()];
    let mut rest = bytes.as_mut_slice();
    for piece in pieces {
        let (now, later) = rest.split_at_mut(piece.length);
        memory.read(piece.address, now)?;
        rest = later;
    }
    Ok(bytes)
}

/// Writes `bytes` over `pieces`, one after the other.
pub fn scatter(memory: &Memory, pieces: &[Piece], bytes: &[u8]) -> Result<(), DmaFault> {
    let mut rest = bytes;
    for piece in pieces {
        let (now, later) = rest.split_at(piece.length.min(rest.len()));
        memory.write(piece.address, now)?;
        rest = later;
    }
    Ok(())
}
