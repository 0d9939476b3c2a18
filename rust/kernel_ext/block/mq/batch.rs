// SPDX-License-Identifier: GPL-2.0

//! Requests in company: a list of those that come together, and a batch of those that end together.
//!
//! C headers: `include/linux/blk-mq.h` (`struct rq_list`), `include/linux/blkdev.h`
//! (`struct io_comp_batch`).

use super::{Operations, Request};
use crate::{bindings, block::Status};
use core::{marker::PhantomData, mem::ManuallyDrop};

/// Requests of one hardware queue and one disk, in the order in which they came.
///
/// Those still in it when it is dropped end with an error.
///
/// # Invariants
///
/// The requests linked by `head` and their `rq_next` are started ones of a tag set of `T`, and
/// belong to this value alone; `tail` is the last one, if there is any.
pub struct RequestList<T: Operations> {
    head: *mut bindings::request,
    tail: *mut bindings::request,
    _requests: PhantomData<Request<T>>,
}

impl<T: Operations> RequestList<T> {
    /// Whether there is no request in it.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.head.is_null()
    }

    /// Appends `rq`.
    #[inline]
    pub fn push_back(&mut self, rq: Request<T>) {
        let rq = rq.into_raw().as_ptr();
        // SAFETY: The request is ours. `rq_next` shares its place with `queuelist`, off which
        // blk-mq took the request before it handed it over, and which it sets up again before use.
        // By the invariant `tail` is a request of this list.
        unsafe {
            (*rq).__bindgen_anon_1.rq_next = core::ptr::null_mut();
            if self.head.is_null() {
                self.head = rq;
            } else {
                (*self.tail).__bindgen_anon_1.rq_next = rq;
            }
        }
        self.tail = rq;
    }

    /// Takes out the first request.
    #[inline]
    pub fn pop_front(&mut self) -> Option<Request<T>> {
        let rq = self.head;
        if rq.is_null() {
            return None;
        }
        // SAFETY: By the invariant this is a request of ours, linked by `rq_next`; it leaves the
        // list with this.
        unsafe {
            self.head = (*rq).__bindgen_anon_1.rq_next;
            Some(Request::from_raw(rq))
        }
    }

    /// Keeps the requests that `each` accepts. Of the others, those refused with a `RESOURCE`
    /// status come again a little later, and the rest end with the status. Does not sleep.
    #[inline]
    pub fn keep(&mut self, mut each: impl FnMut(&mut Request<T>) -> Result<(), Status>) {
        let mut kept = RequestList::default();
        while let Some(mut rq) = self.pop_front() {
            match each(&mut rq) {
                Ok(()) => kept.push_back(rq),
                Err(status) => rq.refuse(status),
            }
        }
        *self = kept;
    }
}

impl<T: Operations> Default for RequestList<T> {
    /// A list without requests.
    #[inline]
    fn default() -> Self {
        // INVARIANT: There is none.
        RequestList {
            head: core::ptr::null_mut(),
            tail: core::ptr::null_mut(),
            _requests: PhantomData,
        }
    }
}

impl<T: Operations> Drop for RequestList<T> {
    #[inline]
    fn drop(&mut self) {
        while let Some(rq) = self.pop_front() {
            drop(rq);
        }
    }
}

/// Requests that have ended well, and whose submitters are told together: by [`Batch::with`], or
/// by whoever polls ([`Operations::poll`]).
pub struct Batch<'a, T: Operations> {
    raw: &'a mut bindings::io_comp_batch,
    _requests: PhantomData<Request<T>>,
}

impl<T: Operations> Batch<'_, T> {
    /// Gives a batch to `fill`, and ends what it has put there. Does not sleep.
    #[inline]
    pub fn with<R>(fill: impl FnOnce(&mut Batch<'_, T>) -> R) -> R {
        let mut raw = bindings::io_comp_batch::default();
        let result = Self::of(&mut raw, fill);
        if !raw.req_list.head.is_null() {
            // SAFETY: Whatever is in the batch was put there by `Batch::add`.
            unsafe { end_batch::<T>(&mut raw) };
        }
        result
    }

    /// Gives `raw`, which its owner ends by its function, to `fill`.
    #[inline]
    pub(super) fn of<R>(
        raw: &mut bindings::io_comp_batch,
        fill: impl FnOnce(&mut Batch<'_, T>) -> R,
    ) -> R {
        fill(&mut Batch {
            raw,
            _requests: PhantomData,
        })
    }

    /// Puts `rq` into the batch, unless it must end by itself.
    ///
    /// # Safety
    ///
    /// `rq` is a request of a tag set of `T` that has ended well, and belongs to the caller:
    /// `blk_mq_complete_request_remote` has returned false for it. With `true` it belongs to the
    /// batch.
    #[inline]
    pub(super) unsafe fn add(&mut self, rq: *mut bindings::request) -> bool {
        // SAFETY: By what the caller promises; `end_batch` is for requests of `T`, and the C
        // function puts none of another function's into the same batch.
        unsafe { bindings::ext_add_to_batch(rq, self.raw, Some(end_batch::<T>)) }
    }
}

/// Ends all requests of a batch.
///
/// # Safety
///
/// They were put there by [`Batch::add`] of the same `T`.
unsafe extern "C" fn end_batch<T: Operations>(batch: *mut bindings::io_comp_batch) {
    // SAFETY: The batch is the caller's.
    let mut rq = unsafe { (*batch).req_list.head };
    while !rq.is_null() {
        // SAFETY: By what the caller promises the request is started and belongs to the batch. It
        // ends below, and not by the value's end.
        let mut request = ManuallyDrop::new(unsafe { Request::<T>::from_raw(rq) });
        request.release();
        // SAFETY: The batch is linked by `rq_next`.
        rq = unsafe { (*rq).__bindgen_anon_1.rq_next };
    }
    // SAFETY: All requests have ended well, are linked in this batch alone, and nothing of them is
    // mapped any more; their tags are free only after this.
    unsafe { bindings::blk_mq_end_request_batch(batch) };
}
