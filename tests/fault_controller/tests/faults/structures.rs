// SPDX-License-Identifier: MIT

//! What is handed out: identify data, lists, names, log pages. Offsets are the specification's, and
//! are written out here, so that a wrong one in the table is seen.

use std::time::{Duration, Instant};

use nvme_proto::command::{Cns, Command};
use nvme_proto::register::offset;

use crate::driver::{Driver, Setup};
use crate::{enabled, fired, running};

/// Where a field begins, and its bytes.
pub(crate) type Field<'a> = (usize, &'a [u8]);

/// A structure as the controller has it without a fault.
pub(crate) fn right(nsid: u32, cns: Cns) -> Vec<u8> {
    let mut driver = Driver::new(Setup::default());
    assert!(driver.enable());
    driver.identify(nsid, cns)
}

/// The kind changes these bytes and no others.
#[track_caller]
pub(crate) fn changes(kind: &str, nsid: u32, cns: Cns, fields: &[Field<'_>]) {
    let mut expected = right(nsid, cns);
    for (at, bytes) in fields {
        expected[*at..*at + bytes.len()].copy_from_slice(bytes);
    }
    let mut driver = enabled(kind);
    let there = driver.identify(nsid, cns);
    let differ = there
        .iter()
        .zip(&expected)
        .position(|(one, other)| one != other);
    assert_eq!(
        differ, None,
        "{kind}: the first byte that is not as expected"
    );
    assert_eq!(fired(&driver), 1, "{kind}");
}

const FF: [u8; 1024] = [0xff; 1024];

#[test]
fn fields_of_identify_controller_are_as_told() {
    let fields: &[(&str, &[Field<'_>])] = &[
        ("identify-mdts", &[(77, &[255])]),
        ("identify-mdts-one", &[(77, &[1])]),
        ("identify-mdts:arg=0", &[(77, &[0])]),
        ("identify-nn", &[(516, &FF[..4])]),
        ("identify-nn-zero", &[(516, &[0; 4])]),
        ("identify-sqes", &[(512, &FF[..1])]),
        ("identify-cqes", &[(513, &FF[..1])]),
        ("identify-cntrltype", &[(111, &FF[..1])]),
        ("identify-discovery", &[(111, &[2])]),
        ("identify-cntlid", &[(78, b"01")]),
        ("identify-serial-changing", &[(4, b"00000000000000000001")]),
        ("identify-aerl", &[(259, &FF[..1])]),
        ("identify-acl", &[(258, &[0])]),
        ("identify-oncs", &[(520, &FF[..2])]),
        ("identify-oacs", &[(256, &FF[..2])]),
        ("identify-vwc", &[(525, &[0])]),
        ("identify-sgls", &[(536, &FF[..4])]),
        ("identify-hmb-huge", &[(272, &FF[..8]), (332, &FF[..4])]),
        ("identify-hmb-inverted", &[(276, &[0, 0, 0, 1])]),
        ("identify-npss", &[(263, &FF[..1]), (265, &FF[..1])]),
        ("identify-power-states", &[(263, &[31]), (2048, &FF)]),
        ("identify-rtd3e", &[(88, &FF[..4])]),
        ("identify-crdt", &[(128, &FF[..6])]),
        ("identify-mtfa", &[(270, &FF[..2])]),
        ("identify-cmic", &[(76, &FF[..1])]),
        ("identify-ctratt", &[(96, &FF[..4])]),
        ("identify-oaes", &[(92, &FF[..4])]),
        ("identify-awupf", &[(526, &FF[..4]), (532, &FF[..2])]),
        ("identify-maxcmd", &[(514, &[1, 0])]),
        ("identify-lpa", &[(261, &FF[..1])]),
        ("identify-version", &[(80, &[0; 4])]),
        ("identify-control-characters", &[(4, &[0x1b; 68])]),
        ("identify-not-utf8", &[(4, &[0xfe; 68])]),
        ("identify-subnqn-unterminated", &[(768, &[b'a'; 256])]),
        ("identify-subnqn-empty", &[(768, &[0; 256])]),
    ];
    for (kind, fields) in fields {
        changes(kind, 0, Cns::Controller, fields);
    }
}

#[test]
fn fields_of_identify_namespace_are_as_told() {
    let lbads = |value: &'static [u8]| [(130, value), (134, value), (138, value), (142, value)];
    for (kind, value) in [
        ("lbads-zero", &[0]),
        ("lbads-small", &[8]),
        ("lbads-large", &[17]),
        ("lbads-absurd", &[255]),
    ] {
        changes(kind, 1, Cns::Namespace, &lbads(value));
    }
    let beyond = (1u64 << 40).to_le_bytes();
    let fields: &[(&str, &[Field<'_>])] = &[
        ("nsze-zero", &[(0, &[0; 8])]),
        ("nsze-huge", &[(0, &FF[..16])]),
        ("nsze-beyond", &[(0, &beyond), (8, &beyond)]),
        ("ncap-zero", &[(8, &[0; 8])]),
        ("flbas-beyond", &[(26, &[0x0f])]),
        ("nlbaf-absurd", &[(25, &FF[..2])]),
        ("metadata-absurd", &[(128, &FF[..2]), (132, &FF[..2])]),
        ("protection-absurd", &[(29, &FF[..1])]),
        ("noiob-absurd", &[(46, &FF[..2])]),
        ("nsfeat-ones", &[(24, &FF[..1])]),
        ("dlfeat-ones", &[(33, &FF[..1])]),
        ("nmic-shared", &[(30, &FF[..1])]),
        ("nsattr-protected", &[(99, &FF[..1])]),
        ("mssrl-absurd", &[(74, &FF[..7])]),
        ("namespace-endgid", &[(102, &[1, 0])]),
    ];
    for (kind, fields) in fields {
        changes(kind, 1, Cns::Namespace, fields);
    }
    let feature = right(1, Cns::Namespace)[24];
    for (kind, at, bytes, bits) in [
        ("npwg-absurd", 64, 8, 0x30),
        ("nows-absurd", 72, 2, 0x30),
        ("nawupf-absurd", 34, 12, 0x02),
    ] {
        changes(
            kind,
            1,
            Cns::Namespace,
            &[(24, &[feature | bits]), (at, &FF[..bytes])],
        );
    }
}

#[test]
fn whole_structures_are_zeros_or_ones() {
    for (kind, nsid, cns, byte) in [
        ("identify-zeros", 0, Cns::Controller, 0),
        ("identify-ones", 0, Cns::Controller, 0xff),
        ("namespace-zeros", 1, Cns::Namespace, 0),
        ("namespace-ones", 1, Cns::Namespace, 0xff),
        ("list-zeros", 0, Cns::ActiveNamespaceList, 0),
        ("list-ones", 0, Cns::ActiveNamespaceList, 0xff),
        ("names-zeros", 1, Cns::NamespaceDescriptors, 0),
        ("names-ones", 1, Cns::NamespaceDescriptors, 0xff),
    ] {
        let bytes = enabled(kind).identify(nsid, cns);
        assert!(bytes.iter().all(|there| *there == byte), "{kind}");
    }
}

#[test]
fn random_structures_follow_from_the_seed() {
    for (kind, nsid, cns) in [
        ("identify-random", 0, Cns::Controller),
        ("namespace-random", 1, Cns::Namespace),
        ("list-random", 0, Cns::ActiveNamespaceList),
        ("names-random", 1, Cns::NamespaceDescriptors),
    ] {
        let of = |seed: u64| enabled(&format!("{kind}:seed={seed}")).identify(nsid, cns);
        assert_eq!(of(1), of(1), "{kind}");
        assert_ne!(of(1), of(2), "{kind}");
        let zeros = of(1).iter().filter(|byte| **byte == 0).count();
        assert!(zeros < 64, "{kind}: {zeros} zeros of 4096 bytes");
    }
}

#[test]
fn a_short_structure_leaves_the_rest_of_the_memory_as_it_was() {
    let mut driver = enabled("identify-short:arg=100");
    let page = driver.heap.take(1);
    driver.heap.write(page, &[0x33; 4096]);
    driver.send(
        0,
        Command::identify(0, Cns::Controller, 0).with_data(page, 0),
    );
    let there = driver.heap.read(page, 4096);
    assert_eq!(there[..100], right(0, Cns::Controller)[..100]);
    assert_eq!(there[100..], [0x33; 3996]);
}

#[test]
fn a_structure_is_rewritten_until_the_host_does_anything() {
    for (kind, nsid, cns) in [
        ("identify-rewritten:arg=1000", 0, Cns::Controller),
        ("namespace-rewritten:arg=1000", 1, Cns::Namespace),
    ] {
        let mut driver = enabled(kind);
        let page = driver.heap.take(1);
        driver.submit(0, Command::identify(nsid, cns, 0).with_data(page, 0));
        driver.ring(0);
        // The last byte that is not all ones anyway.
        let (start, mut seen) = (Instant::now(), [false; 2]);
        while start.elapsed() < Duration::from_millis(900) && seen != [true; 2] {
            seen[usize::from(driver.heap.read(page + 4095, 1)[0] == 0xff)] = true;
            std::thread::yield_now();
        }
        assert_eq!(seen, [true; 2], "{kind}: zero as it is, and all ones");
        driver.read32(offset::CSTS);
        let expected = right(nsid, cns);
        let mut quiet = Instant::now();
        while quiet.elapsed() < Duration::from_millis(50) {
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "{kind}: it never ends"
            );
            if driver.heap.read(page, 4096) != expected {
                quiet = Instant::now();
            }
        }
    }
}

#[test]
fn what_changes_is_another_each_time() {
    for (kind, range) in [
        ("identify-cntlid", 78..80),
        ("identify-serial-changing", 4..24),
    ] {
        let mut driver = enabled(kind);
        let [one, other] = [(); 2].map(|()| driver.identify(0, Cns::Controller));
        assert_ne!(one[range.clone()], other[range], "{kind}");
    }
}

#[test]
fn a_namespace_shrinks_each_time() {
    let mut driver = enabled("size-shrinking");
    let sizes = [(); 3].map(|()| {
        let bytes = driver.identify(1, Cns::Namespace);
        u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"))
    });
    assert_eq!(sizes, [2048, 1024, 512]);
}

/// The identifiers of a list, up to the first zero.
fn list(driver: &mut Driver, behind: u32) -> Vec<u32> {
    let bytes = driver.identify(behind, Cns::ActiveNamespaceList);
    let words = bytes.chunks_exact(4);
    let words = words.map(|word| u32::from_le_bytes(word.try_into().expect("four bytes")));
    words.take_while(|nsid| *nsid != 0).collect()
}

#[test]
fn lists_are_wrong_in_many_ways() {
    let of = |kind| list(&mut enabled(kind), 0);
    assert_eq!(of("list-unsorted"), [2, 1]);
    assert_eq!(of("list-duplicate"), [1, 1, 2, 2]);
    let invalid = of("list-invalid");
    assert_eq!(invalid[..5], [0xffff_fffe, 0xffff_ffff, 1, 2, 0xffff_ffff]);
    assert_eq!(invalid.len(), 1024);
    let beyond = of("list-beyond");
    assert_eq!(beyond, [1, 2, 257, 258, 259, 260, 261, 262, 263, 264]);
}

#[test]
fn a_list_has_no_end() {
    let mut driver = enabled("list-endless");
    let mut last = 0;
    for _ in 0..5 {
        let page = list(&mut driver, last);
        assert_eq!((page.len(), page[0]), (1024, last + 1));
        last = page[1023];
    }
    assert_eq!(
        list(&mut driver, 0xffff_fffd).len(),
        2,
        "up to the last number, and round"
    );
}

#[test]
fn a_list_is_the_same_wherever_it_should_begin() {
    let mut driver = enabled("list-repeated");
    let pages = [0, 1024, 5000].map(|behind| list(&mut driver, behind));
    assert_eq!(
        (pages[0].len(), pages[0][0], pages[0][1023]),
        (1024, 1, 1024)
    );
    assert!(pages.iter().all(|page| *page == pages[0]));
}

#[test]
fn the_last_namespace_is_gone_from_the_second_list_on() {
    let mut driver = enabled("list-shrinking");
    assert_eq!(
        [list(&mut driver, 0), list(&mut driver, 0)],
        [vec![1, 2], vec![1]]
    );
}

#[test]
fn names_are_wrong_in_many_ways() {
    let right = right(1, Cns::NamespaceDescriptors);
    let of = |kind| enabled(kind).identify(1, Cns::NamespaceDescriptors);
    for (kind, front) in [
        ("names-length-zero", vec![2, 0, 0, 0]),
        (
            "names-wrong-length",
            vec![2, 4, 0, 0, 0xaa, 0xaa, 0xaa, 0xaa],
        ),
        ("names-repeated", [&[1, 8, 0, 0][..], &[0x55; 8]].concat()),
        (
            "names-unknown",
            [
                &[0xff, 255, 0, 0][..],
                &[0xaa; 255],
                &[0x7f, 5, 0, 0],
                &[0xaa; 5],
            ]
            .concat(),
        ),
    ] {
        let there = of(kind);
        assert_eq!(there[..front.len()], front, "{kind}");
        assert_eq!(there[front.len()..], right[..4096 - front.len()], "{kind}");
    }
    let overlong = of("names-overlong");
    assert_eq!(
        overlong[4092..],
        [2, 16, 0, 0],
        "16 bytes that are not there"
    );
    let at = right
        .windows(4)
        .position(|header| header == [4, 1, 0, 0])
        .expect("a CSI");
    assert_eq!((right[at + 4], of("names-wrong-csi")[at + 4]), (0, 2));
}

#[test]
fn an_overlong_name_is_reached_by_who_walks_the_list() {
    let bytes = enabled("names-overlong").identify(1, Cns::NamespaceDescriptors);
    let mut at = 0;
    while at < 4092 {
        assert_ne!(bytes[at + 1], 0, "a length at {at}");
        at += 4 + usize::from(bytes[at + 1]);
    }
    assert_eq!(at, 4092);
}

#[test]
fn all_namespaces_have_the_names_of_the_first() {
    let mut driver = enabled("names-shared");
    for (cns, range) in [
        (Cns::Namespace, 104..128),
        (Cns::NamespaceDescriptors, 0..52),
    ] {
        let [one, two] = [1, 2].map(|nsid| driver.identify(nsid, cns));
        assert_eq!(
            one[range.clone()],
            right(1, cns)[range.clone()],
            "{cns:?} of the first"
        );
        assert_eq!(one[range.clone()], two[range], "{cns:?}");
    }
}

/// A log page's first 512 bytes, in memory that was full of 33h.
fn log(driver: &mut Driver, lid: u8) -> Vec<u8> {
    let page = driver.heap.take(1);
    driver.heap.write(page, &[0x33; 4096]);
    let completion = driver.send(
        0,
        Command::get_log_page(0, lid, 128, 0, false).with_data(page, 0),
    );
    assert!(completion.status.is_success(), "{}", driver.log());
    driver.heap.read(page, 512)
}

#[test]
fn log_pages_are_wrong_in_many_ways() {
    assert_eq!(log(&mut enabled("log-zeros"), 2), [0; 512]);
    assert_eq!(log(&mut enabled("log-ones"), 2), [0xff; 512]);
    assert_eq!(log(&mut enabled("changed-list-overflow"), 4), [0xff; 512]);
    assert_eq!(log(&mut enabled("effects-ones"), 5), [0xff; 512]);
    assert_eq!(
        log(&mut enabled("log-ones"), 0x20),
        [0xff; 512],
        "one that is not there"
    );
    let of = |seed: u64| log(&mut enabled(&format!("log-random:seed={seed}")), 2);
    assert_eq!(of(1), of(1));
    assert_ne!(of(1), of(2));
    let short = log(&mut enabled("log-short:arg=20"), 2);
    assert_eq!(short[20..], [0x33; 492]);
    assert_ne!(short[..20], [0x33; 20]);
}

#[test]
fn changed_namespaces_are_many_and_none_of_them_is_there() {
    let page = log(&mut running("changed-list-absurd"), 4);
    let words = page.chunks_exact(4);
    let ids: Vec<u32> = words
        .map(|word| u32::from_le_bytes(word.try_into().expect("four")))
        .collect();
    assert!(ids.iter().all(|nsid| *nsid > 256), "{ids:x?}");
    assert!(!ids.is_sorted(), "{ids:x?}");
    let unique: std::collections::BTreeSet<_> = ids.iter().collect();
    assert!(unique.len() < ids.len(), "{ids:x?}");
}

#[test]
fn another_structure_is_no_occasion() {
    let mut driver = enabled("identify-zeros log-ones:lid=3");
    driver.identify(1, Cns::Namespace);
    log(&mut driver, 2);
    assert_eq!(fired(&driver), 0);
}
