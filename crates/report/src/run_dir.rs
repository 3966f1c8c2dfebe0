//! The directory of a run: the unit of resuming and of reporting.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, DirEntry, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tailguard_files::{
    FileError, create_dirs, discard, is_temporary, probe, recover_all, write_file,
};

use crate::error::ReportError;
use crate::files;
use crate::processes::{self, Process};

const CONFIG: &str = "config.toml";
const ABOUT: &str = "run.json";
const LOCK: &str = "lock";
/// Bytes that are written to see whether a directory can be.
const PROBE: usize = 65_536;
const FOLDERS: [&str; 4] = ["logs", "generations", "evaluation", "checkpoints"];

/// What made a run; `run.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Version of the program.
    pub version: String,
    /// Commit that it was built from, with a `+` if the source had changes; nothing outside git.
    pub commit: Option<String>,
    /// The device, as it was asked for.
    pub device: String,
    /// The seeds.
    pub seeds: Vec<u64>,
    /// What was typed to call the program, before these words; nothing where that is not known, as
    /// in older runs.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub program: String,
    /// The words of the command.
    pub command: Vec<String>,
    /// What the run read, with a digest of each: models and texts that a resumed run must find as
    /// they were.
    pub inputs: BTreeMap<String, String>,
    /// What the scores of each scorer are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub scores: BTreeMap<String, ScoreAbout>,
    /// Where these were, as the command names them, if no `config.toml` says it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub places: BTreeMap<String, String>,
    /// Columns and models of whose scores the negative was taken, as lower is better there, if no
    /// `config.toml` says it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub negated: Vec<String>,
}

/// What a scorer's score is: the logit of a label, or minus it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScoreAbout {
    /// The label's number.
    pub label: usize,
    /// Its name in the model's `id2label`.
    pub name: String,
    /// Whether the score is minus its logit.
    pub negated: bool,
}

impl fmt::Display for ScoreAbout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { label, name, negated } = self;
        write!(f, "{}the logit of label {label} ({name})", if *negated { "minus " } else { "" })
    }
}

/// A directory that is reserved for a run and has no configuration yet. Dropped, it leaves nothing
/// behind.
///
/// It is taken before models and data are read, so that a directory that cannot be written, or is
/// taken, is found out first.
#[derive(Debug)]
pub struct NewRunDir {
    path: PathBuf,
    /// `None` once the run has begun.
    lock: Option<File>,
    /// Directories made on the way, outermost first.
    made: Vec<PathBuf>,
    /// Files that go if they do not come to be all that is wanted.
    unfinished: Unfinished,
}

/// Files that were written, or are about to be: shared by the directory and its [`Traces`].
type Unfinished = Arc<Mutex<Vec<PathBuf>>>;

impl NewRunDir {
    /// Makes and locks the directory of a new run.
    ///
    /// # Errors
    /// [`ReportError::HoldsARun`] or [`ReportError::NotEmpty`] if something is there, and then
    /// nothing is changed; [`ReportError::InUse`]; [`ReportError::Unwritable`] if the directory
    /// cannot be made or written.
    pub fn reserve(path: &Path) -> Result<Self, ReportError> {
        refuse_contents(path)?;
        let mut made: Vec<_> =
            path.ancestors().take_while(|path| !path.exists()).map(Path::to_owned).collect();
        made.reverse();
        create_dirs(path).map_err(refused(path))?;
        Self::take(path.to_owned(), made)
    }

