// SPDX-License-Identifier: GPL-2.0

//! What is decided about a namespace reaches the block layer in its own terms.

use super::for_block_layer;
use crate::namespace::tests::format;
use kernel::prelude::*;
use kernel_ext::block::mq::Limits;
use nvme_proto::{
    identify::{IdentifyController, IdentifyNamespace},
    queue_limits::{decide, Claims, HostLimits},
    register::Cap,
    PAGE,
};

/// Where Identify Controller has MDTS, ONCS and VWC, and Identify Namespace DLFEAT.
const MDTS: usize = 77;
const ONCS: usize = 520;
const VWC: usize = 525;
const DLFEAT: usize = 33;

/// Identify data with these bytes, all others 0.
fn data(bytes: &[(usize, u8)]) -> Result<KVec<u8>> {
    let mut data = KVec::from_elem(0u8, 4096, GFP_KERNEL)?;
    for (offset, value) in bytes {
        *data.get_mut(*offset).ok_or(EINVAL)? = *value;
    }
    Ok(data)
}

/// The limits for blocks of 4 KiB, where the platform maps `mappable` bytes.
fn limits(
    controller: &[(usize, u8)],
    namespace: &[(usize, u8)],
    mappable: usize,
) -> Result<Limits> {
    let (controller, namespace) = (data(controller)?, data(namespace)?);
    let claims = Claims {
        controller: IdentifyController::ref_from(&controller).ok_or(EINVAL)?,
        namespace: IdentifyNamespace::ref_from(&namespace).ok_or(EINVAL)?,
        nvm_controller: None,
        nvm_namespace: None,
        independent: None,
    };
    let host = HostLimits {
        mappable,
        longest_transfer: 8 << 20,
        optimal_mapping: usize::MAX,
        list_pages: 5,
    };
    let decision = decide(&claims, &format(12), Cap::from_raw(0), &host).map_err(|_| EINVAL)?;
    Ok(for_block_layer(&decision.limits))
}

#[kunit_tests(rnvme_limits)]
mod cases {
    use super::*;

    #[test]
    fn blocks_and_transfers_are_the_devices() -> Result {
        let limits = limits(&[(MDTS, 5)], &[], usize::MAX)?;
        assert_eq!(limits.logical_block_size, 4096);
        assert_eq!(limits.physical_block_size, 4096);
        assert_eq!(limits.max_transfer, 128 << 10);
        assert_eq!(limits.max_segments, 33);
        assert_eq!(limits.virt_boundary_mask, PAGE as usize - 1);
        assert_eq!(limits.dma_alignment, 3);
        assert!(!limits.read_only && !limits.rotational);
        Ok(())
    }

    #[test]
    fn platform_that_maps_little_bounds_transfers() -> Result {
        let limits = limits(&[(MDTS, 5)], &[], 64 << 10)?;
        assert_eq!(limits.max_transfer, 64 << 10);
        Ok(())
    }

    #[test]
    fn cache_is_flushed_only_where_there_is_one() -> Result {
        let without = limits(&[], &[], usize::MAX)?;
        assert!(!without.write_cache && !without.fua);
        let with = limits(&[(VWC, 1)], &[], usize::MAX)?;
        assert!(with.write_cache && with.fua);
        Ok(())
    }

    #[test]
    fn device_that_deallocates_is_told_to() -> Result {
        let without = limits(&[], &[], usize::MAX)?;
        assert!(without.discard.is_none());
        assert_eq!(without.max_write_zeroes, 0);
        // Dataset Management and Write Zeroes; what is deallocated reads as zeros.
        let with = limits(&[(MDTS, 5), (ONCS, 0x0c)], &[(DLFEAT, 0x09)], usize::MAX)?;
        let discard = with.discard.ok_or(ENOENT)?;
        assert_eq!((discard.max_ranges, discard.granularity), (256, 4096));
        assert_eq!(with.max_write_zeroes, 128 << 10);
        assert!(with.write_zeroes_unmaps);
        Ok(())
    }
}
