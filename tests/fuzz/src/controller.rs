// SPDX-License-Identifier: GPL-2.0

//! Identify Controller.

use nvme_proto::identify::{IdentifyController, Text};
use nvme_proto::limits::MAX_TRANSFER;
use nvme_proto::register::Cap;

use crate::input::{assert_loggable, identify_data, number};

/// An Identify Controller data structure; what is missing at its end is zeros.
pub(crate) fn identify_controller(data: &[u8]) {
    assert_eq!(
        IdentifyController::ref_from(data).is_some(),
        data.len() >= 4096
    );
    let bytes = identify_data(data);
    let controller = IdentifyController::ref_from(&bytes).expect("4096 bytes");

    assert_printable(controller.serial(), &bytes[4..24]);
    assert_printable(controller.model(), &bytes[24..64]);
    assert_printable(controller.firmware(), &bytes[64..72]);
    assert_printable(controller.subnqn(), &bytes[768..1024]);

    let version = controller.version();
    assert_eq!(u64::from(version.raw()), number::<4>(&bytes, 80));
    assert!(version.to_string().len() <= "65535.255.255".len());
    assert_eq!(controller.vwc_present(), bytes[525] & 1 == 1);
    assert_eq!(u64::from(controller.awupf.get()), number::<2>(&bytes, 528));
    assert_eq!(u64::from(controller.nn.get()), number::<4>(&bytes, 516));

    let asked = number::<4>(&bytes, 88).div_ceil(1000);
    assert_eq!(
        u64::from(controller.shutdown_timeout_ms()),
        asked.clamp(5_000, 60_000)
    );
    assert_transfers(controller, bytes[77]);
}

/// The transfers of every page size that CAP.MPSMIN can name.
fn assert_transfers(controller: &IdentifyController, mdts: u8) {
    for mpsmin in 0..16 {
        let min_page = Cap::from_raw(mpsmin << 48).min_page_size();
        let Some(most) = controller.max_transfer_bytes(min_page) else {
            assert_eq!(mdts, 0, "a limit was overlooked");
            continue;
        };
        assert!(
            mdts != 0 && most % 4096 == 0 && (4096..=MAX_TRANSFER).contains(&most),
            "{most}"
        );
        // The device's own limit, where it can be counted at all.
        let own = u128::from(min_page)
            .checked_shl(u32::from(mdts))
            .filter(|_| mdts < 96);
        assert!(own.is_none_or(|own| u128::from(most) == own.min(u128::from(MAX_TRANSFER))));
    }
}

fn assert_printable<const N: usize>(text: Text<N>, field: &[u8]) {
    let before_nul = field.split(|&byte| byte == 0).next().unwrap_or(field);
    let expected: String = before_nul
        .trim_ascii()
        .iter()
        .map(|&byte| {
            if byte == b' ' || byte.is_ascii_graphic() {
                char::from(byte)
            } else {
                '?'
            }
        })
        .collect();
    assert_eq!(text.as_str(), expected);
    assert_eq!(text.as_bytes(), expected.as_bytes());
    assert_eq!(
        (text.to_string(), format!("{text:?}")),
        (expected.clone(), expected)
    );
    assert!(text.as_bytes().len() <= N);
    if N <= 160 {
        assert_loggable(text.as_str());
    }
}
