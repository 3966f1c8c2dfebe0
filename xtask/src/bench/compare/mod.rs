//! `cargo xtask bench compare`: ours and theirs in turn, on the same machine in the same hour.

mod peers;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;
use tailguard::failure::{Failure, say};
use tailguard_benchmarks::compare::{
    Attempt, Case, Measured, Pair, Subject, markdown, plan, quiet,
};
use tailguard_files::{create_dirs, write_file};

use super::args::CompareArgs;
use peers::{Peers, ours};

/// The raw lines, and the table made of them.
const RAW: &str = "raw.jsonl";
const TABLE: &str = "compare.md";

/// Runs the command.
///
/// # Errors
/// Flags that make no sense, peers that are not there or fail, lines that do not measure the same
/// work, files that cannot be written.
pub(crate) fn run(args: &CompareArgs) -> Result<()> {
    let scripts = peers::scripts(args.peers.as_deref())?;
    let raw = Raw::place(&args.out)?; // before minutes of installing
    let peers = Peers::prepare(scripts, args.python_env.as_deref())?;
    let mut raw = Raw::create(raw)?; // after what may fail, so that it can be tried again
    let pairs = plan(
        &args.size.iter().map(|size| size.name()).collect::<Vec<_>>(),
        &args.alpha_keep,
        args.rounds,
    );
    let mut measured = Vec::with_capacity(pairs.len());
    for (index, pair) in pairs.iter().enumerate() {
        let name = format!("{}/{}: {pair}", index + 1, pairs.len());
        let mut number = 0;
        let attempt = quiet(args.repeats, || {
            number += 1;
            tracing::info!("{name}: tailguard");
            let ours = ours(pair, &args.flags)?;
            tracing::info!("{name}: {}", pair.subject.peer());
            let theirs = peers.run(pair, &args.flags)?;
            let attempt = Attempt { ours, theirs };
            attempt.check()?;
            raw.append(pair, number, &attempt)?;
            report(&name, &attempt, args.repeats.saturating_sub(number - 1));
            Ok(attempt)
        })?;
        measured.push(Measured { pair: *pair, attempt });
    }
    let table = markdown(&measured)?;
    let path = args.out.join(TABLE);
    write_file(&path, table.as_bytes())?;
    say(table.trim_end())?;
    tracing::info!("raw lines: {}; table: {}", raw.path.display(), path.display());
    Ok(())
}

/// Says aloud whether a pair counts.
fn report(name: &str, attempt: &Attempt, repeats_left: usize) {
    let others = attempt.others();
    match (attempt.is_quiet(), repeats_left) {
        (true, _) => tracing::info!("{name}: done, other processes took {others:.2} cores"),
        (false, 0) => tracing::warn!(
            "{name}: other processes took {others:.2} cores, and it has been repeated often enough"
        ),
        (false, _) => {
            tracing::warn!("{name}: discarded and repeated, other processes took {others:.2} cores")
        }
    }
}

/// The file of raw lines, each written when it is there.
struct Raw {
    path: PathBuf,
    file: fs::File,
}

impl Raw {
    /// Where the file goes: into a folder that has none.
    fn place(folder: &Path) -> Result<PathBuf> {
        create_dirs(folder)?;
        let path = folder.join(RAW);
        if path.exists() {
            let message = format!("--out {}: already holds a comparison", folder.display());
            return Err(Failure::usage(message).hint("name another folder").into());
        }
        Ok(path)
    }

    fn create(path: PathBuf) -> Result<Self> {
        let file = OpenOptions::new().create_new(true).append(true).open(&path);
        let file = file.with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { path, file })
    }

    fn append(&mut self, pair: &Pair, attempt: usize, lines: &Attempt) -> Result<()> {
        for (side, line) in [("tailguard", &lines.ours), (pair.subject.peer(), &lines.theirs)] {
            let text = raw_line(pair, attempt, side, lines.is_quiet(), line);
            writeln!(self.file, "{text}")
                .with_context(|| format!("cannot write {}", self.path.display()))?;
        }
        Ok(())
    }
}

fn raw_line(pair: &Pair, attempt: usize, side: &str, quiet: bool, line: &Value) -> Value {
    let Pair { case: Case { size, alpha }, subject, round } = pair;
    let subject = match subject {
        Subject::Parts => "gpt2",
        Subject::Iteration => "iteration",
    };
    serde_json::json!({
        "size": size,
        "alpha_keep": alpha,
        "subject": subject,
        "round": round,
        "attempt": attempt,
        "side": side,
        "quiet": quiet,
        "line": line,
    })
}
