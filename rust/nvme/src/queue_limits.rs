// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What the queue of a disk can take, from what the controller and its namespace say.
//!
//! The answer satisfies the block layer (`blk_validate_limits`) whatever is claimed: a value that
//! makes no sense is left out by itself, and [`Decision::ignored`] says why. All sizes are in
//! bytes. `Documentation/limits.md` has the table.
//!
//! Relies on [`NamespaceFormat`] for a checked logical block, and on [`choice`] for what scatter
//! gather lists change.

use core::fmt;

use crate::identify::{
    IdentifyController, IdentifyControllerNvm, IdentifyNamespace, IdentifyNamespaceNvm,
    IndependentNamespace, NamespaceFormat,
};
use crate::limits::transfer_limit;
use crate::register::Cap;
use crate::sgl::{
    choice::{self, Queue},
    SglSupport,
};
use crate::PAGE;

mod atomic;
mod discard;
mod ignored;
mod sizes;
mod zeroes;

pub use atomic::AtomicWrite;
pub use discard::Discard;
pub use ignored::{Ignored, IgnoredClaims};
pub use sizes::{MAX_PHYSICAL_BLOCK, MAX_PREFERRED};
pub use zeroes::WriteZeroes;

/// All that a controller says about itself and one namespace.
#[derive(Clone, Copy)]
pub struct Claims<'a> {
    /// Identify Controller.
    pub controller: &'a IdentifyController,
    /// Identify Namespace.
    pub namespace: &'a IdentifyNamespace,
    /// Identify Controller for the NVM Command Set, if the controller has it.
    pub nvm_controller: Option<&'a IdentifyControllerNvm>,
    /// Identify Namespace for the NVM Command Set, if the controller has it.
    pub nvm_namespace: Option<&'a IdentifyNamespaceNvm>,
    /// Identify Namespace independent of the command set, if the controller has it.
    pub independent: Option<&'a IndependentNamespace>,
}

/// What the host can do in one transfer, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostLimits {
    /// What the platform can map.
    pub mappable: usize,
    /// What the lists that describe memory have room for.
    pub longest_transfer: u32,
    /// What the platform maps without slowing down.
    pub optimal_mapping: usize,
    /// How many pages a list that describes memory has room in.
    pub list_pages: usize,
}

/// What the queue of a disk can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLimits {
    /// The unit of addressing: a power of two from 512 to 65536.
    pub logical_block_size: u32,
    /// What is written without tearing and without reading first: a power of two, at least a
    /// logical block, and no longer than a transfer.
    pub physical_block_size: u32,
    /// The smallest write that costs no more than it must: whole physical blocks.
    pub io_min: u32,
    /// The write that the device likes best: a multiple of `io_min`; 0: it does not say.
    pub io_opt: u32,
    /// The longest transfer: whole logical blocks and whole pages.
    pub max_transfer: u32,
    /// The longest transfer that is made unless users ask for longer ones; 0: the longest of all.
    pub usual_transfer: u32,
    /// Transfers do not cross multiples of this power of two; 0: they may.
    pub chunk: u32,
    /// The most ranges of memory in one transfer.
    pub max_segments: u16,
    /// Ranges but the first begin, and ranges but the last end, where these address bits are 0.
    pub virt_boundary_mask: usize,
    /// Data begins where these address bits are 0.
    pub dma_alignment: u32,
    /// Whether there is a volatile write cache, so that flushes mean something.
    pub write_cache: bool,
    /// Whether a write can go through it.
    pub fua: bool,
    /// Whether the medium rotates.
    pub rotational: bool,
    /// Whether the namespace is write protected.
    pub read_only: bool,
    /// What one request can deallocate, if the controller can.
    pub discard: Option<Discard>,
    /// What one request can set to zero, if the controller can.
    pub write_zeroes: Option<WriteZeroes>,
    /// What is written whole or not at all.
    pub atomic: AtomicWrite,
}

impl QueueLimits {
    /// The same where transfers are split at the ends of zones of `zone` bytes (a power of two, at
    /// least a logical block), whatever NOIOB says: a write that is split is torn.
    #[must_use]
    pub fn in_zones(mut self, zone: u64) -> Self {
        self.chunk = 0;
        if let Ok(zone) = u32::try_from(zone) {
            self.physical_block_size = self.physical_block_size.min(zone);
            self.atomic.max = self.atomic.max.min(zone);
            // All powers of two, but for the most.
            self.atomic.unit_max = self.atomic.unit_max.min(zone);
        }
        self
    }
}

