// SPDX-License-Identifier: MIT

//! Commands: refused, ignored, or taken for others.

use std::time::Duration;

use nvme_proto::command::{Cns, Command};
use nvme_proto::feature::FeatureId;
use nvme_proto::status::Status;

use crate::driver::data::Shape;
use crate::{enabled, fired, running};

#[test]
fn an_ignored_command_is_not_carried_out() {
    let mut driver = running("command-ignored:queue=1,opcode=1");
    let data = vec![7; 512];
    assert!(driver.try_write(1, 1, 0, &data, Shape::PLAIN).is_none());
    assert_eq!(driver.read_blocks(1, 1, 0, 1), vec![0; 512]);
    driver.write_blocks(1, 1, 0, &data);
    assert_eq!(driver.read_blocks(1, 1, 0, 1), data);
}

#[test]
fn a_deaf_controller_answers_nothing_from_then_on() {
    let mut driver = running("deaf:nth=2");
    assert!(driver.try_send(1, Command::flush(1)).is_some());
    assert!(driver.try_send(1, Command::flush(1)).is_none());
    assert!(driver.try_send(2, Command::flush(1)).is_none());
    assert!(driver
        .try_send(0, Command::get_features(FeatureId::Arbitration))
        .is_none());
    assert!(driver.csts().rdy(), "registers answer as ever");
    driver.tell("disarm");
    assert!(driver.try_send(2, Command::flush(1)).is_some());
}

#[test]
fn a_controller_that_is_deaf_for_io_hears_admin_commands() {
    let mut driver = running("deaf-io");
    assert!(driver.try_send(1, Command::flush(1)).is_none());
    assert!(driver
        .try_send(0, Command::get_features(FeatureId::Arbitration))
        .is_some());
}

#[test]
fn a_refused_command_is_not_carried_out() {
    let mut driver = running("command-refused:queue=1");
    let written = driver.try_write(1, 1, 0, &[7; 512], Shape::PLAIN);
    assert_eq!(
        written.map(|completion| completion.status.raw()),
        Some(0x4001)
    );
    assert_eq!(driver.read_blocks(1, 1, 0, 1), vec![0; 512]);
}

#[test]
fn a_command_is_completed_by_the_next_and_never_carried_out() {
    let mut driver = running("command-taken-for-another:queue=1,arg=20");
    let write = |slba| Command::write(1, slba, 0, false);
    let (one, command) = driver.with_buffer(write(0), 512, Shape::PLAIN);
    one.put(&driver.heap, &[1; 512]);
    let first = driver.submit(1, command);
    driver.ring(1);
    assert_eq!(driver.reap(1), 0);
    let (two, command) = driver.with_buffer(write(1), 512, Shape::PLAIN);
    two.put(&driver.heap, &[2; 512]);
    let second = driver.submit(1, command);
    driver.ring(1);
    driver.reap(1);
    let in_flight = [first, second].map(|cid| driver.is_in_flight(1, cid));
    assert_eq!(
        in_flight,
        [false, true],
        "the first was ended in the second's place"
    );
    driver.advance(Duration::from_millis(20));
    driver.reap(1);
    assert!(!driver.is_in_flight(1, second));
    let there = driver.read_blocks(1, 1, 0, 2);
    assert_eq!((there[0], there[512]), (0, 2));
}

#[test]
fn features_that_are_not_there_are_claimed() {
    let mut driver = enabled("features-claimed:arg=0x101");
    let asked = Command::get_features(FeatureId::FlexibleDataPlacement);
    let answer = driver.send(0, asked);
    assert_eq!((answer.status, answer.dw0()), (Status::SUCCESS, 0x101));
    driver.tell("disarm");
    assert!(!driver.send(0, asked).status.is_success());
}

/// An admin command of each kind that can be refused or ignored, and an I/O command.
fn asked(name: &str) -> (u16, Command) {
    let identify = |nsid, cns| (0, Command::identify(nsid, cns, 0));
    match name {
        "flush" => (1, Command::flush(1)),
        "features" => (0, Command::get_features(FeatureId::VolatileWriteCache)),
        "queue-creation" => (0, Command::create_io_cq(5, 4, 0, None)),
        "identify" => identify(0, Cns::Controller),
        "namespace" => identify(1, Cns::Namespace),
        "list" => identify(0, Cns::ActiveNamespaceList),
        "log" => (0, Command::get_log_page(0, 2, 128, 0, false)),
        other => panic!("{other}"),
    }
}

#[test]
fn what_is_to_be_refused_is_refused_with_its_status() {
    for (kind, name, raw) in [
        ("features-refused", "features", 0x4002),
        ("queue-creation-refused", "queue-creation", 0x4101),
        ("identify-refused", "identify", 0x4002),
        ("identify-namespace-refused", "namespace", 0x4002),
        ("list-refused", "list", 0x4002),
        ("log-refused", "log", 0x4109),
    ] {
        let mut driver = enabled(kind);
        let (qid, command) = asked(name);
        let page = driver.heap.take(1);
        let completion = driver.send(qid, command.with_data(page, 0));
        assert_eq!(completion.status.raw(), raw, "{kind}");
        assert_eq!(
            driver.heap.read(page, 4096),
            vec![0; 4096],
            "{kind}: nothing is moved"
        );
    }
}

#[test]
fn what_is_to_be_ignored_is_never_answered_and_the_rest_is() {
    for (kind, name) in [
        ("flush-ignored", "flush"),
        ("features-ignored", "features"),
        ("queue-creation-ignored", "queue-creation"),
        ("identify-ignored", "identify"),
    ] {
        let mut driver = running(kind);
        let (qid, command) = asked(name);
        let page = driver.heap.take(1);
        assert!(
            driver.try_send(qid, command.with_data(page, 0)).is_none(),
            "{kind}"
        );
        assert_eq!(fired(&driver), 1, "{kind}");
        let other = driver.send(0, asked("list").1.with_data(page, 0));
        assert_eq!(other.status, Status::SUCCESS, "{kind}");
    }
}
