// SPDX-License-Identifier: GPL-2.0

//! Disks made of zones: what the block layer learns of them, and where an append went.

use super::*;
use crate::{bindings, block::mq::ZoneLimits};

/// Eight zones of 128 KiB.
const SECTORS: u64 = 2048;
const ZONES: ZoneLimits = ZoneLimits {
    zone_sectors: 256,
    max_open: 2,
    max_active: 4,
    max_append: 32 << 10,
};

impl Bench {
    /// A second disk on the bench's queue, made of these zones.
    fn add_zoned(&self, zones: ZoneLimits, sectors: u64) -> Result<GenDisk<TestIo>> {
        let limits = Limits {
            zones: Some(zones),
            physical_block_size: 512,
            ..LIMITS
        };
        let dev = self.device.bound();
        let tell = Drops::new()?.tell();
        let name = dev.name();
        GenDisk::add(
            dev,
            self.set.clone(),
            fmt!("kunit-z-{name}"),
            limits,
            sectors,
            tell,
        )
    }

    /// The request of an append of 4 KiB to the zone at `sector`.
    fn append(
        &mut self,
        disk: &GenDisk<TestIo>,
        sector: u64,
        index: usize,
    ) -> Result<(Transfer, Request<TestIo>)> {
        let dev = self.device.bound();
        let transfer = Transfer::start(
            disk,
            dev,
            Kind::ZoneAppend,
            sector,
            &self.memory,
            0,
            PAGE_SIZE,
        )?;
        let ticket = self.queue.ticket(index)?;
        let request = self.side.0.claim(ticket).ok_or(ENOENT)?;
        Ok((transfer, request))
    }
}

#[kunit_tests(rnvme_ext_zoned)]
mod cases {
    use super::*;

    #[test]
    fn block_layer_learns_of_every_zone() -> Result {
        let bench = Bench::new(c"zones", 4)?;
        let disk = bench.add_zoned(ZONES, SECTORS)?;
        let raw = disk.as_raw(bench.device.bound())?;
        // SAFETY: The disk stays while `disk` is borrowed.
        let (zones, limits) = unsafe { ((*raw).nr_zones, &(*(*raw).queue).limits) };
        assert_eq!(zones, 8);
        assert_eq!(limits.chunk_sectors, 256);
        assert_eq!((limits.max_open_zones, limits.max_active_zones), (2, 4));
        assert_eq!(limits.max_zone_append_sectors, 64);
        assert!(limits.features & bindings::EXT_BLK_FEAT_ZONED != 0);
        Ok(())
    }

    #[test]
    fn zones_that_do_not_make_up_the_disk_are_refused() -> Result {
        let bench = Bench::new(c"no-zones", 4)?;
        let of_size = |zone_sectors| ZoneLimits {
            zone_sectors,
            ..ZONES
        };
        assert_eq!(bench.add_zoned(of_size(0), SECTORS).err(), Some(EINVAL));
        assert_eq!(bench.add_zoned(of_size(192), SECTORS).err(), Some(EINVAL));
        assert_eq!(bench.add_zoned(ZONES, SECTORS + 8).err(), Some(EINVAL));
        Ok(())
    }

    #[test]
    fn append_says_where_it_went() -> Result {
        let mut bench = Bench::new(c"append", 4)?;
        let disk = bench.add_zoned(ZONES, SECTORS)?;
        let (append, mut request) = bench.append(&disk, 256, 0)?;
        assert_eq!((request.op(), request.sector()), (Op::ZoneAppend, 256));
        request.written_at(376)?;
        request.complete(Status::OK);
        assert_eq!(append.wait(), Some(Status::OK));
        assert_eq!(append.sector(), 376);
        Ok(())
    }

    #[test]
    fn append_cannot_have_gone_to_another_zone() -> Result {
        let mut bench = Bench::new(c"append-off", 4)?;
        let disk = bench.add_zoned(ZONES, SECTORS)?;
        let (append, mut request) = bench.append(&disk, 256, 0)?;
        for sector in [0, 255, 505, 512, u64::MAX, u64::MAX - 6] {
            assert_eq!(request.written_at(sector), Err(EINVAL));
        }
        request.written_at(504)?;
        request.complete(Status::OK);
        assert_eq!(append.wait(), Some(Status::OK));
        Ok(())
    }

    #[test]
    fn only_an_append_has_a_place_to_be_told() -> Result {
        let mut bench = Bench::new(c"no-append", 4)?;
        let read = bench.start(Kind::Read, 0, 0, 512)?;
        let ticket = bench.queue.ticket(0)?;
        let mut request = bench.side.0.claim(ticket).ok_or(ENOENT)?;
        assert_eq!(request.written_at(0), Err(EINVAL));
        request.complete(Status::OK);
        assert_eq!(read.wait(), Some(Status::OK));
        Ok(())
    }

    #[test]
    fn data_of_an_append_is_mapped() -> Result {
        let mut bench = Bench::new(c"append-map", 4)?;
        let disk = bench.add_zoned(ZONES, SECTORS)?;
        bench.queue.order(Do::Map);
        let (append, request) = bench.append(&disk, 0, 0)?;
        let ranges = bench.queue.notes.lock().ranges.len();
        assert_eq!(ranges, 1);
        request.complete(Status::OK);
        assert_eq!(append.wait(), Some(Status::OK));
        Ok(())
    }
}
