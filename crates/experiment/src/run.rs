//! The run directory of an experiment that begins or goes on, and what is noted in it of the
//! process.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tailguard_report::{About, NewRunDir, Process, RunDir, ScoreAbout};

use crate::digests::of_bytes;
use crate::error::ExperimentError;
use crate::machine::{cpu, peak_mib};
use crate::observer::{Event, Observer};
use crate::settings::Settings;

/// The program that runs an experiment, as `run.json` notes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// What is typed to call it; nothing where that is not known.
    pub program: String,
    /// Its version.
    pub version: String,
    /// The commit that it was built from; `None` where that is not known.
    pub commit: Option<String>,
    /// The words that it was called with.
    pub command: Vec<String>,
}

impl Default for Origin {
    /// This version of this library.
    fn default() -> Self {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Self { program: String::new(), version, commit: None, command: Vec::new() }
    }
}

/// A directory that is reserved for a run, or that holds one.
pub(crate) enum Dir {
    New(NewRunDir),
    Resumed(RunDir),
}

/// What a run is begun with.
pub(crate) struct Beginning<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) origin: &'a Origin,
    /// Names and digests of what it has read.
    pub(crate) inputs: BTreeMap<String, String>,
    /// What the scores of its scorers are.
    pub(crate) scores: BTreeMap<String, ScoreAbout>,
    /// Where that was, if no settings say it.
    pub(crate) places: BTreeMap<String, String>,
}

/// A run that may begin, or go on.
pub(crate) struct Run {
    pub(crate) dir: RunDir,
    /// When this process began to work on it, and its place among those that did.
    begun: Instant,
    nth_process: usize,
}

impl Run {
    /// Begins the run, or goes on with it.
    ///
    /// # Errors
    /// A directory that cannot be written, or a run that was begun with other models, texts or
    /// settings.
    pub(crate) fn open(
        dir: Dir,
        beginning: Beginning<'_>,
        begun: Instant,
        observer: &mut dyn Observer,
    ) -> Result<Self, ExperimentError> {
        let Beginning { settings, origin, mut inputs, scores, places } = beginning;
        observer.tell(Event::Begins);
        let text = match &dir {
            Dir::Resumed(dir) => dir.config()?,
            Dir::New(_) => settings.to_toml()?,
        };
        inputs.insert("settings".to_owned(), of_bytes(text.as_bytes()));
        let dir = match dir {
            Dir::Resumed(dir) => {
                check_resumed(&dir, origin, &inputs, observer)?;
                dir
            }
            Dir::New(dir) => {
                let about = About {
                    scores,
                    ..about(origin, &settings.run.device, settings.seed_list(), inputs, places)
                };
                dir.begin(&text, &about)?
            }
        };
        observer.tell(Event::Begun { dir: dir.path() });
        let nth_process = dir.note_process(None, &process(begun, None))?;
        Ok(Self { dir, begun, nth_process })
    }

    /// Notes how long this process has worked on the run, and how much memory it has had.
    ///
    /// # Errors
    /// A directory that cannot be written.
    pub(crate) fn note_costs(&self) -> Result<(), ExperimentError> {
        let noted = process(self.begun, Some(self.begun.elapsed().as_secs_f64()));
        self.dir.note_process(Some(self.nth_process), &noted)?;
        Ok(())
    }
}

/// What is known about this process.
fn process(begun: Instant, wall_s: Option<f64>) -> Process {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).ok();
    Process {
        begun: since_1970.map(|now| now.saturating_sub(begun.elapsed()).as_secs()),
        wall_s,
        peak_mib: peak_mib(),
        cpu: cpu(),
        threads: Some(rayon::current_num_threads()),
    }
}

/// Refuses episodes that do not fit into the policy's context.
///
/// # Errors
/// Names both lengths and the context.
pub fn check_context(settings: &Settings, n_positions: usize) -> Result<(), ExperimentError> {
    let (prompt, response) = (settings.data.prompt_tokens, settings.sampling.max_new_tokens);
    let needed = settings.episode_tokens();
    if needed <= n_positions {
        return Ok(());
    }
    let message = format!(
        "data.prompt_tokens = {prompt} and sampling.max_new_tokens = {response} need {needed} \
         positions, but the policy's context has {n_positions}"
    );
    Err(ExperimentError::refused(message)
        .with_hint("shorten one of them, as in --set data.prompt_tokens=32"))
}

/// Refuses to go on with other models or texts: the arms of one table would not be comparable.
fn check_resumed(
    dir: &RunDir,
    origin: &Origin,
    inputs: &BTreeMap<String, String>,
    observer: &mut dyn Observer,
) -> Result<(), ExperimentError> {
    let begun = dir.about()?;
    let all: BTreeSet<&String> = begun.inputs.keys().chain(inputs.keys()).collect();
    // what has no digests at all is of an older version, and is answered as such
    let differs =
        |name: &&String| begun.inputs.get(*name) != inputs.get(*name) && !begun.inputs.is_empty();
    let others: Vec<&str> = all.into_iter().filter(differs).map(String::as_str).collect();
    let path = dir.path().display();
    if !others.is_empty() {
        let message =
            format!("the run in {path} was begun with other contents of: {}", others.join(", "));
        return Err(ExperimentError::refused(message)
            .with_hint("bring back what it was begun with, or begin a new run"));
    }
    if !begun.inputs.contains_key("settings") {
        let message = format!(
            "the run in {path} was begun by a version that kept no digests ({})",
            begun.version
        );
        return Err(ExperimentError::refused(message).with_hint("begin a new run"));
    }
    if begun.commit != origin.commit {
        let named = |commit: &Option<String>| {
            commit.clone().unwrap_or_else(|| "a source without git".to_owned())
        };
        let (before, now) = (named(&begun.commit), named(&origin.commit));
        observer
            .tell(Event::Warning(&format!("the run was begun by {before}, and goes on by {now}")));
    }
    Ok(())
}

/// What `run.json` says of this process: what it has read with digests, and where that was unless
/// settings say it.
#[must_use]
pub fn about(
    origin: &Origin,
    device: &str,
    seeds: Vec<u64>,
    inputs: BTreeMap<String, String>,
    places: BTreeMap<String, String>,
) -> About {
    About {
        version: origin.version.clone(),
        commit: origin.commit.clone(),
        device: device.to_owned(),
        seeds,
        inputs,
        scores: BTreeMap::new(),
        places,
        negated: Vec::new(),
        program: origin.program.clone(),
        command: origin.command.clone(),
    }
}
