// SPDX-License-Identifier: GPL-2.0

//! Commands of the driver's own on a queue without a disk.

use super::*;

#[kunit_tests(rnvme_ext_commands)]
mod cases {
    use super::*;

    #[test]
    fn command_goes_through_the_queue_and_its_end_is_told() -> Result {
        let (disks, others) = (Drops::new()?, Drops::new()?);
        let bench = Bench::with_drops(c"command", 4, 4, &disks, &others)?;
        let dev = bench.device.bound();
        let commands = CommandQueue::new(dev, bench.set.clone(), disks.tell())?;
        for status in [Status::OK, Status::MEDIUM] {
            bench.queue.order(Do::End(status));
            let told = commands.execute(dev, |data| *data = 7, |status, data| (status, *data))?;
            assert_eq!(told, (status, 7));
        }
        let seen = bench.queue.seen(0)?;
        assert_eq!((seen.op, seen.bytes), (Op::Driver, 0));
        drop(commands);
        assert_eq!((disks.count(), others.count()), (1, 0));
        // The disk beside it goes on.
        assert_eq!(bench.read_with(Do::End(Status::OK))?, Some(Status::OK));
        Ok(())
    }

    #[test]
    fn dropped_command_ends_with_an_error() -> Result {
        let bench = Bench::new(c"command-drop", 4)?;
        let dev = bench.device.bound();
        let commands = CommandQueue::new(dev, bench.set.clone(), Drops::new()?.tell())?;
        bench.queue.order(Do::Drop);
        let told = commands.execute(dev, |_| {}, |status, _| status)?;
        assert_eq!(told, Status::IO_ERROR);
        Ok(())
    }

    #[test]
    fn another_device_has_no_commands_here() -> Result {
        let bench = Bench::new(c"command-own", 4)?;
        let other = Device::new(c"command-other")?;
        let tell = || Ok::<_, Error>(Drops::new()?.tell());
        let refused = CommandQueue::new(other.bound(), bench.set.clone(), tell()?);
        assert_eq!(refused.err(), Some(EINVAL));
        let commands = CommandQueue::new(bench.device.bound(), bench.set.clone(), tell()?)?;
        let told = commands.execute(other.bound(), |_| {}, |_, _| ());
        assert_eq!(told, Err(EINVAL));
        assert_eq!(bench.queue.notes.lock().seen.len(), 0);
        Ok(())
    }
}
