// SPDX-License-Identifier: MIT

//! The judge bites: for each of its rules a driver that breaks just this one, and is named for it.
//!
//! Each test is the good driver of `driver/` with one deed that is wrong. The last ones are about what
//! is not held against a driver.

mod driver;

use std::collections::BTreeSet;
use std::time::Duration;

use driver::data::Shape;
use driver::{Driver, Setup};
use nvme_fault_controller::judge::rules::RULES;
use nvme_fault_controller::settings::Settings;
use nvme_proto::command::Command;
use nvme_proto::register::offset;
use nvme_proto::sgl::{Descriptor, DescriptorType};
use nvme_proto::status::Status;

/// Each deed with the rule that it breaks, and the driver that it begins with: a test of its own, and
/// a row of `SEEDED`.
macro_rules! seeded {
    ($($rule:literal $name:ident($start:expr) |$driver:ident| $deed:block)*) => {
        $(
            #[test]
            fn $name() {
                let mut driver = $start();
                let $driver = &mut driver;
                $deed
                assert_names_only(&driver, $rule);
            }
        )*

        /// The rules that the tests break.
        pub(crate) const SEEDED: &[&str] = &[$($rule),*];
    };
}
use seeded;

#[path = "judge/commands.rs"]
mod commands;
#[path = "judge/controller.rs"]
mod controller;
#[path = "judge/faults.rs"]
mod faults;

/// Where no memory is.
const NOWHERE: u64 = 0xdead_0000_0000;

#[track_caller]
fn assert_names_only(driver: &Driver, rule: &str) {
    let named: Vec<&str> = driver.controller.judge.broken().keys().copied().collect();
    assert_eq!(named, [rule], "\n{}", driver.log());
    let told = driver.complaints();
    assert!(told[0].contains(&format!("judge {rule} (")), "{told:?}");
}

/// A controller that takes a second for each change of its state.
fn slow() -> Driver {
    Driver::new(Setup {
        settings: Settings {
            ready_time: Duration::from_secs(1),
            ..Settings::default()
        },
        ..Setup::default()
    })
}

/// A controller whose admin queues are set, and which is not enabled.
fn prepared() -> Driver {
    let mut driver = Driver::new(Setup::default());
    driver.set_admin_queues();
    driver
}

/// A driver that was granted a third queue, and has given it back.
fn with_a_queue_left() -> Driver {
    let mut driver = Driver::start(Setup {
        queues: 3,
        ..Setup::default()
    });
    driver.delete_queue(3);
    driver
}

/// Sends a read of so many blocks of 4096 bytes, after `spoil` has had its buffer and the command.
fn spoilt_read(
    driver: &mut Driver,
    blocks: u16,
    shape: Shape,
    spoil: impl FnOnce(&mut Driver, &mut Command),
) {
    let command = Command::read(2, 0, blocks - 1);
    let (_, mut command) = driver.with_buffer(command, usize::from(blocks) << 12, shape);
    spoil(driver, &mut command);
    driver.send(1, command);
}

/// A list, whose entries begin at a place of their own.
const LISTED: Shape = Shape {
    first_room: 2,
    ..Shape::SCATTERED
};

/// The same as an SGL.
const SEGMENTED: Shape = Shape {
    sgl: true,
    ..LISTED
};

#[test]
fn every_rule_has_a_driver_that_breaks_it() {
    let broken: BTreeSet<&str> = [commands::SEEDED, controller::SEEDED]
        .concat()
        .into_iter()
        .collect();
    let rules: BTreeSet<&str> = RULES.iter().map(|rule| rule.name).collect();
    assert_eq!(broken, rules);
    assert_eq!(rules.len(), RULES.len(), "a name is there twice");
}

/// Two descriptors in a page: the first, and one that leads back to both.
fn loops(driver: &mut Driver, first: Descriptor) -> Descriptor {
    let page = driver.heap.take(1);
    let back = Descriptor {
        addr: page,
        len: 32,
        kind: DescriptorType::Segment,
    };
    for (at, one) in [(page, first), (page + 16, back)] {
        let bytes = one.to_words().map(u64::to_le_bytes).concat();
        driver.heap.write(at, &bytes);
    }
    back
}

