// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Tests of the protocol crate through its public interface, on the host.
//!
//! Random cases print the seed they started from when they fail; `RNVME_SEED=<number>` runs the
//! same ones again. `RNVME_CASES=<number>` is the most that any test runs.

mod block_layer;
mod captured;
mod cmb;
mod commands;
mod dsm;
mod identify;
mod limits;
mod lists;
mod messages;
mod placement;
mod protection;
mod prp;
mod queue_limits;
mod queue_plan;
mod registers;
mod retry;
mod rings;
mod sgl;
mod sgl_choice;
mod shadow;
mod status;
mod status_page;
mod support;
mod zone_reports;
mod zoned;
