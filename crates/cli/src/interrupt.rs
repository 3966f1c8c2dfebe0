//! Ctrl-C: before a run begins it ends the program at once and leaves nothing behind. Then the
//! first asks the run to stop at the next safe point, and the second ends the program at once.
//!
//! What was ignored when the program was started is ignored still: with `nohup` a run outlives its
//! terminal (SIGHUP), and Ctrl-C and SIGTERM stop it all the same.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tailguard_report::Traces;

static REQUESTED: AtomicBool = AtomicBool::new(false);
/// The signal that was heard last.
static HEARD: AtomicU8 = AtomicU8::new(CTRL_C);
static STATE: Mutex<State> = Mutex::new(State { has_begun: false, traces: Vec::new() });
/// Whether this process listens already.
static LISTENS: AtomicBool = AtomicBool::new(false);

/// The number of the signal that Ctrl-C sends.
const CTRL_C: u8 = 2;
/// A shell gives a program that a signal has ended this code and the number of the signal.
const BY_SIGNAL: u8 = 128;

/// The system lets nobody listen.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for Ctrl-C")]
pub(crate) struct Unheard(#[source] Box<dyn std::error::Error + Send + Sync>);

/// What is to be done.
struct State {
    /// Whether something has begun that can be gone on with.
    has_begun: bool,
    /// What is left behind until then, the innermost first.
    traces: Vec<Traces>,
}

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Listens for Ctrl-C and for a polite end from the system (SIGTERM, SIGHUP). Until something has
/// [`begun`], it removes these traces of directories that were reserved, in their order.
///
/// # Errors
/// When the system refuses a handler.
pub(crate) fn listen(traces: Vec<Traces>) -> Result<(), Unheard> {
    state().traces = traces;
    if LISTENS.swap(true, Ordering::SeqCst) {
        return Ok(());
    }
    on_signal(stop).map_err(|error| Unheard(error.into()))
}

/// The exit code of a program that a signal has stopped: 130 after Ctrl-C.
pub(crate) fn code() -> u8 {
    BY_SIGNAL + HEARD.load(Ordering::SeqCst)
}

/// What a signal does.
fn stop(signal: u8) {
    HEARD.store(signal, Ordering::SeqCst);
    // held until the program ends, so that nothing begins while traces are removed
    let state = state();
    if !state.has_begun {
        state.traces.iter().for_each(Traces::remove);
        tracing::warn!("stopped");
        std::process::exit(i32::from(code()));
    }
    if REQUESTED.swap(true, Ordering::SeqCst) {
        std::process::exit(i32::from(code()));
    }
    tracing::warn!("stopping at the next safe point; once more to stop at once");
}

#[cfg(unix)]
fn on_signal(act: fn(u8)) -> std::io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

    // only Linux says so without unsafe code
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let heard = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|&signal| !ignores(&status, signal));
    let mut signals = signal_hook::iterator::Signals::new(heard)?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        signals.forever().for_each(|signal| act(u8::try_from(signal).unwrap_or(CTRL_C)));
    })?;
    Ok(())
}

#[cfg(not(unix))]
fn on_signal(act: fn(u8)) -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(move || act(CTRL_C))
}

/// Whether a signal is ignored, as `/proc/self/status` has it: a bit for each, from the lowest on.
#[cfg(unix)]
fn ignores(status: &str, signal: i32) -> bool {
    let mask = status
        .lines()
        .find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
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

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_known() {
        let status = |mask: &str| {
            format!(
                "Name:\txtask\nSigBlk:\t0000000000000001\nSigIgn:\t{mask}\n\
                 SigCgt:\t0000000000000001\n"
            )
        };
        assert!(ignores(&status("0000000000001001"), 1));
        assert!(
            !ignores(&status("0000000000001002"), 1) && ignores(&status("0000000000001002"), 2)
        );
        assert!(!ignores("", 1));
    }
}
