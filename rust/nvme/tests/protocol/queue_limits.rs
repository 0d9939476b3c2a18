// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The limits of a disk's queue, of honest and hostile devices.

use nvme_proto::identify::{
    IdentifyController, IdentifyControllerNvm, IdentifyNamespace, IdentifyNamespaceNvm,
    IndependentNamespace, LbaFormat,
};
use nvme_proto::queue_limits::{
    decide, AtomicWrite, Claims, Decision, HostLimits, Ignored, QueueLimits, TransferTooShort,
};
use nvme_proto::register::Cap;
use zerocopy::FromZeros;

use crate::block_layer::assert_accepted;

mod hostile;
mod messages;
mod physical;

const ANY_HOST: HostLimits = HostLimits {
    mappable: usize::MAX,
    longest_transfer: 8 << 20,
    optimal_mapping: usize::MAX,
    list_pages: 5,
};

/// All that a device says, to be changed by each story.
struct Device {
    controller: IdentifyController,
    namespace: IdentifyNamespace,
    nvm_controller: IdentifyControllerNvm,
    nvm_namespace: IdentifyNamespaceNvm,
    independent: IndependentNamespace,
    /// Whether it answers the newer three.
    modern: bool,
    host: HostLimits,
    cap: Cap,
}

impl Device {
    /// A controller of version 2.1 with 128 KiB transfers, and a namespace of 1 GiB.
    fn new(lbads: u8) -> Self {
        let mut device = Self {
            controller: FromZeros::new_zeroed(),
            namespace: FromZeros::new_zeroed(),
            nvm_controller: FromZeros::new_zeroed(),
            nvm_namespace: FromZeros::new_zeroed(),
            independent: FromZeros::new_zeroed(),
            modern: true,
            host: ANY_HOST,
            cap: Cap::from_raw(0),
        };
        device.controller.ver = 0x2_0100.into();
        device.controller.mdts = 5;
        device.namespace.nsze = (1u64 << (30 - lbads)).into();
        device.namespace.ncap = device.namespace.nsze;
        device.namespace.lbaf[0] = LbaFormat {
            ms: 0.into(),
            lbads,
            rp: 0,
        };
        device
    }

    fn with(lbads: u8, mut change: impl FnMut(&mut Self)) -> Self {
        let mut device = Self::new(lbads);
        change(&mut device);
        device
    }

    fn decide(&self) -> Result<Decision, TransferTooShort> {
        let claims = Claims {
            controller: &self.controller,
            namespace: &self.namespace,
            nvm_controller: self.modern.then_some(&self.nvm_controller),
            nvm_namespace: self.modern.then_some(&self.nvm_namespace),
            independent: self.modern.then_some(&self.independent),
        };
        let format = self.namespace.format().expect("a good format");
        decide(&claims, &format, self.cap, &self.host)
    }
}

/// The limits and what was left out of them; the block layer takes them.
fn decided(lbads: u8, change: impl Fn(&mut Device)) -> (QueueLimits, Vec<Ignored>) {
    let decision = Device::with(lbads, change).decide().expect("accepted");
    assert_accepted(&decision.limits);
    let ignored: Vec<Ignored> = decision.ignored.iter().collect();
    ignored.iter().for_each(|ignored| println!("{ignored}"));
    (decision.limits, ignored)
}

/// The same where nothing is left out.
fn limits(lbads: u8, change: impl Fn(&mut Device)) -> QueueLimits {
    let (limits, ignored) = decided(lbads, change);
    assert_eq!(ignored, []);
    limits
}

#[test]
fn a_device_that_says_little_gets_plain_limits() {
    let expected = QueueLimits {
        logical_block_size: 512,
        physical_block_size: 512,
        io_min: 512,
        io_opt: 0,
        max_transfer: 128 << 10,
        usual_transfer: 0,
        chunk: 0,
        max_segments: 33,
        virt_boundary_mask: 4095,
        dma_alignment: 3,
        write_cache: false,
        fua: false,
        rotational: false,
        read_only: false,
        discard: None,
        write_zeroes: None,
        atomic: AtomicWrite {
            max: 512,
            boundary: 0,
            unit_min: 512,
            unit_max: 512,
        },
    };
    assert_eq!(limits(9, |_| {}), expected);
    assert_eq!(limits(9, |device| device.modern = false), expected);
}

