// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What a person reads in the log when a claim is left out: word by word.

use nvme_proto::queue_limits::Ignored;

#[test]
fn what_is_left_out_is_named_by_its_field() {
    let boundary = Ignored::IoBoundary {
        bytes: 1536,
        least: 4096,
    };
    let atomic = Ignored::AtomicBoundary {
        blocks: 24,
        taken: 8,
    };
    let messages = [
        (
            Ignored::WriteGranularity(300 << 20),
            "NPWG of 314572800 bytes is longer than any transfer: ignored",
        ),
        (
            Ignored::WriteAlignment { npwa: 3, npwg: 8 },
            "NPWA of 3 blocks does not divide NPWG of 8: ignored",
        ),
        (
            Ignored::OptimalWrite(4608),
            "NOWS of 4608 bytes is no multiple of NPWG or longer than any transfer: ignored",
        ),
        (
            boundary,
            "NOIOB of 1536 bytes is no power of two from 4096 on: ignored",
        ),
        (
            Ignored::ControllerAtomicUnit(8),
            "AWUPF of 8 blocks names no namespace, and there is no NAWUPF: ignored",
        ),
        (
            Ignored::AtomicOffset(4),
            "NABO is 4, but atomic boundaries must begin at block 0: NAWUPF ignored",
        ),
        (atomic, "NABSPF of 24 blocks is no power of two: taken as 8"),
        (
            Ignored::DiscardGranularity(12288),
            "deallocation in units of 12288 bytes (NPDG, NPDA) is not possible: ignored",
        ),
        (
            Ignored::DiscardSupport,
            "DMRL, DMRSL and DMSL are neither all 0 nor all set, without ONCS: no discard",
        ),
        (
            Ignored::DiscardSize(2048),
            "DMRSL and DMSL allow 2048 bytes, less than a physical block: no discard",
        ),
        (
            Ignored::WriteZeroesSize(32768),
            "WZSL allows 32768 bytes, less than a block: no write zeroes",
        ),
        (
            Ignored::DeallocatingZeroesSize(8192),
            "WZDSL allows 8192 bytes, less than a block: zeroes do not deallocate",
        ),
    ];
    for (ignored, expected) in messages {
        assert_eq!(ignored.to_string(), expected);
    }
}
