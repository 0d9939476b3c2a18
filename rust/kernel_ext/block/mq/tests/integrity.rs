// SPDX-License-Identifier: GPL-2.0

//! Metadata that the block layer adds to a request, mapped as a driver would. Relies on a kernel
//! with integrity support, as which User Mode Linux is not configured here.

#[cfg(not(CONFIG_UML))]
use super::*;

#[cfg(not(CONFIG_UML))]
#[kunit_tests(rnvme_ext_integrity)]
mod cases {
    use super::*;
    use crate::block::mq::{Checksum, Integrity};

    /// A disk beside the bench's own, with protection information in its blocks' metadata.
    fn protected(bench: &Bench, checksum: Checksum) -> Result<GenDisk<TestIo>> {
        let limits = Limits {
            integrity: Some(Integrity {
                checksum,
                metadata_size: 16,
                tuple_offset: 0,
                tag_size: 2,
                reference_tag: true,
            }),
            ..LIMITS
        };
        let dev = bench.device.bound();
        let name = fmt!("kunit-guarded");
        let tell = Drops::new()?.tell();
        let disk = GenDisk::add(dev, bench.set.clone(), name, limits, 0, tell)?;
        kunit::set_capacity(&disk, dev, 2048)?;
        Ok(disk)
    }

    #[test]
    fn metadata_of_a_write_is_mapped_and_unmapped() -> Result {
        let mut bench = Bench::new(c"protected", 4)?;
        for checksum in [Checksum::Crc16, Checksum::Crc64] {
            let disk = protected(&bench, checksum)?;
            let index = bench.queue.notes.lock().tickets.len();
            // Sixteen blocks.
            bench.queue.order(Do::MapIntegrity(256));
            let dev = bench.device.bound();
            let write = Transfer::start(&disk, dev, Kind::Write, 8, &bench.memory, 0, 8192)?;
            bench.queue.ticket(index)?;
            let (checks, range) = {
                let notes = bench.queue.notes.lock();
                (notes.checks, notes.ranges.get(index).copied())
            };
            let checks = checks.ok_or(ENOENT)?;
            assert!(checks.guard && checks.reference && checks.application.is_none());
            assert_eq!(range.ok_or(ENOENT)?.len, 256);
            bench.complete(index)?;
            assert_eq!(write.wait(), Some(Status::OK));
        }
        Ok(())
    }

    #[test]
    fn metadata_that_is_too_short_is_refused() -> Result {
        let bench = Bench::new(c"too-short", 4)?;
        let disk = protected(&bench, Checksum::Crc64)?;
        bench.queue.order(Do::MapIntegrity(257));
        let dev = bench.device.bound();
        let write = Transfer::start(&disk, dev, Kind::Write, 0, &bench.memory, 0, 8192)?;
        assert_eq!(write.wait(), Some(Status::INVALID));
        Ok(())
    }

    #[test]
    fn metadata_that_makes_no_sense_makes_no_disk() -> Result {
        let bench = Bench::new(c"no-sense", 4)?;
        // A reference tag of a tuple that there is not.
        let refused = protected(&bench, Checksum::None).err();
        assert_eq!(refused, Some(EINVAL));
        Ok(())
    }

    #[test]
    fn metadata_fits_as_far_as_the_block_layer_counts() -> Result {
        let fits = |metadata_size, logical_block_size| {
            let integrity = Integrity {
                checksum: Checksum::None,
                metadata_size,
                tuple_offset: 0,
                tag_size: 0,
                reference_tag: false,
            };
            integrity.fits(logical_block_size)
        };
        assert!(fits(8, 512) && fits(8, 8192) && fits(64, 65536));
        assert!(!fits(8, 16384) && !fits(16, 32768) && !fits(1, 2048) && !fits(0, 512));
        Ok(())
    }
}
