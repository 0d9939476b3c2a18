// SPDX-License-Identifier: GPL-2.0

//! A parser with a mistake on purpose, to see that the fuzzer finds such things.

/// What stands at the beginning: chance alone would need years to come upon it, so only a
/// fuzzer that sees what is compared gets past.
const SIGNATURE: [u8; 4] = [0x4e, 0xf3, 0x1d, 0xa7];

/// Walks records of a length and a value after the signature. Each must lie within the bytes,
/// which is checked, but for those of kind 7.
pub(crate) fn planted_mistake(data: &[u8]) {
    let Some((signature, mut rest)) = data.split_first_chunk::<4>() else {
        return;
    };
    if u32::from_le_bytes(*signature) != u32::from_le_bytes(SIGNATURE) {
        return;
    }
    while let Some((&[kind, length], after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(length);
        if kind == 0 || (kind != 7 && length > after.len()) {
            return;
        }
        assert!(
            length <= after.len(),
            "the planted mistake: a length was believed"
        );
        rest = &after[length..];
    }
}
