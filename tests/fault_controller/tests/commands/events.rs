// SPDX-License-Identifier: MIT

//! Asynchronous events: who hears of them, when, and how often.

use std::time::Duration;

use nvme_proto::command::{Cns, Command};
use nvme_proto::feature::FeatureId;
use nvme_proto::status::Status;

use super::{code, log_page, number, Driver};

/// Completion dword 0: Namespace Attribute Changed.
const NAMESPACE_CHANGED: u32 = 0x0004_0002;

/// Asks for events of these kinds and waits for one.
fn listening(bits: u32) -> (Driver, u16) {
    let mut driver = Driver::usual();
    listen(&mut driver, bits);
    let cid = request(&mut driver);
    (driver, cid)
}

fn listen(driver: &mut Driver, bits: u32) {
    let set = Command::set_features(FeatureId::AsyncEventConfiguration, bits);
    assert_eq!(driver.send(0, set).status, Status::SUCCESS);
}

fn request(driver: &mut Driver) -> u16 {
    let cid = driver.submit(0, Command::async_event_request());
    driver.ring(0);
    cid
}

/// What a request was answered with, if it was.
fn heard(driver: &mut Driver, cid: u16) -> Option<u32> {
    while driver.reap(0) > 0 {}
    let completion = driver.queue(0).done.remove(&cid)?;
    assert_eq!(completion.status, Status::SUCCESS);
    Some(completion.dw0())
}

fn changed(driver: &mut Driver) -> Vec<u64> {
    let page = log_page(driver, 0x04, 4096);
    let all = page.chunks_exact(4).map(|entry| number(entry, 0, 4));
    all.take_while(|nsid| *nsid != 0).collect()
}

#[test]
fn a_namespace_that_grows_is_told_of_and_listed_once() {
    let (mut driver, cid) = listening(1 << 8);
    assert_eq!(heard(&mut driver, cid), None);
    driver.tell("namespace resize 2 8388608");
    assert_eq!(heard(&mut driver, cid), Some(NAMESPACE_CHANGED));
    assert_eq!(changed(&mut driver), [2]);
    assert!(changed(&mut driver).is_empty(), "the list was read before");
    let id = driver.identify(2, Cns::Namespace);
    assert_eq!(number(&id, 0, 8), 8_388_608 / 4096);
    driver.assert_no_complaint();
}

#[test]
fn namespaces_come_and_go() {
    let (mut driver, cid) = listening(1 << 8);
    driver.tell("namespace remove 1");
    assert_eq!(heard(&mut driver, cid), Some(NAMESPACE_CHANGED));
    let list = driver.identify(0, Cns::ActiveNamespaceList);
    assert_eq!(number(&list, 0, 8), 2, "only namespace 2 is left");
    let flushed = driver.send(1, Command::flush(1));
    assert_eq!(code(&flushed), Status::INVALID_NAMESPACE_OR_FORMAT);
    let image = std::env::temp_dir().join(format!("namespace-{}", std::process::id()));
    let told = driver.tell(&format!("namespace add {},1048576,512", image.display()));
    std::fs::remove_file(&image).expect("the image");
    assert_eq!(told, "1", "the lowest identifier that is free");
    let cid = request(&mut driver);
    assert_eq!(
        heard(&mut driver, cid),
        None,
        "masked until the log is read"
    );
    assert_eq!(changed(&mut driver), [1]);
    driver.write_blocks(1, 1, 2047, &[7; 512]);
    assert_eq!(driver.read_blocks(1, 1, 2047, 1), [7; 512]);
    driver.assert_no_complaint();
}

#[test]
fn nobody_hears_of_what_was_not_asked_for() {
    let (mut driver, cid) = listening(0);
    driver.tell("namespace remove 1");
    driver.tell("smart warning=4");
    assert_eq!(heard(&mut driver, cid), None);
    assert_eq!(
        changed(&mut driver),
        [1],
        "the log page knows it nevertheless"
    );
    driver.assert_no_complaint();
}

#[test]
fn an_event_waits_for_a_request() {
    let mut driver = Driver::usual();
    listen(&mut driver, 1 << 8);
    driver.tell("namespace resize 1 524288");
    let cid = request(&mut driver);
    assert_eq!(heard(&mut driver, cid), Some(NAMESPACE_CHANGED));
    driver.assert_no_complaint();
}

