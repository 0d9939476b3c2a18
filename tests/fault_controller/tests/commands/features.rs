// SPDX-License-Identifier: MIT

//! Set Features and Get Features.

use std::time::Duration;

use nvme_proto::command::{Cns, Command};
use nvme_proto::completion::Completion;
use nvme_proto::feature::FeatureId;
use nvme_proto::status::Status;

use super::{code, number, raw, with_page, Driver};

const SET: u8 = 0x09;
const GET: u8 = 0x0a;
const SAVE: u32 = 1 << 31;

fn get(driver: &mut Driver, id: u32, select: u32) -> u32 {
    let got = driver.send(0, raw(GET, 0, &[id | (select << 8)]));
    assert_eq!(got.status, Status::SUCCESS, "feature {id:#x}, {select}");
    got.dw0()
}

fn set(driver: &mut Driver, id: u32, value: u32) -> Completion {
    driver.send(0, raw(SET, 0, &[id, value]))
}

#[test]
fn a_value_is_kept_and_its_default_is_known() {
    let mut driver = Driver::usual();
    assert_eq!(set(&mut driver, 0x02, 2).status, Status::SUCCESS);
    assert_eq!(get(&mut driver, 0x02, 0), 2, "current");
    assert_eq!(get(&mut driver, 0x02, 1), 0, "default");
    assert_eq!(get(&mut driver, 0x02, 3), 0b101, "saveable, changeable");
    assert!(driver.disable());
    driver.bring_up();
    assert_eq!(get(&mut driver, 0x02, 0), 0, "after a reset");
    driver.assert_no_complaint();
}

#[test]
fn a_saved_value_outlasts_a_reset() {
    let mut driver = Driver::usual();
    let saved = set(&mut driver, 0x06 | SAVE, 0);
    assert_eq!(saved.status, Status::SUCCESS);
    assert_eq!(set(&mut driver, 0x06, 1).status, Status::SUCCESS);
    assert_eq!(
        (get(&mut driver, 0x06, 0), get(&mut driver, 0x06, 2)),
        (1, 0)
    );
    assert!(driver.disable());
    driver.bring_up();
    assert_eq!(get(&mut driver, 0x06, 0), 0);
    let refused = set(&mut driver, 0x0b | SAVE, 0);
    assert_eq!(refused.status, Status::SUCCESS);
    let refused = set(&mut driver, 0x0e | SAVE, 0);
    assert_eq!(code(&refused), Status::FEATURE_NOT_SAVEABLE);
}

#[test]
fn what_cannot_be_is_refused() {
    let mut driver = Driver::usual();
    for (id, value, status) in [
        (0x02, 5, Status::INVALID_FIELD),
        (0x04, 2 << 20, Status::INVALID_FIELD),
        (0x04, 5 << 16, Status::INVALID_FIELD),
        (0x05, 1 << 16, Status::INVALID_NAMESPACE_OR_FORMAT),
        (0x07, 0x0001_0001, Status::COMMAND_SEQUENCE_ERROR),
        (0x09, 64, Status::INVALID_FIELD),
        (0x7e, 0, Status::INVALID_FIELD),
    ] {
        let refused = set(&mut driver, id, value);
        assert_eq!(code(&refused), status, "feature {id:#x} to {value:#x}");
    }
    let refused = driver.send(0, raw(SET, 1, &[0x02, 1]));
    assert_eq!(code(&refused), Status::FEATURE_NOT_NAMESPACE_SPECIFIC);
}

#[test]
fn thresholds_and_vectors_have_values_of_their_own() {
    let mut driver = Driver::usual();
    assert_eq!(set(&mut driver, 0x04, 350).status, Status::SUCCESS);
    assert_eq!(
        set(&mut driver, 0x04, 270 | (1 << 20)).status,
        Status::SUCCESS
    );
    let got = driver.send(0, raw(GET, 0, &[0x04, 0]));
    assert_eq!(got.dw0() & 0xffff, 350);
    let got = driver.send(0, raw(GET, 0, &[0x04, 1 << 20]));
    assert_eq!(got.dw0() & 0xffff, 270);
    assert_eq!(
        set(&mut driver, 0x09, 3 | (1 << 16)).status,
        Status::SUCCESS
    );
    for (vector, value) in [(3, 3 | (1 << 16)), (4, 4)] {
        let got = driver.send(0, raw(GET, 0, &[0x09, vector]));
        assert_eq!(got.dw0(), value, "vector {vector}");
    }
    driver.assert_no_complaint();
}

