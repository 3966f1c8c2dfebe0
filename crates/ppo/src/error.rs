//! What can go wrong in training.

use tailguard_lm::LmError;
use tailguard_risk::{ObjectiveError, RiskError};
use tailguard_rollout::RolloutError;
use tailguard_settings::OutOfRange;

/// Errors of the formulas and the trainers.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PpoError {
    /// A setting outside its range.
    #[error("training setting {key} is {found}, expected {expected}")]
    Setting {
        /// The setting's name.
        key: String,
        /// The value found.
        found: String,
        /// What it may be.
        expected: String,
    },
    /// What an objective says of its failure, or what is wrong with what it gives.
    #[error("the objective cannot be used")]
    Objective(#[source] ObjectiveError),
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
    /// Fewer prompts than an iteration takes.
    #[error(
        "there are {found} training prompts, expected at least batch_size / responses = {needed}"
    )]
    TooFewPrompts {
        /// Prompts of an iteration.
        needed: usize,
        /// Prompts given.
        found: usize,
    },
    /// Fewer texts than asked for.
    #[error(
        "there are {found} texts of at least two tokens for supervised fine-tuning, expected at \
         least 1"
    )]
    NoTexts {
        /// Texts that can be used.
        found: usize,
    },
    /// Nothing to distil.
    #[error(
        "prompt {prompt} of {prompts} has no weighted samples, expected at least one prompt and \
         one sample of each"
    )]
    NoSamples {
        /// The first prompt that has none, from 0.
        prompt: usize,
        /// How many prompts there are.
        prompts: usize,
    },
    /// The norm of the gradients is no number that can be worked with.
    #[error("the norm of the gradients is {norm}, expected a finite number")]
    Gradients {
        /// NaN or infinity.
        norm: f64,
    },
    /// Training has left the numbers that there are. No step was taken with what was found: the
    /// weights are those before it.
    #[error("training diverged in {unit} {number}: {what}; likely cause: {cause}")]
    Diverged {
        /// What is counted: `iteration` of PPO or `step` of next-token training.
        unit: &'static str,
        /// Which one, from 1.
        number: usize,
        /// What is not finite.
        what: String,
        /// What usually leads there, with the settings to change.
        cause: String,
    },
    /// A score that training cannot work with: its square times that of a gradient is more than
    /// single precision holds.
    #[error(
        "the reward model scored episode {episode} of iteration {iteration} with {score:e}, \
         expected at most {:e} in size: scale its scores",
        tailguard_rollout::LARGEST_SCORE
    )]
    Score {
        /// Iteration of PPO, from 1.
        iteration: usize,
        /// Place of the episode in its batch, from 0.
        episode: usize,
        /// Its score.
        score: f32,
    },
    /// An episode that is not there is to be kept.
    #[error("episode {index} is to be kept, but there are {episodes} episodes")]
    Keep {
        /// Its place, from 0.
        index: usize,
        /// How many episodes there are.
        episodes: usize,
    },
    /// A check before the first update failed.
    #[error(
        "self-check failed: {what} (found {found:.2e}, at most {limit:.0e} expected); results \
         would be wrong"
    )]
    SelfCheck {
        /// What is wrong.
        what: &'static str,
        /// How far it is off.
        found: f64,
        /// How far it may be off.
        limit: f64,
    },
    /// A state does not have the averaged weights that the settings ask for.
    #[error(
        "the state of iteration {iteration} averages the weights of {found} iterations, expected \
         {expected} with this average"
    )]
    Averaged {
        /// Iterations done.
        iteration: usize,
        /// How many are averaged.
        found: usize,
        /// How many should be.
        expected: usize,
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
    Lm(#[from] LmError),
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
    if value.is_finite() { Ok(()) } else { Err(PpoError::setting(key, &value, "a finite number")) }
}

/// Checks that a row has one entry per response token.
pub(crate) fn same_length(
    what: &'static str,
    found: usize,
    expected: usize,
) -> Result<(), PpoError> {
    if found == expected { Ok(()) } else { Err(PpoError::Length { what, found, expected }) }
}

impl From<OutOfRange> for PpoError {
    fn from(OutOfRange { key, found, expected }: OutOfRange) -> Self {
        Self::Setting { key, found, expected }
    }
}

impl PpoError {
    /// A setting outside its range.
    pub(crate) fn setting(key: &str, found: &dyn ToString, expected: &str) -> Self {
        Self::Setting {
            key: key.to_owned(),
            found: found.to_string(),
            expected: expected.to_owned(),
        }
    }

    /// Whether training has left the numbers that there are, so that no more can come of it.
    #[must_use]
    pub fn is_divergence(&self) -> bool {
        matches!(self, Self::Diverged { .. } | Self::Score { .. })
    }
}