#[test]
fn with_scatter_gather_lists_segments_may_begin_and_end_anywhere() {
    let segments = |pages| {
        let limits = limits(9, |device| {
            device.controller.sgls = 1.into();
            device.host.list_pages = pages;
        });
        assert_eq!(limits.virt_boundary_mask, 0);
        limits.max_segments
    };
    assert_eq!((segments(0), segments(1), segments(5)), (1, 256, 1276));
}

#[test]
fn a_transfer_is_what_controller_and_host_can_do_in_whole_blocks() {
    let most = |lbads, change: fn(&mut Device)| limits(lbads, change).max_transfer;
    assert_eq!(most(9, |device| device.controller.mdts = 0), 8 << 20);
    assert_eq!(most(9, |device| device.host.mappable = 70_000), 17 * 4096);
    assert_eq!(
        most(9, |device| device.host.longest_transfer = 65536),
        65536
    );
    assert_eq!(most(15, |device| device.host.mappable = 70_000), 65536);
}

#[test]
fn what_the_platform_likes_best_is_where_transfers_begin_and_not_where_they_end() {
    let of = |lbads, change: fn(&mut Device)| {
        let limits = limits(lbads, change);
        (limits.usual_transfer, limits.max_transfer)
    };
    let most = limits(9, |_| {}).max_transfer;
    assert_eq!(of(9, |_| {}), (0, most));
    assert_eq!(
        of(9, |device| device.host.optimal_mapping = 33_000),
        (32768, most)
    );
    assert_eq!(of(16, |device| device.host.optimal_mapping = 1).0, 65536);
}

#[test]
fn a_block_that_no_transfer_can_hold_makes_no_disk() {
    let refused = |lbads, change: fn(&mut Device)| Device::with(lbads, change).decide();
    let long_block = refused(13, |device| device.controller.mdts = 1);
    assert!(long_block.is_ok(), "8 KiB fit");
    let error = refused(14, |device| device.controller.mdts = 1).expect_err("16 KiB do not");
    assert_eq!(
        error.to_string(),
        "needs transfers of 16384 bytes; the longest has 8192"
    );
    let error = refused(9, |device| device.host.mappable = 512).expect_err("not even a page");
    assert_eq!((error.needed, error.most), (4096, 512));
}

#[test]
fn the_cache_the_medium_and_the_protection_come_from_where_they_are_said() {
    let cached = limits(9, |device| device.controller.vwc = 1);
    assert!(cached.write_cache && cached.fua && !cached.rotational && !cached.read_only);
    let other = limits(9, |device| {
        device.controller.vwc = 1;
        device.independent.nsfeat = 0x30;
        device.independent.nsattr = 1;
    });
    assert!(!other.write_cache && !other.fua && other.rotational && other.read_only);
    assert!(limits(9, |device| device.namespace.nsattr = 1).read_only);
}

#[test]
fn preferred_writes_are_announced_as_they_are() {
    let sizes = |change: fn(&mut Device)| {
        let limits = limits(9, change);
        (limits.physical_block_size, limits.io_min, limits.io_opt)
    };
    let preferred = |device: &mut Device| {
        device.namespace.nsfeat = 0x12;
        device.namespace.nawupf = 15.into();
        device.namespace.npwg = 7.into();
        device.namespace.npwa = 7.into();
        device.namespace.nows = 255.into();
    };
    assert_eq!(sizes(preferred), (4096, 4096, 128 << 10));
    assert_eq!(
        sizes(|device| {
            device.namespace.nsfeat = 0x10;
            device.namespace.npwg = 7.into();
        }),
        (512, 4096, 0),
        "without NAWUPF a single block is untorn"
    );
    assert_eq!(
        sizes(|device| {
            device.namespace.nsfeat = 0x22;
            device.namespace.nawupf = 255.into();
            device.namespace.npwg = 11.into();
        }),
        (2048, 6144, 0)
    );
    let older = |device: &mut Device| {
        device.controller.ver = 0x2_0000.into();
        device.namespace.nsfeat = 0x20;
        device.namespace.npwg = 7.into();
    };
    assert_eq!(sizes(older), (512, 512, 0), "bit 5 came with version 2.1");
}

