//! A case in a process of its own, with limits that the system holds.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::bench::machine;

/// A case that computes for longer hangs, in seconds.
const LONGEST_S: f64 = 10.0;
/// A case that waits for longer hangs, too; a busy disk takes its time.
const LONGEST_WAIT: Duration = Duration::from_secs(120);
/// A run that has begun is what was asked for, however long it would be.
const BEGUN: Duration = Duration::from_secs(2);
/// What a run says once its settings, models and texts are taken.
const BEGIN: &str = "run directory: ";
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
    /// A run that began and would have gone on for long.
    Begun,
    /// As no case should.
    Fault(String),
}

/// Lets a command run in a folder on one thread, with nothing in sight that the folder does not hold.
pub(super) fn isolated<'a>(command: &'a mut Command, folder: &Path) -> &'a mut Command {
    for variable in ["TAILGUARD_DATA", "TAILGUARD_HOME", "HF_HUB_CACHE", "RUST_LOG", "RUST_BACKTRACE", "GLIBC_TUNABLES"] {
        command.env_remove(variable);
    }
    command.env("HF_HOME", folder.join("no-hugging-face-cache")).env("RAYON_NUM_THREADS", "1").env("POLARS_MAX_THREADS", "1");
    command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}

/// Runs this program in a folder with at most so much memory.
///
/// # Errors
/// What keeps it from being started or watched.
pub(super) fn run(folder: &Path, words: &[String], most_kib: u64) -> Result<End> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let stderr = folder.join(STDERR);
    let mut command = Command::new("sh");
    command.args(["-c", LIMITED, &most_kib.to_string()]).arg(program).args(words);
    isolated(&mut command, folder).stderr(File::create(&stderr)?);
    let mut child = command.spawn().context("cannot start a shell")?;
    let said = || Ok::<_, std::io::Error>(String::from_utf8_lossy(&fs::read(&stderr)?).into_owned());
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(judged(status, &said()?));
        }
        let elapsed = begun.elapsed();
        let is_run = elapsed > BEGUN && said()?.contains(BEGIN);
        let computed_s = machine::cpu_seconds(child.id()).unwrap_or(elapsed.as_secs_f64());
        if is_run || computed_s > LONGEST_S || elapsed > LONGEST_WAIT {
            child.kill()?;
            child.wait()?;
            let hangs = || End::Fault(format!("it hangs: not done after {computed_s} s of {} s", elapsed.as_secs()));
            return Ok(if is_run { End::Begun } else { hangs() });
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
        Some(code @ (1 | 2)) if stderr.lines().any(|line| line.starts_with("error: ") && line.len() > "error: ".len()) => {
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

    #[test]
    fn memory_is_limited() {
        let folder = tempfile::tempdir().unwrap();
        let limit = |kib: u64| {
            let mut command = Command::new("sh");
            command.args(["-c", LIMITED, &kib.to_string(), "sh", "-c", "ulimit -d"]);
            String::from_utf8(isolated(&mut command, folder.path()).stdout(Stdio::piped()).output().unwrap().stdout).unwrap()
        };
        assert_eq!(limit(123_456).trim(), "123456");
    }
}
