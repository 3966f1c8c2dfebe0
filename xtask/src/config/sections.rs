//! The settings of a run, section by section. Ranges stand in `keys`, explanations in the presets.

use clap::ValueEnum;
use serde::{Deserialize, Deserializer, Serialize};

use crate::device::PrecisionName;

/// All settings of a run: every key has a value, in its range.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunConfig {
    /// Name of the task.
    pub(crate) task: String,
    /// Name of the preset that the settings started from.
    pub(crate) preset: String,
    pub(crate) run: RunSection,
    pub(crate) data: DataSection,
    pub(crate) policy: PolicySection,
    pub(crate) reward: ScorerSection,
    pub(crate) judge: ScorerSection,
    pub(crate) sampling: SamplingSection,
    pub(crate) sft: SftSection,
    pub(crate) ppo: PpoSection,
    pub(crate) risk: RiskSection,
    pub(crate) evaluation: EvaluationSection,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunSection {
    pub(crate) seed: u64,
    /// How many: `seed`, `seed + 1`, ...
    pub(crate) seeds: u64,
    /// 0: one per core.
    pub(crate) threads: usize,
    pub(crate) device: String,
    /// What factors of products are rounded to on a GPU; runs from before there was a choice have none.
    #[serde(default)]
    pub(crate) precision: PrecisionName,
}

/// A place to look for data, in the order of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum DataPlace {
    /// `data.dir`.
    DataDir,
    /// The environment variable `TAILGUARD_DATA`.
    Env,
    /// The Hugging Face cache.
    Cache,
    /// `datasets/` of this repository.
    Embedded,
}

/// The side of the threshold on which the good class is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum GoodSide {
    /// Scores above it.
    High,
    /// Scores of at most it.
    Low,
}

/// Words that a class may be written as.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LabelWords {
    pub(crate) good: Vec<String>,
    pub(crate) bad: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DataSection {
    /// Empty: none.
    pub(crate) dir: String,
    pub(crate) places: Vec<DataPlace>,
    /// The task's folder in a directory of data.
    pub(crate) folder: String,
    /// Datasets of the Hugging Face hub that may be in its cache.
    pub(crate) hub: Vec<String>,
    /// Names that a table for all splits may have, without its ending.
    pub(crate) whole_tables: Vec<String>,
    /// Names that the column of texts may have; the first that is there counts.
    pub(crate) text_column: Vec<String>,
    /// The rest of a text whose beginning is in `text_column`; empty: none.
    pub(crate) continuation_column: String,
    /// Names that the column of the class or score may have; the first that is there counts.
    pub(crate) score_columns: Vec<String>,
    pub(crate) labels: LabelWords,
    pub(crate) good: GoodSide,
    /// Between the two classes, as a score.
    pub(crate) threshold: f64,
    /// Texts of the good class are left out until it is at most this share of each split; 0: none is left out.
    pub(crate) good_percent_train: usize,
    pub(crate) good_percent_test: usize,
    /// What must be said of the embedded data wherever their figures are shown; empty: nothing.
    pub(crate) embedded_notice: String,
    /// Shorter texts are left out.
    pub(crate) min_chars: usize,
    pub(crate) prompt_tokens: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PolicySection {
    /// See [`crate::models::ModelPlace`].
    pub(crate) dir: String,
}

/// A model that scores texts: the reward of training, or the judge that training never sees.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScorerSection {
    /// See [`crate::models::ModelPlace`]. The judge may be empty: none.
    pub(crate) dir: String,
    /// A number, or a name of the model's `id2label`; empty: the one that the names speak for.
    #[serde(deserialize_with = "label")]
    pub(crate) label: String,
    pub(crate) negate: bool,
    /// Tokens, the special ones included.
    pub(crate) max_length: usize,
    /// Where longer texts are cut.
    pub(crate) truncation_side: Side,
    /// Tokens of a batch, padding included.
    pub(crate) batch_tokens: usize,
}

/// Reads a label that may be written as a number.
fn label<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    match toml::Value::deserialize(deserializer)? {
        toml::Value::String(text) => Ok(text),
        other => Ok(other.to_string()),
    }
}

