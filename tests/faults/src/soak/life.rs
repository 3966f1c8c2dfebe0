//! One process of a run that is to be killed.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tailguard_files::is_temporary;

use super::compare;

/// The run directory, in the folder that the process works in.
pub const OUT: &str = "run";
/// A process that takes longer hangs: a run takes a minute, and is never killed later than a few
/// times that.
const LONGEST: Duration = Duration::from_secs(30 * 60);
/// Between two looks at the process and its directory: shorter than a small file takes to be
/// synced.
const LOOK_EVERY: Duration = Duration::from_micros(200);

/// When a process is to be killed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Moment {
    After(Duration),
    /// Some time after it has begun its so many-th write.
    InWrite {
        write: usize,
        delay: Duration,
    },
    Never,
}

/// How a process ended.
#[derive(Debug)]
pub(super) enum End {
    Killed {
        /// What it had last said that it does.
        phase: String,
        /// Whether it left something half written.
        inside: bool,
    },
    ByItself {
        status: ExitStatus,
        said: String,
    },
}

impl End {
    /// Whether it came to the end of the run.
    ///
    /// # Errors
    /// What it said, if not.
    pub(super) fn succeeded(self) -> Result<()> {
        match self {
            Self::ByItself { status, .. } if status.success() => Ok(()),
            Self::ByItself { status, said } => bail!("the run ended by itself ({status}):\n{said}"),
            Self::Killed { phase, .. } => bail!("it was killed in {phase}"),
        }
    }
}

/// A process at work.
pub(super) struct Life {
    child: Child,
    out: PathBuf,
    is_resumed: bool,
    /// What the process before it has left half written, until this one recovers it.
    left: BTreeSet<PathBuf>,
    said: Arc<Mutex<String>>,
    listeners: Vec<JoinHandle<()>>,
}

impl Life {
    /// Starts a program in a folder, to begin its run or to go on with it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn begin(program: &Path, folder: &Path, words: &[OsString]) -> Result<Self> {
        let is_resumed = folder.join(OUT).join("config.toml").is_file();
        let mut command = Command::new(program);
        command.args(words).args(is_resumed.then_some("--resume"));
        command.env_remove("RUST_LOG").env_remove("TAILGUARD_DATA").env_remove("TAILGUARD_HOME");
        Self::start(command, folder, is_resumed)
    }

    /// Starts a command in a folder.
    fn start(mut command: Command, folder: &Path, is_resumed: bool) -> Result<Self> {
        let out = folder.join(OUT);
        let left = temporaries(&out);
        command
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().context("cannot start the run")?;
        let said = Arc::new(Mutex::new(String::new()));
        let streams: [Option<Box<dyn Read + Send>>; 2] = [
            child.stdout.take().map(|stream| Box::new(stream) as _),
            child.stderr.take().map(|stream| Box::new(stream) as _),
        ];
        let listeners =
            streams.into_iter().flatten().map(|stream| listen(stream, Arc::clone(&said))).collect();
        Ok(Self { child, out, is_resumed, left, said, listeners })
    }

    /// Whether it goes on with a run.
    pub(super) fn is_resumed(&self) -> bool {
        self.is_resumed
    }

    /// Waits for the moment, and kills the process unless it has ended by itself.
    ///
    /// # Errors
    /// When the system will not say what becomes of it, and when it hangs.
    pub(super) fn end(mut self, moment: Moment) -> Result<End> {
        let (begun, mut writes) = (Instant::now(), BTreeSet::new());
        let ended = loop {
            if let Some(status) = self.child.try_wait().context("cannot wait for the run")? {
                break Some(status);
            }
            ensure!(begun.elapsed() < LONGEST, "the run hangs; it said:\n{}", self.heard());
            match moment {
                Moment::After(time) if begun.elapsed() >= time => break None,
                Moment::InWrite { write, delay } => {
                    writes.extend(self.half_written());
                    if writes.len() >= write {
                        thread::sleep(delay);
                        break None;
                    }
                }
                _ => {}
            }
            thread::sleep(LOOK_EVERY);
        };
        if ended.is_none() {
            self.child.kill().context("cannot kill the run")?;
        }
        let status = self.child.wait().context("cannot wait for the run")?;
        for listener in std::mem::take(&mut self.listeners) {
            // a thread that reads lines does not panic
            let _ = listener.join();
        }
        let said = self.heard();
        // it may have been faster than the kill
        if ended.is_some() || status.code().is_some() {
            return Ok(End::ByItself { status, said });
        }
        Ok(End::Killed {
            phase: phase(&said).to_owned(),
            inside: self.half_written().next().is_some(),
        })
    }

    /// What it has said so far.
    fn heard(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What this process is writing.
    fn half_written(&self) -> impl Iterator<Item = PathBuf> {
        temporaries(&self.out).into_iter().filter(move |path| !self.left.contains(path))
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        // after an error nobody waits for it any more
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Collects the lines of a stream.
fn listen(stream: Box<dyn Read + Send>, said: Arc<Mutex<String>>) -> JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            said.push_str(&line);
            said.push('\n');
        }
    })
}

