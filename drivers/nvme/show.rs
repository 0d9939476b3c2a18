// SPDX-License-Identifier: GPL-2.0

//! What the protocol crate can print, made printable in the kernel's log.
//!
//! The kernel's `Display` is a trait of its own, and neither it nor the protocol's types belong to
//! this crate: hence a type in between.

use core::fmt::Display;
use kernel::fmt;

/// Prints as its content does.
pub(crate) struct Show<T>(pub(crate) T);

impl<T: Display> fmt::Display for Show<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
