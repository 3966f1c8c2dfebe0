//! `cargo xtask fuzz`: damaged files, each given to the program in a process of its own. What comes of it must be an end with exit code 0, 1
//! or 2 and a message: no panic, no signal, no hang, no more memory than the sound file, ten times the damaged one and 256 MiB take together,
//! and no other number where the program keeps a digest.
//!
//! A case follows from the seed and its own number. What fails is kept, with the command that repeats it.

mod child;
mod damage;
mod json;
mod sound;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use anyhow::{Context, Result, anyhow};
use clap::Args;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::failure::{Failure, say};
use crate::typed;
use crate::workspace;
use child::End;
use damage::{Form, damage};
use sound::{KINDS, Sound};

/// Memory beyond that of the sound input, in KiB: so much, and so many times the damaged file.
const MORE_KIB: u64 = 256 << 10;
const TIMES: u64 = 10;
/// Cases between two lines of progress.
const TOLD: u64 = 500;

/// `fuzz`.
#[derive(Clone, Debug, Args)]
pub(crate) struct FuzzArgs {
    /// Damaged files
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) cases: u64,
    /// Decides the damage
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// This case alone
    #[arg(long, value_name = "N", conflicts_with = "cases")]
    pub(crate) case: Option<u64>,
    /// These kinds of input alone; `--only help` lists them
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Processes side by side; 0 takes one per core
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) jobs: usize,
    /// Directory to keep failing inputs in [default: target/fuzz]
    #[arg(long, value_name = "DIR", value_parser = typed::path())]
    pub(crate) keep: Option<PathBuf>,
}

/// How the cases of one kind ended.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    codes: [u64; 3],
    begun: u64,
    faults: u64,
}

/// Runs the command.
///
/// # Errors
/// Any case that ends as none should; a kind that is none; a sound input that does not pass.
pub(crate) fn run(args: &FuzzArgs) -> Result<()> {
    let names = || KINDS.iter().map(|kind| kind.name);
    if args.only.iter().any(|name| name == "help") {
        return names().try_for_each(|name| Ok(say(name)?));
    }
    if let Some(unknown) = args.only.iter().find(|only| !names().any(|name| name == *only)) {
        let known: Vec<_> = names().collect();
        return Err(Failure::usage(format!("no kind `{unknown}`: expected one of {}", known.join(", "))).into());
    }
    let kinds: Vec<_> =
        KINDS.iter().filter(|kind| args.only.is_empty() || args.only.iter().any(|only| only == kind.name)).collect();
    let folder = tempfile::tempdir().context("cannot make a temporary directory")?;
    tracing::info!("fuzz: making sound inputs, and running each");
    let sound = sound::prepare(folder.path(), &kinds)?;
    let keep = args.keep.clone().unwrap_or_else(|| workspace().join("target/fuzz"));
    let fuzz = Fuzz { seed: args.seed, sound, work: folder.path().to_owned(), keep };
    let cases = args.case.map_or(0..args.cases, |case| case..case.saturating_add(1));
    let jobs = if args.jobs > 0 { args.jobs } else { thread::available_parallelism().map_or(1, usize::from) };
    let counts = fuzz.run(cases, jobs)?;
    for (name, Counts { codes: [done, failed, refused], begun, faults }) in &counts {
        say(format_args!("{name:12} {done:6} done {failed:6} failed {refused:6} refused {begun:4} begun {faults:4} faults"))?;
    }
    match counts.values().map(|counts| counts.faults).sum() {
        0 => Ok(()),
        faults => Err(Failure::new(format!("{faults} cases ended as none should"))
            .hint(format!("they are in {}, each with the command that repeats it", fuzz.keep.display()))
            .into()),
    }
}

/// Cases that are about to run.
struct Fuzz {
    seed: u64,
    sound: Vec<Sound>,
    /// For the folders of cases.
    work: PathBuf,
    /// For those that failed.
    keep: PathBuf,
}

