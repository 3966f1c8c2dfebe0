//! The command line as it is typed; `config` turns it into settings.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use tailguard_data::Half;
use tailguard_reward::{Label, NgramUnit};

use crate::bench::args::BenchCommand;
use crate::evaluate::args::EvaluateArgs;
use crate::sample::SampleArgs;
use crate::task::{self, Task};

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
    /// Judge generated texts of any tool, or a model on a task's prompts
    Evaluate(EvaluateArgs),
    /// Continue a prompt in the terminal
    Sample(SampleArgs),
    /// Write the page of each run, report.html, anew
    Report(ReportArgs),
    /// Put several runs side by side: a table, and a page
    Compare(CompareArgs),
    /// Train the models that are embedded in datasets/
    #[command(subcommand)]
    Pretrain(PretrainCommand),
    /// Time PPO iterations and their parts, and compare with PyTorch and TRL
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Run every check that a change has to pass
    Ci(CiArgs),
}

/// `reproduce`.
#[derive(Debug, Args)]
pub(crate) struct ReproduceArgs {
    /// The experiment
    #[arg(value_parser = task::parser())]
    pub(crate) task: &'static Task,
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
    /// `flex` (the CPU), `wgpu[:n]` or `cuda[:n]` [run.device]
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Option<String>,
    /// Hugging Face directory of the GPT-2 to start from [policy.dir]
    #[arg(long, value_name = "DIR")]
    pub(crate) policy: Option<PathBuf>,
    /// Hugging Face directory of the classifier that rewards [reward.dir]
    #[arg(long, value_name = "DIR")]
    pub(crate) reward: Option<PathBuf>,
    /// Directory of the scorer that judges the policies and trains none of them [judge.dir]
    #[arg(long, value_name = "DIR")]
    pub(crate) judge: Option<PathBuf>,
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

/// `report`.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Run directories
    #[arg(value_name = "RUN", required = true)]
    pub(crate) runs: Vec<PathBuf>,
}

/// `compare`.
#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// Run directories, two or more
    #[arg(value_name = "RUN", required = true, num_args = 2..)]
    pub(crate) runs: Vec<PathBuf>,
    /// The page to write
    #[arg(long, value_name = "FILE", default_value = "compare.html")]
    pub(crate) out: PathBuf,
    /// Compare runs that are not on the same prompts, and say so
    #[arg(long)]
    pub(crate) allow_different_prompts: bool,
}

/// Names of the presets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PresetName {
    /// The models and texts in datasets/: no network, no GPU, some minutes
    Embedded,
    /// A run of seconds that shows that everything works; its figures mean nothing
    Smoke,
    /// The paper's models, data and settings; wants a GPU
    Paper,
}

impl PresetName {
    /// The preset of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::value_variants().iter().copied().find(|preset| preset.name() == name)
    }

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
    /// Train a small GPT-2 on the training reviews or on any texts
    Lm(LmArgs),
    /// Train a small DistilBERT or BERT classifier on the training reviews or on any labelled texts
    Classifier(ClassifierArgs),
    /// Train a linear model over hashed n-grams, to judge texts that a classifier has rewarded
    Judge(JudgeArgs),
    /// Draw prompts from a language model, where the texts that it learned from may not be passed on
    Prompts(PromptsArgs),
}

/// What all of `pretrain` share.
#[derive(Debug, Args)]
pub(crate) struct PretrainArgs {
    /// Directory to write: a Hugging Face model, or the tables of `prompts`
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Directory with the reviews, train and test, where no other texts are named; without it, the embedded ones
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Seed of initial weights, order and draws
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Threads; 0 takes one per core
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) threads: usize,
    /// `flex` (the CPU), `wgpu[:n]` or `cuda[:n]`
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

