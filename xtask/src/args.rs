//! The command line as it is typed; `config` turns it into settings.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::task::Task;

/// Fine-tunes language models so that their worst outputs get better, not only their average.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train SFT, RLHF and RA-RLHF policies for a task of the paper and print its table
    Reproduce(ReproduceArgs),
    /// Train with the settings of one TOML file
    Train(TrainArgs),
    /// Train the models that are embedded in datasets/
    #[command(subcommand)]
    Pretrain(PretrainCommand),
    /// Run every check that a change has to pass
    Ci(CiArgs),
}

/// `reproduce`.
#[derive(Debug, Args)]
pub(crate) struct ReproduceArgs {
    /// The experiment
    pub(crate) task: Task,
    /// The settings to start from [default: embedded]
    #[arg(long)]
    pub(crate) preset: Option<PresetName>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// `train`.
#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// What `reproduce` and `train` share.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct RunArgs {
    /// TOML file with settings that replace the preset's
    #[arg(long, value_name = "FILE")]
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
    /// `flex`, `wgpu[:n]` or `cuda[:n]` [run.device]
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Option<String>,
    /// Hugging Face directory of the GPT-2 to start from [policy.dir]
    #[arg(long, value_name = "DIR")]
    pub(crate) policy: Option<PathBuf>,
    /// Hugging Face directory of the classifier that rewards [reward.dir]
    #[arg(long, value_name = "DIR")]
    pub(crate) reward: Option<PathBuf>,
    /// Directory with the task's data [data.dir]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Run directory [default: runs/TASK-PRESET-N]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Go on with the run in --out
    #[arg(long, requires = "out")]
    pub(crate) resume: bool,
}

/// Names of the presets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PresetName {
    /// The models and reviews in datasets/: no network, no GPU, some minutes
    Embedded,
    /// A run of seconds that shows that everything works; its figures mean nothing
    Smoke,
    /// The paper's models, data and settings; wants a GPU
    Paper,
}

impl PresetName {
    /// As it is typed.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Smoke => "smoke",
            Self::Paper => "paper",
        }
    }
}

/// `pretrain`.
#[derive(Debug, Subcommand)]
pub(crate) enum PretrainCommand {
    /// Train the byte-level BPE tokenizer of the language model
    Tokenizer(TokenizerArgs),
    /// Train the small GPT-2 on the training reviews
    Lm(LmArgs),
    /// Train the small DistilBERT sentiment classifier on the training reviews
    Classifier(ClassifierArgs),
}

/// What all of `pretrain` share.
#[derive(Debug, Args)]
pub(crate) struct PretrainArgs {
    /// Hugging Face directory to write
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Directory with the reviews, train and test; without it, the embedded ones
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Seed of initial weights and order
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Threads; 0 takes one per core
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) threads: usize,
    /// `flex`, `wgpu[:n]` or `cuda[:n]`
    #[arg(long, value_name = "DEVICE", default_value = "flex")]
    pub(crate) device: String,
}

/// `pretrain tokenizer`.
#[derive(Debug, Args)]
pub(crate) struct TokenizerArgs {
    #[command(flatten)]
    pub(crate) common: PretrainArgs,
    /// Entries of the vocabulary, the end token included
    #[arg(long, value_name = "N", default_value_t = 4096)]
    pub(crate) vocab_size: usize,
}

/// `pretrain lm`.
#[derive(Debug, Args)]
pub(crate) struct LmArgs {
    #[command(flatten)]
    pub(crate) common: PretrainArgs,
    /// More texts to learn from: a Parquet, CSV or JSONL file with a column `text`
    #[arg(long, value_name = "FILE")]
    pub(crate) extra: Option<PathBuf>,
    /// A model to start from, with its tokenizer.json in the directory to write
    #[arg(long, value_name = "DIR")]
    pub(crate) from: Option<PathBuf>,
    /// Entries of the vocabulary, where the tokenizer has to be trained first
    #[arg(long, value_name = "N", default_value_t = 4096)]
    pub(crate) vocab_size: usize,
    /// Blocks
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub(crate) layers: usize,
    /// Width of the residual stream
    #[arg(long, value_name = "N", default_value_t = 192)]
    pub(crate) width: usize,
    /// Attention heads; must divide the width
    #[arg(long, value_name = "N", default_value_t = 6)]
    pub(crate) heads: usize,
    /// Longest text, in tokens
    #[arg(long, value_name = "N", default_value_t = 128)]
    pub(crate) context: usize,
    /// Optimizer steps
    #[arg(long, value_name = "N", default_value_t = 12_000)]
    pub(crate) steps: u64,
    /// Windows of a step
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub(crate) batch_size: usize,
    /// Highest learning rate
    #[arg(long, value_name = "RATE", default_value_t = 1e-3)]
    pub(crate) learning_rate: f64,
    /// Steps between checkpoints; a run that was stopped goes on from the last one
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub(crate) save_every: u64,
}

/// `pretrain classifier`.
#[derive(Debug, Args)]
pub(crate) struct ClassifierArgs {
    #[command(flatten)]
    pub(crate) common: PretrainArgs,
    /// Passes over the training reviews
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) epochs: usize,
}

/// `ci`.
#[derive(Debug, Args)]
pub(crate) struct CiArgs {
    /// Run these steps alone; `--only help` lists them
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Leave these steps out
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    pub(crate) skip: Vec<String>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn resume_needs_the_directory_to_resume() {
        assert!(Cli::try_parse_from(["xtask", "reproduce", "imdb", "--resume"]).is_err());
        assert!(Cli::try_parse_from(["xtask", "reproduce", "imdb", "--resume", "--out", "runs/1"]).is_ok());
    }

    #[test]
    fn an_unknown_flag_is_answered_with_the_nearest_one() {
        let error = Cli::try_parse_from(["xtask", "reproduce", "imdb", "--sead", "1"]).unwrap_err();
        assert!(error.to_string().contains("'--seed'"), "{error}");
        assert_eq!(error.exit_code(), 2);
    }
}
