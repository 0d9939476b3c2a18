// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What one Write Zeroes command can set to zero (NVM 3.2.8).

use super::{Claims, Ignored, IgnoredClaims};
use crate::dsm::may_deallocate_zeroes;
use crate::limits::transfer_limit;
use crate::register::Cap;

/// The most blocks of one command.
const MAX_BLOCKS: u64 = 1 << 16;

/// What one request can set to zero without sending it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteZeroes {
    /// The most bytes: whole logical blocks.
    pub max_bytes: u32,
    /// Whether the command may ask to deallocate the blocks (DEAC): it can, and what is
    /// deallocated reads as zeros.
    pub deallocate: bool,
}

/// What can be set to zero; `None` if nothing.
pub(super) fn write_zeroes(
    claims: &Claims<'_>,
    cap: Cap,
    lba_shift: u8,
    ignored: &mut IgnoredClaims,
) -> Option<WriteZeroes> {
    let controller = claims.controller;
    let block = 1u64.wrapping_shl(u32::from(lba_shift));
    // A size that a field of the controller gives, if it does.
    let size = |exponent: u8| (exponent != 0).then(|| size_limit(exponent, cap.min_page_size()));
    let limits = claims.nvm_controller;
    let own = limits.and_then(|limits| size(limits.wzsl));
    let mut max_bytes = match own {
        Some(bytes) => bytes,
        // MDTS does not apply, but there are controllers that apply it.
        None if controller.write_zeroes() => {
            u64::from(transfer_limit(controller.mdts, cap.min_page_size()))
        }
        None => return None,
    };
    if max_bytes < block {
        ignored.push(Ignored::WriteZeroesSize(max_bytes));
        return None;
    }
    let mut deallocate = may_deallocate_zeroes(false, claims.namespace.dlfeat);
    let own = limits.filter(|_| controller.deallocating_zeroes_have_a_limit());
    match own.and_then(|limits| size(limits.wzdsl)) {
        Some(bytes) if deallocate && bytes < block => {
            ignored.push(Ignored::DeallocatingZeroesSize(bytes));
            deallocate = false;
        }
        // Linux has a single size for both kinds.
        Some(bytes) if deallocate => max_bytes = max_bytes.min(bytes),
        _ => {}
    }
    let most = MAX_BLOCKS.saturating_mul(block).min(u64::from(u32::MAX));
    let whole_blocks = max_bytes.min(most) & !block.wrapping_sub(1);
    Some(WriteZeroes {
        max_bytes: whole_blocks as u32,
        deallocate,
    })
}

/// An exponent over the smallest page, in bytes.
fn size_limit(exponent: u8, min_page: u64) -> u64 {
    1u64.checked_shl(u32::from(exponent))
        .map_or(u64::MAX, |pages| pages.saturating_mul(min_page))
}
