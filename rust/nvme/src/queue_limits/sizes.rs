// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Sizes that writes should have (NVM 5.2.2): the physical block, NPWG, NOWS, NOIOB.
//!
//! All of it is advice on speed, so that leaving out what makes no sense costs no correctness,
//! but for the physical block: file systems take it for something that power loss does not tear.

use super::{zeros_based_bytes, Ignored, IgnoredClaims};
use crate::identify::IdentifyNamespace;
use crate::limits::MAX_TRANSFER;
use crate::PAGE;

/// The largest physical block that is announced: beyond this it says more about the device's
/// imagination than about its medium.
pub const MAX_PHYSICAL_BLOCK: u32 = 64 << 10;

/// The longest write that can be preferred: no command has a longer one, and the kernel reads
/// ahead twice of what is optimal.
pub const MAX_PREFERRED: u32 = MAX_TRANSFER;

/// Sizes of writes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WriteSizes {
    pub(super) physical_block: u32,
    pub(super) io_min: u32,
    pub(super) io_opt: u32,
}

/// What the namespace prefers, where `untorn` bytes (a power of two, at least a block) survive a
/// power failure. `optperf` is [`IdentifyNamespace::optperf`].
pub(super) fn write_sizes(
    namespace: &IdentifyNamespace,
    optperf: u8,
    lba_shift: u8,
    untorn: u32,
    ignored: &mut IgnoredClaims,
) -> WriteSizes {
    let block = 1u32.wrapping_shl(u32::from(lba_shift));
    let mut sizes = WriteSizes {
        physical_block: block,
        io_min: block,
        io_opt: 0,
    };
    if optperf == 0 {
        return sizes;
    }
    let preferred = zeros_based_bytes(namespace.npwg.get(), lba_shift);
    match up_to_most(preferred) {
        Some(bytes) => {
            // A power of two that divides the preferred size, so that both stay aligned.
            let aligned = 1u32.wrapping_shl(bytes.trailing_zeros());
            sizes.physical_block = aligned.min(untorn).min(MAX_PHYSICAL_BLOCK);
            sizes.io_min = bytes;
            check_alignment(namespace, ignored);
        }
        None => ignored.push(Ignored::WriteGranularity(preferred)),
    }
    let optimal = zeros_based_bytes(namespace.nows.get(), lba_shift);
    match up_to_most(optimal) {
        // A single block is what a device says that knows of none.
        _ if namespace.nows.get() == 0 => {}
        Some(bytes) if bytes.checked_rem(sizes.io_min) == Some(0) => sizes.io_opt = bytes,
        _ => ignored.push(Ignored::OptimalWrite(optimal)),
    }
    sizes
}

fn up_to_most(bytes: u64) -> Option<u32> {
    u32::try_from(bytes)
        .ok()
        .filter(|bytes| *bytes <= MAX_PREFERRED)
}

/// Linux aligns to NPWG, which does for NPWA where NPWG is a multiple of it, as it must be.
fn check_alignment(namespace: &IdentifyNamespace, ignored: &mut IgnoredClaims) {
    let [npwg, npwa] =
        [namespace.npwg, namespace.npwa].map(|field| u32::from(field.get()).wrapping_add(1));
    if npwg.checked_rem(npwa) != Some(0) {
        ignored.push(Ignored::WriteAlignment { npwa, npwg });
    }
}

/// NOIOB as the boundary that transfers are split at; 0 if there is none. A boundary inside a
/// physical block would tear it, and one inside a page would split every transfer to shreds.
pub(super) fn chunk(
    namespace: &IdentifyNamespace,
    lba_shift: u8,
    physical: u32,
    ignored: &mut IgnoredClaims,
) -> u32 {
    let bytes = u64::from(namespace.noiob.get()).wrapping_shl(u32::from(lba_shift));
    let least = physical.max(PAGE);
    match u32::try_from(bytes) {
        Ok(0) => 0,
        Ok(chunk) if chunk.is_power_of_two() && chunk >= least => chunk,
        _ => {
            ignored.push(Ignored::IoBoundary { bytes, least });
            0
        }
    }
}
