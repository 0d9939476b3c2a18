// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What one Dataset Management command can deallocate (NVM 3.2.3, 5.2.2).

use super::{Claims, Ignored, IgnoredClaims};
use crate::dsm::DeallocateLimits;
use crate::identify::IdentifyControllerNvm;

/// The kernel counts what is discarded in sectors of 512 bytes, with 32 bits.
const MAX_BYTES: u64 = (u32::MAX as u64) << 9;

/// What one request can deallocate.
///
/// There is no alignment: to Linux it is where the first unit begins, which is always block 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Discard {
    /// The most bytes of all ranges, and so of each: the kernel has one limit for both.
    pub max_bytes: u64,
    /// The most ranges: 1 to 256.
    pub max_ranges: u16,
    /// The unit in which the device deallocates: a power of two, at least a physical block and
    /// at most `max_bytes`.
    pub granularity: u32,
    /// What the command itself may hold: `max_bytes` and `max_ranges` stay within it.
    pub command: DeallocateLimits,
}

/// What can be deallocated; `None` if nothing.
pub(super) fn discard(
    claims: &Claims<'_>,
    optperf: u8,
    lba_shift: u8,
    physical: u32,
    ignored: &mut IgnoredClaims,
) -> Option<Discard> {
    let limits = claims.nvm_controller;
    if !claims.controller.dataset_management() && !supported_with_limits(limits, ignored) {
        return None;
    }
    let command = limits.map_or_else(DeallocateLimits::default, |limits| {
        DeallocateLimits::new(limits.dmrl, limits.dmrsl.get(), limits.dmsl.get())
    });
    let block = 1u64.wrapping_shl(u32::from(lba_shift));
    let blocks = u64::from(command.range_blocks).min(command.blocks);
    let max_bytes = blocks.saturating_mul(block).min(MAX_BYTES);
    if max_bytes < u64::from(physical) {
        ignored.push(Ignored::DiscardSize(max_bytes));
        return None;
    }
    let wanted = preferred_blocks(claims, optperf).saturating_mul(block);
    let granularity = match u32::try_from(wanted) {
        Ok(bytes) if bytes.is_power_of_two() && wanted <= max_bytes => bytes,
        _ => {
            ignored.push(Ignored::DiscardGranularity(wanted));
            physical
        }
    };
    Some(Discard {
        max_bytes,
        max_ranges: command.ranges,
        granularity: granularity.max(physical),
        command,
    })
}

/// Whether a controller without ONCS.NVMDSMSV has Dataset Management all the same, with limits
/// that it enforces: then all three of them are set.
fn supported_with_limits(
    limits: Option<&IdentifyControllerNvm>,
    ignored: &mut IgnoredClaims,
) -> bool {
    let Some(limits) = limits else { return false };
    let set = [
        limits.dmrl != 0,
        limits.dmrsl.get() != 0,
        limits.dmsl.get() != 0,
    ];
    if set == [false; 3] {
        return false;
    }
    if set != [true; 3] {
        ignored.push(Ignored::DiscardSupport);
    }
    set == [true; 3]
}

/// NPDG and NPDA, or the larger fields of the NVM Command Set, in logical blocks: the larger of
/// granularity and alignment, since Linux has a single number for both.
fn preferred_blocks(claims: &Claims<'_>, optperf: u8) -> u64 {
    let namespace = claims.namespace;
    let large = claims.nvm_namespace.filter(|_| optperf & 0x2 != 0);
    let zeros_based = |said: bool, field: u16| match said {
        true => u64::from(field).wrapping_add(1),
        false => 1,
    };
    let granularity = match large.map_or(0, |large| large.npdgl.get()) {
        0 => zeros_based(optperf & 0x1 != 0, namespace.npdg.get()),
        blocks => u64::from(blocks),
    };
    let alignment = match large.map_or(0, |large| large.npdal.get()) {
        0 => zeros_based(optperf != 0, namespace.npda.get()),
        blocks => u64::from(blocks),
    };
    granularity.max(alignment)
}
