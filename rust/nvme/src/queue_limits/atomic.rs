// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What is written whole or not at all over a power failure (NVM 2.1.4).
//!
//! Only the namespace's own unit counts (NAWUPF). The controller's (AWUPF) is a number of logical
//! blocks, which have a size in a namespace alone: with several formats, or several controllers
//! at one namespace, nobody knows what it amounts to, and what it promises too much would be
//! found out by a power failure. Without NAWUPF a single block is atomic.

use super::{zeros_based_bytes, Ignored, IgnoredClaims};
use crate::identify::IdentifyNamespace;

/// The largest boundary in bytes that a 32-bit size can hold: it divides every larger one.
const MAX_BOUNDARY: u64 = 1 << 31;

/// What is written whole or not at all, in bytes. The block layer makes of it what users see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AtomicWrite {
    /// The longest such write; whole blocks.
    pub max: u32,
    /// Such a write must not cross a multiple of this power of two; 0: it may. At least `max`.
    pub boundary: u32,
    /// The shortest such write: a logical block.
    pub unit_min: u32,
    /// The longest power of two up to `max`.
    pub unit_max: u32,
}

impl AtomicWrite {
    /// No promise.
    pub const NONE: Self = Self {
        max: 0,
        boundary: 0,
        unit_min: 0,
        unit_max: 0,
    };

    /// Whether a write of `bytes` bytes at 512-byte sector `sector` is one that is written whole or
    /// not at all.
    pub fn holds(&self, sector: u64, bytes: u32) -> bool {
        // What users ask for is merged, and may then be longer than one of them may ask for.
        if bytes == 0 || bytes > self.max {
            return false;
        }
        let first = sector.wrapping_shl(9);
        let last = first.wrapping_add(u64::from(bytes.wrapping_sub(1)));
        // A power of two, or 0: then the mask is empty.
        let Some(mask) = self.boundary.checked_sub(1) else {
            return true;
        };
        (first ^ last) & !u64::from(mask) == 0
    }
}

/// What the namespace promises, as far as it can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Untorn {
    most: u64,
    boundary: u32,
}

/// What a namespace with blocks of `1 << lba_shift` bytes promises, of a controller with `awupf`.
pub(super) fn untorn(
    namespace: &IdentifyNamespace,
    awupf: u16,
    lba_shift: u8,
    ignored: &mut IgnoredClaims,
) -> Untorn {
    let single_block = Untorn {
        most: zeros_based_bytes(0, lba_shift),
        boundary: 0,
    };
    let Some(nawupf) = namespace.own_atomic_unit() else {
        if awupf != 0 {
            let blocks = u32::from(awupf).wrapping_add(1);
            ignored.push(Ignored::ControllerAtomicUnit(blocks));
        }
        return single_block;
    };
    let nabo = namespace.nabo.get();
    if nabo != 0 {
        ignored.push(Ignored::AtomicOffset(nabo));
        return single_block;
    }
    let most = zeros_based_bytes(nawupf, lba_shift);
    let nabspf = namespace.nabspf.get();
    if nabspf == 0 {
        return Untorn { most, boundary: 0 };
    }
    // Within a divisor of the boundary a write stays within the boundary, too.
    let blocks = u32::from(nabspf).wrapping_add(1);
    let taken = 1u32.wrapping_shl(blocks.trailing_zeros());
    if taken != blocks {
        ignored.push(Ignored::AtomicBoundary { blocks, taken });
    }
    let boundary = u64::from(taken)
        .wrapping_shl(u32::from(lba_shift))
        .min(MAX_BOUNDARY);
    Untorn {
        most: most.min(boundary),
        boundary: boundary as u32,
    }
}

impl Untorn {
    /// The longest power of two that is untorn, and goes in one transfer of `max_transfer`.
    pub(super) fn unit(&self, max_transfer: u32) -> u32 {
        floor_power_of_two(self.up_to(max_transfer))
    }

    /// The limits where transfers have at most `max_transfer` bytes and do not cross multiples of
    /// `chunk`, unless it is 0: a write that is split is not atomic.
    pub(super) fn within(&self, lba_shift: u8, max_transfer: u32, chunk: u32) -> AtomicWrite {
        let undivided = if chunk == 0 { u32::MAX } else { chunk };
        let max = self.up_to(max_transfer.min(undivided));
        AtomicWrite {
            max,
            boundary: self.boundary,
            unit_min: 1u32.wrapping_shl(u32::from(lba_shift)),
            unit_max: floor_power_of_two(max),
        }
    }

    fn up_to(&self, bytes: u32) -> u32 {
        u32::try_from(self.most).unwrap_or(u32::MAX).min(bytes)
    }
}

/// The largest power of two up to `bytes`.
fn floor_power_of_two(bytes: u32) -> u32 {
    1u32.wrapping_shl(bytes.checked_ilog2().unwrap_or(0))
}
