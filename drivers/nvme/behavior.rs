// SPDX-License-Identifier: GPL-2.0

//! What the host tells the controller that it understands.
//!
//! NVM Express Base Specification 2.1, section 5.1.25.1.14 (Host Behavior Support). A controller
//! does some things only for a host that has said so: it gives delays for retries, and serves
//! namespaces of extended LBA formats.

use crate::{admin::AdminError, hardware::Hardware, show::Show};
use kernel::{prelude::*, sync::Arc};
use kernel_ext::dma::Coherent;
use nvme_proto::{
    command::Command,
    feature::{host_behavior, FeatureId, HOST_BEHAVIOR_BYTES},
    identify::IdentifyController,
};

/// Tells the controller as much as it has use for, if anything, and says whether delays of retries
/// were agreed on. Sleeps.
pub(crate) fn agree(hardware: &mut Hardware<'_>, identity: &IdentifyController) -> Result<bool> {
    let delays = identity.crdt.iter().any(|delay| delay.get() != 0);
    let extended = identity.extended_lba_formats();
    if !delays && !extended {
        return Ok(false);
    }
    let data = Coherent::new(hardware.pdev.as_ref(), HOST_BEHAVIOR_BYTES / 8)?;
    data.write(0, &[host_behavior(delays, extended)])?;
    let data = Arc::new(data, GFP_KERNEL)?;
    let command = Command::set_features(FeatureId::HostBehaviorSupport, 0);
    let told = hardware
        .admin
        .execute(&hardware.registers, command, Some(&data));
    match told {
        Ok(_) => Ok(delays),
        Err(AdminError::Status(status)) => {
            dev_warn!(
                hardware.pdev,
                "Set Features, Host Behavior Support: {}; {}\n",
                Show(status),
                if extended {
                    "retries are not delayed, and extended formats may not work"
                } else {
                    "retries are not delayed"
                }
            );
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}