#[test]
fn absurd_preferences_are_left_out_one_by_one() {
    let (limits, ignored) = decided(16, |device| {
        device.namespace.nsfeat = 0x10;
        device.namespace.npwg = 4799.into();
        device.namespace.nows = 1.into();
        device.namespace.noiob = 3.into();
    });
    assert_eq!(
        (limits.io_min, limits.io_opt, limits.chunk),
        (65536, 131_072, 0)
    );
    let boundary = Ignored::IoBoundary {
        bytes: 3 << 16,
        least: 65536,
    };
    assert_eq!(ignored, [Ignored::WriteGranularity(300 << 20), boundary]);

    let (limits, ignored) = decided(9, |device| {
        device.namespace.nsfeat = 0x10;
        device.namespace.npwg = 7.into();
        device.namespace.npwa = 2.into();
        device.namespace.nows = 8.into();
        device.namespace.noiob = 4.into();
    });
    assert_eq!((limits.io_min, limits.io_opt, limits.chunk), (4096, 0, 0));
    let alignment = Ignored::WriteAlignment { npwa: 3, npwg: 8 };
    let boundary = Ignored::IoBoundary {
        bytes: 2048,
        least: 4096,
    };
    assert_eq!(
        ignored,
        [alignment, Ignored::OptimalWrite(9 * 512), boundary]
    );
}

#[test]
fn an_io_boundary_splits_transfers() {
    assert_eq!(
        limits(9, |device| device.namespace.noiob = 256.into()).chunk,
        128 << 10
    );
    assert_eq!(
        limits(16, |device| device.namespace.noiob = 32768.into()).chunk,
        1 << 31
    );
}

/// The limits for atomic writes where the namespace has its own values; all in blocks of 512
/// bytes, and counted as the fields count.
fn atomic(nawupf: u16, nabspf: u16, nabo: u16) -> (AtomicWrite, Vec<Ignored>) {
    let (limits, ignored) = decided(9, |device| {
        device.namespace.nsfeat = 0x2;
        device.namespace.nawupf = nawupf.into();
        device.namespace.nabspf = nabspf.into();
        device.namespace.nabo = nabo.into();
    });
    (limits.atomic, ignored)
}

fn atomic_write(max: u32, boundary: u32, unit_max: u32) -> AtomicWrite {
    AtomicWrite {
        max,
        boundary,
        unit_min: 512,
        unit_max,
    }
}

#[test]
fn atomic_writes_are_short_enough_and_cross_no_boundary() {
    let plain = atomic_write(16384, 0, 16384);
    assert!(plain.holds(31, 16384) && !plain.holds(0, 16896) && !plain.holds(0, 0));
    assert!(atomic_write(31 * 512, 0, 8192).holds(0, 12288));
    let bounded = atomic_write(16384, 32768, 16384);
    assert!(bounded.holds(32, 16384) && !bounded.holds(33, 16384));
}

#[test]
fn atomic_writes_are_what_the_namespace_promises() {
    assert_eq!(atomic(31, 0, 0), (atomic_write(16384, 0, 16384), vec![]));
    assert_eq!(atomic(30, 0, 0), (atomic_write(31 * 512, 0, 8192), vec![]));
    assert_eq!(
        atomic(31, 63, 0),
        (atomic_write(16384, 32768, 16384), vec![])
    );
    assert_eq!(
        atomic(63, 31, 0).0,
        atomic_write(16384, 16384, 16384),
        "what is longer than the boundary crosses it"
    );
    assert_eq!(
        atomic(u16::MAX, 0, 0).0,
        atomic_write(128 << 10, 0, 128 << 10),
        "a write goes in one transfer"
    );
}

