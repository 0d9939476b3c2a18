// SPDX-License-Identifier: MIT

//! What Identify tells beside its two large structures. Offsets are the specification's, and are written
//! out here, so that a wrong one in the table is seen.

use nvme_proto::command::{Cns, Command};

use crate::enabled;
use crate::structures::{changes, right, Field};

const FF: [u8; 16] = [0xff; 16];

#[test]
fn limits_of_the_nvm_command_set_are_as_told() {
    let one: &[Field<'_>] = &[
        (3, &[1]),
        (4, &[1, 0, 0, 0]),
        (8, &[1, 0, 0, 0, 0, 0, 0, 0]),
    ];
    let fields: &[(&str, &[Field<'_>])] = &[
        ("limits-wzsl", &[(1, &[255])]),
        ("limits-wzsl-one", &[(1, &[1])]),
        ("limits-wzdsl", &[(17, &[255])]),
        ("limits-vsl-wusl", &[(0, &[255]), (2, &[255])]),
        ("limits-ranges-one", one),
        ("limits-ranges-ones", &[(3, &FF[..13])]),
        ("limits-ranges-inverted", &[(8, &[1, 0, 0, 0, 0, 0, 0, 0])]),
    ];
    for (kind, fields) in fields {
        changes(kind, 0, Cns::CsiController, fields);
    }
}

#[test]
fn what_holds_for_any_command_set_is_as_told() {
    let fields: &[(&str, &[Field<'_>])] = &[
        ("independent-nsfeat", &[(0, &FF[..1])]),
        ("independent-protected", &[(8, &FF[..1])]),
        // NMIC, ANAGRPID, NVMSETID and ENDGID.
        (
            "independent-groups",
            &[(1, &FF[..1]), (4, &FF[..4]), (10, &FF[..4])],
        ),
    ];
    for (kind, fields) in fields {
        changes(kind, 1, Cns::IndependentNamespace, fields);
    }
}

#[test]
fn these_structures_are_zeros_ones_or_random() {
    for (kind, nsid, cns, byte) in [
        ("limits-ones", 0, Cns::CsiController, 0xff),
        ("formats-ones", 1, Cns::CsiNamespace, 0xff),
        ("independent-zeros", 1, Cns::IndependentNamespace, 0),
        ("independent-ones", 1, Cns::IndependentNamespace, 0xff),
    ] {
        let bytes = enabled(kind).identify(nsid, cns);
        assert!(bytes.iter().all(|there| *there == byte), "{kind}");
    }
    for (kind, nsid, cns) in [
        ("limits-random", 0, Cns::CsiController),
        ("formats-random", 1, Cns::CsiNamespace),
        ("independent-random", 1, Cns::IndependentNamespace),
    ] {
        let of = |seed: u64| enabled(&format!("{kind}:seed={seed}")).identify(nsid, cns);
        assert_eq!(of(1), of(1), "{kind}");
        assert_ne!(of(1), of(2), "{kind}");
    }
}

#[test]
fn these_structures_are_refused() {
    for (kind, nsid, cns) in [
        ("limits-refused", 0, Cns::CsiController),
        ("independent-refused", 1, Cns::IndependentNamespace),
    ] {
        let mut driver = enabled(kind);
        let (completion, bytes) = driver.fetch(Command::identify(nsid, cns, 0), 4096);
        assert_eq!(completion.status.raw(), 0x4002, "{kind}");
        assert_eq!(bytes, [0; 4096], "{kind}: nothing is moved");
    }
}

#[test]
fn the_independent_structure_ends_as_it_should_be() {
    let mut driver = enabled("independent-rewritten:arg=20");
    let page = driver.heap.take(1);
    let command = Command::identify(1, Cns::IndependentNamespace, 0);
    assert!(driver
        .send(0, command.with_data(page, 0))
        .status
        .is_success());
    let expected = right(1, Cns::IndependentNamespace);
    let (start, mut seen_wrong) = (std::time::Instant::now(), false);
    let mut quiet = start;
    while quiet.elapsed().as_millis() < 100 {
        assert!(start.elapsed().as_secs() < 10, "it never ends");
        if driver.heap.read(page, 4096) != expected {
            (quiet, seen_wrong) = (std::time::Instant::now(), true);
        }
    }
    println!("it was seen to be wrong meanwhile: {seen_wrong}");
}
