// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Namespace lists and descriptors, as honest and as hostile devices write them.

use nvme_proto::identify::{
    parse_namespace_list, DescriptorError, IdentifyNamespace, NamespaceDescriptors, NamespaceIds,
    NamespaceListError, Nidt, MAX_NAMESPACES,
};
use proptest::prelude::*;
use zerocopy::FromZeros;

use crate::support::for_all;

fn list_of(ids: &[u32]) -> Vec<u8> {
    let mut bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    bytes.resize(4096, 0);
    bytes
}

fn walk(ids: &[u32], after: u32) -> Vec<Result<u32, NamespaceListError>> {
    parse_namespace_list(&list_of(ids), after).collect()
}

#[test]
fn an_honest_list_is_given_as_it_is() {
    assert_eq!(walk(&[], 0), []);
    assert_eq!(walk(&[1, 2, 700], 0), [Ok(1), Ok(2), Ok(700)]);
    assert_eq!(walk(&[5, 9], 4), [Ok(5), Ok(9)]);
    let full: Vec<u32> = (1..=1024).collect();
    assert_eq!(walk(&full, 0).len(), MAX_NAMESPACES);
}

#[test]
fn nothing_after_the_first_0_counts() {
    assert_eq!(walk(&[3, 0, 4], 0), [Ok(3)]);
}

#[test]
fn the_first_identifier_out_of_order_ends_the_walk() {
    let error = |previous, found| Err(NamespaceListError::NotAscending { previous, found });
    assert_eq!(walk(&[3, 3, 4], 0), [Ok(3), error(3, 3)]);
    assert_eq!(walk(&[9, 2, 10], 0), [Ok(9), error(9, 2)]);
    assert_eq!(walk(&[1, 2], 1), [error(1, 1)]);
}

#[test]
fn an_identifier_that_names_no_namespace_ends_the_walk() {
    for reserved in [0xffff_fffe, 0xffff_ffff] {
        let error = NamespaceListError::Reserved(reserved);
        println!("{error}");
        assert_eq!(walk(&[1, reserved, 2], 0), [Ok(1), Err(error)]);
    }
}

#[test]
fn any_bytes_make_a_walk_that_ends_and_ascends() {
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..9000),
        prop::collection::vec(1u32..5000, 0..1500).prop_map(|mut ids| {
            ids.sort();
            ids.dedup();
            list_of(&ids)
        }),
    ];
    for_all(2000, (bytes, any::<u32>()), |(bytes, after)| {
        let walked: Vec<_> = parse_namespace_list(&bytes, after).collect();
        assert!(walked.len() <= MAX_NAMESPACES.min(bytes.len() / 4));
        let good: Vec<u32> = walked.iter().map_while(|id| id.ok()).collect();
        assert!(good.len() + 1 >= walked.len(), "an error is not the last");
        assert!(good.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(good.iter().all(|&id| id > after && id < 0xffff_fffe));
    });
}

fn descriptor(nidt: u8, id: &[u8]) -> Vec<u8> {
    let mut bytes = vec![nidt, id.len() as u8, 0xaa, 0xbb];
    bytes.extend(id);
    bytes
}

fn descriptors(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = parts.concat();
    bytes.resize(4096, 0);
    bytes
}

#[test]
fn every_identifier_of_a_namespace_is_found() {
    let bytes = descriptors(&[
        descriptor(3, &[3; 16]),
        descriptor(1, &[1; 8]),
        descriptor(200, &[9; 77]),
        descriptor(2, &[2; 16]),
        descriptor(4, &[0]),
    ]);
    let expected = NamespaceIds {
        eui64: Some([1; 8]),
        nguid: Some([2; 16]),
        uuid: Some([3; 16]),
        csi: Some(0),
    };
    assert_eq!(NamespaceIds::parse(&bytes), Ok(expected));
    let newer = NamespaceDescriptors::new(&bytes).nth(2);
    assert_eq!(newer, Some(Ok((Nidt::Other(200), &[9; 77][..]))));
}

#[test]
fn an_identifier_of_zeros_is_none() {
    let bytes = descriptors(&[descriptor(1, &[0; 8]), descriptor(2, &[0; 16])]);
    assert_eq!(NamespaceIds::parse(&bytes), Ok(NamespaceIds::default()));
    assert_eq!(NamespaceIds::parse(&[]), Ok(NamespaceIds::default()));
}

#[test]
fn a_type_or_a_length_of_0_ends_the_descriptors() {
    let uuid = descriptor(3, &[3; 16]);
    for end in [[0, 16, 0, 0], [1, 0, 0, 0], [200, 0, 0, 0]] {
        let bytes = descriptors(&[end.to_vec(), uuid.clone()]);
        assert_eq!(NamespaceDescriptors::new(&bytes).count(), 0, "{end:?}");
    }
}

#[test]
fn a_malformed_descriptor_spoils_the_list() {
    let parse = |parts: &[Vec<u8>]| NamespaceIds::parse(&parts.concat());
    let good = descriptor(3, &[3; 16]);
    for (nidt, nidl, known) in [(1, 7, Nidt::Eui64), (3, 255, Nidt::Uuid), (4, 2, Nidt::Csi)] {
        let bad = descriptor(nidt, &vec![1; usize::from(nidl)]);
        let error = DescriptorError::Length { nidt: known, nidl };
        println!("{error}");
        assert_eq!(parse(&[good.clone(), bad]), Err(error));
    }
    let short = descriptor(2, &[5; 16])[..19].to_vec();
    let error = DescriptorError::Overrun {
        nidt: Nidt::Nguid,
        nidl: 16,
    };
    assert_eq!(parse(&[good.clone(), short]), Err(error));
    assert_eq!(
        parse(&[good.clone(), good]),
        Err(DescriptorError::Repeated(Nidt::Uuid))
    );
}

#[test]
fn an_older_controllers_identifiers_come_from_identify_namespace() {
    let mut namespace = IdentifyNamespace::new_zeroed();
    assert_eq!(
        NamespaceIds::default().or_from(&namespace),
        NamespaceIds::default()
    );
    namespace.eui64 = [6; 8];
    namespace.nguid = [7; 16];
    let own = NamespaceIds {
        eui64: Some([1; 8]),
        ..NamespaceIds::default()
    };
    let both = own.or_from(&namespace);
    assert_eq!((both.eui64, both.nguid), (Some([1; 8]), Some([7; 16])));
}

#[test]
fn any_bytes_make_descriptors_that_lie_within_them() {
    // Small types and lengths, so that the walk gets far.
    let part = (
        0u8..7,
        0u8..20,
        any::<u16>(),
        prop::collection::vec(any::<u8>(), 0..20),
    );
    let chained = prop::collection::vec(part, 0..300).prop_map(|parts| {
        let bytes = parts.into_iter().flat_map(|(nidt, nidl, reserved, id)| {
            let [a, b] = reserved.to_le_bytes();
            [nidt, nidl, a, b].into_iter().chain(id)
        });
        bytes.collect::<Vec<u8>>()
    });
    let bytes = prop_oneof![prop::collection::vec(any::<u8>(), 0..4200), chained];
    for_all(3000, bytes, |bytes| {
        let (mut used, mut ended) = (0, false);
        for found in NamespaceDescriptors::new(&bytes) {
            assert!(!ended, "the walk goes on after an error");
            match found {
                Ok((_, id)) => {
                    used += 4;
                    assert_eq!(id, &bytes[used..used + id.len()]);
                    used += id.len();
                }
                Err(_) => ended = true,
            }
        }
        let _ = NamespaceIds::parse(&bytes);
    });
}
