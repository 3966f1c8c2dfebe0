//! Ctrl-C: the first asks the run to stop at the next safe point, the second ends the program at once.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::failure::Failure;

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Listens for Ctrl-C and for a polite end from the system (SIGTERM, SIGHUP).
///
/// # Errors
/// When the system refuses a handler.
pub(crate) fn listen() -> Result<(), Failure> {
    ctrlc::set_handler(|| {
        if REQUESTED.swap(true, Ordering::SeqCst) {
            std::process::exit(i32::from(crate::failure::FAILED));
        }
        tracing::warn!("stopping at the next safe point; once more to stop at once");
    })
    .map_err(|error| Failure::new(format!("cannot listen for Ctrl-C: {error}")))
}

/// Whether the run was asked to stop.
pub(crate) fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}
