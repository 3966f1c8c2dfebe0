//! A case in a process of its own, with limits that the system holds.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tailguard_experiment::machine::cpu_seconds;

/// What a case may take before it hangs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Memory, in KiB.
    pub(super) kib: u64,
    /// Of the processor: a busy machine makes no case hang.
    cpu_s: f64,
    /// By the clock; a busy disk takes its time.
    wait: Duration,
}

impl Limits {
    /// Those of a case that may take so much memory.
    pub(super) fn with_kib(kib: u64) -> Self {
        Self { kib, cpu_s: 10.0, wait: Duration::from_secs(120) }
    }
}

/// Between two looks at the process.
const LOOK: Duration = Duration::from_millis(2);
/// What the shell does before it becomes the program: so much memory, in KiB, and no core dumps.
const LIMITED: &str = "ulimit -d \"$0\" && ulimit -c 0 && exec \"$@\"";
const STDERR: &str = "stderr.txt";

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Done (0), failed (1) or refused (2), the latter two with a message.
    Code(i32),
    /// Not within the limits of time: how long it took.
    Hung(String),
    /// Otherwise as no case should.
    Fault(String),
}

/// Lets a command run in a folder on one thread, with nothing in sight that the folder does not
/// hold.
pub(super) fn isolated<'a>(command: &'a mut Command, folder: &Path) -> &'a mut Command {
    for variable in [
        "TAILGUARD_DATA",
        "TAILGUARD_HOME",
        "HF_HUB_CACHE",
        "RUST_LOG",
        "RUST_BACKTRACE",
        "GLIBC_TUNABLES",
    ] {
        command.env_remove(variable);
    }
    command
        .env("HF_HOME", folder.join("no-hugging-face-cache"))
        .env("RAYON_NUM_THREADS", "1")
        .env("POLARS_MAX_THREADS", "1");
    command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}

/// Runs a program in a folder, and ends it where it takes more than it may.
///
/// # Errors
/// What keeps it from being started or watched.
pub(super) fn run(program: &Path, words: &[String], folder: &Path, limits: Limits) -> Result<End> {
    let stderr = folder.join(STDERR);
    let mut command = Command::new("sh");
    command.args(["-c", LIMITED, &limits.kib.to_string()]).arg(program).args(words);
    isolated(&mut command, folder).stderr(File::create(&stderr)?);
    let mut child = command.spawn().context("cannot start a shell")?;
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(judged(status, &String::from_utf8_lossy(&fs::read(&stderr)?)));
        }
        let elapsed = begun.elapsed();
        let computed_s = cpu_seconds(child.id()).unwrap_or(elapsed.as_secs_f64());
        if computed_s > limits.cpu_s || elapsed > limits.wait {
            child.kill()?;
            child.wait()?;
            return Ok(End::Hung(format!(
                "it hangs: not done after {computed_s} s of {} s",
                elapsed.as_secs()
            )));
        }
        sleep(LOOK);
    }
}

/// What the exit status and standard error come to.
fn judged(status: ExitStatus, stderr: &str) -> End {
    let fault = |what: String| End::Fault(format!("{what}; it said:\n{}", stderr.trim_end()));
    match status.code() {
        _ if stderr.contains("panicked") => fault("it panicked".to_owned()),
        Some(0) => End::Code(0),
        Some(code @ (1 | 2))
            if stderr
                .lines()
                .any(|line| line.starts_with("error: ") && line.len() > "error: ".len()) =>
        {
            End::Code(code)
        }
        Some(code @ (1 | 2)) => fault(format!("exit code {code} without a message")),
        _ => fault(format!("{status}")),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn what_is_no_fault_has_a_code_and_a_message() {
        let exit = |code| ExitStatus::from_raw(code << 8);
        assert_eq!(judged(exit(0), "warning: few\n"), End::Code(0));
        assert_eq!(judged(exit(2), "2 rows\nerror: no such file\n"), End::Code(2));
        for (status, said) in [
            (exit(1), ""),
            (exit(1), "error: \n"),
            (exit(101), "error: x"),
            (exit(1), "thread 'main' panicked at\nerror: x"),
            (ExitStatus::from_raw(6), "memory allocation failed"),
        ] {
            assert!(matches!(judged(status, said), End::Fault(_)), "{status} {said:?}");
        }
    }

    #[cfg(target_os = "linux")] // which alone says what a process has computed
    #[test]
    fn a_run_that_has_begun_hangs_like_any_other() {
        let folder = tempfile::tempdir().unwrap();
        let end = |script: &str, limits| {
            let words = ["-c", script].map(str::to_owned);
            run(Path::new("sh"), &words, folder.path(), limits).unwrap()
        };
        let limits = Limits { kib: 1 << 20, cpu_s: 0.2, wait: Duration::from_secs(60) };
        let begins = "echo 'run directory: out' >&2;";
        assert!(matches!(end(&format!("{begins} while :; do :; done"), limits), End::Hung(_)));
        let short = Limits { wait: Duration::from_millis(200), ..limits };
        assert!(matches!(end(&format!("{begins} exec sleep 60"), short), End::Hung(_)));
        assert_eq!(
            end(&format!("{begins} sleep 1"), limits),
            End::Code(0),
            "waiting is not computing"
        );
    }

    #[test]
    fn memory_is_limited() {
        let folder = tempfile::tempdir().unwrap();
        let limit = |kib: u64| {
            let mut command = Command::new("sh");
            command.args(["-c", LIMITED, &kib.to_string(), "sh", "-c", "ulimit -d"]);
            String::from_utf8(
                isolated(&mut command, folder.path())
                    .stdout(Stdio::piped())
                    .output()
                    .unwrap()
                    .stdout,
            )
            .unwrap()
        };
        assert_eq!(limit(123_456).trim(), "123456");
    }
}
