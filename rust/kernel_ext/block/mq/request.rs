// SPDX-License-Identifier: GPL-2.0

//! A request that belongs to the driver.

use super::{data::DataMapping, integrity::IntegrityMapping, Batch, DataSegments, Operations};
use crate::{bindings, block::Status};
use core::{
    marker::PhantomData,
    mem::{align_of, size_of, ManuallyDrop},
    ptr::NonNull,
};
use kernel::device;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Read data.
    Read,
    /// Write data.
    Write,
    /// Make all completed writes durable.
    Flush,
    /// Forget what is there: [`Request::discard_ranges`].
    Discard,
    /// Make it read as zeros.
    WriteZeroes,
    /// Do what the driver has put into the private data: [`super::CommandQueue::execute`].
    Driver,
    /// Write data where the zone's write pointer is: [`Request::written_at`].
    ZoneAppend,
    /// Make the zone at the sector empty.
    ZoneReset,
    /// Make all zones empty.
    ZoneResetAll,
    /// Open the zone at the sector.
    ZoneOpen,
    /// Close the zone at the sector.
    ZoneClose,
    /// Make the zone at the sector full.
    ZoneFinish,
    /// Read what the driver itself asked for: [`super::ZoneReport::fetch`].
    DriverIn,
    /// Anything else: the C value of `enum req_op`.
    Other(u8),
}

impl Op {
    /// Whether there are pages of data to map.
    #[inline]
    pub(super) fn has_data(self) -> bool {
        matches!(self, Op::Read | Op::Write | Op::ZoneAppend | Op::DriverIn)
    }
}

/// How a request's data lies in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DataShape {
    /// Where it begins, from the base of a page on, in bytes; that may be beyond the page.
    pub first_offset: u32,
    /// Every address bit that may be set where one range of memory ends or the next begins.
    pub gaps: u64,
}

/// When a request comes again that memory was short for: as blk-mq itself has it come.
const RESOURCE_DELAY_MS: usize = 3;

/// What lies behind `struct request`.
pub(super) struct RequestData<T: Operations> {
    pub(super) mapping: DataMapping,
    pub(super) integrity: IntegrityMapping,
    /// How the request ended, on its way to [`Operations::complete`].
    status: Status,
    /// How often it was requeued since the block layer made it.
    requeued: u8,
    driver: T::RequestData,
}

impl<T: Operations> RequestData<T> {
    /// The private data begins where `struct request` ends, so it must not need more alignment.
    pub(super) const FITS: () = assert!(
        size_of::<bindings::request>() % align_of::<Self>() == 0
            && align_of::<Self>() <= align_of::<bindings::request>()
    );

    /// Notes that the driver has seen this request, and forgets what it knew of the last one with
    /// this tag. The block layer does not merge a request any more that has been noted.
    ///
    /// # Safety
    ///
    /// The request is of a tag set of `T`, comes from blk-mq, and has not been started.
    #[inline]
    pub(super) unsafe fn prepare(rq: *mut bindings::request) {
        // SAFETY: It is nobody else's, and its private data lies behind it.
        unsafe {
            if (*rq).rq_flags & bindings::EXT_RQF_DONTPREP == 0 {
                (*rq).rq_flags |= bindings::EXT_RQF_DONTPREP;
                (*rq.add(1).cast::<Self>()).requeued = 0;
            }
        }
    }

    /// The driver's part of the private data of `rq`.
    ///
    /// # Safety
    ///
    /// The request is of a tag set of `T`, and nobody else has it for as long as the reference
    /// lives.
    pub(super) unsafe fn driver_of<'a>(rq: *mut bindings::request) -> &'a mut T::RequestData {
        // SAFETY: Its private data lies behind it, initialised when the set was made.
        unsafe { &mut (*rq.add(1).cast::<Self>()).driver }
    }

    pub(super) fn new(dev: &device::Device) -> Self {
        RequestData {
            mapping: DataMapping::new(dev),
            integrity: IntegrityMapping::new(),
            status: Status::OK,
            requeued: 0,
            driver: T::RequestData::default(),
        }
    }
}

