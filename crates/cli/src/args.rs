//! The command line as it is typed; `tailguard-experiment` turns it into settings.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use tailguard_experiment::settings::{ConfigError, Overrides, PrecisionName, Preset, TASKS, Task};
use tailguard_kernels::Precision;
use toml::Value;

use crate::evaluate::args::EvaluateArgs;
use crate::failure::Failure;
use crate::options::{Options, Uses};
use crate::program::Program;
use crate::sample::{self, SampleArgs};
use crate::settings::SettingsArgs;
use crate::shell::{self, CompletionsArgs, ManArgs};
use crate::{compare, evaluate, report, reproduce, settings, terminal, train, typed};

/// Fine-tunes language models so that their worst outputs get better, not only their average.
#[derive(Debug, Parser)]
#[command(name = "tailguard", version, max_term_width = 110)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// What is said beside it.
    #[command(flatten)]
    pub options: Options,
}

/// The commands of the program.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train SFT, RLHF and RA-RLHF policies for a task of the paper and print its table
    Reproduce(ReproduceArgs),
    /// Train with the settings of one TOML file
    Train(TrainArgs),
    /// Judge generated texts of any tool, or a model on a task's prompts
    Evaluate(Box<EvaluateArgs>),
    /// Continue a prompt in the terminal
    Sample(SampleArgs),
    /// Say what every setting means, what it may be, and what a preset sets it to
    Settings(SettingsArgs),
    /// Write the page of each run, report.html, anew
    Report(ReportArgs),
    /// Put several runs side by side: a table, and a page
    Compare(CompareArgs),
    /// Print what a shell needs to complete commands and flags
    Completions(CompletionsArgs),
    /// Print the page of the program for `man`, or write one for each command
    Man(ManArgs),
}

impl Command {
    /// Refuses what clap cannot know to be wrong, before anything is read or written.
    ///
    /// # Errors
    /// The flags, and what is wrong with them.
    pub fn check(&self, program: &Program) -> Result<(), Failure> {
        program.options().check(self.uses())?;
        match self {
            Self::Train(args) => train::check(args, program),
            Self::Evaluate(args) => args.check(),
            Self::Sample(args) => sample::check(args),
            Self::Report(ReportArgs { runs }) | Self::Compare(CompareArgs { runs, .. }) => named_once(runs),
            Self::Settings(args) => settings::check(args, program),
            Self::Reproduce(_) | Self::Completions(_) | Self::Man(_) => Ok(()),
        }
    }