#[test]
fn boundaries_that_linux_cannot_name_make_atomic_writes_shorter() {
    let taken = Ignored::AtomicBoundary {
        blocks: 24,
        taken: 8,
    };
    assert_eq!(
        atomic(15, 23, 0),
        (atomic_write(4096, 4096, 4096), vec![taken])
    );
    assert_eq!(
        atomic(15, 31, 4),
        (atomic_write(512, 0, 512), vec![Ignored::AtomicOffset(4)])
    );
}

#[test]
fn an_atomic_write_is_not_split_at_the_io_boundary() {
    let limits = limits(9, |device| {
        device.namespace.nsfeat = 0x2;
        device.namespace.nawupf = 63.into();
        device.namespace.nabspf = 127.into();
        device.namespace.noiob = 32.into();
    });
    assert_eq!(limits.atomic, atomic_write(16384, 65536, 16384));
}

#[test]
fn the_controllers_atomic_unit_promises_a_namespace_nothing() {
    let (limits, ignored) = decided(12, |device| {
        device.controller.awupf = 31.into();
        device.namespace.nsfeat = 0x12;
        device.namespace.npwg = 3.into();
    });
    assert_eq!((limits.physical_block_size, limits.io_min), (4096, 16384));
    assert_eq!(limits.atomic.unit_max, 4096);
    assert_eq!(ignored, [Ignored::ControllerAtomicUnit(32)]);
}

#[test]
fn discard_is_there_with_the_bit_or_with_all_limits() {
    let discard = |change: fn(&mut Device)| limits(9, change).discard;
    let plain = discard(|device| device.controller.oncs = 0x4.into()).expect("discard");
    assert_eq!((plain.max_ranges, plain.granularity), (256, 512));
    assert_eq!(plain.max_bytes, u64::from(u32::MAX) * 512);
    let limited = discard(|device| {
        device.nvm_controller.dmrl = 16;
        device.nvm_controller.dmrsl = 2048.into();
        device.nvm_controller.dmsl = 4096.into();
    });
    let limited = limited.expect("discard without the bit");
    assert_eq!((limited.max_ranges, limited.max_bytes), (16, 1 << 20));
    assert_eq!(limited.command.blocks, 4096);
    let total = discard(|device| {
        device.controller.oncs = 0x4.into();
        device.nvm_controller.dmsl = 1000.into();
    });
    assert_eq!(total.expect("discard").max_bytes, 512_000);

    let (limits, ignored) = decided(9, |device| device.nvm_controller.dmrsl = 2048.into());
    assert_eq!(
        (limits.discard, ignored),
        (None, vec![Ignored::DiscardSupport])
    );
}

/// The granularity of discards in blocks of 512 bytes, with the two bits of OPTPERF.
fn granularity(optperf: u8, change: fn(&mut Device)) -> (u32, Vec<Ignored>) {
    let (limits, ignored) = decided(9, |device| {
        device.controller.oncs = 0x4.into();
        device.namespace.nsfeat = optperf << 4;
        device.namespace.npdg = 15.into();
        change(device);
    });
    let bytes = limits.discard.expect("discard").granularity;
    (bytes / 512, ignored)
}

#[test]
fn the_granularity_of_discards_is_the_larger_of_size_and_alignment() {
    assert_eq!(granularity(0, |_| {}), (1, vec![]));
    assert_eq!(granularity(1, |_| {}), (16, vec![]));
    let align = |device: &mut Device| device.namespace.npda = 31.into();
    assert_eq!(granularity(1, align), (32, vec![]));
    assert_eq!(granularity(2, align), (32, vec![]));
    let large = |device: &mut Device| {
        device.nvm_namespace.npdgl = (1u32 << 20).into();
        device.nvm_namespace.npdal = 8.into();
    };
    assert_eq!(granularity(1, large), (16, vec![]), "bit 1 defines these");
    assert_eq!(granularity(3, large), (1 << 20, vec![]));
}

