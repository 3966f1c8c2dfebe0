//! What can go wrong with a reward model.

use std::path::PathBuf;

use tailguard_checkpoint::CheckpointError;

/// Errors of loading a reward model and of scoring with it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RewardError {
    /// The model directory or its weights cannot be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// What a reward model that is not ours says of its failure.
    #[error(transparent)]
    Other(Box<dyn std::error::Error + Send + Sync>),
    /// A model of another architecture than those here.
    #[error(
        "{}: config.json has model_type {found:?}, expected one of {expected:?}",
        path.display()
    )]
    Architecture {
        /// The model directory.
        path: PathBuf,
        /// The `model_type` found; empty if there is none.
        found: String,
        /// The architectures that are known.
        expected: Vec<&'static str>,
    },
    /// A setting of `config.json` that this model does not have.
    #[error("the classifier's configuration has {key} {found}, expected {expected}")]
    Config {
        /// The key in `config.json`.
        key: &'static str,
        /// The value found.
        found: usize,
        /// What it may be.
        expected: String,
    },
    /// A setting for scoring that does not suit the model.
    #[error("{key} is {found}, expected {expected}")]
    Setting {
        /// The field of [`ScoreSettings`](crate::ScoreSettings).
        key: &'static str,
        /// The value found.
        found: usize,
        /// What it may be.
        expected: String,
    },
    /// A number or name that no label of the model has, or a name that several have.
    #[error("{}: there is no label {found}, expected one of {labels}", path.display())]
    UnknownLabel {
        /// The model directory.
        path: PathBuf,
        /// What was asked for.
        found: String,
        /// The model's labels, with their names.
        labels: String,
    },
    /// A model with several labels, none of which was named.
    #[error("{}: which label is the score must be said, by number or name, expected one of \
        {labels}", path.display())]
    UnnamedLabel {
        /// The model directory.
        path: PathBuf,
        /// The model's labels, with their names.
        labels: String,
    },
    /// A prompt so long that the scorer would read nothing of the response.
    #[error(
        "text {index}: the prompt alone fills max_length = {max_length} tokens, so that nothing \
         of the response is left; raise max_length, shorten prompts, or cut the beginning: \
         truncation_side = \"left\""
    )]
    NothingOfResponse {
        /// Index of the text.
        index: usize,
        /// The field of [`ScoreSettings`](crate::ScoreSettings).
        max_length: usize,
    },
    /// Texts that the tokenizer refuses.
    #[error("the texts cannot be cut into tokens")]
    Encode {
        /// The tokenizer's reason.
        source: tokenizers::Error,
    },
    /// A text without a single token, from a tokenizer that adds no special tokens.
    #[error("text {index} has no tokens, expected at least one")]
    NoTokens {
        /// Index of the text.
        index: usize,
    },
    /// A score that is infinite or not a number.
    #[error("text {index} has score {found}, expected a finite number")]
    NotFinite {
        /// Index of the text.
        index: usize,
        /// The score.
        found: f32,
    },
    /// A reward model that is not ours gave another number of scores than it was given texts.
    #[error("the reward model gave {found} scores for {expected} texts")]
    ScoreCount {
        /// Number of texts.
        expected: usize,
        /// Number of scores.
        found: usize,
    },
    /// The reward model gave NaN, infinity, or a score too large to compute with.
    #[error(
        "the reward model scored text {index} with {score:?}, expected a finite number between \
         -1e15 and 1e15: larger ones overflow in training, whatever the learning rate; scale its \
         last layer"
    )]
    Score {
        /// Index of the text.
        index: usize,
        /// Its score.
        score: f32,
    },
    /// Texts to learn from without one label each.
    #[error("{texts} texts but {labels} labels, expected one label per text")]
    Unpaired {
        /// Number of texts.
        texts: usize,
        /// Number of labels.
        labels: usize,
    },
    /// A label to learn from that is no class.
    #[error("text {index} has label {found}, expected 0 or 1")]
    Label {
        /// Index of the text.
        index: usize,
        /// Its label.
        found: u8,
    },
    /// Texts to learn from that are all of one class.
    #[error("none of the {texts} texts has label {missing}, expected texts of both labels")]
    OneClass {
        /// Number of texts.
        texts: usize,
        /// The label that none of them has.
        missing: u8,
    },
    /// A setting for training that is out of range.
    #[error("{key} is {found}, expected {expected}")]
    Training {
        /// The field of [`TrainSettings`](crate::TrainSettings).
        key: &'static str,
        /// The value found.
        found: f64,
        /// What it may be.
        expected: &'static str,
    },
    /// Logits that the device did not give back.
    #[error("the logits cannot be read from the device ({reason})")]
    Device {
        /// The device's words.
        reason: String,
    },
}
