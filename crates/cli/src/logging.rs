//! What is told on the way: to standard error, above the bars, and to `log.txt` of a run directory,
//! with times.

use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::mem;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use indicatif::MultiProgress;
use tailguard_files::{AppendFile, FileError};
use tracing::{Level, Subscriber};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt as layers};

use crate::terminal::{self, ERROR, PLAIN, WARNING};

/// All bars of the process: messages are written above them.
pub(crate) static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);
/// The file in a run directory.
const NAME: &str = "log.txt";

/// What is told unless something else is said.
const USUAL: &str = "warn,tailguard=info,xtask=info";
const MUCH: &str = "info,tailguard=debug,xtask=debug";
const LITTLE: &str = "warn";

static IS_QUIET: AtomicBool = AtomicBool::new(false);
static LOG: Mutex<Log> = Mutex::new(Log::Off);

/// Where the lines for the log are.
enum Log {
    /// There is none.
    Off,
    /// They wait for a run to begin.
    Waiting(Vec<u8>),
    Open(AppendFile),
}

/// How much is told on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Little,
    /// Or what the variable `RUST_LOG` says.
    Usual,
    Much,
}

/// Sends `tracing` to standard error, and to the log, which has the usual at least.
pub(crate) fn init(told: Told) {
    IS_QUIET.store(told == Told::Little, Ordering::Relaxed);
    let kept = EnvFilter::new(if told == Told::Much { MUCH } else { USUAL });
    let told = match told {
        Told::Little => EnvFilter::new(LITTLE),
        Told::Usual => EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(USUAL)),
        Told::Much => EnvFilter::new(MUCH),
    };
    let to_stderr =
        layers::layer().with_ansi(terminal::on_stderr()).event_format(Plain).with_writer(AboveBars);
    let to_log = layers::layer().with_ansi(false).event_format(Plain).with_writer(IntoLog);
    tracing_subscriber::registry()
        .with(to_stderr.with_filter(told))
        .with(to_log.with_filter(kept))
        .init();
}

/// Whether no more than warnings is told.
pub(crate) fn is_quiet() -> bool {
    IS_QUIET.load(Ordering::Relaxed)
}

fn log() -> MutexGuard<'static, Log> {
    LOG.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From here on lines are kept for the log of a run that is about to begin.
pub(crate) fn await_run() {
    *log() = Log::Waiting(Vec::new());
}

/// Writes what was told so far, and from here on all that is told, at the end of the log in a run
/// directory.
///
/// # Errors
/// A log that cannot be written.
pub(crate) fn begin_log(dir: &Path) -> Result<(), FileError> {
    let mut log = log();
    let Log::Waiting(lines) = mem::replace(&mut *log, Log::Off) else { return Ok(()) };
    let mut file = AppendFile::open(&dir.join(NAME))?;
    file.append(&lines)?;
    *log = Log::Open(file);
    Ok(())
}

/// Adds lines to the log, each with the time. A log that can be written no more has its end there:
/// the run finds out what that means.
pub(crate) fn note(text: &str) {
    let mut log = log();
    if matches!(*log, Log::Off) {
        return;
    }
    let lines = timed(text);
    match &mut *log {
        Log::Off => {}
        Log::Waiting(waiting) => waiting.extend_from_slice(lines.as_bytes()),
        Log::Open(file) => {
            if file.append(lines.as_bytes()).is_err() {
                *log = Log::Off;
            }
        }
    }
}

/// Each line behind the time in UTC.
fn timed(text: &str) -> String {
    let mut now = String::new();
    // a clock that cannot be read is left out
    let _ = SystemTime.format_time(&mut Writer::new(&mut now));
    text.lines().fold(String::new(), |mut lines, line| {
        let _ = writeln!(lines, "{now}  {line}");
        lines
    })
}

/// The message and its fields; what is no mere information says so in front.
struct Plain;

impl<S: Subscriber + for<'a> LookupSpan<'a>, N: for<'a> FormatFields<'a> + 'static>
    FormatEvent<S, N> for Plain
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &tracing::Event<'_>,
    ) -> fmt::Result {
        let colours = writer.has_ansi_escapes();
        let mut begin = |word: &str, colour: &str| {
            if colours {
                write!(writer, "{colour}{word}{PLAIN} ")
            } else {
                write!(writer, "{word} ")
            }
        };
        match *event.metadata().level() {
            Level::ERROR => begin("error:", ERROR)?,
            Level::WARN => begin("warning:", WARNING)?,
            Level::INFO => {}
            _ => write!(writer, "{}: ", event.metadata().target())?,
        }
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

/// Writes to standard error with the bars out of the way.
#[derive(Clone, Copy)]
struct AboveBars;

impl Write for AboveBars {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // where nobody listens nothing is lost, and tracing would panic
        let _ = BARS.suspend(|| io::stderr().lock().write_all(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}

impl MakeWriter<'_> for AboveBars {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        *self
    }
}

/// Writes to the log.
#[derive(Clone, Copy)]
struct IntoLog;

impl Write for IntoLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        note(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for IntoLog {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        *self
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_told_before_a_run_begins_is_in_its_log_and_what_comes_later_behind_it() {
        let folder = tempfile::tempdir().unwrap();
        note("nobody waits for this");
        for process in ["one", "two"] {
            await_run();
            note(&format!("{process} reads"));
            begin_log(folder.path()).unwrap();
            note(&format!("{process} trains\nand ends\n"));
        }
        *log() = Log::Off;
        let text = fs::read_to_string(folder.path().join(NAME)).unwrap();
        let told = text.lines().filter_map(|line| Some(line.split_once("Z  ")?.1));
        // another test may tell something at the same time
        let lines: Vec<&str> = told
            .filter(|line| ["one", "two", "and"].iter().any(|word| line.starts_with(word)))
            .collect();
        assert_eq!(
            lines,
            ["one reads", "one trains", "and ends", "two reads", "two trains", "and ends"],
            "{text}"
        );
        assert!(text.starts_with("20"), "{text}");
    }
}
