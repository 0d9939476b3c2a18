// SPDX-License-Identifier: GPL-2.0

//! A namespace without a device, and how requests become blocks of it.

use super::{Namespace, Shared};
use crate::{counters::Counters, discard::Spare, io_queue::ListPools};
use core::sync::atomic::AtomicBool;
use kernel::{prelude::*, sync::Arc};
use nvme_proto::{
    dsm::DeallocateLimits,
    identify::NamespaceFormat,
    queue_limits::AtomicWrite,
    retry::{RetryPolicy, DEFAULT_RETRIES},
    sgl::choice::DEFAULT_THRESHOLD,
};

/// A format of 16 MiB.
pub(crate) fn format(lba_shift: u8) -> NamespaceFormat {
    let blocks = (16 << 20) >> lba_shift;
    NamespaceFormat {
        lba_shift,
        blocks,
        capacity_sectors: (16 << 20) / 512,
        write_protected: false,
    }
}

impl Namespace {
    /// Namespace `nsid`, of 16 MiB.
    pub(crate) fn for_test(
        nsid: u32,
        lba_shift: u8,
        pools: &ListPools,
        counters: &Arc<Counters>,
    ) -> Result<Self> {
        let shared = Shared {
            counters: counters.clone(),
            retry_policy: RetryPolicy::new([0; 3], false, DEFAULT_RETRIES),
            settled: AtomicBool::new(true),
            spare: Spare::new(pools)?,
            sgl: None,
            sgl_threshold: DEFAULT_THRESHOLD,
        };
        Ok(Namespace {
            deallocate: Some(DeallocateLimits::default()),
            zeroes_deallocate: true,
            atomic: AtomicWrite {
                max: 4096,
                boundary: 0,
                unit_min: 512,
                unit_max: 4096,
            },
            streams: Some(crate::placement::tests::streams()?),
            ..Namespace::plain(nsid, format(lba_shift), Arc::new(shared, GFP_KERNEL)?)
        })
    }
}

#[kunit_tests(rnvme_namespace)]
mod cases {
    use crate::io_queue::tests::Bench;
    use kernel::prelude::*;
    use kernel_ext::{block::Status as BlockStatus, kunit::Kind};

    #[test]
    fn request_becomes_blocks_of_the_namespace() -> Result {
        let mut bench = Bench::with(c"nvme-blocks", 16, 12, 512)?;
        let read = bench.start(Kind::Read, 16, 0, 8192)?;
        let sent = bench.fetch()?;
        assert_eq!((sent.nsid, sent.slba, sent.cdw12), (7, 2, 1));
        assert_eq!(bench.end(sent.cid, &read)?, Some(BlockStatus::OK));
        Ok(())
    }
}
