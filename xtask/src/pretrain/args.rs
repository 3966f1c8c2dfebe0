//! The command line of `cargo xtask pretrain`.

use std::path::PathBuf;

use clap::{ArgAction, Args, Subcommand, ValueEnum};
use tailguard::failure::Failure;
use tailguard::typed;
use tailguard_data::{Half, half, half_by_parity};
use tailguard_experiment::settings::PrecisionName;
use tailguard_pretrain::Architecture;
use tailguard_reward::{Label, NgramUnit};

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
    /// Draw prompts from a language model, where the texts that it learned from may not be passed
    /// on
    Prompts(PromptsArgs),
}

/// What all of `pretrain` share.
#[derive(Debug, Args)]
pub(crate) struct PretrainArgs {
    /// Directory to write: a Hugging Face model, or the tables of `prompts`
    #[arg(long, value_name = "DIR", value_parser = typed::path())]
    pub(crate) out: PathBuf,
    /// Threads; 0 takes one per core
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) threads: usize,
}

/// What those share that train or ask a network.
#[derive(Debug, Args)]
pub(crate) struct NetworkArgs {
    /// Seed of initial weights, order and draws
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// `flex` (the CPU), `wgpu[:n]` or `cuda[:n]`
    #[arg(long, value_name = "DEVICE", default_value = "flex")]
    pub(crate) device: String,
    /// What factors of products are rounded to on a GPU
    #[arg(long, value_name = "PRECISION", default_value = "f32", value_parser = typed::precision())]
    pub(crate) precision: PrecisionName,
}

/// `pretrain tokenizer`.
#[derive(Debug, Args)]
pub(crate) struct TokenizerArgs {
    #[command(flatten)]
    pub(crate) common: PretrainArgs,
    /// Directory with the reviews to learn from; without it, the embedded ones
    #[arg(long, value_name = "DIR", value_parser = typed::path())]
    pub(crate) data_dir: Option<PathBuf>,
    /// Entries of the vocabulary, the end token included
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = typed::count())]
    pub(crate) vocab_size: usize,
}

/// The texts to learn from and to measure on.
#[derive(Debug, Args)]
pub(crate) struct TextFiles {
    /// Directory with the reviews, train and test, where no other texts are named; without it, the
    /// embedded ones
    #[arg(long, value_name = "DIR", value_parser = typed::path(), conflicts_with = "train")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Parquet, CSV or JSONL file of texts to learn from; without it, the reviews
    #[arg(long, value_name = "FILE", value_parser = typed::path(), requires = "test")]
    pub(crate) train: Option<PathBuf>,
    /// File of texts to measure on
    #[arg(
        long,
        value_name = "FILE",
        value_parser = typed::path(),
        requires = "train",
        conflicts_with = "data_dir"
    )]
    pub(crate) test: Option<PathBuf>,
    /// Column of the texts in both files
    #[arg(
        long,
        value_name = "COLUMN",
        default_value = "text",
        requires = "train",
        conflicts_with = "data_dir"
    )]
    pub(crate) text_column: String,
}

/// `pretrain lm`.
#[derive(Debug, Args)]
pub(crate) struct LmArgs {
    #[command(flatten)]
    pub(crate) common: PretrainArgs,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    #[command(flatten)]
    pub(crate) files: TextFiles,
    /// More texts to learn from: a Parquet, CSV or JSONL file with a column `text`
    #[arg(long, value_name = "FILE", value_parser = typed::path())]
    pub(crate) extra: Option<PathBuf>,
    /// A model to start from, with its tokenizer.json in the directory to write
    #[arg(long, value_name = "DIR", value_parser = typed::path())]
    pub(crate) from: Option<PathBuf>,
    /// Entries of the vocabulary of a tokenizer that has to be trained first
    /// [default: 4096, or those of the tokenizer.json in --out]
    #[arg(long, value_name = "N", value_parser = typed::count(), conflicts_with = "from")]
    pub(crate) vocab_size: Option<usize>,
    /// Blocks
    #[arg(
        long,
        value_name = "N",
        default_value_t = 4,
        value_parser = typed::count(),
        conflicts_with = "from"
    )]
    pub(crate) layers: usize,
    /// Width of the residual stream
    #[arg(
        long,
        value_name = "N",
        default_value_t = 192,
        value_parser = typed::count(),
        conflicts_with = "from"
    )]
    pub(crate) width: usize,
    /// Attention heads; must divide the width
    #[arg(
        long,
        value_name = "N",
        default_value_t = 6,
        value_parser = typed::count(),
        conflicts_with = "from"
    )]
    pub(crate) heads: usize,
    /// Longest text, in tokens
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = typed::count())]
    pub(crate) context: usize,
    /// Optimizer steps
    #[arg(
        long,
        value_name = "N",
        default_value_t = 12_000,
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    pub(crate) steps: u64,
    /// Windows of a step
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = typed::count())]
    pub(crate) batch_size: usize,
    /// Highest learning rate
    #[arg(long, value_name = "RATE", default_value_t = 1e-3, value_parser = typed::positive)]
    pub(crate) learning_rate: f64,
    /// Steps between checkpoints; a run that was stopped goes on from the last one
    #[arg(
        long,
        value_name = "N",
        default_value_t = 500,
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    pub(crate) save_every: u64,
}