/// The side on which a text that is too long loses some of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Side {
    /// The beginning: the end of a response is always read.
    Left,
    /// The end, as by default in transformers.
    Right,
}

/// What the end token does in sampling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EndToken {
    /// It ends the response.
    Stop,
    /// It has probability 0, in sampling and in scoring.
    Mask,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SamplingSection {
    pub(crate) temperature: f64,
    /// 0: off.
    pub(crate) top_k: usize,
    /// 1: off.
    pub(crate) top_p: f64,
    pub(crate) max_new_tokens: usize,
    pub(crate) min_new_tokens: usize,
    pub(crate) end_of_text: EndToken,
    /// Episodes sampled side by side.
    pub(crate) batch_size: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SftSection {
    pub(crate) steps: usize,
    pub(crate) batch_size: usize,
    pub(crate) learning_rate: f64,
    pub(crate) weight_decay: f64,
    /// Texts are cut to this many tokens.
    pub(crate) text_tokens: usize,
    /// Texts that are not cut end in the end token.
    pub(crate) end_token: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PpoSection {
    /// M of Algorithm 1.
    pub(crate) iterations: usize,
    /// B of Algorithm 1: episodes of an iteration.
    pub(crate) batch_size: usize,
    /// Episodes of an optimizer step.
    pub(crate) minibatch_size: usize,
    /// Passes over the kept episodes.
    pub(crate) epochs: usize,
    pub(crate) learning_rate: f64,
    /// Of the value head.
    pub(crate) value_learning_rate: f64,
    pub(crate) gamma: f64,
    pub(crate) lambda: f64,
    pub(crate) clip: f64,
    pub(crate) value_clip: f64,
    pub(crate) value_coef: f64,
    /// Initial beta of Eq. 5.
    pub(crate) kl_coef: f64,
    /// KL target of Eq. 4, nats per episode.
    pub(crate) kl_target: f64,
    /// `K_beta` of Eq. 4 is `batch_size / kl_horizon`; 0 keeps beta as it is.
    pub(crate) kl_horizon: f64,
    /// A minibatch whose mean ratio exceeds this is skipped.
    pub(crate) ratio_threshold: f64,
    /// First iterations in which the value head alone learns.
    pub(crate) value_warmup: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RiskSection {
    /// Risk level, Eq. 6.
    pub(crate) alpha: f64,
    /// n of Eqs. 8-10: iterations that keep all episodes.
    pub(crate) warmup: usize,
    /// rho of Eqs. 8-10: share of the iterations after which alpha is reached.
    pub(crate) rho: f64,
}

/// Which held-out prompts the policies are compared on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EvaluationSplit {
    /// Held-out texts: what is reported.
    Test,
    /// A part of the training texts that training leaves out: to choose settings on.
    Validation,
}

impl EvaluationSplit {
    /// What settings and results call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Validation => "validation",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EvaluationSection {
    pub(crate) split: EvaluationSplit,
    pub(crate) prompts: usize,
    /// A prompt whose own score is at most this is in the tail.
    pub(crate) tail_threshold: f64,
    /// Further thresholds whose tails are reported.
    pub(crate) other_tails: Vec<f64>,
    /// Human texts of the good class.
    pub(crate) perplexity_texts: usize,
    /// They are cut to this many characters.
    pub(crate) perplexity_chars: usize,
    pub(crate) batch_size: usize,
    /// Prompts of the tail shown with all continuations.
    pub(crate) shown_samples: usize,
}

impl RunConfig {
    /// The seeds of the run: `seed`, `seed + 1`, ...
    pub(crate) fn seed_list(&self) -> Vec<u64> {
        (0..self.run.seeds).map(|offset| self.run.seed.saturating_add(offset)).collect()
    }

    /// Tokens that the policy's context must hold: a prompt and its response.
    pub(crate) fn episode_tokens(&self) -> usize {
        self.data.prompt_tokens.saturating_add(self.sampling.max_new_tokens)
    }
}