/// The texts to learn from and to measure on.
#[derive(Debug, Args)]
pub(crate) struct TextFiles {
    /// Parquet, CSV or JSONL file of texts to learn from; without it, the reviews
    #[arg(long, value_name = "FILE", requires = "test")]
    pub(crate) train: Option<PathBuf>,
    /// File of texts to measure on
    #[arg(long, value_name = "FILE", requires = "train")]
    pub(crate) test: Option<PathBuf>,
    /// Column of the texts in both files
    #[arg(long, value_name = "COLUMN", default_value = "text")]
    pub(crate) text_column: String,
}

/// `pretrain lm`.
#[derive(Debug, Args)]
pub(crate) struct LmArgs {
    #[command(flatten)]
    pub(crate) common: PretrainArgs,
    #[command(flatten)]
    pub(crate) files: TextFiles,
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

/// `pretrain prompts`.
#[derive(Debug, Args)]
pub(crate) struct PromptsArgs {
    #[command(flatten)]
    pub(crate) common: PretrainArgs,
    /// Hugging Face directory of the language model
    #[arg(long, value_name = "DIR")]
    pub(crate) policy: PathBuf,
    /// Directory of the scorer that tells good texts (above 0) from bad ones
    #[arg(long, value_name = "DIR")]
    pub(crate) reward: PathBuf,
    /// The label whose logit is the score, by number or by its name in id2label [default: the only one; of two the one that the names
    /// speak for, or 1]
    #[arg(long, value_name = "LABEL")]
    pub(crate) label: Option<Label>,
    /// Take minus the logit, for a label of something bad
    #[arg(long)]
    pub(crate) negate: bool,
    /// File of texts of which no eight tokens in a row may be repeated; may be repeated itself
    #[arg(long, value_name = "FILE")]
    pub(crate) forbid: Vec<PathBuf>,
    /// Column of the forbidden texts
    #[arg(long, value_name = "COLUMN", default_value = "text")]
    pub(crate) forbid_column: String,
    /// File of texts that are taken before any is drawn, unless they repeat a forbidden one or each other's beginning
    #[arg(long, value_name = "FILE")]
    pub(crate) add: Option<PathBuf>,
    /// Column of the added texts
    #[arg(long, value_name = "COLUMN", default_value = "text")]
    pub(crate) add_column: String,
    /// Column of the texts that are written; "prompt.text" makes an object of each line
    #[arg(long, value_name = "COLUMN", default_value = "text")]
    pub(crate) text_column: String,
    /// Column of what follows the first --prompt-tokens tokens of a text; without it, texts are written whole
    #[arg(long, value_name = "COLUMN")]
    pub(crate) continuation_column: Option<String>,
    /// Tokens of a text before its continuation
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub(crate) prompt_tokens: usize,
    /// Column of the labels that are written: 1 for bad texts
    #[arg(long, value_name = "COLUMN", default_value = "label")]
    pub(crate) label_column: String,
    /// Good and bad texts for training
    #[arg(long, value_names = ["GOOD", "BAD"], num_args = 2, default_values_t = [5_600, 2_400])]
    pub(crate) train: Vec<usize>,
    /// Good and bad texts for evaluation
    #[arg(long, value_names = ["GOOD", "BAD"], num_args = 2, default_values_t = [1_000, 1_000])]
    pub(crate) test: Vec<usize>,
    /// Longest text, in tokens
    #[arg(long, value_name = "N", default_value_t = 48)]
    pub(crate) tokens: usize,
    /// Shortest text that is drawn, in tokens
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub(crate) min_tokens: usize,
    /// Shortest text, drawn or added, in characters
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) min_chars: usize,
}

/// The labelled texts of `pretrain classifier` and `pretrain judge`.
#[derive(Debug, Args)]
pub(crate) struct LabelledArgs {
    #[command(flatten)]
    pub(crate) files: TextFiles,
    /// Column of the labels in both files: 0 or 1
    #[arg(long, value_name = "COLUMN", default_value = "label")]
    pub(crate) label_column: String,
    /// Names of the labels 0 and 1
    #[arg(long, value_name = "NAME", num_args = 2, action = ArgAction::Set, default_values = ["NEGATIVE", "POSITIVE"])]
    pub(crate) label_names: Vec<String>,
    /// Learn from this half of the training texts alone; which half a text is in depends on the text alone
    #[arg(long, value_name = "HALF")]
    pub(crate) half: Option<HalfName>,
}

