// SPDX-License-Identifier: GPL-2.0

//! What a driver implements, and the table of C functions made from it.

use super::{
    request::RequestData, tag_set::TagSetData, Batch, Op, Request, RequestList, ZoneReport,
};
use crate::{bindings, block::Status};
use core::{ffi::c_uint, ffi::c_void, marker::PhantomData};
use kernel::{error::from_result, prelude::*, sync::Arc, ModuleMetadata};

/// A request that the driver could not take, with the status that says why.
///
/// It is the request of the same call; any other ends with an error. A status that means success
/// is taken for [`Status::IO_ERROR`].
pub struct Rejected<T: Operations>(pub Request<T>, pub Status);

/// A multi-queue block driver.
pub trait Operations: Sized + 'static {
    /// The module that holds the driver's code; it stays loaded while a disk is open.
    type OwnerModule: ModuleMetadata;
    /// The data of a tag set.
    type SetData: Send + Sync + 'static;
    /// The data of a hardware queue, shared by the disks of a tag set.
    type HwData: Send + Sync + 'static;
    /// The data of a disk.
    type QueueData: Send + Sync + 'static;
    /// The data of a request, made once per tag and kept from one use of the tag to the next.
    type RequestData: Default + Send + 'static;

    /// What it takes to report a disk's zones.
    type Zones: 'static;

    /// The data of hardware queue `index`, asked for once per disk and command queue. May sleep.
    fn init_hctx(set: &Self::SetData, index: usize) -> Result<Arc<Self::HwData>>;

    /// Takes a started request, or rejects it.
    ///
    /// A request rejected with a `RESOURCE` status comes again later. With `last` unset another
    /// one, or [`Operations::commit_rqs`], follows at once. Must not sleep.
    fn queue_rq(
        hw: &Self::HwData,
        disk: &Self::QueueData,
        rq: Request<Self>,
        last: bool,
    ) -> Result<(), Rejected<Self>>;

    /// No further request follows the ones taken with `last` unset. Must not sleep.
    fn commit_rqs(hw: &Self::HwData);

    /// Takes started requests that come together. Must not sleep.
    fn queue_rqs(hw: &Self::HwData, disk: &Self::QueueData, mut list: RequestList<Self>) {
        while let Some(rq) = list.pop_front() {
            if let Err(Rejected(rq, status)) = Self::queue_rq(hw, disk, rq, list.is_empty()) {
                rq.refuse(status);
                Self::commit_rqs(hw);
            }
        }
    }

    /// Looks for requests of a polled hardware queue that the device has finished, and says how
    /// many there were. Called by their submitters, by several at a time; must not sleep.
    fn poll(_hw: &Self::HwData, _batch: &mut Batch<'_, Self>) -> u16 {
        0
    }

    /// What it takes to report the zones of a disk with such limits; none of another one.
    fn zones(_disk: &Self::QueueData) -> Option<Self::Zones> {
        None
    }

    /// Tells `report` the zones that it asks for. May sleep, but not wait for memory that I/O to
    /// the disk would have to free: the block layer sees to that.
    ///
    /// The disk may go away meanwhile, with its data; then fetching fails.
    fn report_zones(_zones: Self::Zones, _report: &mut ZoneReport<'_, Self>) -> Result {
        Err(EOPNOTSUPP)
    }

    /// Frees what the driver holds for a request that [`Request::complete_in`] ends along with
    /// others, and which does not come to [`Operations::complete`]. Must not sleep; may run in
    /// hard interrupt context.
    fn release(data: &mut Self::RequestData, op: Op);

    /// Finishes a request that was handed to [`Request::complete`], on a CPU that the block layer
    /// has chosen. Must not sleep; may run in hard interrupt context.
    fn complete(rq: Request<Self>);
}

/// A reference to a request queue: its data and that of its hardware queues stay meanwhile.
///
/// The requests that a driver is given hold some, but end when the device likes.
///
/// # Invariants
///
/// The pointer is to a queue of which a usage reference is held.
struct UsedQueue(*mut bindings::request_queue);

impl UsedQueue {
    /// # Safety
    ///
    /// The caller has a request of this queue.
    #[inline]
    unsafe fn new(queue: *mut bindings::request_queue) -> Self {
        // SAFETY: The request holds a reference, so another one can be taken.
        unsafe { bindings::ext_queue_get(queue) };
        UsedQueue(queue)
    }
}

