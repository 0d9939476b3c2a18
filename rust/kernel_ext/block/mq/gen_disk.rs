// SPDX-License-Identifier: GPL-2.0

//! A disk: what users open.

use super::{data::same_device, zoned, Integrity, Limits, Operations, TagSet};
use crate::{bindings, raw};
use core::{marker::PhantomData, ptr::NonNull};
use kernel::{
    device::{self, Bound},
    devres::Devres,
    error::{from_err_ptr, to_result},
    fmt,
    module::this_module,
    prelude::*,
    static_lock_class,
    str::CString,
    sync::Arc,
};

/// A disk that is known to the block layer, until drop.
///
/// # Invariants
///
/// `disk` was added by `device_add_disk`; its queue's `queuedata` points to the content of `_data`.
struct Added<T: Operations> {
    disk: NonNull<bindings::gendisk>,
    _data: KBox<T::QueueData>,
    _set: Arc<TagSet<T>>,
}

// SAFETY: A disk may be removed by any thread; the data is `Send`.
unsafe impl<T: Operations> Send for Added<T> {}
// SAFETY: There are no methods that change anything but by locked C functions.
unsafe impl<T: Operations> Sync for Added<T> {}

/// The operations of a disk of `T`.
struct Fops<T>(PhantomData<T>);

impl<T: Operations> Fops<T> {
    const TABLE: bindings::block_device_operations = bindings::block_device_operations {
        owner: this_module::<T::OwnerModule>().as_ptr(),
        submit_bio: None,
        open: None,
        release: None,
        ioctl: None,
        compat_ioctl: None,
        check_events: None,
        unlock_native_capacity: None,
        getgeo: None,
        set_read_only: None,
        swap_slot_free_notify: None,
        report_zones: Some(zoned::report_zones::<T>),
        devnode: None,
        alternative_gpt_sector: None,
        get_unique_id: None,
        pr_ops: core::ptr::null(),
        free_disk: None,
        poll_bio: None,
    };
}

impl<T: Operations> Added<T> {
    fn add(
        set: Arc<TagSet<T>>,
        name: fmt::Arguments<'_>,
        limits: Limits,
        sectors: u64,
        data: KBox<T::QueueData>,
    ) -> Result<Self> {
        let name = CString::try_from_fmt(name)?;
        let bytes = name.to_bytes_with_nul();
        let fits = |integrity: Integrity| integrity.fits(limits.logical_block_size);
        if !limits.integrity.is_none_or(fits) {
            return Err(EINVAL);
        }
        let (read_only, zones) = (limits.read_only, limits.zones);
        if zones.is_some_and(|zones| !zones.make_up(sectors)) {
            return Err(EINVAL);
        }
        let mut limits = limits.to_raw();
        let queuedata = core::ptr::from_ref::<T::QueueData>(&data).cast_mut().cast();
        // SAFETY: The set is allocated; the limits are only read during the call.
        let disk = from_err_ptr(unsafe {
            bindings::__blk_mq_alloc_disk(
                set.as_raw(),
                &mut limits,
                queuedata,
                static_lock_class!().as_ptr(),
            )
        })?;
        // SAFETY: The disk is valid and nobody else's yet. `set_capacity` has no requirements.
        let (named, parent) = unsafe {
            (*disk).fops = &Fops::<T>::TABLE;
            bindings::set_capacity(disk, sectors);
            bindings::set_disk_ro(disk, read_only);
            let room = &mut (*disk).disk_name;
            let named = match room.get_mut(..bytes.len()) {
                Some(room) => {
                    room.copy_from_slice(bytes);
                    Ok(())
                }
                None => Err(ENAMETOOLONG),
            };
            (named, raw::device(set.device()))
        };
        let ready = named.and_then(|()| match zones {
            // SAFETY: The disk is complete, with those limits and this capacity; it is nobody
            // else's yet, and its data is here.
            Some(_) => unsafe { zoned::revalidate(disk) },
            None => Ok(()),
        });
        let added = ready.and_then(|()| {
            // SAFETY: The disk is complete. Its parent is the set's device, which is bound.
            to_result(unsafe { bindings::device_add_disk(parent, disk, core::ptr::null_mut()) })
        });
        match (added, NonNull::new(disk)) {
            // INVARIANT: Added just now.
            (Ok(()), Some(disk)) => Ok(Added {
                disk,
                _data: data,
                _set: set,
            }),
            (result, _) => {
                // A disk that was seen before it failed, by a reader of /proc/diskstats say, is
                // released when that reader lets go, and the release needs the set and the data.
                // SAFETY: The disk is valid until the reference that we hold is put below.
                let seen = unsafe {
                    let device = &raw mut (*(*disk).part0).bd_device;
                    (*device).kobj.kref.refcount.refs.counter != 1
                };
                // SAFETY: The disk has not been added, so this frees it and its queue.
                unsafe { bindings::put_disk(disk) };
                if seen {
                    core::mem::forget((set, data));
                }
                result.and(Err(ENODEV))
            }
        }
    }
}

impl<T: Operations> Drop for Added<T> {
    fn drop(&mut self) {
        // SAFETY: By the invariant the disk was added. `del_gendisk` waits until every request has
        // ended and lets go of the hardware queues, so nothing uses the data or the set after it;
        // open files keep the disk itself.
        unsafe {
            bindings::del_gendisk(self.disk.as_ptr());
            bindings::put_disk(self.disk.as_ptr());
        }
    }
}

/// A disk, there for users from [`GenDisk::add`] until it is dropped or its device is unbound.
///
/// Dropping it writes back what is dirty, fails new I/O, and waits for requests under way; it
/// sleeps.
pub struct GenDisk<T: Operations>(Devres<Added<T>>);

impl<T: Operations> GenDisk<T> {
    /// Makes the disk `name` of `sectors` sectors of 512 bytes, a child of `dev`, for which `set`
    /// must have been made.
    ///
    /// I/O may come before this returns: partitions are read, or zones reported. `EINVAL` if the
    /// limits have zones that do not make up the disk, or metadata that does not
    /// [fit](Integrity::fits). May sleep. On failure `data` is dropped and the C function's errno
    /// is returned.
    pub fn add(
        dev: &device::Device<Bound>,
        set: Arc<TagSet<T>>,
        name: fmt::Arguments<'_>,
        limits: Limits,
        sectors: u64,
        data: T::QueueData,
    ) -> Result<Self> {
        if !same_device(set.device(), dev) {
            return Err(EINVAL);
        }
        let data = KBox::new(data, GFP_KERNEL)?;
        let added = Added::add(set, name, limits, sectors, data)?;
        Ok(GenDisk(Devres::new(dev, added)?))
    }

    /// The C structure, for tests.
    #[cfg(CONFIG_KUNIT = "y")]
    pub(crate) fn as_raw(&self, dev: &device::Device<Bound>) -> Result<*mut bindings::gendisk> {
        Ok(self.0.access(dev)?.disk.as_ptr())
    }

    /// Makes new I/O fail at once, and tells open holders that the disk is gone. May sleep.
    pub fn mark_dead(&self, dev: &device::Device<Bound>) -> Result {
        let added = self.0.access(dev)?;
        // SAFETY: By its invariant the disk is added.
        unsafe { bindings::blk_mark_disk_dead(added.disk.as_ptr()) };
        Ok(())
    }
}
