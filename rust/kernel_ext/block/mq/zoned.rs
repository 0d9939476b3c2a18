// SPDX-License-Identifier: GPL-2.0

//! Disks made of zones, which are written from their beginnings on.
//!
//! The block layer asks for reports of zones from contexts that may sleep: before a disk is added,
//! and whenever somebody who has it open wants to know. It takes a driver at its word about them,
//! in some places by index, so [`ZoneReport`] tells it of zones in their order, each with values
//! that a zone of the disk can have, and of no more than there are.
//!
//! Relies on a disk's zones staying as its limits had them when it was added, all of one size.
//!
//! C header: `include/linux/blkdev.h`, `include/uapi/linux/blkzoned.h`.

use super::{Op, Operations, Request};
use crate::bindings;
use core::{ffi::c_uint, marker::PhantomData, ptr::NonNull};
use kernel::{
    alloc::VVec,
    error::{from_err_ptr, from_result, to_result},
    page::PAGE_SIZE,
    prelude::*,
};

/// log2 of a sector in bytes.
const SECTOR_SHIFT: u32 = 9;

/// The zones of a disk. Sizes are in sectors of 512 bytes but for the append's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZoneLimits {
    /// The size of every zone: a power of two.
    pub zone_sectors: u32,
    /// How many zones can be open at once; 0: all.
    pub max_open: u32,
    /// How many can be active, that is open or closed, at once; 0: all. No less than `max_open`.
    pub max_active: u32,
    /// The longest [`Op::ZoneAppend`] in bytes; 0: there is none, and the block layer makes writes
    /// of what it gets.
    pub max_append: u32,
}

impl ZoneLimits {
    pub(super) fn fill(&self, raw: &mut bindings::queue_limits) {
        raw.chunk_sectors = self.zone_sectors;
        raw.max_open_zones = self.max_open;
        raw.max_active_zones = self.max_active;
        raw.max_hw_zone_append_sectors = self.max_append >> SECTOR_SHIFT;
    }

    /// Whether a disk of `sectors` sectors is made of such zones, and the kernel knows any.
    pub(super) fn make_up(&self, sectors: u64) -> bool {
        let whole = self.zone_sectors.is_power_of_two()
            && sectors & u64::from(self.zone_sectors.wrapping_sub(1)) == 0;
        whole && cfg!(CONFIG_BLK_DEV_ZONED)
    }
}

/// What can be done with a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ZoneCondition {
    /// Nothing is written.
    Empty = bindings::blk_zone_cond_BLK_ZONE_COND_EMPTY as u8,
    /// A write has opened it.
    ImplicitlyOpen = bindings::blk_zone_cond_BLK_ZONE_COND_IMP_OPEN as u8,
    /// [`Op::ZoneOpen`] has.
    ExplicitlyOpen = bindings::blk_zone_cond_BLK_ZONE_COND_EXP_OPEN as u8,
    /// Partly written, and not open.
    Closed = bindings::blk_zone_cond_BLK_ZONE_COND_CLOSED as u8,
    /// It can only be read.
    ReadOnly = bindings::blk_zone_cond_BLK_ZONE_COND_READONLY as u8,
    /// Written to its end, or finished.
    Full = bindings::blk_zone_cond_BLK_ZONE_COND_FULL as u8,
    /// It can be neither read nor written.
    Offline = bindings::blk_zone_cond_BLK_ZONE_COND_OFFLINE as u8,
}

/// A zone that must be written from its beginning on, in sectors of 512 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zone {
    /// What can be done with it.
    pub condition: ZoneCondition,
    /// How much of it can be written: at least 1, at most its size.
    pub capacity: u64,
    /// How much is written: at most the capacity. Counts where a zone is open or closed.
    pub written: u64,
    /// The device would like it to be reset.
    pub reset_recommended: bool,
}

impl Zone {
    /// The zone as C has it, of those that begin at `start` and have `len` sectors; `None` if there
    /// is no such zone.
    fn to_raw(self, start: u64, len: u64) -> Option<bindings::blk_zone> {
        if !(1..=len).contains(&self.capacity) || self.written > self.capacity {
            return None;
        }
        let write_pointer = match self.condition {
            ZoneCondition::Empty => start,
            ZoneCondition::Full => start.checked_add(len)?,
            // There is none.
            ZoneCondition::ReadOnly | ZoneCondition::Offline => u64::MAX,
            _ => start.checked_add(self.written)?,
        };
        Some(bindings::blk_zone {
            start,
            len,
            wp: write_pointer,
            type_: bindings::blk_zone_type_BLK_ZONE_TYPE_SEQWRITE_REQ as u8,
            cond: self.condition as u8,
            reset: self.reset_recommended.into(),
            capacity: self.capacity,
            ..Default::default()
        })
    }
}

