// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The limits of a disk's queue for anything at all that a device may say.

use nvme_proto::queue_limits::{Decision, HostLimits, QueueLimits, MAX_PHYSICAL_BLOCK};
use nvme_proto::register::Cap;
use proptest::prelude::*;

use super::Device;
use crate::block_layer::assert_accepted;
use crate::support::for_all;

mod zones;

/// Values at the edges, more often than not.
fn field() -> impl Strategy<Value = u16> {
    let near_powers = (0u32..16, -1i32..=1).prop_map(|(bit, by)| ((1 << bit) + by) as u16);
    prop_oneof![Just(0), near_powers, 0u16..64, any::<u16>()]
}

/// A device that says anything at all about a namespace with a good format.
fn hostile(lbads: u8, words: &[u16], bytes: &[u8], host: [u32; 3]) -> Device {
    let mut word = words.iter().copied();
    let mut word = || word.next().expect("enough words");
    let mut byte = bytes.iter().copied();
    let mut byte = || byte.next().expect("enough bytes");
    Device::with(lbads, |device| {
        let namespace = &mut device.namespace;
        for field in [
            &mut namespace.nawupf,
            &mut namespace.nabo,
            &mut namespace.nabspf,
            &mut namespace.noiob,
            &mut namespace.npwg,
            &mut namespace.npwa,
            &mut namespace.npdg,
            &mut namespace.npda,
            &mut namespace.nows,
        ] {
            *field = word().into();
        }
        // Mostly none, else nothing would be atomic.
        if byte() < 192 {
            namespace.nabo = 0.into();
        }
        namespace.nsfeat = byte();
        namespace.dlfeat = byte();
        device.controller.mdts = byte();
        device.controller.sgls = u32::from(byte()).into();
        device.controller.vwc = byte();
        device.controller.oncs = word().into();
        device.controller.awupf = word().into();
        device.controller.ver = u32::from_le_bytes([0, byte() & 3, byte() & 3, 0]).into();
        device.nvm_controller.wzsl = byte();
        device.nvm_controller.wzdsl = byte();
        device.nvm_controller.dmrl = byte();
        device.nvm_controller.dmrsl = (u32::from(word()) << (byte() & 15)).into();
        device.nvm_controller.dmsl = (u64::from(word()) << (byte() & 47)).into();
        device.nvm_namespace.npdgl = (u32::from(word()) << (byte() & 15)).into();
        device.nvm_namespace.npdal = (u32::from(word()) << (byte() & 15)).into();
        device.independent.nsfeat = byte();
        device.modern = byte() < 192;
        device.cap = Cap::from_raw(u64::from(byte() & 15) << 48);
        device.host = HostLimits {
            mappable: host[0] as usize,
            longest_transfer: host[1],
            optimal_mapping: host[2] as usize,
            list_pages: usize::from(byte()),
        };
    })
}

#[test]
fn the_block_layer_takes_what_any_device_says_and_no_promise_is_stretched() {
    let words = prop::collection::vec(field(), 16);
    let bytes = prop::collection::vec(any::<u8>(), 22);
    let host = prop::array::uniform3(prop_oneof![any::<u32>(), 4096u32..1 << 20]);
    let inputs = (9u8..=16, words, bytes, host);
    for_all(20_000, inputs, |(lbads, words, bytes, host)| {
        let device = hostile(lbads, &words, &bytes, host);
        match device.decide() {
            Ok(decision) => {
                assert_accepted(&decision.limits);
                assert_kept(&device, &decision.limits);
                assert_said(&decision);
            }
            Err(error) => {
                let needed = 4096.max(1 << lbads);
                let mdts = device
                    .controller
                    .max_transfer_bytes(device.cap.min_page_size());
                let most = host[0].min(host[1]).min(mdts.unwrap_or(u32::MAX));
                assert!(most < needed && error.most == most, "{error}");
            }
        }
    });
}

/// Nothing goes beyond what the device said.
fn assert_kept(device: &Device, limits: &QueueLimits) {
    let block = u64::from(limits.logical_block_size);
    let namespace = &device.namespace;
    let physical = limits.physical_block_size;
    assert!(physical <= MAX_PHYSICAL_BLOCK && limits.io_min % physical == 0);
    let atomic = &limits.atomic;
    if u64::from(atomic.max) > block {
        assert!(namespace.nsfeat & 2 != 0 && namespace.nabo.get() == 0);
        assert!(u64::from(atomic.max) <= (u64::from(namespace.nawupf.get()) + 1) * block);
        let boundary = (u64::from(namespace.nabspf.get()) + 1) * block;
        assert!(boundary == block || boundary % u64::from(atomic.boundary) == 0);
    }
    let nvm = device.modern.then_some(&device.nvm_controller);
    if let (Some(discard), Some(nvm)) = (limits.discard, nvm) {
        for blocks in [u64::from(nvm.dmrsl.get()), nvm.dmsl.get()] {
            assert!(blocks == 0 || discard.max_bytes <= blocks.saturating_mul(block));
        }
        assert!(nvm.dmrl == 0 || discard.max_ranges <= u16::from(nvm.dmrl));
    }
    if let (Some(zeroes), Some(nvm)) = (limits.write_zeroes, nvm) {
        let most = |exponent: u8| match exponent {
            0 | 64.. => u128::MAX,
            _ => u128::from(device.cap.min_page_size()) << exponent,
        };
        assert!(u128::from(zeroes.max_bytes) <= most(nvm.wzsl));
        let limited = zeroes.deallocate && device.controller.oncs.get() & 0x800 != 0;
        assert!(!limited || u128::from(zeroes.max_bytes) <= most(nvm.wzdsl));
    }
    let chunk = u64::from(namespace.noiob.get()) * block;
    assert!(limits.chunk == 0 || u64::from(limits.chunk) == chunk);
}

/// Each claim is left out once, with a line for the log.
fn assert_said(decision: &Decision) {
    let lines: Vec<String> = decision.ignored.iter().map(|why| why.to_string()).collect();
    for (index, line) in lines.iter().enumerate() {
        assert!(line.len() <= 100 && line.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        assert!(!lines[..index].contains(line), "{line}: said twice");
    }
}
