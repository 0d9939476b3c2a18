// SPDX-License-Identifier: GPL-2.0

//! I/O commands of the driver's own, such as no request of a user's becomes: sent on an I/O queue
//! and waited for.
//!
//! NVM Express Base Specification 2.1, section 7. They take a tag as requests do, so a queue can
//! never hold more commands than it has entries. A command is as long under way as a request is:
//! until it is answered, or the controller is taken away.

use crate::{
    admin::AdminError,
    describe::Prepared,
    io::Io,
    namespace::{Namespace, Scanner},
};
use kernel::prelude::*;
use kernel_ext::block::{mq::CommandQueue, Status as BlockStatus};
use nvme_proto::{command::Command, status::Status};

/// Sends `command`, whose data pointer leads to memory of the caller's, to the namespace of
/// `scanner`'s controller that `place` tells of. Sleeps.
pub(crate) fn execute(
    scanner: &Scanner<'_>,
    place: Namespace,
    command: Command,
) -> Result<(), AdminError> {
    let dev = scanner.pdev.as_ref();
    let queue = CommandQueue::<Io>::new(dev, scanner.set.clone(), place)?;
    let (ended, status) = queue.execute(
        dev,
        |data| {
            data.prepared = Prepared::without_data(command);
            data.status = Status::SUCCESS;
        },
        |ended, data| (ended, data.status),
    )?;
    match ended {
        BlockStatus::OK => Ok(()),
        // Without an answer it was the queue that ended it.
        _ if status.is_success() => Err(EIO.into()),
        _ => Err(AdminError::Status(status)),
    }
}
