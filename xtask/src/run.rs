//! From the command line to an open run: settings, run directory, threads, device.

use std::collections::BTreeMap;
use std::env;
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use burn::tensor::Device;
use tailguard_report::{About, NewRunDir, Process, ReportError, RunDir, ScoreAbout};

use crate::args::{PresetName, RunArgs};
use crate::bench::machine;
use crate::config::{self, RunConfig};
use crate::experiment::digests;
use crate::failure::Failure;
use crate::models::{self, ModelDirs};
use crate::task::Task;
use crate::{device, interrupt};

/// Where runs go when `--out` is not given.
const RUNS: &str = "runs";

/// A run whose settings are sound and whose directory is reserved. Dropped, it leaves nothing behind.
pub(crate) struct Prepared {
    pub(crate) config: RunConfig,
    pub(crate) models: ModelDirs,
    pub(crate) device: Device,
    dir: Dir,
    begun: Instant,
}

enum Dir {
    New(NewRunDir),
    Resumed(RunDir),
}

/// A run that may begin, or go on.
pub(crate) struct Run {
    pub(crate) config: RunConfig,
    pub(crate) device: Device,
    pub(crate) dir: RunDir,
    /// When this process began to work on it, and its place among those that did.
    begun: Instant,
    nth_process: usize,
}

/// Resolves the settings, fixes the number of threads, reserves the run directory, finds device and models.
///
/// # Errors
/// Settings that make no sense, a device or a model that is not there, a directory that cannot be written, that holds
/// something already, or that holds no run to resume.
pub(crate) fn prepare(task: Option<&'static Task>, preset: Option<PresetName>, args: &RunArgs) -> Result<Prepared> {
    let begun = Instant::now();
    let resumed = args.out.as_ref().filter(|_| args.resume).map(|out| RunDir::open(out)).transpose()?;
    for path in resumed.iter().flat_map(RunDir::recovered) {
        tracing::info!("removed {}, which was being written when the run was killed", path.display());
    }
    let recorded = resumed.as_ref().map(|dir| Ok::<_, ReportError>((dir.config_path(), dir.config()?))).transpose()?;
    let recorded = recorded.as_ref().map(|(path, text)| (path.as_path(), text.as_str()));
    let config = config::resolve(task, preset, args, recorded)?;
    device::set_threads(config.run.threads)?;
    let device = device::select(&config.run.device)?;
    tailguard_kernels::set_precision(config.run.precision.into());
    let dir = match (resumed, &args.out) {
        (Some(dir), _) => Dir::Resumed(dir),
        (None, Some(out)) => Dir::New(NewRunDir::reserve(out).map_err(resumable)?),
        (None, None) => Dir::New(NewRunDir::reserve_numbered(Path::new(RUNS), &format!("{}-{}", config.task, config.preset))?),
    };
    interrupt::listen(match &dir {
        Dir::New(dir) => Some(dir.traces()),
        Dir::Resumed(_) => None,
    })?;
    let models = models::locate(&config)?;
    Ok(Prepared { config, models, device, dir, begun })
}

/// Adds what to do with a directory that holds a run already.
fn resumable(error: ReportError) -> anyhow::Error {
    match error {
        ReportError::HoldsARun { .. } => Failure::usage(error.to_string()).hint("or continue that run with --resume").into(),
        other => other.into(),
    }
}

