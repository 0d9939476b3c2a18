// SPDX-License-Identifier: GPL-2.0

//! Doorbells in the BAR and in memory; the test looks at both, and plays the controller's side of
//! the event indices.

use super::{Bell, ShadowBuffers};
use kernel::{prelude::*, sync::Arc};
use kernel_ext::{io::Mmio, kunit::Device};

/// A value that no doorbell is rung with.
const SILENT: u32 = u32::MAX;
const QID: u16 = 3;
/// The entry of the submission queue's tail, with doorbells 4 bytes apart.
const ENTRY: usize = 2 * QID as usize;

struct Bench {
    bar: Arc<Mmio>,
    buffers: Arc<ShadowBuffers>,
    _device: Device,
}

impl Bench {
    fn new(name: &CStr) -> Result<Self> {
        let device = Device::new(name)?;
        let buffers = ShadowBuffers::new(device.bound(), QID, 4)?.ok_or(EINVAL)?;
        Ok(Bench {
            bar: Mmio::over_memory(KVec::from_elem(SILENT, 1, GFP_KERNEL)?)?,
            buffers,
            _device: device,
        })
    }

    fn bell(&self) -> Result<Bell> {
        let bell = Bell::new(self.bar.doorbell(0)?);
        Ok(bell.with_shadow(Some(&self.buffers), QID, false))
    }

    /// The controller asks to be told when `event` is passed.
    fn ask(&self, event: u32) -> Result {
        self.buffers.event.write32(ENTRY, event)
    }

    fn shadow(&self) -> Option<u32> {
        self.buffers.shadow.read32(ENTRY)
    }
}

#[kunit_tests(rnvme_doorbell)]
mod cases {
    use super::*;

    #[test]
    fn controller_that_looks_by_itself_is_not_told() -> Result {
        let bench = Bench::new(c"bell-quiet")?;
        let mut bell = bench.bell()?;
        bench.ask(5)?;
        bell.ring(1);
        bell.ring(3);
        assert_eq!(bench.shadow(), Some(3));
        assert_eq!(bench.bar.read32(0)?, SILENT);
        // This one passes the index that it asked for.
        bell.ring(6);
        assert_eq!((bench.shadow(), bench.bar.read32(0)?), (Some(6), 6));
        Ok(())
    }

    #[test]
    fn controller_that_always_looks_is_told_only_round_the_end() -> Result {
        let bench = Bench::new(c"bell-always")?;
        let mut bell = bench.bell()?;
        bench.ask(u32::MAX)?;
        for new in [1, 5, 7] {
            bell.ring(new);
        }
        assert_eq!((bench.shadow(), bench.bar.read32(0)?), (Some(7), SILENT));
        bell.ring(0);
        assert_eq!(bench.bar.read32(0)?, 0);
        Ok(())
    }

    #[test]
    fn what_an_earlier_queue_left_is_cleared() -> Result {
        let bench = Bench::new(c"bell-again")?;
        let mut bell = bench.bell()?;
        bench.ask(7)?;
        bell.ring(2);
        let mut bell = bench.bell()?;
        assert_eq!(bench.shadow(), Some(0));
        // The first slot is what a controller asks for that has not asked yet.
        bell.ring(1);
        assert_eq!(bench.bar.read32(0)?, 1);
        Ok(())
    }

    #[test]
    fn without_buffers_every_ring_is_in_the_bar() -> Result {
        let bench = Bench::new(c"bell-bar")?;
        let mut bell = Bell::new(bench.bar.doorbell(0)?).with_shadow(None, QID, false);
        for new in [1, 2, 0] {
            bell.ring(new);
            assert_eq!(bench.bar.read32(0)?, new.into());
        }
        assert_eq!(bench.shadow(), Some(0));
        Ok(())
    }

    #[test]
    fn doorbells_that_need_more_than_a_page_have_no_shadow() -> Result {
        let device = Device::new(c"bell-many")?;
        // 512 queues of two doorbells of 4 bytes are a page.
        assert!(ShadowBuffers::new(device.bound(), 511, 4)?.is_some());
        assert!(ShadowBuffers::new(device.bound(), 512, 4)?.is_none());
        assert!(ShadowBuffers::new(device.bound(), 1, 4096)?.is_none());
        Ok(())
    }
}
