//! A spinner for commands that take long.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A spinner on a terminal; elsewhere, nothing is shown.
pub(super) fn spinner() -> ProgressBar {
    let progress = ProgressBar::new_spinner();
    if !progress.is_hidden() {
        progress.set_style(ProgressStyle::default_spinner());
        progress.enable_steady_tick(Duration::from_millis(100));
    }
    progress
}
