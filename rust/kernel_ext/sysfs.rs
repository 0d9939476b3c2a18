// SPDX-License-Identifier: GPL-2.0

//! Read-only text attributes of a device, there from the call until unbind.
//!
//! C headers: `include/linux/device.h`, `include/linux/sysfs.h`.

use crate::{bindings, raw};
use kernel::{
    device::{self, Bound},
    devres,
    error::to_result,
    prelude::*,
    str::CString,
    sync::aref::ARef,
};

/// One attribute: the C structure first, so that its address is this structure's.
///
/// # Invariants
///
/// If `created`, the attribute is known to sysfs under this structure's address.
#[repr(C)]
struct TextAttribute {
    attr: bindings::device_attribute,
    value: CString,
    dev: ARef<device::Device>,
    created: bool,
}

// SAFETY: After it is created nothing is written any more, and the pointers in `attr` are to
// static text and code.
unsafe impl Send for TextAttribute {}

impl Drop for TextAttribute {
    fn drop(&mut self) {
        if self.created {
            // SAFETY: By the invariant the attribute is known to sysfs; the call waits for readers.
            unsafe { bindings::device_remove_file(raw::device(&self.dev), &self.attr) };
        }
    }
}

/// # Safety
///
/// Only as the `show` function of a [`TextAttribute`].
unsafe extern "C" fn show(
    _dev: *mut bindings::device,
    attr: *mut bindings::device_attribute,
    buf: *mut kernel::ffi::c_char,
) -> isize {
    // SAFETY: `attr` is the first field of a `TextAttribute` that stays until sysfs has let go of
    // it; only its text, which does not change, is looked at.
    let value = unsafe { &(*attr.cast_const().cast::<TextAttribute>()).value };
    // SAFETY: `buf` is the page that sysfs gives; the format takes one string.
    let length = unsafe { bindings::sysfs_emit(buf, c"%s\n".as_char_ptr(), value.as_char_ptr()) };
    length as isize
}

/// Adds the attribute `name` with the content `value` and a newline to `dev`'s folder in sysfs.
///
/// It is removed at unbind. May sleep. `EEXIST` if there is such an attribute already, `ENOMEM`.
pub fn add_text(dev: &device::Device<Bound>, name: &'static CStr, value: CString) -> Result {
    let mut boxed = KBox::new(
        TextAttribute {
            attr: bindings::device_attribute::default(),
            value,
            dev: dev.into(),
            created: false,
        },
        GFP_KERNEL,
    )?;
    boxed.attr.attr.name = name.as_char_ptr();
    boxed.attr.attr.mode = 0o444;
    boxed.attr.__bindgen_anon_1.show = Some(show);
    // Lockdep wants a static key per attribute or the word that none is needed.
    #[cfg(CONFIG_DEBUG_LOCK_ALLOC)]
    boxed.attr.attr.set_ignore_lockdep(true);
    // SAFETY: The attribute is complete and stays in its box until it is removed.
    to_result(unsafe { bindings::device_create_file(raw::device(dev), &boxed.attr) })?;
    // INVARIANT: Created just now.
    boxed.created = true;
    devres::register(dev, Holder(boxed), GFP_KERNEL)
}

/// Keeps the attribute where sysfs knows it.
struct Holder(#[expect(dead_code)] KBox<TextAttribute>);
