//! The settings of an experiment, section by section. The fields' comments are what
//! `settings --explain` says; each preset says why it has the values it has.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use tailguard_kernels::Precision;
use tailguard_ppo::{PpoConfig, QuarkConfig, SftConfig};
use tailguard_reward::TruncationSide;

use super::arms::ArmSettings;
use super::best_of_n::BestOfNSection;
use super::dexperts::DexpertsSection;
use super::distill::DistillSection;
use super::experiment::ExperimentSection;
use super::interpolate::InterpolateSection;
use super::prompted::PromptedSection;

/// All settings of a run: every key has a value, in its range.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Name of the task.
    pub task: String,
    /// Name of the preset that the settings started from.
    pub preset: String,
    /// Seeds, threads, device.
    pub run: RunSection,
    /// Where texts come from, and what is in them.
    pub data: DataSection,
    /// The language model to start from.
    pub policy: PolicySection,
    /// The model that rewards.
    pub reward: ScorerSection,
    /// A model that judges the policies and trains none of them.
    pub judge: ScorerSection,
    /// How responses are drawn.
    pub sampling: SamplingSection,
    /// Supervised fine-tuning.
    pub sft: SftSection,
    /// PPO.
    pub ppo: PpoConfig,
    /// Quark.
    pub quark: QuarkConfig,
    /// What risk is.
    pub risk: RiskSection,
    /// The best of several responses.
    pub best_of_n: BestOfNSection,
    /// An instruction in front of each prompt.
    pub prompted: PromptedSection,
    /// Expert and anti-expert beside a base model.
    pub dexperts: DexpertsSection,
    /// A policy brought back towards the reference.
    pub interpolate: InterpolateSection,
    /// Distillation of the optimal policy.
    pub distill: DistillSection,
    /// What the policies are compared on.
    pub evaluation: EvaluationSection,
    /// What holds for all arms together.
    pub experiment: ExperimentSection,
    /// The policies that are made and compared.
    pub arm: Vec<ArmSettings>,
}

/// Seeds, threads, device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunSection {
    /// The first seed.
    pub seed: u64,
    /// How many: `seed`, `seed + 1`, ...
    #[schemars(range(min = 1, max = 1000))]
    pub seeds: u64,
    /// Threads; 0 takes one per core. Changes no result.
    pub threads: usize,
    /// `flex` (the CPU), `wgpu[:n]` or `cuda[:n]`.
    pub device: String,
    /// What factors of matrix products are rounded to on a GPU.
    pub precision: PrecisionName,
    /// The arms to make and compare, by their keys; none means all. What they are made from is
    /// made, too.
    pub arms: Vec<String>,
}

/// What the factors of matrix products are rounded to on a GPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PrecisionName {
    /// Not at all, or to TF32 by tensor cores.
    #[default]
    F32,
    /// To bfloat16; weights, sums and everything else stay in single precision.
    Bf16,
}

impl From<PrecisionName> for Precision {
    fn from(name: PrecisionName) -> Self {
        match name {
            PrecisionName::F32 => Self::F32,
            PrecisionName::Bf16 => Self::Bf16,
        }
    }
}

/// A place to look for data, in the order of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DataPlace {
    /// `data.dir`.
    DataDir,
    /// The environment variable `TAILGUARD_DATA`.
    Env,
    /// The Hugging Face cache.
    Cache,
    /// The texts that come with the program.
    Embedded,
}

/// The side of the threshold on which the good class is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GoodSide {
    /// Scores above it.
    High,
    /// Scores of at most it.
    Low,
}

/// Words that a class may be written as.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LabelWords {
    /// Of the good class.
    pub good: Vec<String>,
    /// Of the other class.
    pub bad: Vec<String>,
}

/// A text, or a list of texts.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "its schema alone is used")]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

/// Where texts come from, and what is in them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataSection {
    /// A directory with train and test tables, or folders of texts; empty: none.
    pub dir: String,
    /// Where to look, in this order.
    #[schemars(length(min = 1))]
    pub places: Vec<DataPlace>,
    /// The task's folder in a directory of data.
    pub folder: String,
    /// Datasets of the Hugging Face hub that may be in its cache.
    pub hub: Vec<String>,
    /// Names that a table for all splits may have, without its ending.
    pub whole_tables: Vec<String>,
    /// Names that the column of texts may have; the first that is there counts.
    #[schemars(with = "OneOrMore")]
    pub text_column: Vec<String>,
    /// The rest of a text whose beginning is in `text_column`; empty: none.
    pub continuation_column: String,
    /// Names that the column of the class or score may have; the first that is there counts.
    #[schemars(length(min = 1))]
    pub score_columns: Vec<String>,
    /// Words that the classes may be written as.
    #[schemars(extend("x-table" = true))]
    pub labels: LabelWords,
    /// The side of the threshold on which the good class is.
    pub good: GoodSide,
    /// Between the two classes, as a score.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub threshold: f64,
    /// Texts of the good class are left out until it is at most this share of the training texts,
    /// in percent; 0: none is left out.
    #[schemars(range(max = 99))]
    pub good_percent_train: usize,
    /// The same, of the test texts.
    #[schemars(range(max = 99))]
    pub good_percent_test: usize,
    /// What must be said of the embedded data wherever their figures are shown; empty: nothing.
    pub embedded_notice: String,
    /// Shorter texts are left out, in characters.
    pub min_chars: usize,
    /// Tokens of a prompt: the first of a text.
    #[schemars(range(min = 1))]
    pub prompt_tokens: usize,
}

/// The language model to start from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicySection {
    /// `embedded:NAME`, `hub:OWNER/NAME`, or a Hugging Face directory.
    pub dir: String,
}

/// A label by its number or by its name.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "its schema alone is used")]
enum NumberOrName {
    Number(u64),
    Name(String),
}

