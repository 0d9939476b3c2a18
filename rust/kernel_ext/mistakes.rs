// SPDX-License-Identifier: GPL-2.0

//! Deliberate mistakes with memory, for the self-test build alone.
//!
//! The tests provoke them to see that a debug kernel reports each, and that its report is found in
//! the log. Nothing here is sound, and nothing here is in a module that was built without
//! `--cfg rnvme_self_test`. Each mistake is a function of its own that is not inlined, so that its
//! name is in the report.

use crate::bindings;
use kernel::{prelude::*, sync::static_lock_class, types::Opaque};

/// Bytes of the allocations that mistakes are made with.
const BYTES: usize = 64;

/// Reads memory after it was freed. KASAN reports it.
#[inline(never)]
pub fn use_after_free() -> Result {
    let memory = KBox::into_raw(KBox::new([0u8; BYTES], GFP_KERNEL)?);
    // SAFETY: The pointer came from `into_raw` just now.
    drop(unsafe { KBox::from_raw(memory) });
    // SAFETY: None: this is the mistake.
    unsafe { memory.cast::<u8>().read_volatile() };
    Ok(())
}

/// Writes the byte after an allocation. KASAN reports it.
#[inline(never)]
pub fn out_of_bounds() -> Result {
    let memory = KBox::into_raw(KBox::new([0u8; BYTES], GFP_KERNEL)?);
    // SAFETY: None: this is the mistake.
    unsafe { memory.cast::<u8>().add(BYTES).write_volatile(1) };
    // SAFETY: The pointer came from `into_raw` above.
    drop(unsafe { KBox::from_raw(memory) });
    Ok(())
}

/// Frees a timer that is pending. Object debugging reports it, and stops the timer.
#[inline(never)]
pub fn freed_timer() -> Result {
    let timer = KBox::new(Opaque::<bindings::timer_list>::zeroed(), GFP_KERNEL)?;
    let key = static_lock_class!().as_ptr();
    // SAFETY: The timer is initialised before it is started; its memory then goes while it is
    // pending, which is the mistake.
    unsafe {
        let name = c"freed_timer".as_char_ptr();
        bindings::timer_init_key(timer.get(), Some(nothing), 0, name, key);
        (*timer.get()).expires = bindings::jiffies.wrapping_add(1 << 20);
        bindings::add_timer(timer.get());
    }
    drop(timer);
    Ok(())
}

/// # Safety
///
/// None is asked for: it does nothing.
unsafe extern "C" fn nothing(_timer: *mut bindings::timer_list) {}
