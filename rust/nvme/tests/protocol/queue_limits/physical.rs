// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The physical block: what is written without reading first, and without tearing.

use nvme_proto::queue_limits::Ignored;

use super::{decided, limits};

/// The physical block of a preferred write of `npwg` blocks of 512 bytes, `nawupf` of them untorn;
/// both count from 1 here.
fn physical(npwg: u16, nawupf: u16) -> (u32, Vec<Ignored>) {
    let (limits, ignored) = decided(9, |device| {
        device.namespace.nsfeat = 0x12;
        device.namespace.npwg = (npwg - 1).into();
        device.namespace.nawupf = (nawupf - 1).into();
    });
    (limits.physical_block_size, ignored)
}

#[test]
fn the_physical_block_is_preferred_untorn_and_a_power_of_two() {
    assert_eq!(physical(8, 8), (4096, vec![]));
    assert_eq!(physical(8, 4), (2048, vec![]));
    assert_eq!(physical(4, 256), (2048, vec![]));
    assert_eq!(physical(12, 256), (2048, vec![]));
    assert_eq!(physical(8, 7), (2048, vec![]));
    assert_eq!(physical(7, 256), (512, vec![]));
    assert_eq!(physical(1 << 14, 1 << 14), (65536, vec![]));
    let absurd = vec![Ignored::WriteGranularity(16 << 20)];
    assert_eq!(physical(1 << 15, 1 << 15), (512, absurd));
    let unsaid = limits(9, |device| device.namespace.npwg = 7.into());
    assert_eq!(unsaid.physical_block_size, 512);
    assert_eq!(limits(12, |_| {}).physical_block_size, 4096);
}

#[test]
fn a_physical_block_goes_in_one_transfer() {
    let limits = limits(9, |device| {
        device.namespace.nsfeat = 0x12;
        device.namespace.nawupf = 255.into();
        device.namespace.npwg = 127.into();
        device.host.mappable = 16384;
    });
    assert_eq!(limits.physical_block_size, 16384);
    assert_eq!(limits.io_min, 65536);
}
