// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What the kernel's block layer makes of a queue's limits: a model of `blk_validate_limits`
//! (block/blk-settings.c of Linux 7.3), and of what splitting and merging rely on without a check.
//!
//! Where the block layer would mend a value, or go on without a feature, the model objects: what
//! we announce is to be what users see. The fuzz target for limits uses this file, too.

use nvme_proto::queue_limits::{AtomicWrite, QueueLimits};

const SECTOR: u32 = 512;
const PAGE: u32 = 4096;

/// Panics with what the block layer has against these limits.
pub(crate) fn assert_accepted(limits: &QueueLimits) {
    if let Err(objection) = accepted(limits) {
        panic!("{objection}: {limits:?}");
    }
}

fn check(holds: bool, objection: &'static str) -> Result<(), &'static str> {
    if holds {
        Ok(())
    } else {
        Err(objection)
    }
}

fn accepted(limits: &QueueLimits) -> Result<(), &'static str> {
    let logical = limits.logical_block_size;
    let physical = limits.physical_block_size;
    check(
        logical.is_power_of_two() && (SECTOR..=65536).contains(&logical),
        "the logical block is refused",
    )?;
    check(
        physical >= logical,
        "the physical block is raised to the logical one",
    )?;
    check(
        physical.is_power_of_two(),
        "the physical block is no power of two",
    )?;
    check(
        limits.io_min >= physical,
        "io_min is raised to the physical block",
    )?;
    check(
        limits.io_opt % physical == 0,
        "io_opt is rounded to physical blocks",
    )?;
    check(
        limits.io_min % logical == 0 && limits.io_min <= 8 << 20 && limits.io_opt <= 8 << 20,
        "a preferred size is absurd",
    )?;
    transfers(limits)?;
    check(
        limits.chunk == 0 || (limits.chunk.is_power_of_two() && limits.chunk >= physical),
        "the chunk splits physical blocks",
    )?;
    check(
        limits.write_cache || !limits.fua,
        "FUA without a cache is dropped",
    )?;
    deallocation(limits)?;
    atomic_writes(limits, &limits.atomic)
}

fn transfers(limits: &QueueLimits) -> Result<(), &'static str> {
    let most = limits.max_transfer;
    check(
        most >= PAGE && most >= limits.logical_block_size,
        "transfers are too short",
    )?;
    check(
        most % limits.logical_block_size == 0,
        "transfers are rounded to blocks",
    )?;
    check(
        limits.physical_block_size <= most,
        "a physical block takes several transfers",
    )?;
    check(
        limits.dma_alignment != 0 && limits.dma_alignment <= PAGE,
        "the alignment is refused",
    )?;
    match limits.virt_boundary_mask {
        // With scatter gather lists there may be many small segments, as many as there is room for.
        0 => check(limits.max_segments != 0, "there may be no segment"),
        4095 => check(
            u64::from(limits.max_segments.saturating_sub(1)) * u64::from(PAGE) >= u64::from(most),
            "transfers are split for their number of segments",
        ),
        _ => Err("PRP lists need page boundaries"),
    }
}

fn deallocation(limits: &QueueLimits) -> Result<(), &'static str> {
    let physical = limits.physical_block_size;
    if let Some(discard) = limits.discard {
        check(
            (1..=256).contains(&discard.max_ranges),
            "the number of ranges is replaced",
        )?;
        check(discard.max_bytes >> 9 <= u64::from(u32::MAX), "too much")?;
        // blk-lib.c rounds with it as with a power of two, and a bio that is longer than the
        // most, of which no whole unit remains, is not split at all.
        let granularity = discard.granularity;
        check(
            granularity.is_power_of_two() && granularity >= physical,
            "the granularity is raised or rounds wrongly",
        )?;
        check(
            u64::from(granularity) <= discard.max_bytes,
            "discards would not be split",
        )?;
        check(
            discard.command.ranges == discard.max_ranges,
            "more ranges than fit",
        )?;
    }
    if let Some(zeroes) = limits.write_zeroes {
        let (most, block) = (zeroes.max_bytes, limits.logical_block_size);
        check(
            most >= block && most % block == 0,
            "zeroes are split inside blocks",
        )?;
        check(most / block <= 65536, "NLB overflows")?;
    }
    Ok(())
}

fn atomic_writes(limits: &QueueLimits, atomic: &AtomicWrite) -> Result<(), &'static str> {
    let AtomicWrite {
        max,
        boundary,
        unit_min,
        unit_max,
    } = *atomic;
    check(
        max >= SECTOR && unit_min.is_power_of_two() && unit_max.is_power_of_two(),
        "atomic units are refused",
    )?;
    check(
        unit_min <= unit_max && unit_max <= max,
        "atomic units are out of order",
    )?;
    check(
        limits.chunk == 0 || max <= limits.chunk,
        "atomic writes would be split",
    )?;
    check(
        max <= limits.max_transfer,
        "atomic writes are longer than a transfer",
    )?;
    check(
        limits.physical_block_size <= unit_max,
        "a physical block would be torn",
    )?;
    if boundary == 0 {
        return Ok(());
    }
    check(max <= boundary, "atomic writes cross the boundary")?;
    check(
        boundary.is_power_of_two() && boundary >= SECTOR,
        "the atomic boundary is refused",
    )?;
    let (long, short) = (limits.chunk.max(boundary), limits.chunk.min(boundary));
    check(
        short == 0 || long % short == 0,
        "atomic boundary and chunk do not match",
    )
}
