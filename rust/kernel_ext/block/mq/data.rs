// SPDX-License-Identifier: GPL-2.0

//! A request's data, mapped for the device.
//!
//! The mapping belongs to the request: what has been mapped is remembered in its private data, not
//! read back from what the device was told, and is undone before the request leaves the driver.
//!
//! C header: `include/linux/blk-mq-dma.h`.

use super::{Operations, Request};
use crate::{bindings, block::Status, raw};
use core::ptr::NonNull;
use kernel::{device, prelude::*};

/// A range of bus addresses.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    /// The bus address of the first byte.
    pub addr: u64,
    /// The length in bytes; not 0.
    pub len: u32,
}

/// How the data is mapped, which is what undoing it takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mapped {
    /// Not at all, or in a way that leaves nothing to undo.
    Nothing,
    /// As one range of I/O virtual addresses, of so many bytes.
    Iova(usize),
    /// Range by range; `segments` lists them.
    Segments,
}

/// What is mapped of a request's data.
///
/// # Invariants
///
/// `dev` points to the device of the request's tag set, of which that holds a reference.
pub(super) struct DataMapping {
    dev: NonNull<bindings::device>,
    mapped: Mapped,
    attrs: usize,
    iova: bindings::dma_iova_state,
    segments: KVec<Segment>,
}

// SAFETY: The pointer is to a device, whose mappings may be made and undone on any CPU.
unsafe impl Send for DataMapping {}

impl DataMapping {
    pub(super) fn new(dev: &device::Device) -> Self {
        DataMapping {
            dev: NonNull::from(dev).cast(),
            mapped: Mapped::Nothing,
            attrs: 0,
            iova: bindings::dma_iova_state::default(),
            segments: KVec::new(),
        }
    }

    /// The device that the request's data is mapped for.
    #[inline]
    pub(super) fn device(&self) -> *mut bindings::device {
        self.dev.as_ptr()
    }

    #[inline]
    pub(super) fn unmap(&mut self, to_device: bool) {
        if self.mapped != Mapped::Nothing {
            self.unmap_slow(to_device);
        }
    }

    #[cold]
    fn unmap_slow(&mut self, to_device: bool) {
        let dir = direction(to_device);
        match core::mem::replace(&mut self.mapped, Mapped::Nothing) {
            Mapped::Nothing => {}
            Mapped::Iova(len) => {
                // A kernel without IOMMUs maps nothing in this way, and has no such function.
                #[cfg(not(CONFIG_IOMMU_DMA))]
                let _ = len;
                #[cfg(CONFIG_IOMMU_DMA)]
                // SAFETY: `iova` is what mapping this request for this device filled in.
                unsafe {
                    bindings::dma_iova_destroy(
                        self.dev.as_ptr(),
                        &mut self.iova,
                        len,
                        dir,
                        self.attrs,
                    )
                };
            }
            Mapped::Segments => {
                for segment in core::mem::take(&mut self.segments) {
                    self.unmap_one(segment, dir);
                }
            }
        }
    }

    fn unmap_one(&self, segment: Segment, dir: bindings::dma_data_direction) {
        // SAFETY: The range was mapped for this device and this direction, and not undone yet.
        unsafe {
            bindings::dma_unmap_phys(
                self.dev.as_ptr(),
                segment.addr,
                segment.len as usize,
                dir,
                self.attrs,
            )
        };
    }

    /// Remembers a range that was mapped by itself, if undoing it takes anything.
    #[inline]
    fn remember(
        &mut self,
        segment: Segment,
        expected: usize,
        to_device: bool,
    ) -> Result<(), Status> {
        // Asked anew for each range: using a bounce buffer for one changes the answer.
        // SAFETY: `dev` is valid by the invariant.
        if !unsafe { bindings::dma_need_unmap(self.dev.as_ptr()) } {
            return Ok(());
        }
        let room = if self.segments.is_empty() {
            self.segments.reserve(expected.max(1), GFP_ATOMIC)
        } else {
            Ok(())
        };
        if room.is_err() || self.segments.push(segment, GFP_ATOMIC).is_err() {
            self.unmap_one(segment, direction(to_device));
            return Err(Status::RESOURCE);
        }
        self.mapped = Mapped::Segments;
        Ok(())
    }
}

