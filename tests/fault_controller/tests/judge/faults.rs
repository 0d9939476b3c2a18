// SPDX-License-Identifier: MIT

//! Under each kind of fault a good driver stays blameless, whatever else becomes of it.

use std::time::Duration;

use nvme_fault_controller::fault::kinds::{self, Arms, Kind};
use nvme_proto::command::{Cns, Command};
use nvme_proto::feature::{number_of_queues_request, FeatureId, NumberOfQueues};
use nvme_proto::status::Status;

use super::driver::data::Shape;
use super::driver::queue::Queue;
use super::driver::{Driver, Setup};

/// A command that the driver can do without. `None`: it was not done.
fn try_done(driver: &mut Driver, qid: u16, command: Command) -> Option<u32> {
    if driver.queue(qid).room() == 0 {
        return None;
    }
    let done = driver.try_send(qid, command)?;
    (done.status == Status::SUCCESS).then_some(done.dw0())
}

/// An Identify, whose answer nobody believes. The page stays the controller's if it does not come.
fn try_identify(driver: &mut Driver, nsid: u32, cns: Cns) -> Option<()> {
    let page = driver.heap.take(1);
    try_done(
        driver,
        0,
        Command::identify(nsid, cns, 0).with_data(page, 0),
    )?;
    Some(())
}

/// Brings the controller up, as far as it lets.
fn try_bring_up(driver: &mut Driver) -> Option<()> {
    driver.enable().then_some(())?;
    try_identify(driver, 0, Cns::Controller)?;
    try_identify(driver, 0, Cns::ActiveNamespaceList)?;
    try_identify(driver, 1, Cns::Namespace)?;
    let request = number_of_queues_request(driver.setup.queues);
    let command = Command::set_features(FeatureId::NumberOfQueues, request);
    let granted = NumberOfQueues::granted(try_done(driver, 0, command)?, driver.setup.queues);
    for qid in 1..=granted {
        let entries = driver.setup.entries;
        let queue = Queue::new(qid, entries, &mut driver.heap);
        let command = Command::create_io_cq(qid, entries, queue.cq, Some(qid));
        try_done(driver, 0, command)?;
        let command = Command::create_io_sq(qid, entries, queue.sq, qid);
        try_done(driver, 0, command)?;
        driver.queues.insert(qid, queue);
    }
    Some(())
}

/// Reads and writes, one by one and at once, and aborts what does not come back.
fn try_io(driver: &mut Driver) -> Option<()> {
    let ids: Vec<u16> = driver
        .queues
        .keys()
        .copied()
        .filter(|id| *id != 0)
        .collect();
    for qid in ids {
        for round in 0..12 {
            if driver.queue(qid).room() < 4 {
                return None;
            }
            let shape = Shape {
                scattered: true,
                first_room: 2,
                sgl: round % 3 == 0,
                offset: 0,
            };
            let bytes = 3 << 12;
            let (_, read) = driver.with_buffer(Command::read(2, round, 2), bytes, shape);
            let (_, write) = driver.with_buffer(Command::write(2, round, 2, false), bytes, shape);
            let sent: Vec<u16> = [read, write, Command::flush(2)]
                .into_iter()
                .map(|command| driver.submit(qid, command))
                .collect();
            driver.ring(qid);
            for cid in sent {
                if driver.wait(qid, cid).is_none() {
                    try_done(driver, 0, Command::abort(qid, cid));
                    driver.wait(qid, cid)?;
                }
            }
        }
    }
    Some(())
}

/// Lives with a controller through three resets.
fn live(driver: &mut Driver) {
    for _ in 0..3 {
        if try_bring_up(driver).is_some() {
            try_io(driver);
        }
        if driver.csts().is_gone() || !driver.disable() {
            // It cannot be stopped: nothing of it is touched any more.
            return;
        }
        driver.advance(Duration::from_secs(1));
    }
}

/// What the judge holds against a good driver under a fault, and what it excuses.
fn blamed(kind: &Kind) -> (Vec<&'static str>, Vec<&'static str>, String) {
    let mut driver = Driver::new(Setup::default());
    driver.heap.watched = false;
    if kind.arms != Arms::Running {
        driver.arm(kind.example);
    } else {
        driver.bring_up();
        driver.arm(kind.example);
        try_io(&mut driver);
        driver.disable();
    }
    live(&mut driver);
    let judge = &driver.controller.judge;
    let broken = judge.broken().keys().copied().collect();
    let excused = judge.excused().keys().copied().collect();
    (broken, excused, driver.complaints().join("\n"))
}

#[test]
fn a_good_driver_is_blamed_for_no_fault() {
    let mut blame = Vec::new();
    // After its death there is nobody to judge, and the process would be this test's.
    for kind in kinds::all().filter(|kind| kind.name != "death") {
        let (broken, excused, log) = blamed(kind);
        if !broken.is_empty() {
            blame.push(format!("{}: {broken:?}\n{log}", kind.name));
        }
        if !excused.is_empty() {
            println!("{}: excused {excused:?}", kind.name);
        }
    }
    assert!(blame.is_empty(), "{}", blame.join("\n\n"));
}

#[test]
fn a_mistake_beside_a_fault_that_misleads_nobody_is_held_against_the_driver() {
    let mut driver = Driver::usual();
    driver.arm("completion-lost:queue=1");
    let lost = driver.submit(1, Command::flush(1));
    driver.ring(1);
    assert!(driver.wait(1, lost).is_none());
    // Its identifier is not the driver's again before the queue is.
    driver.submit_as(1, Command::flush(1).with_cid(lost));
    driver.ring(1);
    super::assert_names_only(&driver, "cid-in-use");
}

#[test]
fn a_mistake_after_a_pause_is_held_against_the_driver() {
    for spec in ["stands-still:queue=1", "firmware-activation:queue=1"] {
        let mut driver = Driver::usual();
        driver.arm(spec);
        driver.send(1, Command::flush(1));
        driver.advance(Duration::from_secs(3));
        let at = driver.doorbell_at(1, false);
        let tail = driver.queue(1).tail.current();
        driver.write32(at, tail.into());
        super::assert_names_only(&driver, "doorbell-unchanged");
    }
}

#[test]
fn a_mistake_that_a_lie_leads_to_is_excused() {
    let mut driver = Driver::new(Setup::default());
    driver.arm("never-ready:times=1");
    assert!(!driver.enable());
    // It gives up: the controller is stopped before it was ready.
    driver.disable();
    driver.assert_no_complaint();
    assert_eq!(driver.controller.judge.excused()["disable-before-ready"], 1);
    // Enabled in the right order, it is blamed again for the same.
    assert!(driver.enable());
    driver.write32(nvme_proto::register::offset::VS, 0);
    super::assert_names_only(&driver, "register-read-only");
}
