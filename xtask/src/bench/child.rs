//! Benchmarks in processes of their own, each of which prints one line of JSON.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tailguard_benchmarks::json_line;

/// What this program prints for `bench` with these words.
///
/// # Errors
/// As [`line_of`].
pub(super) fn ours<S: AsRef<OsStr>>(
    benchmark: &str,
    words: impl IntoIterator<Item = S>,
) -> Result<Value> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut command = Command::new(program);
    command.args(["bench", benchmark]).args(words);
    line_of(command, benchmark)
}

/// What a program printed; its progress goes where ours goes.
///
/// # Errors
/// One that fails or prints something else than a line of JSON.
pub(super) fn line_of(mut command: Command, name: &str) -> Result<Value> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot run {name}"))?;
    ensure!(output.status.success(), "{name}: {}", output.status);
    json_line::parse(&String::from_utf8_lossy(&output.stdout))
        .with_context(|| format!("cannot read what {name} printed"))
}
