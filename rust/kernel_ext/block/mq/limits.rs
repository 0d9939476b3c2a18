// SPDX-License-Identifier: GPL-2.0

//! What a disk's queue can take, in bytes, as a driver tells it when it adds a disk.
//!
//! The block layer checks it again (`blk_validate_limits`): what it finds senseless makes adding
//! the disk fail, or is left out.
//!
//! C header: `include/linux/blkdev.h`, `struct queue_limits`.

use super::{Integrity, ZoneLimits};
use crate::bindings;

/// What a disk's queue can take; what is not known is as in [`Limits::NONE`].
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The unit of addressing in bytes.
    pub logical_block_size: u32,
    /// The unit that the device writes at once, in bytes; a power of two.
    pub physical_block_size: u32,
    /// The smallest transfer that costs no more than it must, in bytes; 0: a physical block.
    pub io_min: u32,
    /// The transfer that the device likes best, in bytes; 0: it does not say.
    pub io_opt: u32,
    /// The longest transfer in bytes.
    pub max_transfer: u32,
    /// The longest one unless users ask for longer; 0: what the block layer thinks.
    pub usual_transfer: u32,
    /// Transfers do not cross multiples of so many bytes; 0: they may.
    pub chunk: u32,
    /// The most ranges of memory in one request.
    pub max_segments: u16,
    /// Ranges but the first begin, and ranges but the last end, where these address bits are 0.
    pub virt_boundary_mask: usize,
    /// Data must begin where these address bits are 0.
    pub dma_alignment: u32,
    /// The device has a volatile write cache, so flushes mean something.
    pub write_cache: bool,
    /// The device can write through its cache.
    pub fua: bool,
    /// The medium turns.
    pub rotational: bool,
    /// Nothing can be written.
    pub read_only: bool,
    /// What the device can deallocate, if it can.
    pub discard: Option<Discard>,
    /// How many bytes one request can set to zero without sending them; 0: none.
    pub max_write_zeroes: u32,
    /// Setting to zero may deallocate. Relies on `max_write_zeroes` not being 0.
    pub write_zeroes_unmaps: bool,
    /// What is written whole or not at all, if the device says so.
    pub atomic: Option<AtomicWrite>,
    /// The zones that the disk is made of, if it is zoned; their size takes the place of `chunk`.
    pub zones: Option<ZoneLimits>,
    /// How many streams of data the device keeps apart; 0: none.
    pub write_streams: u16,
    /// How many bytes a stream fills before it takes new room; 0: unknown.
    pub write_stream_granularity: u32,
    /// The metadata that comes with each block in a buffer of its own, if there is any.
    pub integrity: Option<Integrity>,
}

/// What one request can deallocate.
#[derive(Clone, Copy, Debug)]
pub struct Discard {
    /// The most bytes in all.
    pub max_bytes: u64,
    /// The most ranges.
    pub max_ranges: u16,
    /// The unit in which the device deallocates, in bytes.
    pub granularity: u32,
}

/// What is written whole or not at all, power failure or not, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct AtomicWrite {
    /// The longest such write of the device.
    pub max: u32,
    /// Such a write must not cross a multiple of this; 0: it may.
    pub boundary: u32,
    /// The shortest write of a user; a power of two.
    pub unit_min: u32,
    /// The longest write of a user; a power of two.
    pub unit_max: u32,
}

/// Bytes as sectors of 512 bytes, bounded.
fn sectors(bytes: u64) -> u32 {
    u32::try_from(bytes >> 9).unwrap_or(u32::MAX)
}

impl Limits {
    /// Of everything nothing: to name only what there is.
    pub const NONE: Limits = Limits {
        logical_block_size: 0,
        physical_block_size: 0,
        io_min: 0,
        io_opt: 0,
        max_transfer: 0,
        usual_transfer: 0,
        chunk: 0,
        max_segments: 0,
        virt_boundary_mask: 0,
        dma_alignment: 0,
        write_cache: false,
        fua: false,
        rotational: false,
        read_only: false,
        discard: None,
        max_write_zeroes: 0,
        write_zeroes_unmaps: false,
        atomic: None,
        zones: None,
        write_streams: 0,
        write_stream_granularity: 0,
        integrity: None,
    };

    fn features(&self) -> bindings::blk_features_t {
        let said = [
            (self.write_cache, bindings::EXT_BLK_FEAT_WRITE_CACHE),
            (self.fua, bindings::EXT_BLK_FEAT_FUA),
            (self.rotational, bindings::EXT_BLK_FEAT_ROTATIONAL),
            (self.atomic.is_some(), bindings::EXT_BLK_FEAT_ATOMIC_WRITES),
            (self.zones.is_some(), bindings::EXT_BLK_FEAT_ZONED),
        ];
        said.iter()
            .filter(|(given, _)| *given)
            .fold(0, |all, (_, feature)| all | feature)
    }

    pub(super) fn to_raw(self) -> bindings::queue_limits {
        let mut raw = bindings::queue_limits {
            features: self.features(),
            logical_block_size: self.logical_block_size,
            physical_block_size: self.physical_block_size,
            io_min: self.io_min,
            io_opt: self.io_opt,
            max_hw_sectors: self.max_transfer >> 9,
            max_user_sectors: self.usual_transfer >> 9,
            chunk_sectors: self.chunk >> 9,
            max_segments: self.max_segments,
            max_segment_size: u32::MAX,
            virt_boundary_mask: self.virt_boundary_mask,
            dma_alignment: self.dma_alignment,
            max_write_zeroes_sectors: self.max_write_zeroes >> 9,
            max_write_streams: self.write_streams,
            write_stream_granularity: self.write_stream_granularity,
            ..Default::default()
        };
        if self.write_zeroes_unmaps {
            raw.max_hw_wzeroes_unmap_sectors = raw.max_write_zeroes_sectors;
        }
        if let Some(discard) = self.discard {
            raw.max_hw_discard_sectors = sectors(discard.max_bytes);
            raw.max_discard_segments = discard.max_ranges;
            raw.discard_granularity = discard.granularity;
        }
        if let Some(atomic) = self.atomic {
            raw.atomic_write_hw_max = atomic.max;
            raw.atomic_write_hw_boundary = atomic.boundary;
            raw.atomic_write_hw_unit_min = atomic.unit_min;
            raw.atomic_write_hw_unit_max = atomic.unit_max;
        }
        if let Some(zones) = self.zones {
            zones.fill(&mut raw);
        }
        if let Some(integrity) = self.integrity {
            raw.integrity = integrity.to_raw();
            // A request's metadata is one stretch.
            raw.max_integrity_segments = 1;
        }
        raw
    }
}