#[test]
fn a_granularity_that_the_kernel_cannot_round_to_is_left_out() {
    let uneven = |device: &mut Device| device.namespace.npdg = 23.into();
    let ignored = vec![Ignored::DiscardGranularity(24 * 512)];
    assert_eq!(granularity(1, uneven), (1, ignored));
    let beyond = |device: &mut Device| device.nvm_controller.dmrsl = 8.into();
    let ignored = vec![Ignored::DiscardGranularity(8192)];
    assert_eq!(granularity(1, beyond), (1, ignored));
}

#[test]
fn discards_of_less_than_a_physical_block_are_none() {
    let (limits, ignored) = decided(9, |device| {
        device.controller.oncs = 0x4.into();
        device.nvm_controller.dmrsl = 4.into();
        device.namespace.nsfeat = 0x12;
        device.namespace.npwg = 7.into();
        device.namespace.nawupf = 7.into();
    });
    assert_eq!(limits.discard, None);
    assert_eq!(ignored, [Ignored::DiscardSize(2048)]);
}

#[test]
fn zeroes_are_limited_by_their_own_size_or_by_transfers() {
    let zeroes = |lbads, change: fn(&mut Device)| {
        let zeroes = limits(lbads, change).write_zeroes.expect("write zeroes");
        (zeroes.max_bytes, zeroes.deallocate)
    };
    let bit = |device: &mut Device| device.controller.oncs = 0x8.into();
    assert_eq!(zeroes(9, bit), (128 << 10, false));
    let own = |device: &mut Device| device.nvm_controller.wzsl = 10;
    assert_eq!(zeroes(9, own), (4 << 20, false), "without the bit");
    let endless = |device: &mut Device| device.nvm_controller.wzsl = 255;
    assert_eq!(zeroes(9, endless), (65536 * 512, false));
    assert_eq!(zeroes(16, endless), (u32::MAX - 65535, false));
}

#[test]
fn zeroes_deallocate_where_what_is_deallocated_reads_as_zeroes() {
    let zeroes = |dlfeat: u8, oncs: u16, wzdsl: u8| {
        let (limits, ignored) = decided(13, |device| {
            device.controller.oncs = oncs.into();
            device.namespace.dlfeat = dlfeat;
            device.nvm_controller.wzsl = 8;
            device.nvm_controller.wzdsl = wzdsl;
        });
        let zeroes = limits.write_zeroes.expect("write zeroes");
        (zeroes.deallocate, zeroes.max_bytes, ignored)
    };
    assert_eq!(zeroes(0x9, 0x8, 2), (true, 1 << 20, vec![]));
    assert_eq!(zeroes(0x8, 0x8, 2), (false, 1 << 20, vec![]));
    assert_eq!(zeroes(0xa, 0x8, 2), (false, 1 << 20, vec![]));
    assert_eq!(zeroes(0x1, 0x8, 2), (false, 1 << 20, vec![]));
    assert_eq!(zeroes(0x9, 0x808, 2), (true, 16384, vec![]));
    assert_eq!(zeroes(0x9, 0x808, 20), (true, 1 << 20, vec![]));
    assert_eq!(zeroes(0x9, 0x808, 0), (true, 1 << 20, vec![]));
}

#[test]
fn zeroes_of_less_than_a_block_are_none() {
    let (limits, ignored) = decided(16, |device| device.nvm_controller.wzsl = 3);
    assert_eq!(limits.write_zeroes, None);
    assert_eq!(ignored, [Ignored::WriteZeroesSize(32768)]);
    let (limits, ignored) = decided(16, |device| {
        device.nvm_controller.wzsl = 8;
        device.nvm_controller.wzdsl = 1;
        device.controller.oncs = 0x800.into();
        device.namespace.dlfeat = 0x9;
    });
    assert!(!limits.write_zeroes.expect("write zeroes").deallocate);
    assert_eq!(ignored, [Ignored::DeallocatingZeroesSize(8192)]);
}
