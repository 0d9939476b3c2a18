// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Limits where the queue is split at the ends of zones.

use proptest::prelude::*;

use super::super::limits;
use super::{field, hostile};
use crate::block_layer::assert_accepted;
use crate::support::for_all;

#[test]
fn zones_take_the_place_of_the_boundary() {
    let of_device = limits(9, |device| {
        device.namespace.noiob = 256.into();
        device.namespace.nsfeat = 0x12;
        device.namespace.nawupf = 127.into();
        device.namespace.npwg = 15.into();
    });
    assert_eq!(
        (of_device.chunk, of_device.atomic.max),
        (128 << 10, 64 << 10)
    );
    let large = of_device.in_zones(1 << 40);
    assert_eq!((large.chunk, large.atomic), (0, of_device.atomic));
    let small = of_device.in_zones(4096);
    assert_eq!((small.atomic.max, small.atomic.unit_max), (4096, 4096));
    assert_eq!(small.physical_block_size, 4096);
}

#[test]
fn the_block_layer_takes_any_device_in_zones_of_any_size() {
    let words = prop::collection::vec(field(), 16);
    let bytes = prop::collection::vec(any::<u8>(), 20);
    let inputs = (9u8..=16, words, bytes, 0u32..16);
    for_all(5000, inputs, |(lbads, words, bytes, power)| {
        let host = [u32::MAX; 3];
        let Ok(decision) = hostile(lbads, &words, &bytes, host).decide() else {
            return;
        };
        let zone = 1u32 << (u32::from(lbads) + power).min(31);
        let mut limits = decision.limits.in_zones(zone.into());
        assert_eq!(limits.chunk, 0, "the zones are told by themselves");
        limits.chunk = zone;
        assert_accepted(&limits);
    });
}
