// SPDX-License-Identifier: GPL-2.0

//! Files that show data: what they say, and that they and their data go together.

use super::{Entry, Group};
use crate::kunit::{read_attribute, Device, Drops, Tell};
use kernel::{page::PAGE_SIZE, prelude::*};

struct Shown {
    number: u32,
    _tell: Tell,
}

static FILES: [Entry<Shown>; 3] = [
    Entry {
        name: c"number",
        show: |shown, f| write!(f, "{}", shown.number),
    },
    Entry {
        name: c"nothing",
        show: |_, _| Ok(()),
    },
    Entry {
        name: c"long",
        show: |_, f| {
            for _ in 0..2 * PAGE_SIZE {
                f.write_str("x")?;
            }
            Ok(())
        },
    },
];

#[kunit_tests(rnvme_ext_sysfs)]
mod cases {
    use super::*;

    fn shown(number: u32, drops: &Drops) -> Shown {
        let _tell = drops.tell();
        Shown { number, _tell }
    }

    #[test]
    fn file_shows_its_value_and_ends_the_line() -> Result {
        let (device, drops) = (Device::new(c"sysfs-show")?, Drops::new()?);
        let _group = Group::add(device.bound(), Some(c"values"), shown(4711, &drops), &FILES)?;
        assert_eq!(
            &read_attribute(device.bound(), "values/number")?[..],
            b"4711\n"
        );
        assert_eq!(
            &read_attribute(device.bound(), "values/nothing")?[..],
            b"\n"
        );
        Ok(())
    }

    #[test]
    fn text_that_is_too_long_ends_before_the_pages_last_byte() -> Result {
        let (device, drops) = (Device::new(c"sysfs-long")?, Drops::new()?);
        let _group = Group::add(device.bound(), Some(c"values"), shown(0, &drops), &FILES)?;
        let text = read_attribute(device.bound(), "values/long")?;
        assert_eq!(text.len(), PAGE_SIZE - 1);
        assert!(text.iter().all(|letter| *letter == b'x'));
        Ok(())
    }

    #[test]
    fn files_may_lie_in_the_devices_own_folder() -> Result {
        let (device, drops) = (Device::new(c"sysfs-own")?, Drops::new()?);
        let group = Group::add(device.bound(), None, shown(1, &drops), &FILES)?;
        assert_eq!(&read_attribute(device.bound(), "number")?[..], b"1\n");
        drop(group);
        assert_eq!(read_attribute(device.bound(), "number").err(), Some(ENOENT));
        // The folder itself is the device's.
        assert!(read_attribute(device.bound(), "uevent").is_ok());
        Ok(())
    }

    #[test]
    fn files_and_data_go_with_the_group() -> Result {
        let (device, drops) = (Device::new(c"sysfs-drop")?, Drops::new()?);
        let group = Group::add(device.bound(), Some(c"values"), shown(2, &drops), &FILES)?;
        assert_eq!(drops.count(), 0);
        drop(group);
        assert_eq!(drops.count(), 1);
        let gone = read_attribute(device.bound(), "values/number").err();
        assert_eq!(gone, Some(ENOENT));
        Ok(())
    }

    #[test]
    fn unbind_removes_files_before_their_owner_does() -> Result {
        let (device, drops) = (Device::new(c"sysfs-unbind")?, Drops::new()?);
        let group = Group::add(device.bound(), Some(c"values"), shown(3, &drops), &FILES)?;
        drop(device);
        assert_eq!(drops.count(), 1);
        drop(group);
        assert_eq!(drops.count(), 1);
        Ok(())
    }
}
