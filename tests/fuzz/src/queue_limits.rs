// SPDX-License-Identifier: GPL-2.0

//! The limits of a disk's queue, from all that Identify says.

use nvme_proto::identify::{
    IdentifyController, IdentifyControllerNvm, IdentifyNamespace, IdentifyNamespaceNvm,
    IndependentNamespace,
};
use nvme_proto::queue_limits::{decide, Claims, HostLimits};
use nvme_proto::register::Cap;

use crate::block_layer::assert_accepted;
use crate::input::{assert_loggable, Input};

/// A whole Identify data structure with these bytes at these offsets.
fn identify<const N: usize>(parts: [(usize, &[u8]); N]) -> [u8; 4096] {
    let mut data = [0; 4096];
    for (offset, bytes) in parts {
        data[offset..offset + bytes.len()].copy_from_slice(bytes);
    }
    data
}

/// CAP, the host's three limits, which structures there are, and LBADS; then from Identify
/// Controller VER, ONCS, AWUPF, MDTS and VWC; the head of CNS 06h; NPDGL to NPDAL of CNS 05h; the
/// head of CNS 08h; and what Identify Namespace has from NSFEAT on.
pub(crate) fn queue_limits(data: &[u8]) {
    let mut input = Input::new(data);
    let cap = Cap::from_raw(input.u64());
    let host = HostLimits {
        mappable: input.u32() as usize,
        longest_transfer: input.u32(),
        optimal_mapping: input.u32() as usize,
    };
    let (given, lbads) = (input.u8(), input.u8());
    let controller = identify([
        (80, &input.bytes::<4>()),
        (520, &input.bytes::<2>()),
        (528, &input.bytes::<2>()),
        (77, &input.bytes::<1>()),
        (525, &input.bytes::<1>()),
    ]);
    let nvm_controller = identify([(0, &input.bytes::<24>())]);
    let nvm_namespace = identify([(268, &input.bytes::<20>())]);
    let independent = identify([(0, &input.bytes::<15>())]);
    let mut namespace = identify([(24, &input.bytes::<104>()), (0, &[1, 0]), (8, &[1, 0])]);
    // The format is another target's: here it is always a good one.
    namespace[25..27].fill(0);
    namespace[29] = 0;
    namespace[82] = 0;
    namespace[128..132].copy_from_slice(&[0, 0, 9 + lbads % 8, 0]);

    let namespace = IdentifyNamespace::ref_from(&namespace).expect("4096 bytes");
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
