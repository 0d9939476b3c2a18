// SPDX-License-Identifier: MIT

//! The host's memory as the controller reaches it: what was mapped, and no byte beside it.
//!
//! QEMU announces each range with a file that holds it. An access that is not wholly inside of mapped
//! ranges fails as a whole before a byte has moved, and so does every access while the host does not
//! let the device reach memory (Bus Master Enable). Relies on `vm-memory` for the mappings.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use vm_memory::{Bytes as _, FileOffset, MmapRegion, VolatileMemory as _, VolatileSlice};

/// What went wrong with an access of the controller to the host's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DmaFault {
    /// The first address of the access.
    pub address: u64,
    /// Its bytes.
    pub length: usize,
    /// Whether it was a write.
    pub write: bool,
    /// Whether the device may reach no memory at all now.
    pub barred: bool,
}

impl fmt::Display for DmaFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.write { "write" } else { "read" };
        write!(
            f,
            "a {what} of {} bytes at {:#x} is outside of the memory that is mapped for it",
            self.length, self.address
        )
    }
}

/// One mapped range.
#[derive(Clone)]
struct Mapping {
    size: u64,
    /// Where the range begins in `bytes`.
    offset: usize,
    writable: bool,
    bytes: Arc<MmapRegion>,
}

/// All mapped ranges, by their first address.
#[derive(Clone, Default)]
pub struct Memory {
    mappings: BTreeMap<u64, Mapping>,
    barred: Arc<AtomicBool>,
}

impl Memory {
    /// Maps `size` bytes of `file` from `offset` on at `address`.
    pub fn map_file(
        &mut self,
        address: u64,
        size: u64,
        file: File,
        offset: u64,
        writable: bool,
    ) -> io::Result<()> {
        let length = usize::try_from(size).map_err(io::Error::other)?;
        let bytes = MmapRegion::from_file(FileOffset::new(file, offset), length)
            .map_err(io::Error::other)?;
        self.insert(address, size, writable, bytes);
        Ok(())
    }

    /// Maps zeroed memory that nobody else has: the host of a test.
    pub fn map_anonymous(&mut self, address: u64, size: u64) -> io::Result<()> {
        let length = usize::try_from(size).map_err(io::Error::other)?;
        let bytes = MmapRegion::new(length).map_err(io::Error::other)?;
        self.insert(address, size, true, bytes);
        Ok(())
    }

    fn insert(&mut self, address: u64, size: u64, writable: bool, bytes: MmapRegion) {
        self.unmap(address, size);
        let mapping = Mapping {
            size,
            offset: 0,
            writable,
            bytes: Arc::new(bytes),
        };
        self.mappings.insert(address, mapping);
    }

    /// Takes away what is mapped in `size` bytes from `address` on; what sticks out stays.
    pub fn unmap(&mut self, address: u64, size: u64) {
        let end = address.saturating_add(size);
        let hit: Vec<u64> = self
            .mappings
            .range(..end)
            .filter(|(&start, mapping)| start.saturating_add(mapping.size) > address)
            .map(|(&start, _)| start)
            .collect();
        for start in hit {
            let Some(old) = self.mappings.remove(&start) else {
                continue;
            };
            let old_end = start.saturating_add(old.size);
            if start < address {
                let size = address - start;
                self.mappings.insert(
                    start,
                    Mapping {
                        size,
                        ..old.clone()
                    },
                );
            }
            if old_end > end {
                // Both fit: they lie inside of the old range, which was mapped.
                let offset = old.offset + (end - start) as usize;
                let size = old_end - end;
                self.mappings.insert(
                    end,
                    Mapping {
                        size,
                        offset,
                        ..old
                    },
                );
            }
        }
    }

    /// Whether `length` bytes from `address` on are mapped, for writing if so asked.
    pub fn holds(&self, address: u64, length: u64, write: bool) -> bool {
        usize::try_from(length).is_ok_and(|length| self.pieces(address, length, write).is_ok())
    }

