//! Something that moves while a command takes long and a person watches.

use super::Show;
use indicatif::{ProgressBar, ProgressStyle};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// What is quicker than this shows nothing.
const PATIENCE: Duration = Duration::from_secs(2);

/// A spinner with the elapsed time on standard error, from the second second on until it is dropped; none
/// when standard error is no terminal, or the result is wanted as JSON.
#[derive(Debug)]
pub struct Progress {
    watcher: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Progress {
    /// Begins; `what` says what is done, as in `building the example for nucleo-f446re`.
    pub fn start(show: &Show, what: impl Into<String>) -> Self {
        if !show.is_watched() {
            return Self { watcher: None };
        }
        let what = what.into();
        let (done, wait) = channel();
        let thread = std::thread::spawn(move || {
            if wait.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            let bar = ProgressBar::new_spinner().with_message(what).with_elapsed(PATIENCE);
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}, {elapsed}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            // Ends when the sender goes.
            let _ = wait.recv();
            bar.finish_and_clear();
        });
        Self { watcher: Some((done, thread)) }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((done, thread)) = self.watcher.take() {
            drop(done);
            // It does nothing that can fail; were it to, the command's own result stands.
            let _ = thread.join();
        }
    }
}