/// A model that scores texts: the reward of training, or the judge that training never sees.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScorerSection {
    /// `embedded:NAME`, `hub:OWNER/NAME`, or a Hugging Face directory. The judge's may be empty:
    /// none.
    pub dir: String,
    /// The label whose logit is the score: its number, or a name of the model's `id2label`; empty:
    /// the one that the names speak for.
    #[serde(deserialize_with = "label")]
    #[schemars(with = "NumberOrName")]
    pub label: String,
    /// Whether minus the logit is the score.
    pub negate: bool,
    /// Tokens of a text that are read, the special ones included.
    #[schemars(range(min = 3))]
    pub max_length: usize,
    /// Where longer texts are cut.
    pub truncation_side: Side,
    /// Tokens of a batch, padding included. Changes speed, and results by rounding alone.
    #[schemars(range(min = 1))]
    pub batch_tokens: usize,
}

/// Reads a label that may be written as a number.
fn label<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    match toml::Value::deserialize(deserializer)? {
        toml::Value::String(text) => Ok(text),
        other => Ok(other.to_string()),
    }
}

/// The side on which a text that is too long loses some of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The beginning: the end of a response is always read.
    Left,
    /// The end, as by default in transformers.
    Right,
}

impl From<Side> for TruncationSide {
    fn from(side: Side) -> Self {
        match side {
            Side::Left => Self::Left,
            Side::Right => Self::Right,
        }
    }
}

/// What the end token does in sampling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EndToken {
    /// It ends the response.
    Stop,
    /// It has probability 0, in sampling and in scoring.
    Mask,
}

/// How responses are drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SamplingSection {
    /// Logits are divided by it.
    #[schemars(range(min = 1e-6))]
    pub temperature: f64,
    /// Only so many of the likeliest tokens are drawn from; 0: off.
    pub top_k: usize,
    /// Only the likeliest tokens of so much probability together are drawn from; 1: off.
    #[schemars(range(min = 1e-6, max = 1.0))]
    pub top_p: f64,
    /// Most tokens of a response.
    #[schemars(range(min = 1))]
    pub max_new_tokens: usize,
    /// Fewest tokens of a response.
    pub min_new_tokens: usize,
    /// What the end token does.
    pub end_of_text: EndToken,
    /// Episodes sampled side by side. Changes speed, and results by rounding alone.
    #[schemars(range(min = 1))]
    pub batch_size: usize,
}

/// A class of texts, by the task's `data.good` and `data.threshold`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum TextClass {
    /// Texts as they should be.
    Good,
    /// Texts as they should not be: an anti-expert learns from them.
    Bad,
}

impl TextClass {
    /// What settings and messages call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
        }
    }
}

/// Supervised fine-tuning: how it trains, and on which texts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SftSection {
    /// How it trains.
    #[serde(flatten)]
    pub training: SftConfig,
    /// The class of the training texts that it learns from.
    pub class: TextClass,
    /// Texts are cut to this many tokens.
    #[schemars(range(min = 2))]
    pub text_tokens: usize,
    /// Texts that are not cut end in the end token.
    pub end_token: bool,
}

/// What risk is: the share of the worst episodes that counts, and how training comes to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RiskSection {
    /// Risk level, Eq. 6: the share of the worst episodes.
    #[schemars(extend("exclusiveMinimum" = 0.0, "maximum" = 1.0))]
    pub alpha: f64,
    /// n of Eqs. 8-10: iterations that keep all episodes.
    pub warmup: usize,
    /// rho of Eqs. 8-10: share of the iterations after which alpha is reached.
    #[schemars(extend("exclusiveMinimum" = 0.0, "maximum" = 1.0))]
    pub rho: f64,
}

/// Which held-out prompts the policies are compared on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EvaluationSplit {
    /// Held-out texts: what is reported.
    Test,
    /// A part of the training texts that training leaves out: to choose settings on.
    Validation,
}

impl EvaluationSplit {
    /// What settings and results call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Validation => "validation",
        }
    }
}

/// What the policies are compared on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvaluationSection {
    /// Which held-out prompts.
    pub split: EvaluationSplit,
    /// How many prompts.
    #[schemars(range(min = 1))]
    pub prompts: usize,
    /// Responses to each prompt. With several, the worst of them is reported as well.
    #[schemars(range(min = 1, max = 1000))]
    pub responses: usize,
    /// A prompt whose own score is at most this is in the tail.
    pub tail_threshold: f64,
    /// Further thresholds whose tails are reported.
    pub other_tails: Vec<f64>,
    /// A text fails whose reward is at most one of these; how often that happens is reported.
    pub failure_thresholds: Vec<f64>,
    /// Human texts of the good class, of which the policies' perplexity is taken.
    #[schemars(range(min = 1))]
    pub perplexity_texts: usize,
    /// They are cut to this many characters.
    #[schemars(range(min = 1))]
    pub perplexity_chars: usize,
    /// The arm that the KL of all others is measured to.
    pub reference: String,
    /// Prompts or texts side by side. Changes speed, and results by rounding alone.
    #[schemars(range(min = 1))]
    pub batch_size: usize,
    /// Prompts of the tail shown with all continuations.
    pub shown_samples: usize,
}

impl Settings {
    /// The seeds of the run: `seed`, `seed + 1`, ...
    #[must_use]
    pub fn seed_list(&self) -> Vec<u64> {
        (0..self.run.seeds).map(|offset| self.run.seed.saturating_add(offset)).collect()
    }

    /// Tokens that the policy's context must hold: a prompt and its response.
    #[must_use]
    pub fn episode_tokens(&self) -> usize {
        self.data.prompt_tokens.saturating_add(self.sampling.max_new_tokens)
    }
}
