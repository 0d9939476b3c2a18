// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Strings that a device gives: made safe before they reach a log or a file.
//!
//! They are neither ended by a NUL nor sure to be text, and may hold control characters.

use core::fmt;

/// A string field of `N` bytes, made printable: cut at the first NUL, without the spaces at
/// either end, and with `?` for whatever is not printable ASCII.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Text<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Text<N> {
    /// Makes a field printable.
    pub fn new(field: &[u8; N]) -> Self {
        let text = match field.split(|&byte| byte == 0).next() {
            Some(before_nul) => before_nul.trim_ascii(),
            None => &[],
        };
        let mut bytes = [0; N];
        for (to, &from) in bytes.iter_mut().zip(text) {
            *to = match from {
                b' '..=b'~' => from,
                _ => b'?',
            };
        }
        Self {
            bytes,
            len: text.len(),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        let text = self.bytes.get(..self.len).unwrap_or(&[]);
        // Only ASCII was let in, so the fallback is never taken.
        core::str::from_utf8(text).unwrap_or("")
    }

    /// The text's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.as_str().as_bytes()
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