/// What is being written, or was when a process was killed. Files come and go meanwhile.
fn temporaries(out: &Path) -> BTreeSet<PathBuf> {
    compare::files(out)
        .unwrap_or_default()
        .into_iter()
        .filter(|path| is_half_written(path))
        .collect()
}

/// Whether a file has no final name yet, or is in a folder that has none.
pub(super) fn is_half_written(path: &Path) -> bool {
    path.components().any(|part| is_temporary(part.as_os_str()))
}

/// What a run does after the last that it has said.
fn phase(said: &str) -> &'static str {
    let begins = [
        ("sft, seed", "sft"),
        ("rlhf, seed", "rlhf"),
        ("ra_rlhf, seed", "ra-rlhf"),
        ("evaluating", "evaluation"),
        ("run directory: ", "begin"),
        ("reward  tail", "results"),
    ];
    let of = |line: &str| {
        begins.iter().find(|(begin, _)| line.starts_with(begin)).map(|(_, phase)| *phase)
    };
    said.lines().rev().find_map(of).unwrap_or("start")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_phase_is_that_of_the_last_line_that_names_one() {
        assert_eq!(phase(""), "start");
        assert_eq!(phase("20000 texts\nrun directory: run\n"), "begin");
        assert_eq!(phase("rlhf, seed 1 3/24  reward\nwarning: a thing\n"), "rlhf");
        assert_eq!(phase("ra_rlhf, seed 1 24/24\nevaluating RA-RLHF, seed 1\n"), "evaluation");
    }

    #[cfg(unix)]
    #[test]
    fn what_the_process_before_left_half_written_is_no_write_of_this_one() {
        let folder = tempfile::tempdir().unwrap();
        let [left, new] =
            ["left", "new"].map(|name| format!("{OUT}/.{name}.0123456789abcdef.tailguard-new"));
        std::fs::create_dir(folder.path().join(OUT)).unwrap();
        std::fs::write(folder.path().join(&left), "").unwrap();
        let end = |script: &str, moment| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            Life::start(command, folder.path(), true).unwrap().end(moment).unwrap()
        };
        let in_write = Moment::InWrite { write: 1, delay: Duration::ZERO };
        // it has recovered nothing yet
        assert!(matches!(
            end("exec sleep 60", Moment::After(Duration::ZERO)),
            End::Killed { inside: false, .. }
        ));
        // it recovers, and ends without a write
        assert!(matches!(
            end(&format!("rm {left}"), in_write),
            End::ByItself { status, .. } if status.success()
        ));
        std::fs::write(folder.path().join(&left), "").unwrap();
        assert!(matches!(
            end(&format!(": > {new}; exec sleep 60"), in_write),
            End::Killed { inside: true, .. }
        ));
    }
}
