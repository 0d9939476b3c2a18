// SPDX-License-Identifier: GPL-2.0

//! Namespace Identification Descriptor lists.

use nvme_proto::identify::{
    DescriptorError, IdentifyNamespace, NamespaceDescriptors, NamespaceIds,
};

use crate::input::{assert_loggable, identify_data};

/// A descriptor list of any length.
pub(crate) fn namespace_descriptors(data: &[u8]) {
    let (good, spoilt) = expected(data);
    // Each descriptor takes at least 5 bytes; the error may come on top.
    let most = data.len() / 5 + 1;
    let walked: Vec<_> = NamespaceDescriptors::new(data).take(most + 1).collect();
    assert!(
        walked.len() <= most,
        "{} descriptors in {} bytes",
        walked.len(),
        data.len()
    );
    let found: Vec<&[u8]> = walked
        .iter()
        .filter_map(|one| one.ok())
        .map(|(_, id)| id)
        .collect();
    assert_eq!(found, good.iter().map(|&(_, id)| id).collect::<Vec<_>>());
    let errors: Vec<DescriptorError> = walked.iter().filter_map(|one| one.err()).collect();
    assert_eq!(errors.len(), usize::from(spoilt));
    assert_eq!(
        walked.last().is_some_and(Result::is_err),
        spoilt,
        "an error is not the last"
    );
    errors
        .iter()
        .for_each(|error| assert_loggable(&error.to_string()));
    assert_identifiers(data, &good, spoilt);
}

/// The types and identifiers up to the list's end, and whether it ends with an error.
fn expected(data: &[u8]) -> (Vec<(u8, &[u8])>, bool) {
    let mut good = Vec::new();
    let mut at = 0;
    while at + 4 <= data.len() && data[at] != 0 && data[at + 1] != 0 {
        let (nidt, nidl) = (data[at], usize::from(data[at + 1]));
        let demanded = [nidl, 8, 16, 16, 1]
            .get(usize::from(nidt))
            .copied()
            .unwrap_or(nidl);
        at += 4;
        if nidl != demanded || at + nidl > data.len() {
            return (good, true);
        }
        good.push((nidt, &data[at..at + nidl]));
        at += nidl;
    }
    (good, false)
}

/// All of the identifiers or none.
fn assert_identifiers(data: &[u8], good: &[(u8, &[u8])], spoilt: bool) {
    let of = |wanted: u8| good.iter().filter(move |&&(nidt, _)| nidt == wanted);
    let repeated = (1..=4).any(|nidt| of(nidt).count() > 1);
    let Ok(ids) = NamespaceIds::parse(data) else {
        assert!(spoilt || repeated, "a good list was refused");
        return;
    };
    assert!(!spoilt && !repeated, "half a list was believed");
    let id = |wanted: u8| of(wanted).map(|&(_, id)| id).next();
    let unless_zero = |wanted| id(wanted).filter(|id| id.iter().any(|&byte| byte != 0));
    assert_eq!(ids.eui64.as_ref().map(|id| &id[..]), unless_zero(1));
    assert_eq!(ids.nguid.as_ref().map(|id| &id[..]), unless_zero(2));
    assert_eq!(ids.uuid.as_ref().map(|id| &id[..]), unless_zero(3));
    assert_eq!(ids.csi, id(4).map(|id| id[0]));
    // An older controller's data fills in what is not there, and changes nothing else.
    let bytes = identify_data(data);
    let namespace = IdentifyNamespace::ref_from(&bytes).expect("4096 bytes");
    let both = ids.or_from(namespace);
    assert!(ids.eui64.is_none() || both.eui64 == ids.eui64);
    assert!(ids.nguid.is_none() || both.nguid == ids.nguid);
    assert!(both.eui64 != Some([0; 8]) && both.nguid != Some([0; 16]));
    assert_eq!((both.uuid, both.csi), (ids.uuid, ids.csi));
}
