//! Damaged files, each given to the program in a process of its own. What comes of it must be an
//! end with exit code 0, 1 or 2 and a message: no panic, no signal, no hang, no more memory than
//! the sound file, ten times the damaged one and 256 MiB take together, and no other number where
//! the program keeps a digest. Settings alone may ask for a run that would take longer than a case
//! may: then it is enough that it has begun with other settings than the sound ones, which come to
//! their end.
//!
//! A case follows from the seed and its own number. What fails is kept, with the command that
//! repeats it.

mod child;
mod damage;
mod inputs;
mod json;
mod sound;

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use anyhow::{Context, Result, anyhow};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use child::{End, Limits};
use damage::{Form, damage};
use sound::{KINDS, Kind, Sound};

/// Memory beyond that of the sound input, in KiB: so much, and so many times the damaged file.
const MORE_KIB: u64 = 256 << 10;
const TIMES: u64 = 10;
/// Cases between two lines of progress.
const TOLD: u64 = 500;

/// What to damage, and how often.
#[derive(Clone, Debug)]
pub struct Fuzz {
    /// The program that has the commands of [`calls`].
    pub program: PathBuf,
    /// Decides the damage.
    pub seed: u64,
    /// The cases, by their numbers.
    pub cases: Range<u64>,
    /// These kinds of input alone; all if it is empty.
    pub only: Vec<String>,
    /// Processes side by side.
    pub jobs: usize,
    /// Where failing inputs are kept.
    pub keep: PathBuf,
}

/// How the cases of one kind ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Done, failed, refused.
    pub codes: [u64; 3],
    /// Runs of other settings, and longer than a case may be.
    pub longer: u64,
    /// As none should.
    pub faults: u64,
}

/// The kinds of input, each with the words of the call that reads it.
pub fn calls() -> impl Iterator<Item = (&'static str, Vec<String>)> {
    KINDS.iter().map(|kind| (kind.name, kind.words()))
}

impl Fuzz {
    /// Makes sound inputs, runs each, and then the cases. What ends as none should is told as an
    /// error of `tracing`, and kept with the command that repeats it.
    ///
    /// # Errors
    /// A sound input that does not pass; what keeps a case from being run.
    pub fn run(&self) -> Result<BTreeMap<&'static str, Counts>> {
        let is_chosen =
            |kind: &&Kind| self.only.is_empty() || self.only.iter().any(|only| only == kind.name);
        let kinds: Vec<_> = KINDS.iter().filter(is_chosen).collect();
        let folder = tempfile::tempdir().context("cannot make a temporary directory")?;
        tracing::info!("fuzz: making sound inputs, and running each");
        let sound = sound::prepare(&self.program, folder.path(), &kinds)?;
        Cases { of: self, sound, work: folder.path().to_owned() }.run()
    }
}

/// Cases that are about to run.
struct Cases<'a> {
    of: &'a Fuzz,
    sound: Vec<Sound>,
    /// For the folders of cases.
    work: PathBuf,
}

impl Cases<'_> {
    /// Runs cases side by side.
    fn run(&self) -> Result<BTreeMap<&'static str, Counts>> {
        let (cases, jobs) = (&self.of.cases, self.of.jobs);
        let (next, stop) = (AtomicU64::new(cases.start), AtomicBool::new(false));
        let counts = Mutex::new(BTreeMap::<_, Counts>::new());
        let job = || {
            while !stop.load(Ordering::Relaxed) {
                let case = next.fetch_add(1, Ordering::Relaxed);
                if case >= cases.end {
                    break;
                }
                let (kind, end) =
                    self.case(case).inspect_err(|_| stop.store(true, Ordering::Relaxed))?;
                let mut counts = counts.lock().map_err(|_| anyhow!("another job panicked"))?;
                let counts = counts.entry(kind).or_default();
                match &end {
                    End::Code(code) => usize::try_from(*code)
                        .ok()
                        .and_then(|code| counts.codes.get_mut(code))
                        .map_or((), |count| *count += 1),
                    End::Hung(_) => counts.longer += 1,
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
            jobs.into_iter()
                .try_for_each(|job| job.join().unwrap_or_else(|_| Err(anyhow!("a job panicked"))))
        })?;
        counts.into_inner().map_err(|_| anyhow!("a job panicked"))
    }

    /// Damages one file and runs the program on it.
    fn case(&self, case: u64) -> Result<(&'static str, End)> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.of.seed);
        rng.set_stream(case);
        let sound = &self.sound[rng.random_range(0..self.sound.len())];
        let file = &sound.files[rng.random_range(0..sound.files.len())];
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let damaged = damage(&sound.read(file)?, Form::of(&name), &mut rng);
        let (kind, words) = (sound.kind, sound.kind.words());
        let most_kib = sound.kib + MORE_KIB + TIMES * (damaged.len() as u64).div_ceil(1 << 10);

        let folder = self.work.join(format!("case-{case}"));
        sound.copy(&folder, file, &damaged)?;
        let mut end = sound.judge(
            &folder,
            child::run(&self.of.program, &words, &folder, Limits::with_kib(most_kib))?,
        )?;
        fs::remove_dir_all(&folder)?;
        if let End::Fault(what) = &mut end {
            *what += &format!("\nthe damaged file is {}", file.display());
            self.keep(case, sound, &words, (file, &damaged), most_kib)
                .context("cannot keep the input that failed")?;
        }
        Ok((kind.name, end))
    }

    /// Keeps the input of a case, with the command that repeats it.
    fn keep(
        &self,
        case: u64,
        sound: &Sound,
        words: &[String],
        (file, damaged): (&Path, &[u8]),
        most_kib: u64,
    ) -> Result<()> {
        let kept = self.of.keep.join(format!("{}-{}-{case}", sound.kind.name, self.of.seed));
        if kept.exists() {
            fs::remove_dir_all(&kept)?;
        }
        sound.copy(&kept, file, damaged)?;
        let script = format!(
            "# {} is damaged\ncd \"$(dirname \"$0\")\" && ulimit -d {most_kib} && ulimit -c 0 && \
             \\\nHF_HOME=none RAYON_NUM_THREADS=1 POLARS_MAX_THREADS=1 exec '{}' {}\n",
            file.display(),
            self.of.program.display(),
            words.join(" ")
        );
        fs::write(kept.join("repeat.sh"), script)?;
        Ok(())
    }
}