    /// The options that it has a use for.
    fn uses(&self) -> Uses {
        match self {
            Self::Reproduce(_) | Self::Train(_) | Self::Evaluate(_) | Self::Sample(_) => Uses { home: true, json: true },
            Self::Settings(_) | Self::Report(_) | Self::Compare(_) => Uses { home: false, json: true },
            Self::Completions(_) | Self::Man(_) => Uses::default(),
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// Those of each command.
    pub fn run(&self, program: &Program) -> Result<()> {
        match self {
            Self::Reproduce(args) => reproduce::run(args, program),
            Self::Train(args) => train::run(args, program),
            Self::Evaluate(args) => evaluate::run(args, program),
            Self::Sample(args) => sample::run(args, program),
            Self::Settings(args) => settings::run(args, program),
            Self::Report(args) => report::run(args, program),
            Self::Compare(args) => compare::run(args, program),
            Self::Completions(args) => shell::completions(args),
            Self::Man(args) => shell::man(args),
        }
    }

    /// Whether it trains, which needs memory over and over.
    #[must_use]
    pub fn trains(&self) -> bool {
        matches!(self, Self::Reproduce(_) | Self::Train(_))
    }
}

/// The command line that the program was called with. What is none, and what asks for help, is answered in the colours that it asks for,
/// and is the end of the program.
#[must_use]
pub fn parse<C: Parser>() -> C {
    let words: Vec<OsString> = env::args_os().collect();
    let mut command = C::command().color(terminal::choice_in(&words));
    // prints help (0) or the mistake (2)
    let matches = command.try_get_matches_from_mut(words).unwrap_or_else(|error| error.exit());
    C::from_arg_matches(&matches).unwrap_or_else(|error| error.format(&mut command).exit())
}

/// Refuses a run that is named twice.
fn named_once(runs: &[PathBuf]) -> Result<(), Failure> {
    match runs.iter().enumerate().find(|(place, run)| runs[..*place].contains(run)) {
        Some((_, run)) => Err(Failure::usage(format!("{} is named twice", run.display()))),
        None => Ok(()),
    }
}

/// `reproduce`.
#[derive(Debug, Args)]
pub struct ReproduceArgs {
    /// The experiment
    #[arg(value_parser = task_parser())]
    pub(crate) task: &'static Task,
    /// The settings to start from [default: embedded]
    #[arg(long, value_parser = preset_parser())]
    pub(crate) preset: Option<Preset>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// `train`.
#[derive(Debug, Args)]
pub struct TrainArgs {
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// What `reproduce` and `train` share.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct RunArgs {
    /// TOML file with settings that replace the preset's
    #[arg(long, value_name = "FILE", value_parser = typed::path())]
    pub(crate) config: Option<PathBuf>,
    /// One setting that replaces the preset's and the file's, such as ppo.learning_rate=3e-5; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// First seed [run.seed]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Number of seeds: seed, seed + 1, ... [run.seeds]
    #[arg(long, value_name = "N")]
    pub(crate) seeds: Option<u64>,
    /// Threads; 0 takes one per core [run.threads]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<u64>,
    /// `flex` (the CPU), `wgpu[:n]` or `cuda[:n]` [run.device]
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Option<String>,
    /// What factors of products are rounded to on a GPU: f32 (TF32 by tensor cores) or bf16 [run.precision]
    #[arg(long, value_name = "PRECISION", value_parser = typed::precision())]
    pub(crate) precision: Option<PrecisionName>,
    /// Hugging Face directory of the GPT-2 to start from [policy.dir]
    #[arg(long, value_name = "DIR", value_parser = typed::path())]
    pub(crate) policy: Option<PathBuf>,
    /// Hugging Face directory of the classifier that rewards [reward.dir]
    #[arg(long, value_name = "DIR", value_parser = typed::path())]
    pub(crate) reward: Option<PathBuf>,
    /// Directory of the scorer that judges the policies and trains none of them [judge.dir]
    #[arg(long, value_name = "DIR", value_parser = typed::path())]
    pub(crate) judge: Option<PathBuf>,
    /// Directory with the task's data [data.dir]
    #[arg(long, value_name = "DIR", value_parser = typed::path())]
    pub(crate) data_dir: Option<PathBuf>,
    /// The arms to make and compare, by their keys [default: all of the settings] [run.arms]
    #[arg(long, value_name = "KEY", value_delimiter = ',')]
    pub(crate) arms: Vec<String>,
    /// Run directory [default: runs/TASK-PRESET-N in the home]
    #[arg(long, value_name = "DIR", value_parser = typed::path())]
    pub(crate) out: Option<PathBuf>,
    /// Go on with the run in --out
    #[arg(long, requires = "out")]
    pub(crate) resume: bool,
}

/// `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Run directories
    #[arg(value_name = "RUN", required = true, value_parser = typed::path())]
    pub(crate) runs: Vec<PathBuf>,
}

/// `compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// Run directories, two or more
    #[arg(value_name = "RUN", required = true, num_args = 2.., value_parser = typed::path())]
    pub(crate) runs: Vec<PathBuf>,
    /// The page to write
    #[arg(long, value_name = "FILE", default_value = "compare.html", value_parser = typed::path())]
    pub(crate) out: PathBuf,
    /// Compare runs that are not on the same prompts, and say so
    #[arg(long)]
    pub(crate) allow_different_prompts: bool,
}

impl RunArgs {
    /// What is set by flags and files, over a preset.
    ///
    /// # Errors
    /// A path that is no UTF-8.
    pub(crate) fn overrides(&self) -> Result<Overrides, ConfigError> {
        // a count that TOML cannot hold is out of every range, as a negative one is
        let count = |count: u64| Value::Integer(i64::try_from(count).unwrap_or(-1));
        let values = [
            ("--seed", "run.seed", self.seed.map(count)),
            ("--seeds", "run.seeds", self.seeds.map(count)),
            ("--threads", "run.threads", self.threads.map(count)),
            ("--device", "run.device", self.device.clone().map(Value::String)),
            ("--precision", "run.precision", self.precision.map(|name| Value::String(Precision::from(name).name().to_owned()))),
            (
                "--arms",
                "run.arms",
                (!self.arms.is_empty()).then(|| Value::Array(self.arms.iter().cloned().map(Value::String).collect())),
            ),
        ];
        let paths = [
            ("--policy", "policy.dir", &self.policy),
            ("--reward", "reward.dir", &self.reward),
            ("--judge", "judge.dir", &self.judge),
            ("--data-dir", "data.dir", &self.data_dir),
        ];
        let mut overrides = Overrides { file: self.config.clone(), assignments: self.set.clone(), ..Overrides::default() };
        overrides.flags.extend(values.into_iter().filter_map(|(flag, key, value)| Some((flag, key, value?))));
        for (flag, key, path) in paths {
            if let Some(path) = path {
                overrides.put_path(flag, key, path)?;
            }
        }
        Ok(overrides)
    }
}

/// Reads a task from the command line.
pub(crate) fn task_parser() -> impl TypedValueParser<Value = &'static Task> {
    let values = TASKS.iter().map(|task| PossibleValue::new(task.name).help(task.about));
    PossibleValuesParser::new(values).try_map(|name| Task::named(&name).ok_or("not a task"))
}

/// Reads a preset from the command line.
pub(crate) fn preset_parser() -> impl TypedValueParser<Value = Preset> {
    let about = |preset: Preset| match preset {
        Preset::Embedded => "The models and texts in datasets/: no network, no GPU, some minutes",
        Preset::Smoke => "A run of seconds that shows that everything works; its figures mean nothing",
        Preset::Paper => "The paper's models, data and settings; wants a GPU",
    };
    let values = Preset::ALL.map(|preset| PossibleValue::new(preset.name()).help(about(preset)));
    PossibleValuesParser::new(values).try_map(|name| Preset::named(&name).ok_or("not a preset"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn program() -> Program {
        Program::tailguard(Options::default())
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn resume_needs_the_directory_to_resume() {
        assert!(Cli::try_parse_from(["tailguard", "reproduce", "imdb", "--resume"]).is_err());
        assert!(Cli::try_parse_from(["tailguard", "reproduce", "imdb", "--resume", "--out", "runs/1"]).is_ok());
    }

    #[test]
    fn a_run_is_named_once() {
        for command in ["report", "compare"] {
            let check = |runs: [&str; 3]| {
                Cli::try_parse_from([&["tailguard", command], &runs[..]].concat()).unwrap().command.check(&program())
            };
            assert!(check(["a", "b", "c"]).is_ok());
            assert_eq!(check(["a", "b", "a/"]).unwrap_err().to_string(), "a/ is named twice");
        }
    }

    #[test]
    fn an_unknown_flag_is_answered_with_the_nearest_one() {
        let error = Cli::try_parse_from(["tailguard", "reproduce", "imdb", "--sead", "1"]).unwrap_err();
        assert!(error.to_string().contains("'--seed'"), "{error}");
        assert_eq!(error.exit_code(), 2);
    }
}
