// SPDX-License-Identifier: GPL-2.0

//! A completion that can be waited for with a bound.
//!
//! C header: `include/linux/completion.h`.

use crate::bindings;
use kernel::{prelude::*, types::Opaque};

#[cfg(CONFIG_KUNIT = "y")]
mod tests;

/// One event, signalled at most once, in any context; waited for in process context.
#[pin_data]
pub struct Completion {
    #[pin]
    inner: Opaque<bindings::completion>,
}

// SAFETY: The C structure is locked by its own lock.
unsafe impl Send for Completion {}
// SAFETY: As above.
unsafe impl Sync for Completion {}

impl Completion {
    /// An event that has not happened yet.
    pub fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            inner <- Opaque::ffi_init(|slot: *mut bindings::completion| {
                // SAFETY: `slot` is valid for writes.
                unsafe { bindings::init_completion(slot) };
            }),
        })
    }

    /// Tells every waiter, present and future, that the event has happened. Does not sleep.
    pub fn complete_all(&self) {
        // SAFETY: The structure was initialised by `new`.
        unsafe { bindings::complete_all(self.inner.get()) };
    }

    /// Whether the event has happened. Does not sleep.
    pub fn is_done(&self) -> bool {
        // SAFETY: The structure was initialised by `new`.
        unsafe { bindings::completion_done(self.inner.get()) }
    }

    /// Waits for at most `ms` milliseconds; says whether the event has happened. Sleeps.
    pub fn wait_ms(&self, ms: u32) -> bool {
        // SAFETY: The structure was initialised by `new`; the conversion has no requirements.
        unsafe {
            let jiffies = bindings::__msecs_to_jiffies(ms);
            bindings::wait_for_completion_timeout(self.inner.get(), jiffies) != 0
        }
    }
}
