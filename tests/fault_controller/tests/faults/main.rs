// SPDX-License-Identifier: MIT

//! Each kind of fault, played against the driver of the tests: armed, it happens where it should, and
//! memory, registers and interrupts show just that.

#[path = "../driver/mod.rs"]
mod driver;

mod command_set;
mod commands;
mod completions;
mod data;
mod disarm;
mod interrupts;
mod life;
mod registers;
mod structures;

use driver::{Driver, Setup};
use nvme_fault_controller::fault::kinds;

/// A driver on a controller that works, and faults that are armed then.
#[track_caller]
fn running(specs: &str) -> Driver {
    let mut driver = Driver::usual();
    driver.arm(specs);
    driver
}

/// A driver that has not touched its controller, and faults that are armed from the start.
#[track_caller]
fn untouched(specs: &str) -> Driver {
    let mut driver = Driver::new(Setup::default());
    driver.arm(specs);
    driver
}

/// A driver whose controller is enabled, with faults that are armed then.
#[track_caller]
fn enabled(specs: &str) -> Driver {
    let mut driver = Driver::new(Setup::default());
    assert!(driver.enable(), "{}", driver.log());
    driver.arm(specs);
    driver
}

/// How often faults have happened.
fn fired(driver: &Driver) -> u64 {
    let counts = driver.controller.faults.counts();
    counts.iter().map(|(_, _, fired)| fired).sum()
}

#[test]
fn each_kind_is_named_in_a_story() {
    const STORIES: &str = concat!(
        include_str!("command_set.rs"),
        include_str!("commands.rs"),
        include_str!("completions.rs"),
        include_str!("data.rs"),
        include_str!("interrupts.rs"),
        include_str!("life.rs"),
        include_str!("registers.rs"),
        include_str!("structures.rs"),
    );
    let named = |name: &str| {
        ["\"", ":"]
            .iter()
            .any(|end| STORIES.contains(&format!("\"{name}{end}")))
    };
    let missing: Vec<&str> = kinds::all()
        .map(|kind| kind.name)
        .filter(|name| !named(name))
        .collect();
    assert!(missing.is_empty(), "no story tells of {missing:?}");
}

#[test]
fn one_line_in_the_log_for_each_time() {
    let mut driver = running("completion-sq-id:queue=1,times=3");
    for _ in 0..5 {
        let cid = driver.submit(1, nvme_proto::command::Command::flush(1));
        driver.ring(1);
        let _ = driver.wait(1, cid);
    }
    let log = driver.log();
    let lines: Vec<&str> = log
        .lines()
        .filter(|line| line.contains(" fault "))
        .collect();
    assert_eq!(lines.len(), 3, "{log}");
    assert!(
        lines[0]
            .ends_with("fault 1 completion-sq-id arg=65535 at queue 1, opcode 0x00, namespace 0x1"),
        "{log}"
    );
}

#[test]
fn what_was_disarmed_happens_no_more() {
    let mut driver = running("completion-lost:queue=2 completion-error:queue=1,times=forever");
    let error = driver.send(1, nvme_proto::command::Command::flush(1));
    assert!(!error.status.is_success(), "{}", driver.log());
    driver.tell("disarm 2");
    let right = driver.send(1, nvme_proto::command::Command::flush(1));
    assert!(right.status.is_success(), "{}", driver.log());
    driver.tell("disarm");
    let right = driver.send(2, nvme_proto::command::Command::flush(1));
    assert!(right.status.is_success(), "{}", driver.log());
}
