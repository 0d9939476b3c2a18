// SPDX-License-Identifier: GPL-2.0

//! Multi-queue block devices, written anew rather than on top of `kernel::block::mq`, whose fields
//! are private and which knows neither parents nor owners, per-queue data or errors.
//!
//! To write a driver:
//!
//! 1. Implement [`Operations`]: the data of the tag set, of a hardware queue, of a disk and of a
//!    request, and what to do with a request.
//! 2. Make a [`TagSet`] for the device, once the number of hardware queues is known.
//! 3. Make a [`GenDisk`] per disk. It is live when the call returns.
//!
//! # Who owns a request
//!
//! A [`Request`] value is a request that belongs to the driver, and there is only one value for
//! it: it cannot be copied. The block layer makes it when it calls [`Operations::queue_rq`];
//! [`Request::end`] gives it back. Between the two a driver keeps it in an [`InFlight`] table,
//! from which only the one [`Claimer`] can take it. A request that is dropped ends with an error,
//! so that nobody waits for it for ever.
//!
//! # Lifetimes
//!
//! The block layer holds a reference to the hardware queue's data per hardware context, and a disk
//! owns its queue data until it has left the block layer. Devres removes at unbind a disk that is
//! still there then. So each callback finds its data alive, and the device bound, whether or not
//! the driver's destructors run.
//!
//! C header: `include/linux/blk-mq.h`.

mod batch;
mod command_queue;
mod data;
mod discard;
mod gen_disk;
mod in_flight;
mod integrity;
mod limits;
mod operations;
mod request;
mod tag_set;
#[cfg(CONFIG_KUNIT = "y")]
mod tests;
mod zoned;

pub use self::{
    batch::{Batch, RequestList},
    command_queue::CommandQueue,
    data::{DataSegments, Segment},
    discard::{DiscardRange, DiscardRanges},
    gen_disk::GenDisk,
    in_flight::{Claimer, InFlight, Ticket},
    integrity::{Checksum, Integrity, IntegrityChecks},
    limits::{AtomicWrite, Discard, Limits},
    operations::{Operations, Rejected},
    request::{DataShape, Op, Request},
    tag_set::{QueueKinds, TagSet, TagSetConfig},
    zoned::{Zone, ZoneCondition, ZoneLimits, ZoneReport},
};
