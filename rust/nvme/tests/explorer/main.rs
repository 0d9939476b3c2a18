// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Every order of events in a controller's life, to the stated bounds.
//!
//! The crate's own decisions (life, timeout, command ids, completion ring) are put into a small
//! world with submitters, a device that does as it likes, an interrupt, timeouts, a worker that
//! resets, and a removal or shutdown. The search visits every world that can be reached.
//! Documentation/interleavings.md says what that proves.

mod life;
mod search;
mod steps;
mod stories;
#[path = "../protocol/support.rs"]
mod support;
mod timeout;
mod world;
