// SPDX-License-Identifier: MIT

//! Set Features and Get Features (Base 5.1.25, 5.1.11).

use nvme_proto::feature::FeatureId;
use nvme_proto::status::Status;

use crate::controller::{Answer, Controller, Taken};
use crate::fault::Hook;

/// The features that are kept and given back as they were set.
const KEPT: [u8; 6] = [0x01, 0x04, 0x06, 0x08, 0x0a, 0x0b];

impl Controller {
    /// Number of Queues: what is asked for, up to what there is; both count from 0.
    fn grant_queues(&mut self, taken: &Taken, asked: u32) -> Answer {
        let most = u32::from(self.settings.queues - 1);
        let granted = (asked & 0xffff).min(most) | ((asked >> 16).min(most) << 16);
        match self.fault(Hook::Grant, &taken.occasion()) {
            Some(fired) => self.grant_fault(fired, granted),
            None => Answer::with(granted.into()),
        }
    }

    /// Set Features.
    pub(super) fn set_features(&mut self, taken: &Taken) -> Answer {
        let fid = (taken.command.cdw10.get() & 0xff) as u8;
        let value = taken.command.cdw11.get();
        if fid == FeatureId::NumberOfQueues as u8 {
            self.admin.features.insert(fid, value);
            return self.grant_queues(taken, value);
        }
        if !KEPT.contains(&fid) {
            return Answer::refused(Status::INVALID_FIELD);
        }
        self.admin.features.insert(fid, value);
        Answer::DONE
    }

    /// Get Features: the current value.
    pub(super) fn get_features(&mut self, taken: &Taken) -> Answer {
        let fid = (taken.command.cdw10.get() & 0xff) as u8;
        if fid == FeatureId::NumberOfQueues as u8 {
            let asked = self.admin.features.get(&fid).copied().unwrap_or(0);
            return self.grant_queues(taken, asked);
        }
        if !KEPT.contains(&fid) {
            return Answer::refused(Status::INVALID_FIELD);
        }
        Answer::with(self.admin.features.get(&fid).copied().unwrap_or(0).into())
    }
}
