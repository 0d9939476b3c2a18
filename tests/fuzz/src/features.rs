// SPDX-License-Identifier: GPL-2.0

//! Replies to Set Features.

use nvme_proto::feature::{number_of_queues_request, NumberOfQueues};

use crate::input::Input;

/// Replies: each is the dword 0 of a completion, after the count of queues that was asked for.
pub(crate) fn features(data: &[u8]) {
    let mut input = Input::new(data);
    let asked = input.u16();
    let reply = input.u32();
    let granted = NumberOfQueues::granted(reply, asked);
    assert!(granted <= asked, "{granted} queues of {asked}");
    for zero_based in [reply & 0xffff, reply >> 16] {
        assert!(
            u32::from(granted) <= zero_based + 1,
            "{granted} queues of {zero_based} + 1"
        );
    }
    assert_eq!(granted == 0, asked == 0);
    // A device that grants what is asked for is taken at its word.
    assert_eq!(
        NumberOfQueues::granted(number_of_queues_request(asked), asked),
        asked
    );
}