    /// [`reserve`](Self::reserve) the first `parent/name-1`, `parent/name-2`, ... that does not
    /// exist.
    ///
    /// # Errors
    /// [`ReportError::Unwritable`] if the directory cannot be made or written.
    pub fn reserve_numbered(parent: &Path, name: &str) -> Result<Self, ReportError> {
        let parent_is_new = !parent.exists();
        create_dirs(parent).map_err(refused(parent))?;
        let mut number = 1_u64;
        loop {
            let path = parent.join(format!("{name}-{number}"));
            match fs::create_dir(&path) {
                Ok(()) => {
                    let made =
                        parent_is_new.then(|| parent.to_owned()).into_iter().chain([path.clone()]);
                    return Self::take(path, made.collect());
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(unwritable(&path)(error)),
            }
        }
    }

    fn take(path: PathBuf, made: Vec<PathBuf>) -> Result<Self, ReportError> {
        let lock = lock(&path)?;
        let taken = Self { path, lock: Some(lock), made, unfinished: Unfinished::default() };
        // two processes that were given the same new directory: the second one finds it begun
        refuse_contents(&taken.path)?;
        // and what a process left that died before its run began
        recover_all(&taken.path)?;
        probe(&taken.path, PROBE).map_err(refused(&taken.path))?;
        Ok(taken)
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes `run.json` into a directory that is to hold results without a run.
    ///
    /// # Errors
    /// [`ReportError::Io`] if it cannot be written.
    pub fn write_about(&self, about: &About) -> Result<(), ReportError> {
        Ok(write_file(&self.file(ABOUT), json(about).as_bytes())?)
    }

    /// The path of a file that is about to be written into a directory that is to hold results
    /// without a run. Unless it is [kept](Self::keep), it leaves with the directory.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        let path = self.path.join(name);
        self.unfinished.lock().unwrap_or_else(PoisonError::into_inner).push(path.clone());
        path
    }

    /// Everything is written: from here on the files stay.
    pub fn keep(&self) {
        self.unfinished.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// What the directory leaves behind as long as it holds nothing whole, for whoever ends the
    /// process without dropping this.
    #[must_use]
    pub fn traces(&self) -> Traces {
        Traces {
            path: self.path.clone(),
            made: self.made.clone(),
            unfinished: Arc::clone(&self.unfinished),
        }
    }

    /// Begins the run: from here on the directory stays.
    ///
    /// # Errors
    /// [`ReportError::Unwritable`] or [`ReportError::Io`] if the directory cannot be written.
    pub fn begin(mut self, config: &str, about: &About) -> Result<RunDir, ReportError> {
        for folder in FOLDERS {
            let folder = self.path.join(folder);
            create_dirs(&folder).map_err(refused(&folder))?;
        }
        write_file(&self.path.join(ABOUT), json(about).as_bytes())?;
        // last: a directory with a configuration is a run
        write_file(&self.path.join(CONFIG), config.as_bytes())?;
        Ok(RunDir {
            path: std::mem::take(&mut self.path),
            recovered: Vec::new(),
            _lock: self.lock.take(),
        })
    }
}

impl Drop for NewRunDir {
    fn drop(&mut self) {
        if let Some(lock) = self.lock.take() {
            // the lock goes while it is held: once it is free it may be another process's
            self.traces().remove();
            drop(lock);
        }
    }
}

/// The lock, the unfinished files and the empty folders of a directory that was reserved and is not
/// to be used.
#[derive(Debug)]
pub struct Traces {
    path: PathBuf,
    made: Vec<PathBuf>,
    unfinished: Unfinished,
}

impl Traces {
    /// Removes them, while the directory is reserved. What holds another file stays, and so does
    /// what cannot be removed: whatever led here is the thing to tell.
    pub fn remove(&self) {
        for path in self.unfinished.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            discard(&path);
        }
        let _ = fs::remove_file(self.path.join(LOCK));
        let folders = FOLDERS.map(|folder| self.path.join(folder));
        for folder in folders.iter().chain(self.made.iter().rev()) {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// A run directory that this process, and no other, works in.
///
/// | file | holds |
/// |---|---|
/// | `config.toml` | every setting; reads back to the same configuration |
/// | `run.json` | [`About`] |
/// | `logs/seed-1-rlhf.jsonl` | one row per iteration ([`TrainingLog`]), written as it happens |
/// | `tensorboard/rlhf-seed1/` | the same rows as events ([`EventLog`](crate::EventLog)) |
/// | `metrics.parquet` | all logs in one table |
/// | `metrics.jsonl` | the same rows by the names of TRL |
/// | `generations/seed-1-rlhf.parquet` | the evaluated texts of one arm and seed |
/// | `generations.parquet` | all of them |
/// | `evaluation/seed-1-rlhf.json` | the figures of one arm and seed, in the caller's form |
/// | `checkpoints/seed-1-rlhf/` | Hugging Face directories and what resuming needs |
/// | `samples/seed-1-sft-1000/` | responses that training samples once and weighs as it needs |
/// | `results.json` | [`Results`](crate::Results) |
/// | `tail.csv`, `tail_gains.csv`, `tail_prompts.jsonl` | the worst texts of each method |
/// | `processes.json` | a [`Process`] for each that worked on the run: how long, how much memory |
/// | `report.html` | all of this as a page, by whoever makes one |
/// | `lock` | held while a process works here |
///
/// [`TrainingLog`]: crate::TrainingLog
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    /// Temporaries of dead processes that were there.
    recovered: Vec<PathBuf>,
    /// The operating system frees it when the process ends, however it ends.
    _lock: Option<File>,
}

impl RunDir {
    /// Takes the directory of a run that an earlier process has begun, and puts right what it left
    /// unfinished if it was killed.
    ///
    /// # Errors
    /// [`ReportError::NoRun`], [`ReportError::InUse`], or [`ReportError::Unwritable`].
    pub fn open(path: &Path) -> Result<Self, ReportError> {
        if !path.join(CONFIG).is_file() {
            return Err(ReportError::NoRun { path: path.to_owned() });
        }
        let lock = lock(path)?;
        let recovered = recover_all(path)?;
        probe(path, PROBE).map_err(refused(path))?;
        Ok(Self { path: path.to_owned(), recovered, _lock: Some(lock) })
    }

    /// What an earlier process was writing when it was killed. None of it is there any more: what
    /// it was to replace is.
    #[must_use]
    pub fn recovered(&self) -> &[PathBuf] {
        &self.recovered
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `config.toml`.
    #[must_use]
    pub fn config_path(&self) -> PathBuf {
        self.path.join(CONFIG)
    }

    /// The text of `config.toml`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn config(&self) -> Result<String, ReportError> {
        files::read(&self.config_path())
    }

    /// What made the run.
    ///
    /// # Errors
    /// When `run.json` cannot be read, or is not what was written.
    pub fn about(&self) -> Result<About, ReportError> {
        let path = self.path.join(ABOUT);
        let text = files::read(&path)?;
        serde_json::from_str(&text).map_err(|error| ReportError::Json {
            path,
            line: error.line(),
            detail: error.to_string(),
        })
    }

    /// `results.json`.
    #[must_use]
    pub fn results_path(&self) -> PathBuf {
        self.path.join("results.json")
    }

    /// Notes what is known about this process, the last of those that work on the run: `nth` is its
    /// place among them, as an earlier call gave it, or nothing for a process that is not noted
    /// yet. Gives its place.
    ///
    /// # Errors
    /// When `processes.json` cannot be read or written, or is not what was written.
    pub fn note_process(
        &self,
        nth: Option<usize>,
        process: &Process,
    ) -> Result<usize, ReportError> {
        processes::note(&self.path.join("processes.json"), nth, process)
    }

    /// `metrics.parquet`: one row per iteration of every arm and seed.
    #[must_use]
    pub fn metrics_path(&self) -> PathBuf {
        self.path.join("metrics.parquet")
    }

    /// `metrics.jsonl`: the rows of `metrics.parquet` by the names of TRL.
    #[must_use]
    pub fn trl_metrics_path(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }

    /// The folder of the TensorBoard events of one training.
    #[must_use]
    pub fn tensorboard_path(&self, arm: &str, seed: u64) -> PathBuf {
        self.path.join("tensorboard").join(format!("{}-seed{seed}", arm.replace('_', "-")))
    }

    /// `generations.parquet`: the evaluated texts of every arm and seed.
    #[must_use]
    pub fn generations_path(&self) -> PathBuf {
        self.path.join("generations.parquet")
    }

    /// The log of one training.
    #[must_use]
    pub fn log_path(&self, arm: &str, seed: u64) -> PathBuf {
        self.path.join("logs").join(format!("{}.jsonl", stem(arm, seed)))
    }

    /// The logs that there are, by name.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn log_paths(&self) -> Result<Vec<PathBuf>, ReportError> {
        let folder = self.path.join("logs");
        let read = |error| ReportError::io(&folder, "read")(error);
        let entries: Result<Vec<_>, _> = fs::read_dir(&folder).map_err(read)?.collect();
        let mut paths: Vec<_> =
            entries.map_err(read)?.into_iter().map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
        paths.sort();
        Ok(paths)
    }

    /// The evaluated texts of one arm and seed.
    #[must_use]
    pub fn method_generations_path(&self, arm: &str, seed: u64) -> PathBuf {
        self.path.join("generations").join(format!("{}.parquet", stem(arm, seed)))
    }

    /// The figures of one arm and seed.
    #[must_use]
    pub fn evaluation_path(&self, arm: &str, seed: u64) -> PathBuf {
        self.path.join("evaluation").join(format!("{}.json", stem(arm, seed)))
    }

    /// The folder for the checkpoints of one training.
    #[must_use]
    pub fn checkpoint_path(&self, arm: &str, seed: u64) -> PathBuf {
        self.path.join("checkpoints").join(stem(arm, seed))
    }

    /// Writes a small text of the caller's as a whole, or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_text(&self, path: &Path, text: &str) -> Result<(), ReportError> {
        Ok(write_file(path, text.as_bytes())?)
    }

    /// Reads what [`write_text`](Self::write_text) wrote, or nothing if it has not.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read_text(&self, path: &Path) -> Result<Option<String>, ReportError> {
        files::read_if_there(path)
    }
}