#[test]
fn the_clock_goes_on_from_where_it_was_set() {
    let mut driver = Driver::usual();
    let command = Command::set_features(FeatureId::Timestamp, 0);
    let set = driver.hand_over(command, &1_700_000_000_000u64.to_le_bytes());
    assert_eq!(set.status, Status::SUCCESS);
    driver.advance(Duration::from_millis(1234));
    let (_, time) = driver.fetch(Command::get_features(FeatureId::Timestamp), 8);
    assert_eq!(number(&time, 0, 6), 1_700_000_001_234);
    assert_eq!(time[6], 0b010, "set by the host");
    driver.assert_no_complaint();
}

#[test]
fn transitions_lead_to_states_that_do_no_work() {
    let mut driver = Driver::usual();
    let id = driver.identify(0, Cns::Controller);
    assert_eq!((id[263], id[265]), (4, 1), "NPSS, APSTA");
    let command = Command::set_features(FeatureId::AutonomousPowerStateTransition, 1);
    let mut table = [0; 256];
    table[..8].copy_from_slice(&((100u64 << 8) | (3 << 3)).to_le_bytes());
    assert_eq!(driver.hand_over(command, &table).status, Status::SUCCESS);
    let get = Command::get_features(FeatureId::AutonomousPowerStateTransition);
    let (completion, back) = driver.fetch(get, 256);
    assert_eq!((completion.dw0(), back.as_slice()), (1, &table[..]));
    driver.assert_no_complaint();
    table[..8].copy_from_slice(&((100u64 << 8) | (1 << 3)).to_le_bytes());
    let refused = driver.hand_over(command, &table);
    assert_eq!(code(&refused), Status::INVALID_FIELD, "state 1 does work");
}

#[test]
fn a_protected_namespace_takes_no_writes() {
    let mut driver = Driver::usual();
    let protect = |driver: &mut Driver, state| driver.send(0, raw(SET, 1, &[0x84, state]));
    assert_eq!(protect(&mut driver, 1).status, Status::SUCCESS);
    let (write, _) = with_page(&mut driver, Command::write(1, 0, 0, false), &[1; 512]);
    assert_eq!(code(&write), Status::NAMESPACE_WRITE_PROTECTED);
    assert_eq!(driver.identify(1, Cns::Namespace)[99] & 1, 1, "NSATTR");
    driver.write_blocks(1, 2, 0, &[1; 4096]);
    assert_eq!(driver.read_blocks(1, 1, 0, 1), [0; 512]);
    assert_eq!(protect(&mut driver, 0).status, Status::SUCCESS);
    driver.write_blocks(1, 1, 0, &[1; 512]);
    assert_eq!(protect(&mut driver, 3).status, Status::SUCCESS);
    let kept = protect(&mut driver, 0);
    assert_eq!(code(&kept), Status::FEATURE_NOT_CHANGEABLE, "for ever");
}

#[test]
fn a_host_says_once_who_it_is() {
    let mut driver = Driver::usual();
    let name = |driver: &mut Driver, host: u128| {
        driver.hand_over(raw(SET, 0, &[0x81, 1]), &host.to_le_bytes())
    };
    assert_eq!(name(&mut driver, 1 << 70).status, Status::SUCCESS);
    let (_, back) = driver.fetch(raw(GET, 0, &[0x81, 1]), 16);
    assert_eq!(back, (1u128 << 70).to_le_bytes());
    assert_eq!(name(&mut driver, 1 << 70).status, Status::SUCCESS);
    let other = name(&mut driver, 5);
    assert_eq!(code(&other), Status::COMMAND_SEQUENCE_ERROR);
}