/// The limits, and the claims that did not make it into them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The limits.
    pub limits: QueueLimits,
    /// What was left out: one line for each, for the log.
    pub ignored: IgnoredClaims,
}

/// Why a namespace makes no disk here: one block of it, or one page, is longer than any transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransferTooShort {
    /// What must go in one transfer, in bytes.
    pub needed: u32,
    /// What can, in bytes.
    pub most: u32,
}

impl fmt::Display for TransferTooShort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { needed, most } = self;
        write!(
            f,
            "needs transfers of {needed} bytes; the longest has {most}"
        )
    }
}

/// Decides what the queue of a namespace's disk can take. `format` is what `claims.namespace`
/// makes.
pub fn decide(
    claims: &Claims<'_>,
    format: &NamespaceFormat,
    cap: Cap,
    host: &HostLimits,
) -> Result<Decision, TransferTooShort> {
    let mut ignored = IgnoredClaims::default();
    let Claims {
        controller,
        namespace,
        independent,
        ..
    } = *claims;
    let sgl = SglSupport::parse(controller.sgls.get());
    let shift = format.lba_shift;
    let max_transfer = max_transfer(controller, format, cap, host)?;
    let optperf = namespace.optperf(controller.version());
    let untorn = atomic::untorn(namespace, controller.awupf.get(), shift, &mut ignored);
    let unit = untorn.unit(max_transfer);
    let sizes = sizes::write_sizes(namespace, optperf, shift, unit, &mut ignored);
    let physical = sizes.physical_block;
    let chunk = sizes::chunk(namespace, shift, physical, &mut ignored);
    let cached = independent.is_none_or(|namespace| !namespace.without_write_cache());
    let write_cache = controller.vwc_present() && cached;
    let limits = QueueLimits {
        logical_block_size: format.logical_block_size(),
        physical_block_size: physical,
        io_min: sizes.io_min,
        io_opt: sizes.io_opt,
        max_transfer,
        usual_transfer: usual_transfer(max_transfer, format, host),
        chunk,
        max_segments: match sgl {
            Some(_) => choice::max_segments(sgl, Queue::Io, host.list_pages),
            None => max_segments(max_transfer),
        },
        virt_boundary_mask: choice::virtual_boundary_mask(sgl, Queue::Io) as usize,
        // PRP entries point to dwords (Base 4.3.1).
        dma_alignment: 3,
        write_cache,
        fua: write_cache,
        rotational: independent.is_some_and(IndependentNamespace::rotational),
        read_only: format.write_protected
            || independent.is_some_and(IndependentNamespace::write_protected),
        discard: discard::discard(claims, optperf, shift, physical, &mut ignored),
        write_zeroes: zeroes::write_zeroes(claims, cap, shift, &mut ignored),
        atomic: untorn.within(shift, max_transfer, chunk),
    };
    Ok(Decision { limits, ignored })
}

/// The longest transfer that the controller takes and the host can make.
fn max_transfer(
    controller: &IdentifyController,
    format: &NamespaceFormat,
    cap: Cap,
    host: &HostLimits,
) -> Result<u32, TransferTooShort> {
    let bounded = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
    // The block layer asks for a page at least. Both are powers of two.
    let needed = format.logical_block_size().max(PAGE);
    let most = transfer_limit(controller.mdts, cap.min_page_size())
        .min(bounded(host.mappable))
        .min(host.longest_transfer);
    if most < needed {
        return Err(TransferTooShort { needed, most });
    }
    Ok(most & !needed.wrapping_sub(1))
}

/// What the platform likes best, if that is less than what it can: whole blocks and pages.
fn usual_transfer(max_transfer: u32, format: &NamespaceFormat, host: &HostLimits) -> u32 {
    let needed = format.logical_block_size().max(PAGE);
    let optimal = u32::try_from(host.optimal_mapping).unwrap_or(u32::MAX);
    if optimal >= max_transfer {
        return 0;
    }
    optimal.max(needed) & !needed.wrapping_sub(1)
}

/// With PRP entries: a range of memory for each page, and one more for a start inside a page.
fn max_segments(max_transfer: u32) -> u16 {
    let segments = max_transfer.div_ceil(PAGE).saturating_add(1);
    u16::try_from(segments).unwrap_or(u16::MAX)
}

/// A 0's based number of logical blocks in bytes: at most 2^32, since a block has at most 2^16.
fn zeros_based_bytes(blocks0: u16, lba_shift: u8) -> u64 {
    u64::from(blocks0)
        .wrapping_add(1)
        .wrapping_shl(u32::from(lba_shift))
}