/// `pretrain prompts`.
#[derive(Debug, Args)]
pub(crate) struct PromptsArgs {
    #[command(flatten)]
    pub(crate) common: PretrainArgs,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    /// Hugging Face directory of the language model
    #[arg(long, value_name = "DIR", value_parser = typed::path())]
    pub(crate) policy: PathBuf,
    /// Directory of the scorer that tells good texts (above 0) from bad ones
    #[arg(long, value_name = "DIR", value_parser = typed::path())]
    pub(crate) reward: PathBuf,
    /// The label whose logit is the score, by number or by its name in id2label
    /// [default: the only one; of two the one that the names speak for, or 1]
    #[arg(long, value_name = "LABEL")]
    pub(crate) label: Option<Label>,
    /// Take minus the logit, for a label of something bad
    #[arg(long)]
    pub(crate) negate: bool,
    /// File of texts of which no eight tokens in a row may be repeated; may be repeated itself
    #[arg(long, value_name = "FILE", value_parser = typed::path())]
    pub(crate) forbid: Vec<PathBuf>,
    /// Column of the forbidden texts
    #[arg(long, value_name = "COLUMN", default_value = "text", requires = "forbid")]
    pub(crate) forbid_column: String,
    /// File of texts that are taken before any is drawn, unless they repeat a forbidden one or each
    /// other's beginning
    #[arg(long, value_name = "FILE", value_parser = typed::path())]
    pub(crate) add: Option<PathBuf>,
    /// Column of the added texts
    #[arg(long, value_name = "COLUMN", default_value = "text", requires = "add")]
    pub(crate) add_column: String,
    /// Column of the texts that are written; "prompt.text" makes an object of each line
    #[arg(long, value_name = "COLUMN", default_value = "text")]
    pub(crate) text_column: String,
    /// Column of what follows the first --prompt-tokens tokens of a text; without it, texts are
    /// written whole
    #[arg(long, value_name = "COLUMN")]
    pub(crate) continuation_column: Option<String>,
    /// Tokens of a text before its continuation
    #[arg(long, value_name = "N", default_value_t = 32, requires = "continuation_column")]
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
    #[arg(long, value_name = "N", default_value_t = 48, value_parser = typed::count())]
    pub(crate) tokens: usize,
    /// Shortest text that is drawn, in tokens
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = typed::count())]
    pub(crate) min_tokens: usize,
    /// Shortest text, drawn or added, in characters
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) min_chars: usize,
}

impl PromptsArgs {
    /// Refuses lengths that no text has.
    ///
    /// # Errors
    /// The flags.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let Self { tokens, min_tokens, .. } = self;
        if min_tokens > tokens {
            return Err(Failure::usage(format!(
                "--min-tokens is {min_tokens}, and --tokens {tokens}: expected no more than that"
            )));
        }
        Ok(())
    }
}

/// The labelled texts of `pretrain classifier` and `pretrain judge`.
#[derive(Debug, Args)]
pub(crate) struct LabelledArgs {
    #[command(flatten)]
    pub(crate) files: TextFiles,
    /// Column of the labels in both files: 0 or 1
    #[arg(
        long,
        value_name = "COLUMN",
        default_value = "label",
        requires = "train",
        conflicts_with = "data_dir"
    )]
    pub(crate) label_column: String,
    /// Names of the labels 0 and 1
    #[arg(
        long,
        value_name = "NAME",
        num_args = 2,
        action = ArgAction::Set,
        default_values = ["NEGATIVE", "POSITIVE"]
    )]
    pub(crate) label_names: Vec<String>,
    /// Learn from this half of the training texts alone; which half a text is in depends on the
    /// text alone
    #[arg(long, value_name = "HALF")]
    pub(crate) half: Option<HalfName>,
}

