// SPDX-License-Identifier: MIT

//! The log: one line an event, with its time and a word that says what it is.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The time since the start. A test has one of its own.
pub type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// Where lines go, and the clock that they are stamped by.
pub struct Log {
    clock: Clock,
    sink: Box<dyn Write + Send>,
}

impl Log {
    /// A log with the machine's clock.
    pub fn new(sink: Box<dyn Write + Send>) -> Self {
        let start = Instant::now();
        Self::with_clock(sink, Arc::new(move || start.elapsed()))
    }

    /// A log with a clock of the caller's.
    pub fn with_clock(sink: Box<dyn Write + Send>, clock: Clock) -> Self {
        Self { clock, sink }
    }

    /// The time since the start.
    pub fn now(&self) -> Duration {
        (self.clock)()
    }

    /// Writes a line: seconds, a word, a text. A log that cannot be written is no reason to stop.
    pub fn line(&mut self, word: &str, text: &str) {
        let seconds = self.now().as_secs_f64();
        let _ = writeln!(self.sink, "{seconds:.6} {word} {text}");
        let _ = self.sink.flush();
    }
}