impl Drop for UsedQueue {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the invariant the reference is ours.
        unsafe { bindings::ext_queue_put(self.0) };
    }
}

/// The C functions for `T`.
pub(super) struct Table<T: Operations>(PhantomData<T>);

impl<T: Operations> Table<T> {
    pub(super) const OPS: bindings::blk_mq_ops = bindings::blk_mq_ops {
        queue_rq: Some(Self::queue_rq),
        commit_rqs: Some(Self::commit_rqs),
        complete: Some(Self::complete),
        init_hctx: Some(Self::init_hctx),
        exit_hctx: Some(Self::exit_hctx),
        init_request: Some(Self::init_request),
        exit_request: Some(Self::exit_request),
        map_queues: Some(Self::map_queues),
        queue_rqs: Some(Self::queue_rqs),
        get_budget: None,
        put_budget: None,
        set_rq_budget_token: None,
        get_rq_budget_token: None,
        timeout: None,
        poll: Some(Self::poll),
        cleanup_rq: None,
        busy: None,
        #[cfg(CONFIG_BLK_DEBUG_FS)]
        show_rq: None,
    };

    /// # Safety
    ///
    /// Called by blk-mq for a live hardware context and a request that it hands over.
    unsafe extern "C" fn queue_rq(
        hctx: *mut bindings::blk_mq_hw_ctx,
        bd: *const bindings::blk_mq_queue_data,
    ) -> bindings::blk_status_t {
        // SAFETY: Both are valid during the call, and the request is one of this queue.
        let queue = unsafe { UsedQueue::new((*hctx).queue) };
        // SAFETY: `driver_data` is what `init_hctx` stored, kept until `exit_hctx`; `queuedata` is
        // the disk's or the command queue's, kept until it has left the block layer. Neither
        // happens while the queue is used.
        let (hw, disk, rq, last) = unsafe {
            let disk = (*queue.0).queuedata.cast_const().cast::<T::QueueData>();
            let hw = (*hctx).driver_data.cast_const().cast::<T::HwData>();
            (&*hw, &*disk, (*bd).rq, (*bd).last)
        };
        // SAFETY: blk-mq hands the request over with this call; it must be started before the
        // device sees it.
        let request = unsafe {
            RequestData::<T>::prepare(rq);
            bindings::blk_mq_start_request(rq);
            Request::<T>::from_raw(rq)
        };
        match T::queue_rq(hw, disk, request, last) {
            Ok(()) => Status::OK.raw(),
            Err(Rejected(rejected, status)) if rejected.as_raw() == rq => {
                rejected.give_back();
                // blk-mq would take OK for the driver's word that it has the request.
                match status {
                    Status::OK => Status::IO_ERROR.raw(),
                    status => status.raw(),
                }
            }
            // Another request than the one of this call, which the driver then still has. blk-mq
            // knows that other one as taken: dropping it here ends it with an error.
            Err(Rejected(_, _)) => Status::OK.raw(),
        }
    }

    /// # Safety
    ///
    /// Called by blk-mq with requests of one disk, which it hands over.
    unsafe extern "C" fn queue_rqs(list: *mut bindings::rq_list) {
        // SAFETY: The list is valid and ours during the call; none of it is left there.
        let mut rq = unsafe { core::mem::take(&mut *list) }.head;
        while !rq.is_null() {
            // SAFETY: The request is one of this queue.
            let queue = unsafe { UsedQueue::new((*rq).q) };
            // SAFETY: As in `queue_rq`; a request of the list has its hardware context already.
            let (hctx, hw, disk) = unsafe {
                let hctx = (*rq).mq_hctx;
                let disk = (*queue.0).queuedata.cast_const().cast::<T::QueueData>();
                let hw = (*hctx).driver_data.cast_const().cast::<T::HwData>();
                (hctx, &*hw, &*disk)
            };
            let mut requests = RequestList::default();
            // SAFETY: Each request of the list is handed over, and linked by `rq_next`.
            unsafe {
                while !rq.is_null() && (*rq).mq_hctx == hctx {
                    let next = (*rq).__bindgen_anon_1.rq_next;
                    RequestData::<T>::prepare(rq);
                    bindings::blk_mq_start_request(rq);
                    requests.push_back(Request::from_raw(rq));
                    rq = next;
                }
            }
            T::queue_rqs(hw, disk, requests);
        }
    }