#[test]
fn a_list_that_leads_back_to_itself_ends() {
    for (data, status) in [
        (0, Status::INVALID_SGL_DESCRIPTOR_COUNT),
        (512, Status::DATA_SGL_LENGTH_INVALID),
    ] {
        let mut driver = Driver::usual();
        let first = Descriptor {
            addr: driver.heap.take(1),
            len: data,
            kind: DescriptorType::DataBlock,
        };
        let sgl = loops(&mut driver, first);
        let refused = driver.send(1, Command::read(2, 0, 0).with_sgl(sgl));
        assert_eq!(refused.status.code(), status.code(), "{}", driver.log());
        assert_names_only(&driver, "sgl-length");
    }
}

#[test]
fn a_list_that_leads_on_from_its_middle_is_refused_as_such() {
    let mut driver = Driver::usual();
    let first = Descriptor {
        addr: driver.heap.take(1),
        len: 16,
        kind: DescriptorType::LastSegment,
    };
    let sgl = loops(&mut driver, first);
    let refused = driver.send(1, Command::read(2, 0, 0).with_sgl(sgl));
    let code = Status::INVALID_SGL_DESCRIPTOR_COUNT.code();
    assert_eq!(refused.status.code(), code, "{}", driver.log());
    assert_names_only(&driver, "sgl-descriptor");
}

#[test]
fn a_complaint_tells_the_command_as_a_story() {
    let mut driver = Driver::usual();
    spoilt_read(&mut driver, 1, Shape::PLAIN, |_, command| {
        command.cdw10 = 0x1234.into()
    });
    let log = driver.log();
    for part in [
        "judge lba-range (NVM Namespaces): 1 blocks from 4660 on, the namespace has 1024",
        "story a good driver reads and writes only blocks that the namespace has",
        "story Read from queue 1, of 16 entries, read up to 1, tail 1",
        "CDW0  10000002 OPC 02h, FUSE 0, PSDT 0, CID 0x1000",
        "CDW10 00001234 SLBA 31:0",
    ] {
        assert!(log.contains(part), "no {part:?} in\n{log}");
    }
    let status = driver.tell("status");
    assert!(status.contains(r#""rules":{"lba-range":1}"#), "{status}");
}

#[test]
fn a_driver_that_never_stops_being_wrong_does_not_fill_the_log() {
    let mut driver = Driver::usual();
    for _ in 0..1000 {
        driver.send(1, Command::flush(0));
    }
    assert_eq!(driver.controller.judge.complaints(), 1000);
    let lines = driver.log().lines().count();
    assert!(lines < 1000, "{lines} lines");
}

#[test]
fn what_people_send_past_the_driver_is_tolerated_when_told() {
    let mut driver = Driver::usual();
    driver.tell("tolerate nsid-invalid");
    driver.send(1, Command::flush(0));
    driver.assert_no_complaint();
    assert_eq!(driver.controller.judge.excused()["nsid-invalid"], 1);
}

#[test]
fn a_namespace_that_has_shrunk_meanwhile_is_no_mistake() {
    let mut driver = Driver::usual();
    let namespace = driver
        .controller
        .namespaces
        .get_mut(&2)
        .expect("namespace 2");
    namespace.resize(10).expect("resized");
    spoilt_read(&mut driver, 1, Shape::PLAIN, |_, command| {
        command.cdw10 = 1000.into()
    });
    driver.assert_no_complaint();
}

#[test]
fn clearing_nssro_is_no_mistake() {
    let mut driver = Driver::usual();
    // With what else was read there, as those do that set the bit in what they have.
    for value in [1 << 4, (1 << 4) | 1] {
        driver.write32(offset::CSTS, value);
    }
    driver.assert_no_complaint();
}

#[test]
fn a_memory_buffer_that_is_a_lie_is_not_held_against_the_driver() {
    let mut driver = Driver::new(Setup::default());
    driver.arm("cmb-outside");
    driver.read64(offset::CAP);
    driver.write64(offset::CMBMSC, 3);
    driver.assert_no_complaint();
    assert_eq!(driver.controller.judge.excused()["cmb-unsupported"], 1);
}

#[test]
fn segments_that_are_right_are_not_blamed() {
    let mut driver = Driver::usual();
    for blocks in 1..9 {
        spoilt_read(&mut driver, blocks, SEGMENTED, |_, _| {});
        spoilt_read(&mut driver, blocks, LISTED, |_, _| {});
    }
    driver.assert_no_complaint();
}
