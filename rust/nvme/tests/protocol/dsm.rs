// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Deallocation: what is asked for is what the ranges say, within every limit; Write Zeroes.

use std::cell::Cell;

use nvme_proto::command::Command;
use nvme_proto::dsm::{
    encode, may_deallocate_zeroes, DeallocateLimits, DeallocateRefused, Encoded, Range,
    BUFFER_BYTES, MAX_RANGES, RANGE_BYTES,
};
use nvme_proto::identify::NamespaceFormat;
use proptest::prelude::*;

use crate::support::for_all;

fn format(lba_shift: u8) -> NamespaceFormat {
    NamespaceFormat {
        lba_shift,
        blocks: 1 << 40,
        capacity_sectors: 1 << 49,
        write_protected: false,
    }
}

fn encoded(
    input: &[(u64, u64)],
    lba_shift: u8,
    limits: DeallocateLimits,
) -> Result<(Encoded, Vec<Range>), DeallocateRefused> {
    let mut ranges = Vec::new();
    let mut write = |index: usize, range: Range| {
        assert_eq!(index, ranges.len(), "ranges are written in order");
        ranges.push(range);
    };
    let pairs = input.iter().copied();
    let encoded = encode(pairs, &format(lba_shift), &limits, &mut write)?;
    assert_eq!(usize::from(encoded.ranges), ranges.len());
    Ok((encoded, ranges))
}

/// First blocks and lengths of the ranges.
fn ranges(input: &[(u64, u64)], lba_shift: u8, limits: DeallocateLimits) -> Vec<(u64, u32)> {
    let (_, ranges) = encoded(input, lba_shift, limits).expect("must be accepted");
    ranges.iter().map(|r| (r.slba, r.blocks)).collect()
}

fn refusal(input: &[(u64, u64)], lba_shift: u8, limits: DeallocateLimits) -> DeallocateRefused {
    encoded(input, lba_shift, limits).expect_err("must be refused")
}

fn unlimited() -> DeallocateLimits {
    DeallocateLimits::default()
}

#[test]
fn a_range_is_sixteen_bytes_in_the_specifications_order() {
    let range = Range {
        slba: 0x1122_3344_5566_7788,
        blocks: 0x99aa_bbcc,
    };
    let words = range.to_words();
    let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
    let expected = [
        0, 0, 0, 0, 0xcc, 0xbb, 0xaa, 0x99, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,
    ];
    assert_eq!(bytes, expected);
    assert_eq!((bytes.len(), BUFFER_BYTES), (RANGE_BYTES, 4096));
}

#[test]
fn sectors_become_blocks() {
    assert_eq!(ranges(&[(8, 4096)], 9, unlimited()), [(8, 8)]);
    assert_eq!(ranges(&[(8, 4096)], 12, unlimited()), [(1, 1)]);
    assert_eq!(ranges(&[(128, 1 << 20)], 16, unlimited()), [(1, 16)]);
    let split = DeallocateRefused::NotBlocks;
    assert_eq!(refusal(&[(7, 4096)], 12, unlimited()), split);
    assert_eq!(refusal(&[(8, 4095)], 12, unlimited()), split);
    assert_eq!(refusal(&[(8, 511)], 9, unlimited()), split);
    // A format that no namespace has.
    assert_eq!(refusal(&[(8, 4096)], 8, unlimited()), split);
    assert_eq!(refusal(&[(8, 4096)], 255, unlimited()), split);
}

#[test]
fn neighbours_are_merged_and_others_are_not() {
    let block = 512;
    assert_eq!(ranges(&[(0, block), (1, block)], 9, unlimited()), [(0, 2)]);
    assert_eq!(ranges(&[(1, block), (0, block)], 9, unlimited()), [(0, 2)]);
    assert_eq!(
        ranges(&[(0, 4 * block), (2, block)], 9, unlimited()),
        [(0, 4)]
    );
    assert_eq!(
        ranges(&[(0, block), (2, block)], 9, unlimited()),
        [(0, 1), (2, 1)]
    );
    let late = [(0, block), (9, block), (1, block)];
    assert_eq!(ranges(&late, 9, unlimited()), [(0, 1), (9, 1), (1, 1)]);
    let many: Vec<(u64, u64)> = (0..100_000).map(|n| (n, block)).collect();
    assert_eq!(ranges(&many, 9, unlimited()), [(0, 100_000)]);
}

#[test]
fn nothing_makes_no_command() {
    assert_eq!(refusal(&[], 9, unlimited()), DeallocateRefused::Empty);
    assert_eq!(refusal(&[(5, 0)], 9, unlimited()), DeallocateRefused::Empty);
    assert_eq!(
        ranges(&[(5, 0), (7, 512), (9, 0)], 9, unlimited()),
        [(7, 1)]
    );
}