/// The halves of the training texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum HalfName {
    /// Texts whose SHA-256 begins with a bit of 0
    First,
    /// Texts whose SHA-256 begins with a bit of 1
    Second,
    /// Texts with an even FNV-1a hash: what bert-toxicity of datasets/ has learned from
    FirstByParity,
    /// Texts with an odd FNV-1a hash: what judge-toxicity of datasets/ has learned from
    SecondByParity,
}

impl HalfName {
    /// Whether a text is in it.
    pub(crate) fn has(self, text: &str) -> bool {
        match self {
            Self::First => half(text) == Half::First,
            Self::Second => half(text) == Half::Second,
            Self::FirstByParity => half_by_parity(text) == Half::First,
            Self::SecondByParity => half_by_parity(text) == Half::Second,
        }
    }
}

/// `pretrain classifier`.
#[derive(Debug, Args)]
pub(crate) struct ClassifierArgs {
    #[command(flatten)]
    pub(crate) common: PretrainArgs,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    #[command(flatten)]
    pub(crate) labelled: LabelledArgs,
    /// Shape of the model
    #[arg(long, value_name = "NAME", default_value = "distilbert")]
    pub(crate) architecture: ArchitectureName,
    /// Passes over the training texts
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = typed::count())]
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

impl From<ArchitectureName> for Architecture {
    fn from(name: ArchitectureName) -> Self {
        match name {
            ArchitectureName::Distilbert => Self::Distilbert,
            ArchitectureName::Bert => Self::Bert,
        }
    }
}

/// `pretrain judge`.
#[derive(Debug, Args)]
pub(crate) struct JudgeArgs {
    #[command(flatten)]
    pub(crate) common: PretrainArgs,
    /// Seed of the order of the texts
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) labelled: LabelledArgs,
    /// What n-grams are made of
    #[arg(long, value_name = "UNIT", default_value = "word")]
    pub(crate) unit: UnitName,
    /// Pieces of the shortest n-grams
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = typed::count())]
    pub(crate) min_n: usize,
    /// Pieces of the longest n-grams
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = typed::count())]
    pub(crate) max_n: usize,
    /// Weights; a power of two
    #[arg(long, value_name = "N", default_value_t = 1 << 18, value_parser = typed::count())]
    pub(crate) buckets: usize,
    /// Passes over the training texts
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = typed::count())]
    pub(crate) epochs: usize,
    /// Length of a weight's first step
    #[arg(long, value_name = "RATE", default_value_t = 0.5, value_parser = typed::positive)]
    pub(crate) learning_rate: f64,
    /// Share of a weight that is added to its gradient
    #[arg(long, value_name = "SHARE", default_value_t = 1e-5, value_parser = typed::not_negative)]
    pub(crate) l2: f64,
    /// Measure also on this many characters of each test text; may be repeated
    #[arg(long = "cut", value_name = "N", value_parser = typed::count())]
    pub(crate) cuts: Vec<usize>,
}

impl JudgeArgs {
    /// Refuses n-grams of no length.
    ///
    /// # Errors
    /// The flags.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let Self { min_n, max_n, .. } = self;
        if min_n > max_n {
            return Err(Failure::usage(format!(
                "--min-n is {min_n}, and --max-n {max_n}: expected no more than that"
            )));
        }
        Ok(())
    }
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::args::Cli;

    #[test]
    fn texts_to_learn_from_need_texts_to_measure_on() {
        let judge = |words: &[&str]| {
            Cli::try_parse_from([&["xtask", "pretrain", "judge", "--out", "judge"], words].concat())
        };
        assert!(judge(&[]).is_ok());
        assert!(
            judge(&[
                "--train",
                "a.csv",
                "--test",
                "b.csv",
                "--label-names",
                "CLEAN",
                "TOXIC",
                "--half",
                "second"
            ])
            .is_ok()
        );
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
}
