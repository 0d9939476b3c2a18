// SPDX-License-Identifier: MIT

//! Protection information (NVM 5.3): tuples of 8 bytes with a 16-bit guard, types 1 to 3, in a metadata
//! buffer of their own, or made and stripped here (PRACT).

use nvme_proto::protection::APPLICATION_ESCAPE;
use nvme_proto::status::Status;

use crate::controller::{Answer, Controller, Taken};
use crate::data::{Place, PointerFault};
use crate::namespace::{Namespace, TUPLE_BYTES};

const PRACT: u32 = 1 << 29;
const CHECK_GUARD: u32 = 1 << 28;
const CHECK_APPLICATION: u32 = 1 << 27;
const CHECK_REFERENCE: u32 = 1 << 26;

/// Type 3: the reference tag means nothing.
const OPAQUE_REFERENCE: u8 = 3;

/// The polynomial of the CRC of T10 DIF.
const POLYNOMIAL: u16 = 0x8bb7;

const TABLE: [u16; 256] = table();

const fn table() -> [u16; 256] {
    let mut table = [0u16; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            let carry = crc & 0x8000 != 0;
            crc <<= 1;
            if carry {
                crc ^= POLYNOMIAL;
            }
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

/// The guard of a block.
pub fn guard(block: &[u8]) -> u16 {
    block.iter().fold(0, |crc, byte| {
        let index = usize::from((crc >> 8) as u8 ^ byte);
        (crc << 8) ^ TABLE.get(index).copied().unwrap_or(0)
    })
}

/// What a command says of its tuples.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    flags: u32,
    kind: u8,
    reference: u32,
    application: u16,
    mask: u16,
}

impl Wanted {
    /// Of a command on a namespace with tuples of type `kind`. A check that cannot be is an error.
    pub(super) fn new(taken: &Taken, kind: u8) -> Result<Self, Status> {
        let command = &taken.command;
        let tag = command.cdw15.get();
        let this = Self {
            flags: command.cdw12.get(),
            kind,
            reference: command.cdw14.get(),
            application: (tag & 0xffff) as u16,
            mask: (tag >> 16) as u16,
        };
        let impossible = match kind {
            1 => this.reference != command.cdw10.get(),
            2 => false,
            _ => true,
        };
        if this.flags & CHECK_REFERENCE != 0 && impossible {
            return Err(Status::INVALID_PROTECTION_INFORMATION);
        }
        Ok(this)
    }

    /// Whether the tuples are made, or stripped, by the controller.
    pub(super) fn by_controller(self) -> bool {
        self.flags & PRACT != 0
    }

    fn reference(self, index: u32) -> u32 {
        if self.kind == OPAQUE_REFERENCE {
            self.reference
        } else {
            self.reference.wrapping_add(index)
        }
    }

    /// The tuples of blocks of `size` bytes.
    pub(super) fn make(self, blocks: &[u8], size: usize) -> Vec<u8> {
        let mut tuples = Vec::with_capacity(blocks.len() / size * TUPLE_BYTES);
        for (block, index) in blocks.chunks_exact(size).zip(0..) {
            tuples.extend(guard(block).to_be_bytes());
            tuples.extend(self.application.to_be_bytes());
            tuples.extend(self.reference(index).to_be_bytes());
        }
        tuples
    }

    /// The tuples of so many blocks of zeros, of which the guard is 0.
    pub(super) fn of_zeros(self, count: u64) -> Vec<u8> {
        let mut tuples = Vec::new();
        for (_, index) in (0..count).zip(0..) {
            tuples.extend([0, 0]);
            tuples.extend(self.application.to_be_bytes());
            tuples.extend(self.reference(index).to_be_bytes());
        }
        tuples
    }

    /// Checks `tuples` against the blocks of `size` bytes that they are for.
    pub(super) fn check(self, blocks: &[u8], size: usize, tuples: &[u8]) -> Result<(), Status> {
        if self.flags & (CHECK_GUARD | CHECK_APPLICATION | CHECK_REFERENCE) == 0 {
            return Ok(());
        }
        let pairs = blocks
            .chunks_exact(size)
            .zip(tuples.chunks_exact(TUPLE_BYTES));
        for ((block, tuple), index) in pairs.zip(0..) {
            let word = tuple
                .iter()
                .fold(0, |sum, byte| (sum << 8) | u64::from(*byte));
            let (sum, tag) = ((word >> 48) as u16, ((word >> 32) & 0xffff) as u16);
            let reference = (word & 0xffff_ffff) as u32;
            let opaque = self.kind == OPAQUE_REFERENCE;
            if tag == APPLICATION_ESCAPE && (!opaque || reference == u32::MAX) {
                continue;
            }
            if self.flags & CHECK_GUARD != 0 && sum != guard(block) {
                return Err(Status::GUARD_CHECK_ERROR);
            }
            let differs = (tag ^ self.application) & self.mask != 0;
            if self.flags & CHECK_APPLICATION != 0 && differs {
                return Err(Status::APPLICATION_TAG_CHECK_ERROR);
            }
            if self.flags & CHECK_REFERENCE != 0 && reference != self.reference(index) {
                return Err(Status::REFERENCE_TAG_CHECK_ERROR);
            }
        }
        Ok(())
    }
}

impl Controller {
    /// The tuples of a write: from the host, checked, or made here. Empty where there are none.
    pub(super) fn tuples_to_write(
        &mut self,
        taken: &Taken,
        blocks: &[u8],
    ) -> Result<Vec<u8>, Answer> {
        let Some((kind, size)) = self.format_of(taken) else {
            return Ok(Vec::new());
        };
        let wanted = Wanted::new(taken, kind).map_err(Answer::refused)?;
        if wanted.by_controller() {
            return Ok(wanted.make(blocks, size));
        }
        let mut tuples = vec![0; blocks.len() / size * TUPLE_BYTES];
        let at = self.metadata_pointer(taken)?;
        if let Err(fault) = self.memory.read(at, &mut tuples) {
            return Err(self.pointer_fault(taken, fault.into()));
        }
        wanted
            .check(blocks, size, &tuples)
            .map_err(Answer::refused)?;
        Ok(tuples)
    }

    /// Checks the tuples of blocks that were read, and gives them to the host if it wants them.
    pub(super) fn tuples_were_read(
        &mut self,
        taken: &Taken,
        blocks: &[u8],
        tuples: &[u8],
    ) -> Result<(), Answer> {
        let Some((kind, size)) = self.format_of(taken) else {
            return Ok(());
        };
        let wanted = Wanted::new(taken, kind).map_err(Answer::refused)?;
        wanted
            .check(blocks, size, tuples)
            .map_err(Answer::refused)?;
        if wanted.by_controller() {
            return Ok(());
        }
        let at = self.metadata_pointer(taken)?;
        let stored = self.memory.write(at, tuples);
        stored.map_err(|fault| self.pointer_fault(taken, fault.into()))
    }

    /// MPTR, which is a multiple of 4.
    fn metadata_pointer(&mut self, taken: &Taken) -> Result<u64, Answer> {
        let at = taken.command.mptr.get();
        if at % 4 != 0 {
            return Err(self.pointer_fault(taken, PointerFault::Offset(Place::Metadata, at)));
        }
        Ok(at)
    }

    /// Checks what is on the medium, for a Verify.
    pub(super) fn check_medium(&self, taken: &Taken, blocks: &[u8], tuples: &[u8]) -> Answer {
        let Some((kind, size)) = self.format_of(taken) else {
            return Answer::DONE;
        };
        let checked =
            Wanted::new(taken, kind).and_then(|wanted| wanted.check(blocks, size, tuples));
        checked.map_or_else(Answer::refused, |()| Answer::DONE)
    }

    /// The type of protection of a command's namespace, if it has any, and its blocks' size.
    pub(super) fn format_of(&self, taken: &Taken) -> Option<(u8, usize)> {
        let namespace: &Namespace = self.namespaces.get(&taken.command.nsid.get())?;
        let kind = namespace.protection_type();
        (kind != 0).then_some((kind, 1 << namespace.lbads))
    }
}