/// A request of `T` that has been started and has not ended.
///
/// # Invariants
///
/// - The pointer is to a started request of a tag set of `T`, which belongs to this value alone,
///   and behind which lies an initialised `RequestData<T>`.
/// - The device of the tag set is bound.
#[repr(transparent)]
pub struct Request<T: Operations>(NonNull<bindings::request>, PhantomData<T>);

// SAFETY: A request may be worked on and ended by any task on any CPU.
unsafe impl<T: Operations> Send for Request<T> {}

impl<T: Operations> Request<T> {
    /// # Safety
    ///
    /// The caller hands over what the type's invariants say.
    #[inline]
    pub(super) unsafe fn from_raw(rq: *mut bindings::request) -> Self {
        // SAFETY: A valid pointer is not null.
        Request(unsafe { NonNull::new_unchecked(rq) }, PhantomData)
    }

    /// Gives up the value without ending the request.
    #[inline]
    pub(super) fn into_raw(self) -> NonNull<bindings::request> {
        ManuallyDrop::new(self).0
    }

    #[inline]
    pub(super) fn as_raw(&self) -> *mut bindings::request {
        self.0.as_ptr()
    }

    #[inline]
    fn private(&self) -> &RequestData<T> {
        // SAFETY: By the invariant there is private data, which is this value's.
        unsafe { self.0.add(1).cast().as_ref() }
    }

    #[inline]
    pub(super) fn private_mut(&mut self) -> &mut RequestData<T> {
        // SAFETY: As above, and the value is borrowed exclusively.
        unsafe { self.0.add(1).cast().as_mut() }
    }

    /// The driver's data of this request.
    #[inline]
    pub fn data(&self) -> &T::RequestData {
        &self.private().driver
    }

    /// The driver's data of this request.
    #[inline]
    pub fn data_mut(&mut self) -> &mut T::RequestData {
        &mut self.private_mut().driver
    }

    /// The data of the disk that the request is for.
    #[inline]
    pub fn disk(&self) -> &T::QueueData {
        // SAFETY: By the invariant the request is valid; its queue is that of a disk of `T` or of
        // a `CommandQueue<T>`, whose data is there until all of its requests have ended.
        unsafe { &*(*(*self.as_raw()).q).queuedata.cast_const().cast() }
    }

    /// Whether that disk is on its way out.
    pub fn disk_is_dying(&self) -> bool {
        // SAFETY: By the invariant the request is valid, and so is its queue.
        unsafe { bindings::ext_queue_dying((*self.as_raw()).q) }
    }

    #[inline]
    pub(super) fn cmd_flags(&self) -> bindings::blk_opf_t {
        // SAFETY: By the invariant the request is valid; it does not change while it is ours.
        unsafe { (*self.as_raw()).cmd_flags }
    }

    /// What the request asks for.
    #[inline]
    pub fn op(&self) -> Op {
        // The operation is the low byte (REQ_OP_MASK).
        match self.cmd_flags() & 0xff {
            bindings::req_op_REQ_OP_READ => Op::Read,
            bindings::req_op_REQ_OP_WRITE => Op::Write,
            bindings::req_op_REQ_OP_FLUSH => Op::Flush,
            bindings::req_op_REQ_OP_DISCARD => Op::Discard,
            bindings::req_op_REQ_OP_WRITE_ZEROES => Op::WriteZeroes,
            bindings::req_op_REQ_OP_DRV_OUT => Op::Driver,
            bindings::req_op_REQ_OP_ZONE_APPEND => Op::ZoneAppend,
            bindings::req_op_REQ_OP_ZONE_RESET => Op::ZoneReset,
            bindings::req_op_REQ_OP_ZONE_RESET_ALL => Op::ZoneResetAll,
            bindings::req_op_REQ_OP_ZONE_OPEN => Op::ZoneOpen,
            bindings::req_op_REQ_OP_ZONE_CLOSE => Op::ZoneClose,
            bindings::req_op_REQ_OP_ZONE_FINISH => Op::ZoneFinish,
            bindings::req_op_REQ_OP_DRV_IN => Op::DriverIn,
            other => Op::Other(other as u8),
        }
    }

