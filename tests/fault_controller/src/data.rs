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

/// How a data pointer breaks the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointerFault {
    /// PRP1, or an entry of a queue's or list's, that must not have this offset in its page.
    Offset(&'static str, u64),
    /// PRP2 where the data ends in PRP1's page, which must be 0.
    Unused(u64),
    /// The memory is not there.
    Memory(DmaFault),
    /// A descriptor of a kind that is not known, or not allowed where it stands.
    Descriptor(u8),
    /// The descriptors describe another number of bytes than the command moves.
    Length(u64, u64),
    /// A segment's bytes are no multiple of a descriptor, or none.
    SegmentLength(u32),
    /// PSDT says something that this command cannot have.
    Psdt(u8),
}

impl fmt::Display for PointerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offset(what, value) => write!(f, "{what} {value:#x} has a forbidden offset"),
            Self::Unused(value) => {
                write!(f, "PRP2 is {value:#x}, but the data ends in PRP1's page")
            }
            Self::Memory(fault) => fault.fmt(f),
            Self::Descriptor(kind) => write!(f, "SGL descriptor {kind:#04x} must not stand here"),
            Self::Length(said, moved) => {
                write!(
                    f,
                    "the SGL describes {said} bytes, the command moves {moved}"
                )
            }
            Self::SegmentLength(bytes) => write!(f, "an SGL segment of {bytes} bytes"),
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
        return Err(PointerFault::Offset("PRP1", prp1));
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
        pieces.push(page("PRP2", prp2, rest)?);
        return Ok(pieces);
    }
    if prp2 % 8 != 0 {
        return Err(PointerFault::Offset("PRP2, a list's,", prp2));
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
        let mut entries = bytes.chunks_exact(8).map(word);
        for entry in entries.by_ref().take(here) {
            let now = rest.min(PAGE as usize);
            pieces.push(page("a list's entry", entry, now)?);
            rest -= now;
        }
        if let Some(next) = entries.next() {
            if next % PAGE_BYTES != 0 {
                return Err(PointerFault::Offset("a chained list page", next));
            }
            list = next;
        }
    }
    Ok(pieces)
}

fn page(what: &'static str, address: u64, length: usize) -> Result<Piece, PointerFault> {
    if address % PAGE_BYTES != 0 {
        return Err(PointerFault::Offset(what, address));
    }
    Ok(Piece { address, length })
}

fn word(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}

/// A descriptor as it lies in memory: address, length, kind.
type Descriptor = (u64, u32, u8);

fn descriptor(low: u64, high: u64) -> Descriptor {
    (low, (high & 0xffff_ffff) as u32, (high >> 56) as u8)
}

fn sgl(memory: &Memory, command: &Command, length: usize) -> Result<Vec<Piece>, PointerFault> {
    let mut pieces = Vec::new();
    let mut queue = vec![descriptor(command.prp1.get(), command.prp2.get())];
    let mut described = 0u64;
    let mut after_last = false;
    while !queue.is_empty() {
        let count = queue.len();
        let mut next = Vec::new();
        for (index, (address, bytes, kind)) in queue.drain(..).enumerate() {
            match kind {
                0x00 => {
                    described += u64::from(bytes);
                    let length = bytes as usize;
                    pieces.push(Piece { address, length });
                }
                // A segment or the last one: only as the last descriptor, and none after the last.
                0x20 | 0x30 if index + 1 == count && !after_last => {
                    if bytes == 0 || bytes % 16 != 0 {
                        return Err(PointerFault::SegmentLength(bytes));
                    }
                    let mut raw = vec![0; bytes as usize];
                    memory.read(address, &mut raw)?;
                    next = raw
                        .chunks_exact(16)
                        .map(|pair| descriptor(word(&pair[..8]), word(&pair[8..])))
                        .collect();
                    after_last = kind == 0x30;
                }
                other => return Err(PointerFault::Descriptor(other)),
            }
        }
        queue = next;
    }
    if described != length as u64 {
        return Err(PointerFault::Length(described, length as u64));
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
