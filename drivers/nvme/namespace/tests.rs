// SPDX-License-Identifier: GPL-2.0

//! What identify data and registers mean for a disk's queue.

use super::{limits, Namespace};
use kernel::prelude::*;
use kernel_ext::block::mq::Limits;
use nvme_proto::{
    identify::{IdentifyController, NamespaceFormat},
    register::Cap,
    PAGE,
};

/// Where identify data has MDTS and VWC.
const MDTS: usize = 77;
const VWC: usize = 525;

fn format(lba_shift: u8) -> NamespaceFormat {
    let blocks = (16 << 20) >> lba_shift;
    NamespaceFormat {
        lba_shift,
        blocks,
        capacity_sectors: (16 << 20) / 512,
        physical_block_size: 1 << lba_shift,
        optimal_write_bytes: 0,
        write_protected: false,
    }
}

impl Namespace {
    /// Namespace `nsid`, of 16 MiB.
    pub(crate) fn for_test(nsid: u32, lba_shift: u8) -> Self {
        let format = format(lba_shift);
        Namespace { nsid, format }
    }
}

#[kunit_tests(rnvme_namespace)]
mod cases {
    use super::*;

    /// The limits for blocks of 4 KiB by a controller with this MDTS and VWC, and pages of 4 KiB.
    fn limits_with(mdts: u8, vwc: u8, mappable: usize) -> Result<Limits> {
        let mut data = KVec::from_elem(0u8, 4096, GFP_KERNEL)?;
        for (offset, value) in [(MDTS, mdts), (VWC, vwc)] {
            *data.get_mut(offset).ok_or(EINVAL)? = value;
        }
        let controller = IdentifyController::ref_from(&data).ok_or(EINVAL)?;
        Ok(limits(controller, Cap::from_raw(0), mappable, &format(12)))
    }

    #[test]
    fn blocks_of_the_format_are_the_queues() -> Result {
        let limits = limits_with(5, 0, usize::MAX)?;
        assert_eq!(limits.logical_block_size, 4096);
        assert_eq!(limits.physical_block_size, 4096);
        assert_eq!(limits.virt_boundary_mask, PAGE as usize - 1);
        assert_eq!(limits.dma_alignment, 3);
        Ok(())
    }

    #[test]
    fn longest_transfer_is_the_least_of_what_all_can() -> Result {
        assert_eq!(limits_with(5, 0, usize::MAX)?.max_transfer, 128 << 10);
        assert_eq!(limits_with(5, 0, 64 << 10)?.max_transfer, 64 << 10);
        let without_limit = limits_with(0, 0, usize::MAX)?.max_transfer;
        assert!(without_limit >= 4 << 20);
        assert_eq!(limits_with(255, 0, usize::MAX)?.max_transfer, without_limit);
        Ok(())
    }

    #[test]
    fn transfer_that_begins_inside_a_page_has_its_segment() -> Result {
        assert_eq!(limits_with(5, 0, usize::MAX)?.max_segments, 33);
        assert_eq!(limits_with(1, 0, usize::MAX)?.max_segments, 3);
        Ok(())
    }

    #[test]
    fn cache_is_flushed_only_where_there_is_one() -> Result {
        let without = limits_with(0, 0, usize::MAX)?;
        assert!(!without.write_cache && !without.fua);
        let with = limits_with(0, 1, usize::MAX)?;
        assert!(with.write_cache && with.fua);
        Ok(())
    }

    #[test]
    fn request_becomes_blocks_of_the_namespace() -> Result {
        let namespace = Namespace::for_test(1, 12);
        assert_eq!(namespace.transfer(16, 8192), Some((2, 1)));
        assert!(namespace.transfer(1, 4096).is_none());
        assert!(namespace.transfer(0, 0).is_none());
        Ok(())
    }
}