    /// # Safety
    ///
    /// Called by blk-mq for a live hardware context.
    unsafe extern "C" fn commit_rqs(hctx: *mut bindings::blk_mq_hw_ctx) {
        // SAFETY: `driver_data` is what `init_hctx` stored, kept until `exit_hctx`.
        T::commit_rqs(unsafe { &*(*hctx).driver_data.cast_const().cast::<T::HwData>() });
    }

    /// # Safety
    ///
    /// Called by blk-mq for a live hardware context.
    unsafe extern "C" fn poll(
        hctx: *mut bindings::blk_mq_hw_ctx,
        batch: *mut bindings::io_comp_batch,
    ) -> i32 {
        // SAFETY: `driver_data` is what `init_hctx` stored, kept until `exit_hctx`.
        let hw = unsafe { &*(*hctx).driver_data.cast_const().cast::<T::HwData>() };
        // SAFETY: The batch, if there is one, is the caller's for this call, who ends it later.
        let ended = match unsafe { batch.as_mut() } {
            Some(batch) => Batch::of(batch, |batch| T::poll(hw, batch)),
            None => Batch::with(|batch| T::poll(hw, batch)),
        };
        i32::from(ended)
    }

    /// # Safety
    ///
    /// Called by blk-mq for a request given to `blk_mq_complete_request_remote`.
    unsafe extern "C" fn complete(rq: *mut bindings::request) {
        // SAFETY: `Request::complete` gave the request away, and it comes back here once.
        T::complete(unsafe { Request::from_raw(rq) });
    }

    /// # Safety
    ///
    /// Called by blk-mq for a new hardware context of a tag set made by [`super::TagSet`].
    unsafe extern "C" fn init_hctx(
        hctx: *mut bindings::blk_mq_hw_ctx,
        set: *mut c_void,
        index: c_uint,
    ) -> i32 {
        from_result(|| {
            // SAFETY: `set` is the tag set's `driver_data`: its `TagSetData`, which outlives it.
            let set = unsafe { &*set.cast_const().cast::<TagSetData<T>>() };
            let hw = T::init_hctx(&set.driver, index as usize)?;
            // SAFETY: `hctx` is valid and not in use yet.
            unsafe { (*hctx).driver_data = Arc::into_raw(hw).cast_mut().cast() };
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// Called by blk-mq once for each hardware context for which `init_hctx` succeeded.
    unsafe extern "C" fn exit_hctx(hctx: *mut bindings::blk_mq_hw_ctx, _index: c_uint) {
        // SAFETY: `driver_data` holds the reference that `init_hctx` stored.
        drop(unsafe { Arc::from_raw((*hctx).driver_data.cast_const().cast::<T::HwData>()) });
    }

    /// # Safety
    ///
    /// Called by blk-mq for a request that is allocated and not in use yet.
    unsafe extern "C" fn init_request(
        set: *mut bindings::blk_mq_tag_set,
        rq: *mut bindings::request,
        _index: c_uint,
        _node: i32,
    ) -> i32 {
        // SAFETY: `driver_data` is the set's `TagSetData`, which outlives it.
        let set = unsafe { &*(*set).driver_data.cast_const().cast::<TagSetData<T>>() };
        // SAFETY: Behind each request of the set lies room for its private data (`cmd_size`),
        // aligned as a request is, which `RequestData::FITS` has checked at compile time.
        unsafe {
            rq.add(1)
                .cast::<RequestData<T>>()
                .write(RequestData::new(&set.dev))
        };
        0
    }

    /// # Safety
    ///
    /// Called by blk-mq once for each request for which `init_request` was called.
    unsafe extern "C" fn exit_request(
        _set: *mut bindings::blk_mq_tag_set,
        rq: *mut bindings::request,
        _index: c_uint,
    ) {
        // SAFETY: The private data was written by `init_request`, and nobody uses the request.
        unsafe { rq.add(1).cast::<RequestData<T>>().drop_in_place() };
    }

    /// # Safety
    ///
    /// Called by blk-mq while it sets up a tag set made by [`super::TagSet`].
    unsafe extern "C" fn map_queues(set: *mut bindings::blk_mq_tag_set) {
        // SAFETY: `driver_data` is the set's `TagSetData`, which outlives it.
        let data = unsafe { &*(*set).driver_data.cast_const().cast::<TagSetData<T>>() };
        // SAFETY: By what is said above.
        unsafe { data.map_queues(set) };
    }
}
