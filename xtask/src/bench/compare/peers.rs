//! The programs of both sides as child processes.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tailguard::failure::Failure;
use tailguard::heap;
use tailguard_benchmarks::compare::{Case, Pair, Subject};
use tempfile::TempDir;

use crate::bench::child;

/// Makes the environment in the folder that it is given.
const SETUP: &str = "setup.sh";

/// Looks whether a folder holds the benchmarks of the peers.
///
/// # Errors
/// No folder, or one that lacks a file; says what is expected.
pub(super) fn scripts(peers: Option<&Path>) -> Result<PathBuf, Failure> {
    let names = [Subject::Parts.script(), Subject::Iteration.script(), SETUP];
    let hint = format!(
        "--peers DIR names a folder with {}: benchmarks of plain PyTorch and of TRL 0.11.4's \
         PPOTrainer that take the flags of `bench iteration` and print one line of JSON, and what \
         installs their Python packages",
        names.join(", ")
    );
    let Some(folder) = peers else {
        return Err(Failure::usage(
            "--peers is missing: the benchmarks of the peers are not part of this repository",
        )
        .hint(hint));
    };
    match names.iter().find(|name| !folder.join(name).is_file()) {
        None => Ok(folder.to_owned()),
        Some(name) => {
            Err(Failure::usage(format!("--peers {}: no {name}", folder.display())).hint(hint))
        }
    }
}

/// Their benchmarks, ready to run.
pub(super) struct Peers {
    scripts: PathBuf,
    python: PathBuf,
    /// An environment of our own, removed in the end.
    _made: Option<TempDir>,
}

impl Peers {
    /// Takes an environment, or makes one.
    ///
    /// # Errors
    /// An environment without Python, or one that could not be made.
    pub(super) fn prepare(scripts: PathBuf, environment: Option<&Path>) -> Result<Self> {
        let (folder, made) = match environment {
            Some(folder) => (folder.to_owned(), None),
            None => {
                let made = tempfile::tempdir().context("cannot make a temporary directory")?;
                tracing::info!(
                    "making a Python environment in {}: some minutes and gigabytes",
                    made.path().display()
                );
                let mut setup = Command::new("bash");
                setup.arg(scripts.join(SETUP)).arg(made.path()).stdout(Stdio::null());
                let status = setup.status().context("cannot run bash")?;
                ensure!(status.success(), "{SETUP}: {status}");
                (made.path().to_owned(), Some(made))
            }
        };
        let python = folder.join("bin").join("python");
        if !python.is_file() {
            let message = format!("{} is not there", python.display());
            return Err(Failure::usage(message)
                .hint("--python-env names a virtual environment")
                .into());
        }
        Ok(Self { scripts, python, _made: made })
    }

    /// Runs their benchmark.
    ///
    /// # Errors
    /// One that fails or prints something else than a line of JSON.
    pub(super) fn run(&self, pair: &Pair, flags: &[OsString]) -> Result<Value> {
        let mut command = Command::new(&self.python);
        // as people run it, not with what we tell our own memory
        command.env_remove(heap::VARIABLE);
        // the folder may be read-only, and is not ours
        command
            .arg("-B")
            .arg(self.scripts.join(pair.subject.script()))
            .args(words(pair))
            .args(flags);
        child::line_of(command, pair.subject.script())
    }
}

/// Runs our benchmark, in a process of its own like theirs.
///
/// # Errors
/// As [`Peers::run`].
pub(super) fn ours(pair: &Pair, flags: &[OsString]) -> Result<Value> {
    child::ours(
        pair.subject.ours(),
        words(pair).into_iter().map(OsString::from).chain(flags.iter().cloned()),
    )
}

fn words(pair: &Pair) -> [String; 4] {
    let Case { size, alpha } = pair.case;
    ["--size".to_owned(), size.to_owned(), "--alpha-keep".to_owned(), alpha.to_string()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_the_scripts_is_refused_with_what_is_expected() {
        let folder = tempfile::tempdir().unwrap();
        for peers in [None, Some(folder.path())] {
            let message = tailguard::failure::message(&scripts(peers).unwrap_err().into());
            assert!(
                message.contains("--peers") && message.contains("trl_ppo_bench.py"),
                "{message}"
            );
        }
    }

    #[test]
    fn both_sides_are_given_the_same_words() {
        let pair =
            Pair { case: Case { size: "gpt2", alpha: 0.4 }, subject: Subject::Iteration, round: 1 };
        assert_eq!(words(&pair), ["--size", "gpt2", "--alpha-keep", "0.4"]);
        assert_eq!(words(&Pair { case: Case { alpha: 1.0, ..pair.case }, ..pair })[3], "1");
    }
}
