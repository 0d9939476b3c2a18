// SPDX-License-Identifier: GPL-2.0

//! Metadata that comes with each block: what the block layer is told of it, what it wants checked
//! of a request's, and a request's buffer of it, mapped for the device.
//!
//! The block layer makes and checks protection information by itself, in a buffer that it adds to
//! a request, unless who submits the request brings one along. A request may also come without:
//! users can switch making and checking off (`integrity/` of a disk in sysfs).
//!
//! C headers: `include/linux/blkdev.h` (`struct blk_integrity`), `include/linux/blk-integrity.h`,
//! `include/linux/bio-integrity.h`.

use super::{Operations, Request, Segment};
use crate::{bindings, block::Status};

/// The checksum in each tuple of protection information.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// There are no tuples: the metadata means nothing to the block layer.
    None,
    /// The 16-bit CRC of T10, in a tuple of 8 bytes.
    Crc16,
    /// NVMe's 64-bit CRC, in a tuple of 16 bytes.
    Crc64,
}

/// The metadata of a disk's blocks, in a buffer of its own that is one stretch for each request.
#[derive(Clone, Copy, Debug)]
pub struct Integrity {
    /// What the tuples' checksum is.
    pub checksum: Checksum,
    /// Bytes of metadata with each logical block; not 0.
    pub metadata_size: u8,
    /// Where in these a tuple begins; 0 without tuples.
    pub tuple_offset: u8,
    /// Bytes of a tuple that are the application's.
    pub tag_size: u8,
    /// Whether tuples have a reference tag, which is the block's address.
    pub reference_tag: bool,
}

/// The most metadata that the block layer makes for one request, in bytes
/// (`BLK_INTEGRITY_MAX_SIZE`).
const MAX_BUFFER: u32 = 2 << 20;

impl Integrity {
    /// Whether the block layer can count with this metadata for blocks of `logical_block_size`
    /// bytes. It takes the blocks whose metadata fills its largest buffer times their size in 32
    /// bits (`max_integrity_io_size`), and would come to transfers of no length at all. A kernel
    /// without integrity support cannot.
    pub fn fits(&self, logical_block_size: u32) -> bool {
        let blocks = MAX_BUFFER.checked_div(self.metadata_size.into());
        cfg!(CONFIG_BLK_DEV_INTEGRITY)
            && blocks.is_some_and(|blocks| blocks.checked_mul(logical_block_size).is_some())
    }

    pub(super) fn to_raw(self) -> bindings::blk_integrity {
        let (csum_type, pi_tuple_size) = match self.checksum {
            Checksum::None => (bindings::blk_integrity_checksum_BLK_INTEGRITY_CSUM_NONE, 0),
            Checksum::Crc16 => (bindings::blk_integrity_checksum_BLK_INTEGRITY_CSUM_CRC, 8),
            Checksum::Crc64 => (
                bindings::blk_integrity_checksum_BLK_INTEGRITY_CSUM_CRC64,
                16,
            ),
        };
        // A block's data may lie in several ranges of memory, as all data may.
        let mut flags = bindings::EXT_BLK_SPLIT_INTERVAL_CAPABLE;
        if self.checksum != Checksum::None {
            flags |= bindings::EXT_BLK_INTEGRITY_DEVICE_CAPABLE;
        }
        if self.reference_tag {
            flags |= bindings::EXT_BLK_INTEGRITY_REF_TAG;
        }
        bindings::blk_integrity {
            flags,
            csum_type,
            metadata_size: self.metadata_size,
            pi_offset: self.tuple_offset,
            // The block layer's answer to 0 is the logical block.
            interval_exp: 0,
            tag_size: self.tag_size,
            pi_tuple_size,
        }
    }
}

/// What is to be checked of a request's protection information.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IntegrityChecks {
    /// The checksum.
    pub guard: bool,
    /// The reference tag.
    pub reference: bool,
    /// That the application tag is this one.
    pub application: Option<u16>,
}

/// How the metadata is mapped, which is what undoing it takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mapped {
    /// Not at all, or in a way that leaves nothing to undo.
    Nothing,
    /// As I/O virtual addresses.
    Iova,
    /// As a range by itself.
    Range,
}

/// What is mapped of a request's metadata, for the device that its data is mapped for.
pub(super) struct IntegrityMapping {
    mapped: Mapped,
    attrs: usize,
    iova: bindings::dma_iova_state,
    range: Segment,
}