/// Maps a request's data piece by piece, as it is asked for.
///
/// When it ends early, [`DataSegments::finish`] tells why.
pub struct DataSegments<'r, T: Operations> {
    rq: &'r mut Request<T>,
    iter: bindings::blk_dma_iter,
    started: bool,
    ended: bool,
    status: Status,
}

impl<'r, T: Operations> DataSegments<'r, T> {
    #[inline]
    pub(super) fn new(rq: &'r mut Request<T>) -> Self {
        rq.unmap_data();
        DataSegments {
            rq,
            iter: bindings::blk_dma_iter::default(),
            started: false,
            ended: false,
            status: Status::OK,
        }
    }

    /// Why the iterator ended: `Ok` if there was no more data to map, or it has not ended.
    #[inline]
    pub fn finish(self) -> Result<(), Status> {
        match self.status {
            Status::OK => Ok(()),
            status => Err(status),
        }
    }

    /// Maps the first range. The C code decides whether it stands for all.
    fn start(&mut self) -> bool {
        self.started = true;
        // The C code walks pages of data, which other operations may not have.
        if !self.rq.op().has_data() {
            self.iter.status = Status::NOT_SUPPORTED.raw();
            return false;
        }
        let rq = self.rq.as_raw();
        let bytes = self.rq.bytes() as usize;
        let mapping = &mut self.rq.private_mut().mapping;
        let dev = mapping.dev.as_ptr();
        // What the tag's last use left there would be taken for this one's.
        mapping.iova = bindings::dma_iova_state::default();
        // SAFETY: The request is ours and started, its device is bound, both by the invariants of
        // `Request`; `iova` and `iter` are valid for writes.
        let more = unsafe {
            bindings::blk_rq_dma_map_iter_start(rq, dev, &mut mapping.iova, &mut self.iter)
        };
        if !more {
            return false;
        }
        mapping.attrs = match self.iter.p2pdma.map {
            bindings::pci_p2pdma_map_type_PCI_P2PDMA_MAP_THRU_HOST_BRIDGE => {
                bindings::DMA_ATTR_MMIO as usize
            }
            _ => 0,
        };
        if mapping.iova.__size != 0 {
            mapping.mapped = Mapped::Iova(bytes);
            self.ended = true;
        }
        true
    }
}

impl<T: Operations> Iterator for DataSegments<'_, T> {
    type Item = Segment;

    #[inline]
    fn next(&mut self) -> Option<Segment> {
        if self.ended {
            return None;
        }
        let more = if !self.started {
            self.start()
        } else {
            let rq = self.rq.as_raw();
            let dev = self.rq.private_mut().mapping.dev.as_ptr();
            // SAFETY: As in `start`, which has been called and has not mapped everything.
            unsafe { bindings::blk_rq_dma_map_iter_next(rq, dev, &mut self.iter) }
        };
        if !more {
            self.ended = true;
            self.status = Status::from_raw(self.iter.status);
            return None;
        }
        let segment = Segment {
            addr: self.iter.addr,
            len: self.iter.len,
        };
        let bus_address =
            self.iter.p2pdma.map == bindings::pci_p2pdma_map_type_PCI_P2PDMA_MAP_BUS_ADDR;
        if self.ended || bus_address {
            return Some(segment);
        }
        let to_device = self.rq.cmd_flags() & 1 != 0;
        // SAFETY: The request is valid; the field does not change while it is ours.
        let expected = unsafe { (*self.rq.as_raw()).nr_phys_segments } as usize;
        let mapping = &mut self.rq.private_mut().mapping;
        if let Err(status) = mapping.remember(segment, expected, to_device) {
            self.ended = true;
            self.status = status;
            return None;
        }
        Some(segment)
    }
}

/// Which way the data of a request goes.
pub(super) fn direction(to_device: bool) -> bindings::dma_data_direction {
    if to_device {
        bindings::dma_data_direction::DMA_TO_DEVICE
    } else {
        bindings::dma_data_direction::DMA_FROM_DEVICE
    }
}

/// The device of a tag set is the one that its requests' data is mapped for.
pub(super) fn same_device(a: &device::Device, b: &device::Device<device::Bound>) -> bool {
    raw::device(a) == raw::device(b)
}
