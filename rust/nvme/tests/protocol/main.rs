// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Tests of the protocol crate through its public interface, on the host.
//!
//! Random cases print the seed they started from when they fail; `RNVME_SEED=<number>` runs the
//! same ones again. `RNVME_CASES=<number>` is the most that any test runs.

mod captured;
mod commands;
mod identify;
mod limits;
mod lists;
mod messages;
mod prp;
mod registers;
mod rings;
mod status;
mod support;