impl IntegrityMapping {
    pub(super) fn new() -> Self {
        IntegrityMapping {
            mapped: Mapped::Nothing,
            attrs: 0,
            iova: bindings::dma_iova_state::default(),
            range: Segment { addr: 0, len: 0 },
        }
    }
}

impl<T: Operations> Request<T> {
    /// What is to be checked of the metadata that comes with the request; `None` if none comes
    /// with it. Does not sleep.
    #[inline]
    pub fn integrity(&self) -> Option<IntegrityChecks> {
        if self.cmd_flags() & bindings::EXT_REQ_INTEGRITY == 0 {
            return None;
        }
        let (mut flags, mut tag) = (0, 0);
        // SAFETY: By the invariant the request is valid.
        if !unsafe { bindings::ext_integrity_checks(self.as_raw(), &mut flags, &mut tag) } {
            return None;
        }
        Some(IntegrityChecks {
            guard: flags & bindings::EXT_BIP_CHECK_GUARD != 0,
            reference: flags & bindings::EXT_BIP_CHECK_REFTAG != 0,
            application: (flags & bindings::EXT_BIP_CHECK_APPTAG != 0).then_some(tag),
        })
    }

    /// Maps the metadata that comes with the request for the device: one stretch of at least
    /// `bytes` bytes. [`Status::INVALID`] if there is none or it is not like that,
    /// [`Status::RESOURCE`] if what mapping takes is short.
    ///
    /// What was mapped before is unmapped first; ending the request or giving it back unmaps it.
    /// Does not sleep.
    pub fn map_integrity(&mut self, bytes: u64) -> Result<Segment, Status> {
        let to_device = self.cmd_flags() & 1 != 0;
        self.unmap_integrity(to_device);
        // The C code maps in the direction of data, and takes it that there is metadata.
        if !self.op().has_data() || self.integrity().is_none() {
            return Err(Status::INVALID);
        }
        let rq = self.as_raw();
        let private = self.private_mut();
        let dev = private.mapping.device();
        let mapping = &mut private.integrity;
        let mut iter = bindings::blk_dma_iter::default();
        mapping.iova = bindings::dma_iova_state::default();
        // SAFETY: The request is ours and started, its device is bound, both by the invariants of
        // `Request`, and it has metadata; `iova` and `iter` are valid for writes.
        if !unsafe { bindings::ext_integrity_map(rq, dev, &mut mapping.iova, &mut iter) } {
            return Err(match Status::from_raw(iter.status) {
                Status::OK => Status::INVALID,
                status => status,
            });
        }
        mapping.attrs = match iter.p2pdma.map {
            bindings::pci_p2pdma_map_type_PCI_P2PDMA_MAP_THRU_HOST_BRIDGE => {
                bindings::DMA_ATTR_MMIO as usize
            }
            _ => 0,
        };
        mapping.range = Segment {
            addr: iter.addr,
            len: iter.len,
        };
        let bus_address = iter.p2pdma.map == bindings::pci_p2pdma_map_type_PCI_P2PDMA_MAP_BUS_ADDR;
        // SAFETY: The device is bound, as above.
        let kept = unsafe { bindings::dma_need_unmap(dev) };
        mapping.mapped = match mapping.iova.__size {
            0 if bus_address || !kept => Mapped::Nothing,
            0 => Mapped::Range,
            _ => Mapped::Iova,
        };
        if u64::from(mapping.range.len) < bytes {
            self.unmap_integrity(to_device);
            return Err(Status::INVALID);
        }
        Ok(mapping.range)
    }

    /// Undoes [`Request::map_integrity`], if anything is mapped. Does not sleep.
    pub(super) fn unmap_integrity(&mut self, to_device: bool) {
        let private = self.private_mut();
        let dev = private.mapping.device();
        let mapping = &mut private.integrity;
        let dir = super::data::direction(to_device);
        let len = mapping.range.len as usize;
        match core::mem::replace(&mut mapping.mapped, Mapped::Nothing) {
            Mapped::Nothing => {}
            Mapped::Iova => {
                // A kernel without IOMMUs maps nothing in this way, and has no such function.
                #[cfg(CONFIG_IOMMU_DMA)]
                // SAFETY: `iova` is what mapping this metadata for this device filled in.
                unsafe {
                    bindings::dma_iova_destroy(dev, &mut mapping.iova, len, dir, mapping.attrs)
                };
            }
            Mapped::Range => {
                // SAFETY: The range was mapped for this device and direction, and not undone yet.
                unsafe {
                    bindings::dma_unmap_phys(dev, mapping.range.addr, len, dir, mapping.attrs)
                };
            }
        }
    }
}
