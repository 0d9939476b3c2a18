// SPDX-License-Identifier: MIT

//! What a controller reset leaves in CSTS, and what not.

use std::time::Duration;

use nvme_fault_controller::registers::csts;
use nvme_fault_controller::settings::Settings;
use nvme_proto::command::Command;
use nvme_proto::register::{offset, Cc, Shn};

use super::{Driver, Setup};

#[test]
fn a_reset_ends_a_pause() {
    let mut driver = Driver::usual();
    driver.tell("firmware 7.1 60000");
    assert_ne!(driver.read32(offset::CSTS) & csts::PP, 0, "it begins");
    assert!(driver.disable());
    assert_eq!(driver.read32(offset::CSTS) & csts::PP, 0);
    driver.bring_up();
    driver.read_blocks(1, 1, 0, 1);
    driver.assert_no_complaint();
}

#[test]
fn a_reset_ends_a_shutdown() {
    let settings = Settings {
        ready_time: Duration::from_secs(1),
        ..Settings::default()
    };
    let mut driver = Driver::start(Setup {
        settings,
        ..Setup::default()
    });
    let cc = Cc::from_raw(driver.read32(offset::CC));
    driver.write32(offset::CC, cc.with_shn(Shn::Normal).raw());
    assert_ne!(driver.read32(offset::CSTS) & csts::SHST, 0, "it begins");
    assert!(driver.disable());
    driver.advance(Duration::from_secs(5));
    assert_eq!(driver.read32(offset::CSTS) & csts::SHST, 0);
    driver.bring_up();
    driver.assert_no_complaint();
}

#[test]
fn a_subsystem_reset_is_told_of_until_the_host_has_seen_it() {
    let mut driver = Driver::usual();
    driver.controller.registers.csts |= csts::NSSRO;
    assert!(driver.disable());
    driver.bring_up();
    let kept = driver.read32(offset::CSTS);
    assert_ne!(kept & csts::NSSRO, 0, "a controller reset is none");
    driver.write32(offset::CSTS, csts::NSSRO);
    assert_eq!(driver.read32(offset::CSTS), kept & !csts::NSSRO);
    driver.assert_no_complaint();
}

#[test]
fn without_bus_master_enable_nothing_is_taken_and_nothing_is_written() {
    let mut driver = Driver::usual();
    driver.arm("completion-late:queue=1,arg=100");
    driver.submit(1, Command::flush(1));
    driver.ring(1);
    driver.submit(1, Command::flush(1));
    driver.memory().set_bus_master(false);
    // The first completion comes due, and the second command is to be taken.
    driver.ring(1);
    driver.advance(Duration::from_secs(1));
    driver.memory().set_bus_master(true);
    assert_eq!(driver.reap(1), 0, "no completion reached memory");
    assert!(driver.csts().rdy() && !driver.csts().cfs());
    driver.assert_no_complaint();
    // A driver that comes back resets the controller, and finds it well.
    assert!(driver.disable());
    driver.bring_up();
    assert!(driver.send(1, Command::flush(1)).status.is_success());
    driver.assert_no_complaint();
}
