// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Identify data that a real device gave; `tests/data/README.md` says which.

use nvme_proto::identify::{
    parse_namespace_list, IdentifyController, IdentifyNamespace, NamespaceFormat, NamespaceIds,
};
use nvme_proto::limits::transfer_limit;
use nvme_proto::queue_limits::{decide, Claims, HostLimits, QueueLimits};
use nvme_proto::register::Cap;

const CONTROLLER: &[u8] = include_bytes!("../data/qemu-11.1-id-ctrl.bin");
const NAMESPACE_512: &[u8] = include_bytes!("../data/qemu-11.1-id-ns-512.bin");
const NAMESPACE_4096: &[u8] = include_bytes!("../data/qemu-11.1-id-ns-4096.bin");
const LIST: &[u8] = include_bytes!("../data/qemu-11.1-ns-list.bin");
const DESCRIPTORS: &[u8] = include_bytes!("../data/qemu-11.1-ns-descs.bin");

#[test]
fn qemus_controller_says_who_it_is_and_what_it_can() {
    let controller = IdentifyController::ref_from(CONTROLLER).expect("4096 bytes");
    assert_eq!(
        (controller.vid.get(), controller.ssvid.get()),
        (0x1b36, 0x1af4)
    );
    assert_eq!(controller.serial().as_str(), "rnvme-fixture");
    assert_eq!(controller.model().as_str(), "QEMU NVMe Ctrl");
    assert_eq!(controller.firmware().as_str(), "11.1.3");
    assert_eq!(
        controller.subnqn().as_str(),
        "nqn.2019-08.org.qemu:rnvme-fixture"
    );
    assert_eq!(controller.version().to_string(), "1.4.0");
    assert_eq!(transfer_limit(controller.mdts, 4096), 512 << 10);
    assert!(controller.vwc_present());
    assert_eq!(
        (controller.sqes, controller.cqes, controller.nn.get()),
        (0x66, 0x44, 256)
    );
    assert_eq!(
        (controller.wctemp.get(), controller.cctemp.get()),
        (343, 373)
    );
    assert_eq!(
        (controller.acl, controller.aerl, controller.elpe),
        (3, 3, 0)
    );
    assert_eq!((controller.oncs.get(), controller.awupf.get()), (0x75d, 0));
    assert_eq!((controller.cntrltype, controller.sgls.get()), (1, 0x8_0001));
    assert_eq!(controller.shutdown_timeout_ms(), 5000);
}

fn format(data: &[u8]) -> NamespaceFormat {
    let namespace = IdentifyNamespace::ref_from(data).expect("4096 bytes");
    namespace.format().expect("must be accepted")
}

#[test]
fn qemus_namespaces_have_the_size_of_their_images() {
    let small_blocks = format(NAMESPACE_512);
    let large_blocks = format(NAMESPACE_4096);
    println!("{small_blocks:?}\n{large_blocks:?}");
    assert_eq!(small_blocks.capacity_sectors, (1 << 30) / 512);
    assert_eq!(small_blocks.logical_block_size(), 512);
    assert_eq!(large_blocks.capacity_sectors, (2 << 30) / 512);
    assert_eq!(large_blocks.logical_block_size(), 4096);
    assert_eq!(large_blocks.blocks, (2 << 30) / 4096);
    assert!(!small_blocks.write_protected && !large_blocks.write_protected);
}

/// The limits of the namespace's disk, on a host that has none.
fn limits(data: &[u8]) -> QueueLimits {
    let claims = Claims {
        controller: IdentifyController::ref_from(CONTROLLER).expect("4096 bytes"),
        namespace: IdentifyNamespace::ref_from(data).expect("4096 bytes"),
        nvm_controller: None,
        nvm_namespace: None,
        independent: None,
    };
    let host = HostLimits {
        mappable: usize::MAX,
        longest_transfer: u32::MAX,
        optimal_mapping: usize::MAX,
        list_pages: 5,
    };
    let decision = decide(&claims, &format(data), Cap::from_raw(0), &host);
    decision.expect("must be accepted").limits
}

#[test]
fn qemus_physical_blocks_are_its_logical_ones() {
    assert_eq!(limits(NAMESPACE_512).physical_block_size, 512);
    assert_eq!(limits(NAMESPACE_4096).physical_block_size, 4096);
}

#[test]
fn qemus_list_names_both_namespaces() {
    let ids: Result<Vec<u32>, _> = parse_namespace_list(LIST, 0).collect();
    assert_eq!(ids, Ok(vec![1, 2]));
}

#[test]
fn qemus_descriptors_name_the_namespace_for_good() {
    let ids = NamespaceIds::parse(DESCRIPTORS).expect("a good list");
    let eui64 = 5_979_120_982_531_277u64.to_be_bytes();
    let uuid = 0x1122_3344_5566_7788_99aa_bbcc_ddee_ff00u128.to_be_bytes();
    assert_eq!((ids.eui64, ids.uuid), (Some(eui64), Some(uuid)));
    assert_eq!((ids.nguid, ids.csi), (None, Some(0)));
    let namespace = IdentifyNamespace::ref_from(NAMESPACE_4096).expect("4096 bytes");
    let older = NamespaceIds::default().or_from(namespace);
    assert_eq!((older.eui64, older.nguid), (Some(eui64), None));
}