#[test]
fn no_range_runs_past_the_last_block() {
    let last = u64::MAX - 1;
    assert_eq!(ranges(&[(last, 512)], 9, unlimited()), [(last, 1)]);
    assert_eq!(
        refusal(&[(u64::MAX, 512)], 9, unlimited()),
        DeallocateRefused::PastEnd
    );
    assert_eq!(
        refusal(&[(last, 1024)], 9, unlimited()),
        DeallocateRefused::PastEnd
    );
}

#[test]
fn a_long_range_is_split_where_the_controller_wants_it() {
    let limits = DeallocateLimits::new(0, 1000, 0);
    assert_eq!(ranges(&[(0, 1000 * 512)], 9, limits), [(0, 1000)]);
    assert_eq!(
        ranges(&[(0, 1001 * 512)], 9, limits),
        [(0, 1000), (1000, 1)]
    );
    let two = [(0, 600 * 512), (600, 600 * 512)];
    assert_eq!(ranges(&two, 9, limits), [(0, 1000), (1000, 200)]);
    // More blocks than 32 bits count, without a limit of the controller.
    let most = u64::from(u32::MAX);
    assert_eq!(ranges(&[(0, most * 512)], 9, unlimited()), [(0, u32::MAX)]);
    let more = [(0, (most + 1) * 512)];
    assert_eq!(ranges(&more, 9, unlimited()), [(0, u32::MAX), (most, 1)]);
}

#[test]
fn no_more_ranges_than_the_controller_takes() {
    let apart = |count: u64| (0..count).map(|n| (n * 2, 512)).collect::<Vec<_>>();
    assert_eq!(ranges(&apart(256), 9, unlimited()).len(), 256);
    let all = DeallocateRefused::TooManyRanges(MAX_RANGES);
    assert_eq!(refusal(&apart(257), 9, unlimited()), all);
    for dmrl in [1, 2, 255] {
        let limits = DeallocateLimits::new(dmrl, 0, 0);
        assert_eq!(
            ranges(&apart(u64::from(dmrl)), 9, limits).len(),
            usize::from(dmrl)
        );
        let refused = refusal(&apart(u64::from(dmrl) + 1), 9, limits);
        assert_eq!(refused, DeallocateRefused::TooManyRanges(dmrl.into()));
    }
    // Pieces of one range count as well, and the largest request with the shortest ranges ends.
    let limits = DeallocateLimits::new(2, 1, 0);
    assert_eq!(ranges(&[(0, 1024)], 9, limits).len(), 2);
    let refused = refusal(&[(0, u64::MAX & !511)], 9, limits);
    assert_eq!(refused, DeallocateRefused::TooManyRanges(2));
}

#[test]
fn no_more_blocks_than_the_controller_takes() {
    let limits = DeallocateLimits::new(0, 0, 10);
    assert_eq!(ranges(&[(0, 10 * 512)], 9, limits), [(0, 10)]);
    assert_eq!(ranges(&[(0, 5 * 512), (9, 5 * 512)], 9, limits).len(), 2);
    let refused = DeallocateRefused::TooManyBlocks(10);
    assert_eq!(refusal(&[(0, 11 * 512)], 9, limits), refused);
    assert_eq!(refusal(&[(0, 5 * 512), (9, 6 * 512)], 9, limits), refused);
}

#[test]
fn limits_of_zero_made_by_hand_end_as_well() {
    let limits = DeallocateLimits {
        ranges: 0,
        range_blocks: 0,
        blocks: 1,
    };
    assert_eq!(ranges(&[(0, 512)], 9, limits), [(0, 1)]);
    assert_eq!(
        refusal(&[(0, 1024)], 9, limits),
        DeallocateRefused::TooManyRanges(1)
    );
}

/// What is asked for, mostly close together; what a controller may claim, mostly small.
fn cases() -> impl Strategy<Value = (Vec<(u64, u64)>, u8, DeallocateLimits)> {
    let pair = prop_oneof![
        20 => (0u64..300, 0u64..40),
        1 => (any::<u64>(), any::<u64>())
    ];
    let limits = (any::<u8>(), prop_oneof![0u32..40, any::<u32>()], 0u64..4000);
    let limits = limits.prop_map(|(dmrl, dmrsl, dmsl)| DeallocateLimits::new(dmrl, dmrsl, dmsl));
    let pairs = prop::collection::vec(pair, 0..60);
    (pairs, 9u8..=16, limits).prop_map(|(pairs, shift, limits)| {
        let scale = |(block, blocks): (u64, u64)| {
            let sector = block.wrapping_mul(1 << (shift - 9));
            (sector, blocks.wrapping_mul(1 << shift))
        };
        (pairs.into_iter().map(scale).collect(), shift, limits)
    })
}

