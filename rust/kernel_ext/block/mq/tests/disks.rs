// SPDX-License-Identifier: GPL-2.0

//! Disks and tag sets: which outlives which, and what is refused.

use super::*;

#[kunit_tests(rnvme_ext_disk)]
mod cases {
    use super::*;

    #[test]
    fn tag_set_outlives_its_disks() -> Result {
        let (disks, others) = (Drops::new()?, Drops::new()?);
        let bench = Bench::with_drops(c"set-outlives", 4, 4, &disks, &others)?;
        bench.queue.order(Do::End(Status::OK));
        let Bench {
            side,
            disk,
            set,
            queue,
            memory,
            device,
        } = bench;
        drop((set, queue, side));
        assert_eq!((disks.count(), others.count()), (0, 0));
        let dev = device.bound();
        let read = Transfer::start(&disk, dev, Kind::Read, 0, &memory, 0, 512)?;
        assert_eq!(read.wait(), Some(Status::OK));
        drop(disk);
        // The disk's data; the set's and its queue's.
        assert_eq!((disks.count(), others.count()), (1, 2));
        Ok(())
    }

    #[test]
    fn disks_of_a_set_share_its_queues() -> Result {
        let (disks, others) = (Drops::new()?, Drops::new()?);
        let bench = Bench::with_drops(c"share", 4, 4, &disks, &others)?;
        let dev = bench.device.bound();
        let second = GenDisk::add(
            dev,
            bench.set.clone(),
            fmt!("kunit-second"),
            LIMITS,
            0,
            disks.tell(),
        )?;
        kunit::set_capacity(&second, dev, 8)?;
        bench.queue.order(Do::End(Status::MEDIUM));
        let read = Transfer::start(&second, dev, Kind::Read, 0, &bench.memory, 0, 512)?;
        assert_eq!(read.wait(), Some(Status::MEDIUM));
        drop(second);
        assert_eq!((disks.count(), others.count()), (1, 0));
        assert_eq!(bench.read_with(Do::End(Status::OK))?, Some(Status::OK));
        Ok(())
    }

    #[test]
    fn unbind_removes_the_disk_before_its_owner_does() -> Result {
        let (disks, others) = (Drops::new()?, Drops::new()?);
        let bench = Bench::with_drops(c"unbind", 4, 4, &disks, &others)?;
        let Bench {
            side,
            disk,
            set,
            queue,
            memory: _,
            device,
        } = bench;
        drop((side, queue));
        drop(device);
        assert_eq!(disks.count(), 1);
        drop(disk);
        assert_eq!((disks.count(), others.count()), (1, 0));
        drop(set);
        assert_eq!(others.count(), 2);
        Ok(())
    }

    #[test]
    fn disk_of_another_device_is_refused() -> Result {
        let drops = Drops::new()?;
        let bench = Bench::new(c"own-device", 4)?;
        let other = Device::new(c"other-device")?;
        let disk = GenDisk::add(
            other.bound(),
            bench.set.clone(),
            fmt!("kunit-other"),
            LIMITS,
            0,
            drops.tell(),
        );
        assert_eq!(disk.err(), Some(EINVAL));
        assert_eq!(drops.count(), 1);
        Ok(())
    }

    #[test]
    fn name_that_does_not_fit_is_refused() -> Result {
        let drops = Drops::new()?;
        let bench = Bench::new(c"names", 4)?;
        let dev = bench.device.bound();
        let name = fmt!("a-name-of-just-thirty-two-letters");
        let disk = GenDisk::add(dev, bench.set.clone(), name, LIMITS, 0, drops.tell());
        assert_eq!(disk.err(), Some(ENAMETOOLONG));
        assert_eq!(drops.count(), 1);
        Ok(())
    }

    #[test]
    fn dead_disk_fails_io_at_once() -> Result {
        let bench = Bench::new(c"dead", 4)?;
        bench.disk.mark_dead(bench.device.bound())?;
        let read = bench.start(Kind::Read, 0, 0, 512)?;
        assert!(read.wait().is_some_and(|status| status != Status::OK));
        let seen = bench.queue.notes.lock().seen.len();
        assert_eq!(seen, 0);
        Ok(())
    }

    #[test]
    fn set_without_tags_or_queues_is_refused() -> Result {
        let drops = Drops::new()?;
        let device = Device::new(c"no-tags")?;
        let (queue, _claimer) = new_queue(1, &drops)?;
        assert!(new_set(&device, &queue, 0, &drops).is_err());
        drop(queue);
        drop(_claimer);
        // The data of the set that was refused, and the queue's.
        assert_eq!(drops.count(), 2);
        Ok(())
    }
}