impl Fuzz {
    /// Runs cases side by side.
    fn run(&self, cases: std::ops::Range<u64>, jobs: usize) -> Result<BTreeMap<&'static str, Counts>> {
        let (next, stop) = (AtomicU64::new(cases.start), AtomicBool::new(false));
        let counts = Mutex::new(BTreeMap::<_, Counts>::new());
        let job = || {
            while !stop.load(Ordering::Relaxed) {
                let case = next.fetch_add(1, Ordering::Relaxed);
                if case >= cases.end {
                    break;
                }
                let (kind, end) = self.case(case).inspect_err(|_| stop.store(true, Ordering::Relaxed))?;
                let mut counts = counts.lock().map_err(|_| anyhow!("another job panicked"))?;
                let counts = counts.entry(kind).or_default();
                match &end {
                    End::Code(code) => {
                        usize::try_from(*code).ok().and_then(|code| counts.codes.get_mut(code)).map_or((), |count| *count += 1)
                    }
                    End::Begun => counts.begun += 1,
                    End::Fault(what) => {
                        counts.faults += 1;
                        tracing::error!("case {case} ({kind}): {what}");
                    }
                }
                if (case + 1) % TOLD == 0 {
                    tracing::info!("fuzz: {}/{}", case + 1, cases.end);
                }
            }
            Ok(())
        };
        thread::scope(|scope| {
            let jobs: Vec<_> = (0..jobs).map(|_| scope.spawn(job)).collect();
            jobs.into_iter().try_for_each(|job| job.join().unwrap_or_else(|_| Err(anyhow!("a job panicked"))))
        })?;
        counts.into_inner().map_err(|_| anyhow!("a job panicked"))
    }

    /// Damages one file and runs the program on it.
    fn case(&self, case: u64) -> Result<(&'static str, End)> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(case);
        let sound = &self.sound[rng.random_range(0..self.sound.len())];
        let file = &sound.files[rng.random_range(0..sound.files.len())];
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let damaged = damage(&sound.read(file)?, Form::of(&name), &mut rng);
        let (kind, words) = (sound.kind, sound.kind.words());
        let most_kib = sound.kib + MORE_KIB + TIMES * (damaged.len() as u64).div_ceil(1 << 10);

        let folder = self.work.join(format!("case-{case}"));
        sound.copy(&folder, file, &damaged)?;
        let mut end = child::run(&folder, &words, most_kib)?;
        if end == End::Code(0)
            && let (Some(expected), Some(results)) = (&sound.results, kind.results)
            && fs::read(folder.join(results))? != *expected
        {
            end = End::Fault(format!("{results} has other numbers, and nothing was said"));
        }
        fs::remove_dir_all(&folder)?;
        if let End::Fault(what) = &mut end {
            *what += &format!("\nthe damaged file is {}", file.display());
            self.keep(case, sound, &words, (file, &damaged), most_kib).context("cannot keep the input that failed")?;
        }
        Ok((kind.name, end))
    }

    /// Keeps the input of a case, with the command that repeats it.
    fn keep(&self, case: u64, sound: &Sound, words: &[String], (file, damaged): (&Path, &[u8]), most_kib: u64) -> Result<()> {
        let kept = self.keep.join(format!("{}-{}-{case}", sound.kind.name, self.seed));
        if kept.exists() {
            fs::remove_dir_all(&kept)?;
        }
        sound.copy(&kept, file, damaged)?;
        let script = format!(
            "# {} is damaged\ncd \"$(dirname \"$0\")\" && ulimit -d {most_kib} && ulimit -c 0 && \\\n\
             HF_HOME=none RAYON_NUM_THREADS=1 POLARS_MAX_THREADS=1 exec '{}' {}\n",
            file.display(),
            std::env::current_exe()?.display(),
            words.join(" ")
        );
        fs::write(kept.join("repeat.sh"), script)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_that_is_none_is_answered_with_those_that_are() {
        let args = FuzzArgs { cases: 1, seed: 1, case: None, only: vec!["yaml".to_owned()], jobs: 1, keep: None };
        let error = run(&args).unwrap_err();
        assert!(error.to_string().contains("gpt2, distilbert"), "{error}");
    }
}
