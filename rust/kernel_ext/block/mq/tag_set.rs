// SPDX-License-Identifier: GPL-2.0

//! The tags and hardware queues that the disks of one device share.

use super::{
    operations::{Operations, Table},
    request::RequestData,
};
use crate::bindings;
use core::{mem::size_of, pin::Pin};
use kernel::{
    device::{self, Bound},
    error::to_result,
    prelude::*,
    sync::{aref::ARef, Arc},
    types::Opaque,
};

/// How many hardware queues there are of each kind; they are numbered in this order. A kind
/// without queues uses the first kind's.
#[derive(Clone, Copy, Debug)]
pub struct QueueKinds {
    /// For all requests that have no queues of their own; at least 1.
    pub default: u32,
    /// For reads.
    pub read: u32,
    /// For requests that their submitters poll for ([`Operations::poll`]).
    pub poll: u32,
}

impl QueueKinds {
    /// In the order of the C maps.
    fn in_order(self) -> [u32; 3] {
        [self.default, self.read, self.poll]
    }
}

/// How a tag set is to be made.
#[derive(Clone, Copy, Debug)]
pub struct TagSetConfig {
    /// The hardware queues of each kind.
    pub queues: QueueKinds,
    /// The number of tags per hardware queue, from 1 to 10240.
    pub depth: u16,
    /// The interrupt vector of hardware queue 0, when queue i has vector `first_vector + i` and
    /// CPUs are to be mapped as its affinity says; 0 spreads the CPUs evenly instead, as is always
    /// done for those that are polled.
    pub first_vector: u32,
}

/// The NUMA node that `dev` is attached to.
fn numa_node(dev: &device::Device<Bound>) -> i32 {
    #[cfg(CONFIG_NUMA)]
    // SAFETY: `dev` is a valid device; the field does not change while it is bound.
    return unsafe { (*crate::raw::device(dev)).numa_node };
    #[cfg(not(CONFIG_NUMA))]
    {
        let _ = dev;
        bindings::NUMA_NO_NODE
    }
}

/// What C callbacks find as the tag set's `driver_data`.
pub(super) struct TagSetData<T: Operations> {
    pub(super) driver: T::SetData,
    pub(super) dev: ARef<device::Device>,
    queues: QueueKinds,
    first_vector: u32,
}

impl<T: Operations> TagSetData<T> {
    /// Maps the CPUs to the queues of each kind.
    ///
    /// # Safety
    ///
    /// `set` is a tag set that blk-mq sets up, made with this data.
    pub(super) unsafe fn map_queues(&self, set: *mut bindings::blk_mq_tag_set) {
        let mut offset = 0;
        for (kind, count) in self.queues.in_order().into_iter().enumerate() {
            // SAFETY: There are as many maps as kinds; the set is ours to set up.
            let map = unsafe { &mut (*set).map[kind] };
            map.nr_queues = count;
            if count == 0 {
                continue;
            }
            map.queue_offset = offset;
            let polled = kind == bindings::hctx_type_HCTX_TYPE_POLL as usize;
            // SAFETY: The map is complete but for the CPUs; the device is valid. Where the device
            // has no affinity to tell, the C function falls back to an even spread.
            unsafe {
                if polled || self.first_vector == 0 {
                    bindings::blk_mq_map_queues(map);
                } else {
                    let first = self.first_vector.wrapping_add(offset);
                    bindings::blk_mq_map_hw_queues(map, crate::raw::device(&self.dev), first);
                }
            }
            offset = offset.wrapping_add(count);
        }
    }
}

/// A tag set.
///
/// # Invariants
///
/// `set` is a tag set allocated by `blk_mq_alloc_tag_set` whose `driver_data` points to `data`.
#[pin_data(PinnedDrop)]
pub struct TagSet<T: Operations> {
    #[pin]
    set: Opaque<bindings::blk_mq_tag_set>,
    data: Pin<KBox<TagSetData<T>>>,
}

// SAFETY: The C structure is locked by its own locks; the data is `Send + Sync`.
unsafe impl<T: Operations> Send for TagSet<T> {}
// SAFETY: As above.
unsafe impl<T: Operations> Sync for TagSet<T> {}

impl<T: Operations> TagSet<T> {
    /// Makes a tag set for disks of `dev`, with memory of its NUMA node.
    ///
    /// May sleep; fails with the C function's errno.
    pub fn new(
        dev: &device::Device<Bound>,
        config: TagSetConfig,
        driver: T::SetData,
    ) -> Result<Arc<Self>> {
        let () = RequestData::<T>::FITS;
        let [default, read, poll] = config.queues.in_order();
        let sum = default
            .checked_add(read)
            .and_then(|sum| sum.checked_add(poll));
        let queues = sum.filter(|_| default != 0).ok_or(EINVAL)?;
        let data = KBox::pin(
            TagSetData::<T> {
                driver,
                dev: dev.into(),
                queues: config.queues,
                first_vector: config.first_vector,
            },
            GFP_KERNEL,
        )?;
        let init = bindings::blk_mq_tag_set {
            ops: &Table::<T>::OPS,
            nr_hw_queues: queues,
            // Those of kinds without queues are left out from the end.
            nr_maps: match config.queues {
                QueueKinds {
                    read: 0, poll: 0, ..
                } => 1,
                QueueKinds { poll: 0, .. } => 2,
                _ => 3,
            },
            queue_depth: config.depth.into(),
            cmd_size: size_of::<RequestData<T>>().try_into()?,
            numa_node: numa_node(dev),
            driver_data: core::ptr::from_ref(&*data).cast_mut().cast(),
            ..Default::default()
        };
        Arc::pin_init(
            try_pin_init!(TagSet {
                set <- Opaque::try_ffi_init(|slot: *mut bindings::blk_mq_tag_set| {
                    // SAFETY: `slot` is valid for writes and pinned.
                    unsafe { slot.write(init) };
                    // SAFETY: The structure is filled in; `driver_data` outlives it.
                    to_result(unsafe { bindings::blk_mq_alloc_tag_set(slot) })
                }),
                data,
            }),
            GFP_KERNEL,
        )
    }

    pub(super) fn as_raw(&self) -> *mut bindings::blk_mq_tag_set {
        self.set.get()
    }

    pub(super) fn device(&self) -> &device::Device {
        &self.data.dev
    }
}

#[pinned_drop]
impl<T: Operations> PinnedDrop for TagSet<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the invariant the set is allocated. Each disk and each command queue holds
        // a reference to it until it has left the block layer, so no queue uses it any more.
        unsafe { bindings::blk_mq_free_tag_set(self.set.get()) };
    }
}