/// The blocks in order, as stretches that do not touch.
fn union(mut extents: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    extents.sort();
    let mut joined: Vec<(u64, u64)> = Vec::new();
    for (begin, end) in extents.into_iter().filter(|(begin, end)| begin < end) {
        match joined.last_mut() {
            Some(last) if begin <= last.1 => last.1 = last.1.max(end),
            _ => joined.push((begin, end)),
        }
    }
    joined
}

#[test]
fn what_is_asked_for_is_what_the_ranges_say() {
    let (cases_run, accepted) = (Cell::new(0), Cell::new(0));
    for_all(5000, cases(), |(input, shift, limits)| {
        cases_run.set(cases_run.get() + 1);
        let Ok((encoded, ranges)) = encoded(&input, shift, limits) else {
            return;
        };
        accepted.set(accepted.get() + 1);
        let asked = input.iter().map(|&(sector, bytes)| {
            let begin = sector >> (shift - 9);
            (begin, begin + (bytes >> shift))
        });
        let said = ranges
            .iter()
            .map(|r| (r.slba, r.slba + u64::from(r.blocks)));
        assert_eq!(union(said.collect()), union(asked.collect()));
        assert!(!ranges.is_empty() && ranges.len() <= usize::from(limits.ranges));
        assert!(ranges
            .iter()
            .all(|r| (1..=limits.range_blocks).contains(&r.blocks)));
        let blocks: u64 = ranges.iter().map(|r| u64::from(r.blocks)).sum();
        assert_eq!(encoded.blocks, blocks);
        assert!(blocks <= limits.blocks);
    });
    let (cases_run, accepted) = (cases_run.get(), accepted.get());
    println!("{accepted} of {cases_run} were accepted");
    // `RNVME_CASES` may ask for too few to tell.
    assert!(
        cases_run < 1000 || accepted > cases_run / 10,
        "the cases are too wild to say anything"
    );
}

#[test]
fn the_command_counts_ranges_from_zero() {
    let fields = |ranges| {
        let command = Command::deallocate(7, ranges);
        assert_eq!((command.opcode, command.nsid.get()), (9, 7));
        (command.cdw10.get(), command.cdw11.get())
    };
    assert_eq!((fields(1), fields(256)), ((0, 4), (255, 4)));
    assert_eq!((fields(0), fields(u16::MAX)), ((0, 4), (255, 4)));
}

#[test]
fn write_zeroes_may_deallocate_only_what_then_reads_as_zeroes() {
    for dlfeat in 0..=u8::MAX {
        let zeroes = dlfeat & 0xf == 0b1001;
        assert_eq!(may_deallocate_zeroes(false, dlfeat), zeroes, "{dlfeat:#x}");
        assert!(!may_deallocate_zeroes(true, dlfeat));
    }
    let cdw12 = |deac, fua| Command::write_zeroes(1, 0, 7, deac, fua).cdw12.get();
    assert_eq!(cdw12(false, false), 7);
    assert_eq!(cdw12(true, false), 7 | (1 << 25));
    assert_eq!(cdw12(false, true), 7 | (1 << 30));
    let command = Command::write_zeroes(3, 0x1_2345_6789, u16::MAX, true, true);
    assert_eq!((command.opcode, command.nsid.get()), (8, 3));
    assert_eq!((command.cdw10.get(), command.cdw11.get()), (0x2345_6789, 1));
    assert_eq!(command.cdw12.get(), 0x4200_ffff);
    assert_eq!((command.prp1.get(), command.prp2.get()), (0, 0));
}

#[test]
fn a_refused_deallocation_says_why() {
    let refused = [
        (DeallocateRefused::Empty, "there is nothing to deallocate"),
        (
            DeallocateRefused::NotBlocks,
            "a range to deallocate is not made of whole blocks",
        ),
        (
            DeallocateRefused::PastEnd,
            "a range to deallocate runs past the last block",
        ),
        (
            DeallocateRefused::TooManyRanges(2),
            "more to deallocate than 2 ranges can hold",
        ),
        (
            DeallocateRefused::TooManyBlocks(9),
            "more to deallocate than 9 blocks at once",
        ),
    ];
    for (refused, expected) in refused {
        assert_eq!(refused.to_string(), expected);
    }
}