    /// Whether the data written must be durable when the request ends (`REQ_FUA`).
    #[inline]
    pub fn fua(&self) -> bool {
        self.cmd_flags() & bindings::EXT_REQ_FUA != 0
    }

    /// Whether what is made zero must stay allocated (`REQ_NOUNMAP`).
    #[inline]
    pub fn stays_allocated(&self) -> bool {
        self.cmd_flags() & bindings::EXT_REQ_NOUNMAP != 0
    }

    /// Whether who asked would rather have an error soon than success late (`REQ_FAILFAST_*`).
    #[inline]
    pub fn fails_fast(&self) -> bool {
        self.cmd_flags() & bindings::EXT_REQ_FAILFAST_MASK != 0
    }

    /// Whether who asked would rather have an error soon than the device try again and again
    /// (`REQ_FAILFAST_DEV`).
    #[inline]
    pub fn fails_fast_in_device(&self) -> bool {
        self.cmd_flags() & bindings::EXT_REQ_FAILFAST_DEV != 0
    }

    /// Whether it must be written whole or not at all (`REQ_ATOMIC`).
    #[inline]
    pub fn atomic(&self) -> bool {
        self.cmd_flags() & bindings::EXT_REQ_ATOMIC != 0
    }

    /// Whether nobody waits for the data yet (`REQ_RAHEAD`).
    #[inline]
    pub fn reads_ahead(&self) -> bool {
        self.cmd_flags() & bindings::EXT_REQ_RAHEAD != 0
    }

    /// The first sector, in units of 512 bytes.
    #[inline]
    pub fn sector(&self) -> u64 {
        // SAFETY: By the invariant the request is valid.
        unsafe { (*self.as_raw()).__sector }
    }

    /// The length of the data in bytes; 0 for a flush.
    #[inline]
    pub fn bytes(&self) -> u32 {
        // SAFETY: By the invariant the request is valid.
        unsafe { (*self.as_raw()).__data_len }
    }

    /// The most ranges of memory that its data has: mapping may join some.
    #[inline]
    pub fn segments(&self) -> u16 {
        // SAFETY: By the invariant the request is valid.
        unsafe { (*self.as_raw()).nr_phys_segments }
    }

    /// How the data lies in memory, before it is mapped; nothing but zeros without data.
    #[inline]
    pub fn data_shape(&self) -> DataShape {
        let mut shape = DataShape::default();
        if self.op().has_data() && self.bytes() != 0 {
            // SAFETY: By the invariant the request is valid, and it has data.
            unsafe {
                bindings::ext_data_shape(self.as_raw(), &mut shape.first_offset, &mut shape.gaps)
            };
        }
        shape
    }

    /// The stream of data that the write belongs to, from 1 on; 0 if it belongs to none.
    #[inline]
    pub fn write_stream(&self) -> u8 {
        // SAFETY: By the invariant the request is valid, and so are its bios while it is ours.
        unsafe {
            let bio = (*self.as_raw()).bio;
            if bio.is_null() {
                0
            } else {
                (*bio).bi_write_stream
            }
        }
    }

    /// The tag: unique among the started requests of a hardware queue, below the queue's depth.
    #[inline]
    pub fn tag(&self) -> u16 {
        // SAFETY: By the invariant the request is valid. The depth of a tag set fits 16 bits.
        unsafe { (*self.as_raw()).tag as u16 }
    }

