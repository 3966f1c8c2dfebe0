//! Ctrl-C: before a run begins it ends the program at once and leaves nothing behind. Then the first asks the run to stop at the next
//! safe point, and the second ends the program at once.
//!
//! A program that was started to outlive its terminal (`nohup`, which ignores SIGHUP) listens to nothing: the handler would be that of all
//! signals, SIGHUP included. There Ctrl-C and SIGTERM end it at once, and a run goes on from its last state with `--resume`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tailguard_report::Traces;

use crate::failure::{FAILED, Failure};

/// Its number, the same on every system.
const SIGHUP: u32 = 1;

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

/// Listens for Ctrl-C and for a polite end from the system (SIGTERM, SIGHUP), unless the program was started to outlive the latter. Until
/// something has [`begun`], it removes these traces of a directory that was reserved.
///
/// # Errors
/// When the system refuses a handler.
pub(crate) fn listen(traces: Option<Traces>) -> Result<(), Failure> {
    if ignores_hangups() {
        return Ok(());
    }
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

/// Whether the program was started with SIGHUP ignored. Only Linux says so without unsafe code.
fn ignores_hangups() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores(&status, SIGHUP))
}

/// Whether a signal is ignored, as `/proc/self/status` has it: a bit for each, from the lowest on.
fn ignores(status: &str, signal: u32) -> bool {
    let mask = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

/// From here on there is something to go on with.
pub(crate) fn begun() {
    state().has_begun = true;
}

/// Whether the run was asked to stop.
pub(crate) fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_known() {
        let status =
            |mask: &str| format!("Name:\txtask\nSigBlk:\t0000000000000001\nSigIgn:\t{mask}\nSigCgt:\t0000000000000001\n");
        assert!(ignores(&status("0000000000001001"), SIGHUP));
        assert!(!ignores(&status("0000000000001002"), SIGHUP) && ignores(&status("0000000000001002"), 2));
        assert!(!ignores("", SIGHUP));
    }
}
