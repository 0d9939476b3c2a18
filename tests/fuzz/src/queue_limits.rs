// SPDX-License-Identifier: GPL-2.0

//! The limits of a disk's queue, from all that Identify says.

use nvme_proto::identify::{
    IdentifyController, IdentifyControllerNvm, IdentifyNamespace, IdentifyNamespaceNvm,
    IndependentNamespace,
};
use nvme_proto::queue_limits::{decide, Claims, HostLimits, QueueLimits};
use nvme_proto::register::Cap;

use crate::block_layer::assert_accepted;
use crate::input::{assert_loggable, number, Input};

/// A whole Identify data structure with these bytes at these offsets.
fn identify<const N: usize>(parts: [(usize, &[u8]); N]) -> [u8; 4096] {
    let mut data = [0; 4096];
    for (offset, bytes) in parts {
        data[offset..offset + bytes.len()].copy_from_slice(bytes);
    }
    data
}

/// CAP, the host's three sizes, which structures there are and how many list pages, LBADS and SGLS;
/// then from Identify
/// Controller VER, ONCS, AWUPF, MDTS and VWC; the head of CNS 06h; NPDGL to NPDAL of CNS 05h; the
/// head of CNS 08h; and what Identify Namespace has from NSFEAT on.
pub(crate) fn queue_limits(data: &[u8]) {
    let mut input = Input::new(data);
    let cap = Cap::from_raw(input.u64());
    let mut host = HostLimits {
        mappable: input.u32() as usize,
        longest_transfer: input.u32(),
        optimal_mapping: input.u32() as usize,
        list_pages: 0,
    };
    let (given, lbads) = (input.u8(), input.u8());
    host.list_pages = usize::from(given >> 3);
    let controller = identify([
        (80, &input.bytes::<4>()),
        (520, &input.bytes::<2>()),
        (528, &input.bytes::<2>()),
        (77, &input.bytes::<1>()),
        (525, &input.bytes::<1>()),
        (536, &[lbads >> 3]),
    ]);
    let nvm_controller = identify([(0, &input.bytes::<24>())]);
    let nvm_namespace = identify([(268, &input.bytes::<20>())]);
    let independent = identify([(0, &input.bytes::<15>())]);
    let mut bytes = identify([(24, &input.bytes::<104>()), (0, &[1, 0]), (8, &[1, 0])]);
    // The format is another target's: here it is always a good one.
    bytes[25..27].fill(0);
    bytes[29] = 0;
    bytes[82] = 0;
    bytes[128..132].copy_from_slice(&[0, 0, 9 + lbads % 8, 0]);

    let namespace = IdentifyNamespace::ref_from(&bytes).expect("4096 bytes");
    let format = namespace.format().expect("a good format");
    let claims = Claims {
        controller: IdentifyController::ref_from(&controller).expect("4096 bytes"),
        namespace,
        nvm_controller: IdentifyControllerNvm::ref_from(&nvm_controller).filter(|_| given & 1 != 0),
        nvm_namespace: IdentifyNamespaceNvm::ref_from(&nvm_namespace).filter(|_| given & 2 != 0),
        independent: IndependentNamespace::ref_from(&independent).filter(|_| given & 4 != 0),
    };
    match decide(&claims, &format, cap, &host) {
        Ok(decision) => {
            assert_accepted(&decision.limits);
            assert_eq!(decision.limits.logical_block_size, 512 << (lbads % 8));
            assert_write_sizes(&decision.limits, number::<4>(&controller, 80), &bytes);
            let mut said = Vec::new();
            for ignored in decision.ignored.iter() {
                assert_loggable(&ignored.to_string());
                let kind = std::mem::discriminant(&ignored);
                assert!(!said.contains(&kind), "{ignored}: said twice");
                said.push(kind);
            }
        }
        Err(short) => {
            assert_loggable(&short.to_string());
            assert!(short.most < short.needed && short.needed <= 65536);
        }
    }
}

/// The physical block: aligned to what is preferred, and no more than what is atomic. `version` is
/// VER, `bytes` are Identify Namespace.
fn assert_write_sizes(limits: &QueueLimits, version: u64, bytes: &[u8]) {
    let (logical, physical) = (limits.logical_block_size, limits.physical_block_size);
    assert!(
        physical.is_power_of_two() && (logical..=65536).contains(&physical),
        "{physical}"
    );
    let nsfeat = bytes[24];
    let nawupf = number::<2>(bytes, 36);
    let own = nsfeat & 2 != 0 && nawupf != 0;
    let atomic = if own { nawupf + 1 } else { 1 };
    assert!(
        u64::from(physical) <= atomic * u64::from(logical),
        "{physical} would be torn"
    );
    // Version 2.1 added bit 5.
    let optperf = if version >= 0x2_0100 { 0x30 } else { 0x10 };
    if nsfeat & optperf == 0 {
        let sizes = (physical, limits.io_min, limits.io_opt);
        assert_eq!(sizes, (logical, logical, 0));
        return;
    }
    let sensible = |bytes: u64| bytes <= 8 << 20;
    let preferred = (number::<2>(bytes, 64) + 1) * u64::from(logical);
    let unit = if sensible(preferred) {
        preferred
    } else {
        u64::from(logical)
    };
    assert_eq!(u64::from(limits.io_min), unit);
    assert_eq!(unit % u64::from(physical), 0, "{unit} is not whole blocks");
    let best = (number::<2>(bytes, 72) + 1) * u64::from(logical);
    let taken = number::<2>(bytes, 72) != 0 && sensible(best) && best % unit == 0;
    let optimal = if taken { best } else { 0 };
    assert_eq!(u64::from(limits.io_opt), optimal);
}
