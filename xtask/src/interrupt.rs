//! Ctrl-C: before a run begins it ends the program at once and leaves nothing behind. Then the first asks the run to stop at the next
//! safe point, and the second ends the program at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tailguard_report::Traces;

use crate::failure::{FAILED, Failure};

static REQUESTED: AtomicBool = AtomicBool::new(false);
static STATE: Mutex<State> = Mutex::new(State { has_begun: false, traces: None });

/// What is to be done.
struct State {
    /// Whether something has begun that can be gone on with.
    has_begun: bool,
    /// What is left behind until then.
    traces: Option<Traces>,
}

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Listens for Ctrl-C and for a polite end from the system (SIGTERM, SIGHUP). Until something has [`begun`], it removes these traces of
/// a directory that was reserved.
///
/// # Errors
/// When the system refuses a handler.
pub(crate) fn listen(traces: Option<Traces>) -> Result<(), Failure> {
    state().traces = traces;
    ctrlc::set_handler(|| {
        // held until the program ends, so that nothing begins while traces are removed
        let state = state();
        if !state.has_begun {
            if let Some(traces) = &state.traces {
                traces.remove();
            }
            tracing::warn!("stopped");
            std::process::exit(i32::from(FAILED));
        }
        if REQUESTED.swap(true, Ordering::SeqCst) {
            std::process::exit(i32::from(FAILED));
        }
        tracing::warn!("stopping at the next safe point; once more to stop at once");
    })
    .map_err(|error| Failure::new(format!("cannot listen for Ctrl-C: {error}")))
}

/// From here on there is something to go on with.
pub(crate) fn begun() {
    state().has_begun = true;
}

/// Whether the run was asked to stop.
pub(crate) fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}
