// SPDX-License-Identifier: GPL-2.0

//! The kernel crate's bindings, and what `ffi/bindings.h` adds to them.

#![allow(
    clippy::all,
    dead_code,
    improper_ctypes,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unreachable_pub,
    unsafe_op_in_unsafe_fn,
    clippy::undocumented_unsafe_blocks
)]

pub(crate) use kernel::bindings::*;

mod generated {
    use kernel::{bindings::*, ffi};

    include!(env!("RNVME_BINDINGS"));
}

pub(crate) use generated::*;
