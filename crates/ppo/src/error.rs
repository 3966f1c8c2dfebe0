//! What can go wrong in training.

use tailguard_gpt2::Gpt2Error;
use tailguard_risk::RiskError;
use tailguard_rollout::RolloutError;

/// Errors of the formulas and the trainers.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PpoError {
    /// A setting outside its range.
    #[error("training setting {key} is {found}, expected {expected}")]
    Setting {
        /// The setting's name.
        key: &'static str,
        /// The value found.
        found: String,
        /// What it may be.
        expected: &'static str,
    },
    /// Rows that should have one entry per response token do not.
    #[error("{what} have {found} entries, expected {expected}, one per response token")]
    Length {
        /// Which numbers.
        what: &'static str,
        /// Entries found.
        found: usize,
        /// Entries expected.
        expected: usize,
    },
    /// NaN or infinity where a number is needed.
    #[error("{what} hold {value} at entry {index}, expected finite numbers")]
    NotFinite {
        /// Which numbers.
        what: &'static str,
        /// Where.
        index: usize,
        /// The value found.
        value: f64,
    },
    /// Fewer prompts than a batch.
    #[error("there are {found} training prompts, expected at least batch_size = {needed}")]
    TooFewPrompts {
        /// The batch size.
        needed: usize,
        /// Prompts given.
        found: usize,
    },
    /// Fewer texts than asked for.
    #[error("there are {found} texts of at least two tokens for supervised fine-tuning, expected at least 1")]
    NoTexts {
        /// Texts that can be used.
        found: usize,
    },
    /// The loss is not finite any more.
    #[error(
        "the loss is not finite in iteration {iteration}, epoch {epoch} (policy {policy_loss}, value {value_loss}): lower learning_rate"
    )]
    Diverged {
        /// Iteration of PPO, or step of supervised training.
        iteration: usize,
        /// Epoch within it.
        epoch: usize,
        /// Policy loss, or the loss of supervised training.
        policy_loss: f64,
        /// Value loss.
        value_loss: f64,
    },
    /// A check before the first update failed.
    #[error("self-check failed: {what} (found {found:.2e}, at most {limit:.0e} expected); results would be wrong")]
    SelfCheck {
        /// What is wrong.
        what: &'static str,
        /// How far it is off.
        found: f64,
        /// How far it may be off.
        limit: f64,
    },
    /// A training state cannot be written or read.
    #[error("cannot {action} the training state in {path}: {reason}")]
    State {
        /// `write` or `read`.
        action: &'static str,
        /// The directory.
        path: std::path::PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The risk schedule or selection.
    #[error(transparent)]
    Risk(#[from] RiskError),
    /// Sampling or scoring.
    #[error(transparent)]
    Rollout(#[from] RolloutError),
    /// The model.
    #[error(transparent)]
    Gpt2(#[from] Gpt2Error),
    /// A file of a training state.
    #[error(transparent)]
    File(#[from] tailguard_files::FileError),
    /// A checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] tailguard_checkpoint::CheckpointError),
    /// What the observer of a run reports.
    #[error(transparent)]
    Observer(Box<dyn std::error::Error + Send + Sync>),
}

/// Checks that all values are finite.
pub(crate) fn finite(what: &'static str, values: &[f32]) -> Result<(), PpoError> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(PpoError::NotFinite { what, index, value: f64::from(values[index]) }),
        None => Ok(()),
    }
}

/// Checks that a setting is a number.
pub(crate) fn finite_setting(key: &'static str, value: f64) -> Result<(), PpoError> {
    if value.is_finite() { Ok(()) } else { Err(PpoError::Setting { key, found: value.to_string(), expected: "a finite number" }) }
}

/// Checks that a row has one entry per response token.
pub(crate) fn same_length(what: &'static str, found: usize, expected: usize) -> Result<(), PpoError> {
    if found == expected { Ok(()) } else { Err(PpoError::Length { what, found, expected }) }
}