/// A report of zones that the block layer waits for.
///
/// # Invariants
///
/// - `disk` is a zoned disk of `T` that stays as long as the value does, and `args` is what came
///   with the call for this report, or null.
/// - Zones have `zone_sectors` sectors, not 0, and there are `left` more from number `next` on that
///   were asked for and that the disk has; `told` zones came before them in this report.
pub struct ZoneReport<'a, T: Operations> {
    disk: NonNull<bindings::gendisk>,
    args: *mut bindings::blk_report_zones_args,
    zone_sectors: u32,
    next: u64,
    told: u32,
    left: u32,
    _disk: PhantomData<&'a mut T>,
}

impl<T: Operations> ZoneReport<'_, T> {
    /// A report of `count` zones, or as many as there are, from the one with `sector` on.
    ///
    /// # Safety
    ///
    /// `disk` is a disk of `T` that stays as long as the value does, and `args` came with the call
    /// for its zones.
    unsafe fn new(
        disk: NonNull<bindings::gendisk>,
        sector: u64,
        count: u32,
        args: *mut bindings::blk_report_zones_args,
    ) -> Result<Self> {
        // SAFETY: The disk is valid, and so are its queue and its whole device. Limits are
        // written over as a whole, but the size of zones stays; the capacity may become 0.
        let (zone_sectors, capacity) = unsafe {
            let disk = disk.as_ptr();
            let zone = &raw const (*(*disk).queue).limits.chunk_sectors;
            let capacity = &raw const (*(*disk).part0).bd_nr_sectors;
            (zone.read_volatile(), capacity.read_volatile())
        };
        let zone = |sector: u64| sector.checked_div(zone_sectors.into()).ok_or(EOPNOTSUPP);
        let next = zone(sector)?;
        let there = zone(capacity)?.saturating_sub(next);
        // INVARIANT: As the caller says; a division by the size has succeeded.
        Ok(ZoneReport {
            disk,
            args,
            zone_sectors,
            next,
            told: 0,
            left: u32::try_from(there).unwrap_or(u32::MAX).min(count),
            _disk: PhantomData,
        })
    }

    /// The first sector of the zone to tell next.
    pub fn sector(&self) -> u64 {
        self.next.wrapping_mul(self.zone_sectors.into())
    }

    /// How many zones are still to tell; 0 if the report is complete.
    pub fn left(&self) -> u32 {
        self.left
    }

    /// The longest buffer to fetch into, in bytes.
    pub fn longest_fetch(&self) -> u32 {
        // SAFETY: The disk is valid by the invariant, and so is its queue. Whatever else is told
        // of its limits, these two stay: what the device can.
        let (sectors, segments) = unsafe {
            let limits = &raw const (*(*self.disk.as_ptr()).queue).limits;
            (
                (&raw const (*limits).max_hw_sectors).read_volatile(),
                (&raw const (*limits).max_segments).read_volatile(),
            )
        };
        // Each page of the buffer is a range by itself.
        let mapped = u32::from(segments).saturating_mul(PAGE_SIZE as u32);
        sectors.saturating_mul(1 << SECTOR_SHIFT).min(mapped)
    }

    /// Tells of the next zone. `EINVAL` if there cannot be such a zone, or none is asked for; what
    /// else may come is the errno of whoever asked, who wants to hear no more. May sleep.
    pub fn tell(&mut self, zone: Zone) -> Result {
        let raw = zone.to_raw(self.sector(), self.zone_sectors.into());
        let mut raw = raw.filter(|_| self.left != 0).ok_or(EINVAL)?;
        #[cfg(CONFIG_BLK_DEV_ZONED)]
        // SAFETY: The disk and the arguments are valid by the invariant. The zone is one of the
        // disk's, by its place and its values; its index is below the count that was asked for.
        to_result(unsafe {
            bindings::disk_report_zone(self.disk.as_ptr(), &mut raw, self.told, self.args)
        })?;
        #[cfg(not(CONFIG_BLK_DEV_ZONED))]
        let _ = (&mut raw, self.args);
        // INVARIANT: One zone further.
        self.next = self.next.wrapping_add(1);
        self.told = self.told.wrapping_add(1);
        self.left = self.left.wrapping_sub(1);
        Ok(())
    }

    /// Has the driver read into `buffer` what it knows about the zones from `sector` on, by a
    /// request of its own ([`Op::DriverIn`]) with this sector and data of the buffer's length.
    ///
    /// `ENODEV` if the disk is gone, `ENOMEM`, `EINVAL` or another errno if the buffer is empty or
    /// longer than [`ZoneReport::longest_fetch`], or what the request ended with. Sleeps.
    pub fn fetch(&self, sector: u64, buffer: &mut VVec<u8>) -> Result {
        let len = c_uint::try_from(buffer.len())?;
        let own = OwnRequest::new(self.disk)?;
        let rq = own.0.as_ptr();
        // SAFETY: The request is ours, and not on its way yet. The buffer is vmalloc memory of that
        // length, borrowed until the request has ended.
        unsafe {
            (*rq).__sector = sector;
            let data = buffer.as_mut_ptr().cast();
            to_result(bindings::blk_rq_map_kern(
                rq,
                data,
                len,
                // Memory must not be made free by I/O here: with the request we hold up whoever
                // wants the queue to be empty, and I/O may wait for that.
                bindings::EXT_GFP_NOIO,
            ))?;
            to_result(bindings::blk_status_to_errno(bindings::blk_execute_rq(
                rq, false,
            )))
        }
    }
}