#[test]
fn an_event_is_masked_until_its_log_page_is_read() {
    let (mut driver, first) = listening((1 << 8) | (1 << 9) | 0xff);
    let second = request(&mut driver);
    driver.tell("namespace resize 1 524288");
    driver.tell("firmware 9.9 100");
    assert!(heard(&mut driver, first).is_some());
    assert_eq!(heard(&mut driver, second), None, "another notice is masked");
    // An event of another type is not.
    driver.tell("smart warning=1");
    assert_eq!(heard(&mut driver, second), Some(0x0002_0201));
    let third = request(&mut driver);
    // A read that retains the event changes nothing.
    let retain = Command::get_log_page(u32::MAX, 0x04, 1024, 0, true);
    driver.advance(Duration::from_secs(1));
    driver.fetch(retain, 4096);
    assert_eq!(heard(&mut driver, third), None);
    changed(&mut driver);
    assert_eq!(heard(&mut driver, third), Some(0x0003_0102), "the firmware");
    driver.assert_no_complaint();
}

#[test]
fn heat_is_told_of_and_seen_in_the_log() {
    let (mut driver, cid) = listening(0xff);
    driver.tell("smart temperature=342");
    assert_eq!(heard(&mut driver, cid), None);
    driver.tell("smart temperature=350");
    assert_eq!(heard(&mut driver, cid), Some(0x0002_0101));
    let page = log_page(&mut driver, 0x02, 512);
    assert_eq!((page[0], number(&page, 1, 2)), (2, 350));
    // A threshold above it ends the warning; the next one below tells of it again.
    let cid = request(&mut driver);
    for (threshold, told) in [(360, None), (345, Some(0x0002_0101))] {
        let set = Command::set_features(FeatureId::TemperatureThreshold, threshold);
        assert_eq!(driver.send(0, set).status, Status::SUCCESS);
        assert_eq!(heard(&mut driver, cid), told, "threshold {threshold}");
    }
    driver.assert_no_complaint();
}

#[test]
fn firmware_pauses_what_is_processed_and_changes_the_revision() {
    let (mut driver, cid) = listening(1 << 9);
    driver.tell("firmware 7.1 500");
    assert_eq!(heard(&mut driver, cid), Some(0x0003_0102));
    let paused = driver.read32(nvme_proto::register::offset::CSTS) & (1 << 5);
    assert_ne!(paused, 0, "CSTS.PP");
    let flush = driver.submit(1, Command::flush(1));
    driver.ring(1);
    driver.reap(1);
    assert!(driver.is_in_flight(1, flush));
    let before = driver.now();
    assert!(driver.wait(1, flush).is_some(), "{}", driver.log());
    assert!(driver.now() - before >= Duration::from_millis(500));
    assert_eq!(&log_page(&mut driver, 0x03, 512)[8..12], b"7.1 ");
    driver.assert_no_complaint();
}

#[test]
fn a_wrong_doorbell_is_an_error_event() {
    let (mut driver, cid) = listening(0);
    let at = driver.doorbell_at(9, false);
    driver.write32(at, 1);
    assert_eq!(heard(&mut driver, cid), Some(0x0001_0000));
    log_page(&mut driver, 0x01, 64);
    let cid = request(&mut driver);
    let at = driver.doorbell_at(1, false);
    driver.write32(at, 999);
    assert_eq!(heard(&mut driver, cid), Some(0x0001_0100));
}

#[test]
fn one_request_too_many_is_refused() {
    let mut driver = Driver::usual();
    let ids: Vec<u16> = (0..5).map(|_| request(&mut driver)).collect();
    driver.reap(0);
    let refused = driver.queue(0).done.remove(&ids[4]).expect("an answer");
    assert_eq!(code(&refused), Status::ASYNC_EVENT_LIMIT_EXCEEDED);
}

#[test]
fn a_reset_forgets_requests_and_events() {
    let (mut driver, _) = listening(1 << 8);
    assert!(driver.disable());
    let nobody = driver.doorbell_at(9, false);
    driver.write32(nobody, 1);
    driver.bring_up();
    driver.tell("namespace resize 1 524288");
    while driver.reap(0) > 0 {}
    assert!(driver.strays.is_empty(), "{:?}", driver.strays);
    let cid = request(&mut driver);
    assert_eq!(heard(&mut driver, cid), None, "nothing was asked for since");
}