/// The halves of the training texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum HalfName {
    /// Texts with an even FNV-1a hash
    First,
    /// Texts with an odd FNV-1a hash
    Second,
}

impl From<HalfName> for Half {
    fn from(name: HalfName) -> Self {
        match name {
            HalfName::First => Self::First,
            HalfName::Second => Self::Second,
        }
    }
}

/// `pretrain classifier`.
#[derive(Debug, Args)]
pub(crate) struct ClassifierArgs {
    #[command(flatten)]
    pub(crate) common: PretrainArgs,
    #[command(flatten)]
    pub(crate) labelled: LabelledArgs,
    /// Shape of the model
    #[arg(long, value_name = "NAME", default_value = "distilbert")]
    pub(crate) architecture: ArchitectureName,
    /// Passes over the training texts
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) epochs: usize,
}

/// Shapes of a classifier that can be trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ArchitectureName {
    /// DistilBERT
    Distilbert,
    /// BERT
    Bert,
}

/// `pretrain judge`.
#[derive(Debug, Args)]
pub(crate) struct JudgeArgs {
    #[command(flatten)]
    pub(crate) common: PretrainArgs,
    #[command(flatten)]
    pub(crate) labelled: LabelledArgs,
    /// What n-grams are made of
    #[arg(long, value_name = "UNIT", default_value = "word")]
    pub(crate) unit: UnitName,
    /// Pieces of the shortest n-grams
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) min_n: usize,
    /// Pieces of the longest n-grams
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub(crate) max_n: usize,
    /// Weights; a power of two
    #[arg(long, value_name = "N", default_value_t = 1 << 18)]
    pub(crate) buckets: usize,
    /// Passes over the training texts
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) epochs: usize,
    /// Length of a weight's first step
    #[arg(long, value_name = "RATE", default_value_t = 0.5)]
    pub(crate) learning_rate: f64,
    /// Share of a weight that is added to its gradient
    #[arg(long, value_name = "SHARE", default_value_t = 1e-5)]
    pub(crate) l2: f64,
    /// Measure also on this many characters of each test text; may be repeated
    #[arg(long = "cut", value_name = "N")]
    pub(crate) cuts: Vec<usize>,
}

/// What n-grams are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum UnitName {
    /// Words, without punctuation
    Word,
    /// Characters, punctuation and single spaces included
    Character,
}

impl From<UnitName> for NgramUnit {
    fn from(name: UnitName) -> Self {
        match name {
            UnitName::Word => Self::Word,
            UnitName::Character => Self::Character,
        }
    }
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
    fn texts_to_learn_from_need_texts_to_measure_on() {
        let judge = |words: &[&str]| Cli::try_parse_from([&["xtask", "pretrain", "judge", "--out", "judge"], words].concat());
        assert!(judge(&[]).is_ok());
        assert!(judge(&["--train", "a.csv", "--test", "b.csv", "--label-names", "CLEAN", "TOXIC", "--half", "second"]).is_ok());
        for words in [
            &["--train", "a.csv"][..],
            &["--test", "b.csv"],
            &["--half", "third"],
            &["--label-names", "ONE"],
            &["--label-names", "A", "B", "C"],
        ] {
            assert!(judge(words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn an_unknown_flag_is_answered_with_the_nearest_one() {
        let error = Cli::try_parse_from(["xtask", "reproduce", "imdb", "--sead", "1"]).unwrap_err();
        assert!(error.to_string().contains("'--seed'"), "{error}");
        assert_eq!(error.exit_code(), 2);
    }
}