fn stem(arm: &str, seed: u64) -> String {
    format!("seed-{seed}-{}", arm.replace('_', "-"))
}

/// A new run wants a directory that is not there, or holds nothing but what a process left that
/// died before its run began.
fn refuse_contents(path: &Path) -> Result<(), ReportError> {
    if path.join(CONFIG).exists() {
        return Err(ReportError::HoldsARun { path: path.to_owned() });
    }
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unwritable(path)(error)),
    };
    for entry in entries {
        let entry = entry.map_err(unwritable(path))?;
        if !is_unbegun(&entry) {
            let found = entry.file_name().to_string_lossy().into_owned();
            return Err(ReportError::NotEmpty { path: path.to_owned(), found });
        }
    }
    Ok(())
}

/// Whether something is what [`NewRunDir`] makes before a run has begun. What has something else in
/// it is somebody's, whatever it is called.
fn is_unbegun(entry: &DirEntry) -> bool {
    let (name, path) = (entry.file_name(), entry.path());
    let is_empty_file = || entry.metadata().is_ok_and(|found| found.is_file() && found.len() == 0);
    let is_empty_folder = || fs::read_dir(&path).is_ok_and(|mut entries| entries.next().is_none());
    let is_about =
        || fs::read_to_string(&path).is_ok_and(|text| serde_json::from_str::<About>(&text).is_ok());
    is_temporary(&name)
        || name == LOCK && is_empty_file()
        || FOLDERS.iter().any(|folder| name == OsStr::new(folder)) && is_empty_folder()
        || name == ABOUT && is_about()
}

/// Takes the lock, without waiting.
fn lock(path: &Path) -> Result<File, ReportError> {
    let file = File::options()
        .create(true)
        .append(true)
        .open(path.join(LOCK))
        .map_err(unwritable(path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ReportError::InUse { path: path.to_owned() }),
        // a file system without locks: the run is the user's to guard
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(file),
        Err(TryLockError::Error(error)) => Err(unwritable(path)(error)),
    }
}

fn unwritable(path: &Path) -> impl FnOnce(io::Error) -> ReportError {
    move |source| ReportError::Unwritable { path: path.to_owned(), source }
}

fn refused(path: &Path) -> impl FnOnce(FileError) -> ReportError {
    let unwritable = unwritable(path);
    move |error| unwritable(error.source)
}

fn json(about: &About) -> String {
    // strings and numbers always serialise
    serde_json::to_string_pretty(about).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests;
