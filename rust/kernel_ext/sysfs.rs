// SPDX-License-Identifier: GPL-2.0

//! Read-only attributes of a device: one value a file, in the device's folder or one below it.
//!
//! Not in debugfs: files that the kernel crate makes there do not pin the module, so one that is
//! open while the module goes is read through freed memory when it is closed. sysfs asks nothing
//! of the module once an attribute is removed.
//!
//! C headers: `include/linux/device.h`, `include/linux/sysfs.h`.

use crate::{bindings, raw};
use core::{fmt::Write, ptr::NonNull};
use kernel::{
    device::{self, Bound},
    devres::Devres,
    error::to_result,
    fmt,
    page::PAGE_SIZE,
    prelude::*,
    sync::aref::ARef,
};

#[cfg(CONFIG_KUNIT = "y")]
mod tests;

/// One file: its name, and what writes its value. A newline is added.
pub struct Entry<T: 'static> {
    /// The file's name.
    pub name: &'static CStr,
    /// Writes the value. May sleep.
    pub show: fn(&T, &mut fmt::Formatter<'_>) -> fmt::Result,
}

/// What sysfs knows of a file: the C structure first, so that its address is this structure's.
///
/// # Invariants
///
/// `data` points to the data of the [`Files`] that this is part of.
#[repr(C)]
struct Attribute<T: 'static> {
    attr: bindings::device_attribute,
    entry: &'static Entry<T>,
    data: NonNull<T>,
}

/// The files of a group and what they show.
///
/// # Invariants
///
/// - If `created`, `group` is known to sysfs. It points to `pointers`, a null-terminated list of
///   the addresses of `attributes`; neither changes any more.
/// - All of them stay where they are in memory when this structure is moved.
struct Files<T: 'static> {
    dev: ARef<device::Device>,
    group: KBox<bindings::attribute_group>,
    pointers: KVec<*mut bindings::attribute>,
    attributes: KVec<Attribute<T>>,
    data: KBox<T>,
    created: bool,
}

// SAFETY: After they are made nothing is written any more but by sysfs under its own locks; the
// pointers are to what this structure owns, and the data may be moved and shared.
unsafe impl<T: Send + Sync> Send for Files<T> {}

impl<T: Send + Sync> Files<T> {
    fn new(
        dev: &device::Device<Bound>,
        folder: Option<&'static CStr>,
        data: T,
        entries: &'static [Entry<T>],
    ) -> Result<Self> {
        let mut files = Files {
            dev: dev.into(),
            group: KBox::new(bindings::attribute_group::default(), GFP_KERNEL)?,
            pointers: KVec::with_capacity(entries.len().saturating_add(1), GFP_KERNEL)?,
            attributes: KVec::with_capacity(entries.len(), GFP_KERNEL)?,
            data: KBox::new(data, GFP_KERNEL)?,
            created: false,
        };
        let data = NonNull::from(&*files.data);
        for entry in entries {
            let mut attr = bindings::device_attribute::default();
            attr.attr.name = entry.name.as_char_ptr();
            attr.attr.mode = 0o444;
            attr.__bindgen_anon_1.show = Some(show::<T>);
            // Lockdep wants a static key for each attribute, or the word that none is needed.
            #[cfg(CONFIG_DEBUG_LOCK_ALLOC)]
            attr.attr.set_ignore_lockdep(true);
            // INVARIANT: `data` is the data of `files`.
            files
                .attributes
                .push(Attribute { attr, entry, data }, GFP_KERNEL)?;
        }
        for attribute in &mut files.attributes {
            // The C structures come first, so the address is theirs; it stands for the whole,
            // which `show` goes back to.
            let whole: *mut Attribute<T> = attribute;
            files.pointers.push(whole.cast(), GFP_KERNEL)?;
        }
        files.pointers.push(core::ptr::null_mut(), GFP_KERNEL)?;
        files.group.name = folder.map_or(core::ptr::null(), |name| name.as_char_ptr());
        files.group.__bindgen_anon_2.attrs = files.pointers.as_mut_ptr();
        // SAFETY: The device is valid; the group is complete and stays until it is removed.
        to_result(unsafe { bindings::sysfs_create_group(files.kobject(), &*files.group) })?;
        // INVARIANT: Created just now; nothing is changed from here on.
        files.created = true;
        Ok(files)
    }
}

impl<T: 'static> Files<T> {
    fn kobject(&self) -> *mut bindings::kobject {
        // SAFETY: The device is valid, so its embedded object is.
        unsafe { &raw mut (*raw::device(&self.dev)).kobj }
    }
}

impl<T: 'static> Drop for Files<T> {
    fn drop(&mut self) {
        if self.created {
            // SAFETY: By the invariant sysfs knows the group; the call waits for readers.
            unsafe { bindings::sysfs_remove_group(self.kobject(), &*self.group) };
        }
    }
}

/// # Safety
///
/// Only as the `show` function of an [`Attribute`] of the same `T`.
unsafe extern "C" fn show<T: 'static>(
    _dev: *mut bindings::device,
    attr: *mut bindings::device_attribute,
    buf: *mut kernel::ffi::c_char,
) -> isize {
    // SAFETY: `attr` is the first field of an `Attribute` that stays, as its data does, until
    // sysfs has let go of it. Neither changes.
    let (entry, data) = unsafe {
        let attribute = &*attr.cast_const().cast::<Attribute<T>>();
        (attribute.entry, attribute.data.as_ref())
    };
    // sysfs takes a full page for an overrun and warns of it: its last byte stays free.
    // SAFETY: sysfs gives a zeroed page that is ours during the call.
    let room = unsafe { core::slice::from_raw_parts_mut(buf.cast::<u8>(), PAGE_SIZE - 1) };
    let mut page = Page { room, used: 0 };
    // What does not fit is left out; there is nobody to tell.
    let _ = page.write_fmt(fmt!("{}\n", Value { entry, data }));
    page.used as isize
}

/// The page that a file's text goes to.
struct Page<'a> {
    room: &'a mut [u8],
    used: usize,
}

impl Write for Page<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let rest = self.room.get_mut(self.used..).unwrap_or_default();
        let fits = rest.len().min(text.len());
        for (to, from) in rest.iter_mut().zip(text.as_bytes()) {
            *to = *from;
        }
        self.used = self.used.saturating_add(fits);
        Ok(())
    }
}

/// The value of a file, printable.
struct Value<'a, T: 'static> {
    entry: &'static Entry<T>,
    data: &'a T,
}

impl<T: 'static> fmt::Display for Value<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.entry.show)(self.data, f)
    }
}

/// Files in sysfs, removed when dropped, or by devres at unbind.
pub struct Group<T: Send + Sync + 'static>(#[expect(dead_code)] Devres<Files<T>>);

impl<T: Send + Sync + 'static> Group<T> {
    /// Adds `entries`, which show `data`, to `dev`'s folder, or to a new `folder` in it.
    ///
    /// May sleep. `EEXIST` if there is such a file already, `ENOMEM`.
    pub fn add(
        dev: &device::Device<Bound>,
        folder: Option<&'static CStr>,
        data: T,
        entries: &'static [Entry<T>],
    ) -> Result<Self> {
        let files = Files::new(dev, folder, data, entries)?;
        Ok(Group(Devres::new(dev, files)?))
    }
}
