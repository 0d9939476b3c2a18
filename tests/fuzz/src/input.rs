// SPDX-License-Identifier: GPL-2.0

//! Takes numbers from the front of a fuzzer's bytes.

/// What is left of the bytes. Where they end, zeros go on: short inputs are as good as long ones.
pub(crate) struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let (taken, rest) = self.rest.split_at(N.min(self.rest.len()));
        self.rest = rest;
        let mut bytes = [0; N];
        bytes[..taken.len()].copy_from_slice(taken);
        bytes
    }

    pub(crate) fn u8(&mut self) -> u8 {
        u8::from_le_bytes(self.bytes())
    }

    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.bytes())
    }

    pub(crate) fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.bytes())
    }

    pub(crate) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.bytes())
    }
}

/// A whole Identify data structure: the bytes, and zeros where they end.
pub(crate) fn identify_data(bytes: &[u8]) -> [u8; 4096] {
    Input::new(bytes).bytes()
}

/// The little-endian number of `N` bytes at `offset`.
pub(crate) fn number<const N: usize>(bytes: &[u8], offset: usize) -> u64 {
    let field = bytes[offset..offset + N].iter().rev();
    field.fold(0, |number, &byte| (number << 8) | u64::from(byte))
}

/// What is logged about a device must be one line, of a length that a log can bear.
pub(crate) fn assert_loggable(message: &str) {
    assert!(message.len() <= 160, "{} bytes: {message}", message.len());
    assert!(
        message.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
        "{message:?}"
    );
}