/// A request of the driver's own.
///
/// # Invariants
///
/// It is allocated, on its way only within [`ZoneReport::fetch`], which waits for its end, and freed
/// by nobody else.
struct OwnRequest(NonNull<bindings::request>);

impl OwnRequest {
    /// Takes a request of the disk's queue. `ENODEV` if the disk is gone. Sleeps.
    fn new(disk: NonNull<bindings::gendisk>) -> Result<Self> {
        // SAFETY: Whoever calls has the disk, and so its queue.
        let rq = from_err_ptr(unsafe {
            let queue = (*disk.as_ptr()).queue;
            bindings::blk_mq_alloc_request(queue, bindings::req_op_REQ_OP_DRV_IN, 0)
        })?;
        // INVARIANT: Allocated just now.
        Ok(OwnRequest(NonNull::new(rq).ok_or(ENOMEM)?))
    }
}

impl Drop for OwnRequest {
    fn drop(&mut self) {
        // SAFETY: By the invariant.
        unsafe { bindings::blk_mq_free_request(self.0.as_ptr()) };
    }
}

/// The block device operation.
///
/// # Safety
///
/// Called by the block layer for a disk of `T` that is being added, or that somebody has open.
pub(super) unsafe extern "C" fn report_zones<T: Operations>(
    disk: *mut bindings::gendisk,
    sector: bindings::sector_t,
    count: c_uint,
    args: *mut bindings::blk_report_zones_args,
) -> i32 {
    from_result(|| {
        let disk = NonNull::new(disk).ok_or(EINVAL)?;
        // An open disk may be on its way out, and its data with it. A disk does not go while a
        // request of it is there, which is long enough to learn what the report takes.
        let own = OwnRequest::new(disk)?;
        // SAFETY: The request's reference holds up the freeze in `del_gendisk`, and the data of the
        // disk's queue is dropped after that.
        let zones = T::zones(unsafe { &*(*(*disk.as_ptr()).queue).queuedata.cast_const().cast() });
        drop(own);
        // SAFETY: The disk stays during the call; the arguments are its own.
        let mut report = unsafe { ZoneReport::<T>::new(disk, sector, count, args)? };
        T::report_zones(zones.ok_or(EOPNOTSUPP)?, &mut report)?;
        Ok(i32::try_from(report.told).unwrap_or(i32::MAX))
    })
}

/// Has the block layer look at all zones of a disk, and set up what it keeps of them. Sleeps.
///
/// # Safety
///
/// `disk` is a zoned disk with capacity, limits and operations, and its queue's data is there.
pub(super) unsafe fn revalidate(disk: *mut bindings::gendisk) -> Result {
    #[cfg(CONFIG_BLK_DEV_ZONED)]
    // SAFETY: As the caller says.
    return to_result(unsafe { bindings::blk_revalidate_disk_zones(disk) });
    #[cfg(not(CONFIG_BLK_DEV_ZONED))]
    {
        let _ = disk;
        Err(EOPNOTSUPP)
    }
}

impl<T: Operations> Request<T> {
    /// Notes that the data of an [`Op::ZoneAppend`] was written from `sector` on, which whoever
    /// made the request learns when it ends. `EINVAL` if it is another request, or not all of that
    /// is in its zone.
    pub fn written_at(&mut self, sector: u64) -> Result {
        if self.op() != Op::ZoneAppend {
            return Err(EINVAL);
        }
        // SAFETY: By the invariant the request is valid, and so is its queue, whose zones stay.
        let zone = u64::from(unsafe {
            let limits = &raw const (*(*self.as_raw()).q).limits;
            (&raw const (*limits).chunk_sectors).read_volatile()
        });
        let zone_of = |sector: u64| sector.checked_div(zone).ok_or(EINVAL);
        let sectors = u64::from(self.bytes() >> SECTOR_SHIFT);
        let last = sector
            .checked_add(sectors.saturating_sub(1))
            .ok_or(EINVAL)?;
        let asked = zone_of(self.sector())?;
        if (zone_of(sector)?, zone_of(last)?) != (asked, asked) {
            return Err(EINVAL);
        }
        // SAFETY: The request is valid and ours; this is where the block layer looks.
        unsafe { (*self.as_raw()).__sector = sector };
        Ok(())
    }
}