    /// Maps the request's data for the device, as an iterator over ranges of bus addresses.
    ///
    /// What was mapped before is unmapped first; ending the request or giving it back unmaps it.
    /// Does not sleep.
    #[inline]
    pub fn map_data(&mut self) -> DataSegments<'_, T> {
        DataSegments::new(self)
    }

    /// Undoes [`Request::map_data`], if anything is mapped. Does not sleep.
    #[inline]
    pub(super) fn unmap_data(&mut self) {
        let to_device = self.cmd_flags() & 1 != 0;
        self.private_mut().mapping.unmap(to_device);
    }

    /// Undoes all mappings, before the request leaves the driver. Does not sleep.
    #[inline]
    fn unmap(&mut self) {
        self.unmap_data();
        // Without this flag there was nothing else to map.
        let flags = self.cmd_flags();
        if flags & bindings::EXT_REQ_INTEGRITY != 0 {
            self.unmap_integrity(flags & 1 != 0);
        }
    }

    /// Ends the request with `status`. Does not sleep.
    #[inline]
    pub fn end(mut self, status: Status) {
        self.unmap();
        // SAFETY: By the invariant the request is started and ours to end; nothing is mapped.
        unsafe { bindings::blk_mq_end_request(self.into_raw().as_ptr(), status.raw()) };
    }

    /// How often [`Request::requeue`] was called for it.
    #[inline]
    pub fn requeued(&self) -> u8 {
        self.private().requeued
    }

    /// Gives the request back to come again after `delay_ms` milliseconds, or with another that
    /// comes again earlier. It is not merged with others from now on. Does not sleep.
    pub fn requeue(mut self, delay_ms: u32) {
        self.unmap();
        let private = self.private_mut();
        private.requeued = private.requeued.saturating_add(1);
        // SAFETY: By the invariant the request is started and ours; nothing is mapped.
        unsafe { bindings::ext_requeue(self.into_raw().as_ptr(), delay_ms as usize) };
    }

    /// Hands the request to [`Operations::complete`] with `status`, on this CPU or on one that is
    /// closer to its submitter. For the interrupt handler. Does not sleep.
    #[inline]
    pub fn complete(mut self, status: Status) {
        self.private_mut().status = status;
        let rq = self.into_raw();
        // SAFETY: By the invariant the request is started and ours. The C function either takes it
        // along to the other CPU or leaves it here.
        unsafe {
            if !bindings::blk_mq_complete_request_remote(rq.as_ptr()) {
                T::complete(Request::from_raw(rq.as_ptr()));
            }
        }
    }

    /// As [`Request::complete`] with success, but if the request stays on this CPU it may end along
    /// with the others of `batch`, by way of [`Operations::release`]. Does not sleep.
    #[inline]
    pub fn complete_in(mut self, batch: &mut Batch<'_, T>) {
        self.private_mut().status = Status::OK;
        let rq = self.into_raw().as_ptr();
        // SAFETY: By the invariant the request is started and ours, and given to one of the three.
        unsafe {
            if !bindings::blk_mq_complete_request_remote(rq) && !batch.add(rq) {
                T::complete(Request::from_raw(rq));
            }
        }
    }

    /// Frees what was needed for the device only, for a request about to end.
    #[inline]
    pub(super) fn release(&mut self) {
        let op = self.op();
        T::release(self.data_mut(), op);
        self.unmap();
    }

    /// The status given to [`Request::complete`].
    #[inline]
    pub fn status(&self) -> Status {
        self.private().status
    }

    /// Ends a request that could not be taken, or has it come again if that is for want of memory.
    #[cold]
    pub(super) fn refuse(mut self, status: Status) {
        match status {
            Status::RESOURCE => {
                self.unmap();
                // SAFETY: By the invariant the request is started and ours; nothing is mapped.
                unsafe { bindings::ext_requeue(self.into_raw().as_ptr(), RESOURCE_DELAY_MS) };
            }
            Status::OK => self.end(Status::IO_ERROR),
            status => self.end(status),
        }
    }

    /// Leaves a rejected request to blk-mq.
    pub(super) fn give_back(mut self) {
        self.unmap();
        self.into_raw();
    }
}

impl<T: Operations> Drop for Request<T> {
    fn drop(&mut self) {
        self.unmap();
        // SAFETY: As in `end`. Somebody waits for the request: an error is better than silence.
        unsafe { bindings::blk_mq_end_request(self.as_raw(), Status::IO_ERROR.raw()) };
    }
}