    /// An address that is mapped, at least `length` bytes of it, and not in `avoid`'s page.
    pub fn another_page(&self, avoid: u64, length: u64) -> Option<u64> {
        let page = u64::from(nvme_proto::PAGE);
        self.mappings.iter().find_map(|(&start, mapping)| {
            let end = start.saturating_add(mapping.size).checked_sub(length)?;
            let last = end - end % page;
            [last, last.checked_sub(page)?]
                .into_iter()
                .find(|&at| at >= start && mapping.writable && at / page != avoid / page)
        })
    }

    /// The host lets the device reach memory, or not: Bus Master Enable of the Command register.
    pub fn set_bus_master(&self, enabled: bool) {
        self.barred.store(!enabled, Ordering::SeqCst);
    }

    /// Whether the device may reach memory.
    pub fn bus_master(&self) -> bool {
        !self.barred.load(Ordering::SeqCst)
    }

    fn fault(&self, address: u64, length: usize, write: bool) -> DmaFault {
        DmaFault {
            address,
            length,
            write,
            barred: !self.bus_master(),
        }
    }

    fn find(&self, address: u64) -> Option<(u64, &Mapping)> {
        let (&start, mapping) = self.mappings.range(..=address).next_back()?;
        (address - start < mapping.size).then_some((start, mapping))
    }

    /// Splits an access into the mapped pieces that it consists of.
    fn pieces(
        &self,
        address: u64,
        length: usize,
        write: bool,
    ) -> Result<Vec<VolatileSlice<'_>>, DmaFault> {
        let fault = self.fault(address, length, write);
        if fault.barred {
            return Err(fault);
        }
        let mut pieces = Vec::new();
        let mut done = 0;
        while done < length {
            let at = address.checked_add(done as u64).ok_or(fault)?;
            let (start, mapping) = self.find(at).ok_or(fault)?;
            if write && !mapping.writable {
                return Err(fault);
            }
            let inside = (at - start) as usize;
            let piece = (length - done).min(mapping.size as usize - inside);
            let slice = mapping.bytes.get_slice(mapping.offset + inside, piece);
            pieces.push(slice.map_err(|_| fault)?);
            done += piece;
        }
        Ok(pieces)
    }

    /// Reads `bytes.len()` bytes from `address` on.
    pub fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), DmaFault> {
        let mut rest = bytes;
        for piece in self.pieces(address, rest.len(), false)? {
            let (now, later) = rest.split_at_mut(piece.len());
            piece.copy_to(now);
            rest = later;
        }
        Ok(())
    }

    /// Writes `bytes` from `address` on.
    pub fn write(&self, address: u64, bytes: &[u8]) -> Result<(), DmaFault> {
        let mut rest = bytes;
        for piece in self.pieces(address, rest.len(), true)? {
            let (now, later) = rest.split_at(piece.len());
            piece.copy_from(now);
            rest = later;
        }
        Ok(())
    }

    /// Reads a little-endian word of 32 bits at once; `address` is a multiple of 4.
    pub fn load32(&self, address: u64) -> Result<u32, DmaFault> {
        let fault = self.fault(address, 4, false);
        let pieces = self.pieces(address, 4, false)?;
        let word: u32 = pieces
            .first()
            .and_then(|piece| piece.load(0, Ordering::Acquire).ok())
            .ok_or(fault)?;
        Ok(u32::from_le(word))
    }

    /// Writes a word of 64 bits at once, after all that was written before; `address` is a
    /// multiple of 8. The word is as it shall lie in memory.
    pub fn store64(&self, address: u64, word: u64) -> Result<(), DmaFault> {
        let fault = self.fault(address, 8, true);
        let pieces = self.pieces(address, 8, true)?;
        let piece = pieces.first().ok_or(fault)?;
        piece.store(word, 0, Ordering::Release).map_err(|_| fault)
    }

    /// Writes a little-endian word of 32 bits at once; `address` is a multiple of 4.
    pub fn store32(&self, address: u64, word: u32) -> Result<(), DmaFault> {
        let fault = self.fault(address, 4, true);
        let pieces = self.pieces(address, 4, true)?;
        let piece = pieces.first().ok_or(fault)?;
        piece
            .store(word.to_le(), 0, Ordering::Release)
            .map_err(|_| fault)
    }
}