impl Prepared {
    /// Begins the run, or goes on with it: from here on Ctrl-C stops it at a safe point. `inputs` are the names and digests of what it has read, `scores` what the scores of its scorers are.
    ///
    /// # Errors
    /// A directory that cannot be written, or a run that was begun with other models, texts or settings.
    pub(crate) fn open(self, mut inputs: BTreeMap<String, String>, scores: BTreeMap<String, ScoreAbout>) -> Result<Run> {
        let Self { config, device, dir, begun, .. } = self;
        interrupt::begun();
        let settings = match &dir {
            Dir::Resumed(dir) => dir.config()?,
            Dir::New(_) => config::to_toml(&config)?,
        };
        inputs.insert("settings".to_owned(), digests::of_bytes(settings.as_bytes()));
        let dir = match dir {
            Dir::Resumed(dir) => {
                check_resumed(&dir, &inputs)?;
                dir
            }
            Dir::New(dir) => {
                let about = About { scores, ..about(&config.run.device, config.seed_list(), inputs, BTreeMap::new()) };
                dir.begin(&settings, &about)?
            }
        };
        tracing::info!("run directory: {}", dir.path().display());
        let nth_process = dir.note_process(None, &process(begun, None))?;
        Ok(Run { config, device, dir, begun, nth_process })
    }
}

impl Run {
    /// Notes how long this process has worked on the run, and how much memory it has had.
    ///
    /// # Errors
    /// A directory that cannot be written.
    pub(crate) fn note_costs(&self) -> Result<()> {
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
        peak_mib: machine::peak_rss_mib(),
        cpu: machine::cpu(),
        threads: Some(rayon::current_num_threads()),
    }
}

/// Refuses episodes that do not fit into the policy's context.
///
/// # Errors
/// Names both lengths and the context.
pub(crate) fn check_context(config: &RunConfig, n_positions: usize) -> Result<(), Failure> {
    let (prompt, response) = (config.data.prompt_tokens, config.sampling.max_new_tokens);
    if config.episode_tokens() <= n_positions {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "data.prompt_tokens = {prompt} and sampling.max_new_tokens = {response} need {} positions, but the policy's context has {n_positions}",
        config.episode_tokens()
    ))
    .hint("shorten one of them, as in --set data.prompt_tokens=32"))
}

/// The line that continues a run.
pub(crate) fn resume_command(config: &RunConfig, dir: &Path) -> String {
    // the preset of another task is known to `train` alone
    let of_task = Task::named(&config.task).filter(|_| !config.preset.contains('-'));
    let begun = of_task.map_or("train".to_owned(), |task| format!("reproduce {}", task.name));
    format!("cargo xtask {begun} --out {} --resume", dir.display())
}

/// Refuses to go on with other models or texts: the methods of one table would not be comparable.
fn check_resumed(dir: &RunDir, inputs: &BTreeMap<String, String>) -> Result<()> {
    let begun = dir.about()?;
    let differs = |(name, digest): (&String, &String)| (inputs.get(name) != Some(digest)).then(|| name.clone());
    let others: Vec<String> = begun.inputs.iter().filter_map(differs).collect();
    if !others.is_empty() {
        let message = format!("the run in {} was begun with other contents of: {}", dir.path().display(), others.join(", "));
        return Err(Failure::usage(message).hint("bring back what it was begun with, or begin a new run").into());
    }
    if !begun.inputs.contains_key("settings") {
        let message =
            format!("the run in {} was begun by a version that kept no digests ({})", dir.path().display(), begun.version);
        return Err(Failure::usage(message).hint("begin a new run").into());
    }
    if begun.commit != commit() {
        let named = |commit: Option<String>| commit.unwrap_or_else(|| "a source without git".to_owned());
        tracing::warn!("the run was begun by {}, and goes on by {}", named(begun.commit), named(commit()));
    }
    Ok(())
}

/// What `run.json` says of this process: what it has read with digests, and where that was unless settings say it.
pub(crate) fn about(device: &str, seeds: Vec<u64>, inputs: BTreeMap<String, String>, places: BTreeMap<String, String>) -> About {
    About {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: commit(),
        device: device.to_owned(),
        seeds,
        inputs,
        scores: BTreeMap::new(),
        places,
        negated: Vec::new(),
        command: env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect(),
    }
}

/// The commit that this program was built from, with `+` if its source had changes; `None` outside git. `build.rs` finds it.
fn commit() -> Option<String> {
    option_env!("TAILGUARD_COMMIT").map(str::to_owned)
}
