// SPDX-License-Identifier: MIT

//! Shadow doorbells (Base 5.1.4, Doorbell Buffer Config).

use crate::controller::Controller;

impl Controller {
    /// Takes what the shadow doorbell of a queue has beyond the doorbell that was rung.
    pub(crate) fn drain_shadow(&mut self, _sqid: u16) {}
}
