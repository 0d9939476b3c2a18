// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What NVM Express says: the formats on the wire and the decisions that need no hardware.
//!
//! Values in, decisions out: nothing here does I/O, allocates, waits, or calls the kernel. It
//! relies on `core` and on what `zerocopy` inlines, so the same source builds as a part of the
//! module (Kbuild) and, with its tests, on any host (Cargo).
//!
//! Whatever a device wrote is taken as hostile input: each function is total, whatever it is
//! given. There is no panic, no index that can fail and no loop without a bound.
//!
//! Section numbers cite the NVM Express Base Specification 2.1 ("Base"), the NVM Express over
//! PCIe Transport Specification 1.1 ("PCIe") and the NVM Command Set Specification 1.1 ("NVM").

// Kbuild adds the attribute itself, and a second one would be warned about.
#![cfg_attr(not(MODULE), no_std)]
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used
    )
)]

#[cfg(test)]
extern crate std;

pub mod cid;
pub mod cmb;
pub mod command;
pub mod completion;
pub mod dsm;
pub mod feature;
pub mod identify;
pub mod life;
pub mod limits;
pub mod placement;
pub mod protection;
pub mod prp;
pub mod queue_limits;
pub mod queue_plan;
pub mod register;
pub mod retry;
pub mod ring;
pub mod sgl;
pub mod shadow;
pub mod status;
pub mod timeout;
pub mod zoned;

/// The host's memory page: CC.MPS is always set to it (0, that is 4 KiB).
pub const PAGE: u32 = 4096;

/// log2 of [`PAGE`].
pub const PAGE_SHIFT: u8 = 12;
