//! Errors as the user sees them: an `error:` line, its causes, a hint; exit code 1 or 2, or that of
//! a signal.

use std::fmt;
use std::io::{self, Write};
use std::panic;
use std::process::ExitCode;
use std::thread;

use tailguard_experiment::{ConfigError, ExperimentError};
use tailguard_judging::JudgingError;
use tailguard_page::PageError;
use tailguard_report::ReportError;

use crate::{interrupt, logging, terminal};

/// Exit code of a run that failed.
pub const FAILED: u8 = 1;
/// Exit code of a call that made no sense.
pub const USAGE: u8 = 2;

/// A failure that knows its way out, and whether the call itself was wrong.
#[derive(Debug)]
pub struct Failure {
    message: String,
    hint: Option<String>,
    code: u8,
}

impl Failure {
    /// Something went wrong.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, code: FAILED }
    }

    /// The program was called wrongly.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { code: USAGE, ..Self::new(message) }
    }

    /// The program was asked to stop, by the signal that was heard last.
    #[must_use]
    pub fn stopped() -> Self {
        Self { code: interrupt::code(), ..Self::new("stopped") }
    }

    /// What the user can do about it.
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// The exit code for an error: [`USAGE`] if any of its causes says that the call was wrong, that of
/// a signal if it was asked to stop.
#[must_use]
pub fn exit_code(error: &anyhow::Error) -> u8 {
    // a failure may be what was added to an error, which is no cause of its own
    let added = error.downcast_ref::<Failure>();
    let failures = || {
        added.into_iter().chain(error.chain().filter_map(|cause| cause.downcast_ref::<Failure>()))
    };
    let is_stop = |cause: &(dyn std::error::Error + 'static)| {
        matches!(cause.downcast_ref(), Some(ExperimentError::Stopped))
    };
    if error.chain().any(is_stop) {
        return interrupt::code();
    }
    if let Some(failure) = failures().find(|failure| failure.code != FAILED) {
        return failure.code;
    }
    let usage = error.chain().any(|cause| {
        cause.is::<ConfigError>()
            || cause.downcast_ref::<ExperimentError>().is_some_and(ExperimentError::is_usage)
            || cause.downcast_ref::<JudgingError>().is_some_and(JudgingError::is_usage)
            || cause.downcast_ref::<ReportError>().is_some_and(ReportError::is_usage)
            || cause.downcast_ref::<PageError>().is_some_and(PageError::is_usage)
    });
    if usage { USAGE } else { FAILED }
}

/// Threads that decode Parquet files: ours, and those of polars, to which it gives a part of the
/// work.
const READERS: [&str; 2] = ["parquet", "polars-"];

/// Lets threads that decode files panic without a word: polars panics over some damaged files, and
/// what waits for the thread makes an error of it.
pub fn leave_readers_to_their_errors() {
    let loud = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let is_reader = thread::current()
            .name()
            .is_some_and(|name| READERS.iter().any(|reader| name.starts_with(reader)));
        if !is_reader {
            loud(info);
        }
    }));
}

/// Standard output cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output")]
pub struct Unsaid(#[from] io::Error);

/// Whether the reader of standard output has gone, as in `| head`.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<Unsaid>()
            .is_some_and(|unsaid| unsaid.0.kind() == io::ErrorKind::BrokenPipe)
    })
}

/// The whole message.
#[must_use]
pub fn message(error: &anyhow::Error) -> String {
    let mut text = format!("error: {error}\n");
    for cause in error.chain().skip(1) {
        text += &format!("  because: {cause}\n");
    }
    // a failure may be what was added to an error, which is no cause of its own
    let failure = error
        .downcast_ref::<Failure>()
        .or_else(|| error.chain().find_map(|cause| cause.downcast_ref()));
    let of_library = || error.chain().find_map(hint);
    if let Some(hint) =
        failure.and_then(|failure: &Failure| failure.hint.as_deref()).or_else(of_library)
    {
        text += &format!("  hint: {hint}\n");
    }
    text
}

/// What one of our crates says is to be done about its error.
fn hint<'a>(cause: &'a (dyn std::error::Error + 'static)) -> Option<&'a str> {
    let of_experiment = cause.downcast_ref().and_then(ExperimentError::hint);
    of_experiment.or_else(|| cause.downcast_ref().and_then(JudgingError::hint))
}

/// The end of the program: what went wrong goes to standard error. That the reader of standard
/// output has gone is no failure.
#[must_use]
pub fn end(outcome: &anyhow::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(error) => ExitCode::SUCCESS,
        Err(error) => {
            // nowhere is left to complain if standard error is gone too
            let message = message(error);
            logging::note(&message);
            let _ = write!(io::stderr().lock(), "{}", terminal::painted(&message));
            ExitCode::from(exit_code(error))
        }
    }
}

/// Writes a line of results to standard output.
///
/// # Errors
/// When standard output is gone; `main` takes that for a quiet end.
pub fn say(line: impl fmt::Display) -> Result<(), Unsaid> {
    put(format_args!("{line}\n"))
}

/// Writes to standard output at once, as a reader waits for it.
///
/// # Errors
/// As those of [`say`].
pub fn put(text: impl fmt::Display) -> Result<(), Unsaid> {
    let text = text.to_string();
    logging::note(&text);
    put_json(&text)
}

/// JSON as it is printed where it is the whole output.
pub(crate) fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}

/// [`put`] of what is for programs and in no log.
///
/// # Errors
/// As those of [`say`].
pub fn put_json(text: &str) -> Result<(), Unsaid> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn the_message_has_error_causes_and_hint() {
        let failure = Failure::new("no model in m/").hint("pass --policy DIR");
        let error = Err::<(), _>(failure).context("cannot begin").unwrap_err();
        assert_eq!(
            message(&error),
            "error: cannot begin\n  because: no model in m/\n  hint: pass --policy DIR\n"
        );
        assert_eq!(exit_code(&error), FAILED);
    }

    #[test]
    fn a_failure_that_was_added_to_an_error_has_its_hint() {
        let added = Failure::new("the run cannot go on").hint("make room");
        let error = Err::<(), _>(io::Error::other("disk full")).context(added).unwrap_err();
        assert_eq!(
            message(&error),
            "error: the run cannot go on\n  because: disk full\n  hint: make room\n"
        );
    }

    #[test]
    fn usage_is_found_under_context() {
        let error = Err::<(), _>(Failure::usage("alpha")).context("settings").unwrap_err();
        assert_eq!(exit_code(&error), USAGE);
    }

    #[test]
    fn a_run_that_was_stopped_has_the_code_of_the_signal() {
        for error in
            [Failure::stopped().hint("go on").into(), anyhow::Error::from(ExperimentError::Stopped)]
        {
            // nobody was heard here, which counts as Ctrl-C
            assert_eq!(exit_code(&error), 130);
        }
    }
}
