// SPDX-License-Identifier: GPL-2.0

//! Commands of a driver's own that need a tag: sent through the hardware queues and waited for.
//!
//! The block layer carries them as requests without data; what there is to send is the driver's to
//! keep in the request's private data.
//!
//! C header: `include/linux/blk-mq.h`.

use super::{data::same_device, request::RequestData, Operations, TagSet};
use crate::{bindings, block::Status};
use core::ptr::NonNull;
use kernel::{
    device::{self, Bound},
    error::from_err_ptr,
    prelude::*,
    sync::Arc,
};

/// A queue over a tag set without a disk, whose only requests are commands of the driver's own
/// ([`super::Op::Driver`]).
///
/// Dropping it may sleep.
///
/// # Invariants
///
/// `queue` was allocated by `blk_mq_alloc_queue` over `set`, and its `queuedata` points to the
/// content of `_data`.
pub struct CommandQueue<T: Operations> {
    queue: NonNull<bindings::request_queue>,
    _data: KBox<T::QueueData>,
    set: Arc<TagSet<T>>,
}

// SAFETY: A queue may be used and destroyed by any task; what it holds is `Send`.
unsafe impl<T: Operations> Send for CommandQueue<T> {}
// SAFETY: With a shared reference requests are allocated, run and freed, each by who allocated it,
// which blk-mq allows from any task.
unsafe impl<T: Operations> Sync for CommandQueue<T> {}

impl<T: Operations> CommandQueue<T> {
    /// Makes a queue over `set`, which must have been made for `dev`, with `data` in the place of
    /// a disk's. May sleep; fails with the C function's errno.
    pub fn new(
        dev: &device::Device<Bound>,
        set: Arc<TagSet<T>>,
        data: T::QueueData,
    ) -> Result<Self> {
        if !same_device(set.device(), dev) {
            return Err(EINVAL);
        }
        let data = KBox::new(data, GFP_KERNEL)?;
        let queuedata = core::ptr::from_ref::<T::QueueData>(&data).cast_mut();
        // SAFETY: The set is allocated; without limits the C function takes its own.
        let queue = from_err_ptr(unsafe {
            bindings::blk_mq_alloc_queue(set.as_raw(), core::ptr::null_mut(), queuedata.cast())
        })?;
        let queue = NonNull::new(queue).ok_or(ENOMEM)?;
        // INVARIANT: Allocated just now.
        Ok(CommandQueue {
            queue,
            _data: data,
            set,
        })
    }

    /// Sends one command and waits for its end: `prepare` puts into a request's private data what
    /// is to be sent, [`Operations::queue_rq`] sends it, and `finish` is told how the request ended
    /// and takes out what came of it.
    ///
    /// Sleeps, as long as the request takes; `prepare` must not wait for memory that I/O would free.
    /// `EINVAL` for another device than the set's; the C
    /// function's errno if there is no request to be had, and then `finish` is not called.
    pub fn execute<R>(
        &self,
        dev: &device::Device<Bound>,
        prepare: impl FnOnce(&mut T::RequestData),
        finish: impl FnOnce(Status, &mut T::RequestData) -> R,
    ) -> Result<R> {
        // Whoever has the set's device bound keeps it so until the request has ended.
        if !same_device(self.set.device(), dev) {
            return Err(EINVAL);
        }
        // SAFETY: By the invariant the queue is live.
        let rq = from_err_ptr(unsafe {
            bindings::blk_mq_alloc_request(self.queue.as_ptr(), bindings::req_op_REQ_OP_DRV_OUT, 0)
        })?;
        // SAFETY: The request is of a set of `T` and not started: nobody else has it.
        prepare(unsafe { RequestData::<T>::driver_of(rq) });
        // SAFETY: The request is complete. When the call returns it has ended, and the callback
        // that it sets has left it to us.
        let status = Status::from_raw(unsafe { bindings::blk_execute_rq(rq, false) });
        // SAFETY: As above: it has ended, and is nobody else's until it is freed.
        let result = finish(status, unsafe { RequestData::<T>::driver_of(rq) });
        // SAFETY: It has ended, and is freed once.
        unsafe { bindings::blk_mq_free_request(rq) };
        Ok(result)
    }
}

impl<T: Operations> Drop for CommandQueue<T> {
    fn drop(&mut self) {
        // SAFETY: By the invariant the queue is live. Each call of `execute` has ended its request,
        // so none is under way; after the first call no hardware context of the queue is left.
        unsafe {
            bindings::blk_mq_destroy_queue(self.queue.as_ptr());
            bindings::blk_put_queue(self.queue.as_ptr());
        }
    }
}
