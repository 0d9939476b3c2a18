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

/// How a tag set is to be made.
#[derive(Clone, Copy, Debug)]
pub struct TagSetConfig {
    /// The number of hardware queues, at least 1.
    pub queues: u32,
    /// The number of tags per hardware queue, from 1 to 10240.
    pub depth: u16,
    /// The interrupt vector of hardware queue 0, when queue i has vector `first_vector + i` and
    /// CPUs are to be mapped as its affinity says; 0 spreads the CPUs evenly instead.
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
    pub(super) first_vector: u32,
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
        let data = KBox::pin(
            TagSetData::<T> {
                driver,
                dev: dev.into(),
                first_vector: config.first_vector,
            },
            GFP_KERNEL,
        )?;
        let init = bindings::blk_mq_tag_set {
            ops: &Table::<T>::OPS,
            nr_hw_queues: config.queues,
            nr_maps: 1,
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
        // SAFETY: By the invariant the set is allocated. Each disk holds a reference to it until
        // it has left the block layer, so no queue uses it any more.
        unsafe { bindings::blk_mq_free_tag_set(self.set.get()) };
    }
}
