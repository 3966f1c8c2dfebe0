//! What keeps a model from being trained, or prompts from being drawn.

use std::path::PathBuf;

use tailguard_checkpoint::CheckpointError;
use tailguard_files::FileError;
use tailguard_gpt2::Gpt2Error;
use tailguard_lm::LmError;
use tailguard_metrics::MetricsError;
use tailguard_ppo::PpoError;
use tailguard_reward::RewardError;
use tailguard_rollout::RolloutError;

/// Errors of pretraining.
///
/// Messages name options as the command line has them: `--save-every` is
/// [`LmOptions::save_every`](crate::LmOptions::save_every).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PretrainError {
    /// Options or texts that nothing can be trained with: whoever asked has to ask for something
    /// else.
    #[error("{message}")]
    Refused {
        /// What is wrong.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// What is needed is not there, or not as it should be.
    #[error("{message}")]
    Failed {
        /// What is wrong.
        message: String,
    },
    /// The training of a classifier was lost: a loss or its gradients are not finite.
    #[error("training diverged in step {step} of epoch {epoch}")]
    Diverged {
        /// Counts from 1.
        epoch: usize,
        /// Counts from 0 within the epoch.
        step: usize,
        /// What is not finite.
        source: NotFinite,
    },
    /// A tokenizer that cannot be trained or written, or that refuses a text.
    #[error("cannot {doing}: {error}")]
    Tokenizer {
        /// What was to be done.
        doing: String,
        /// Why it cannot be.
        error: tokenizers::Error,
    },
    /// What is noted of the training in a checkpoint is none of these notes.
    #[error("cannot read {}", path.display())]
    Notes {
        /// The checkpoint.
        path: PathBuf,
        /// What is wrong with them.
        source: serde_json::Error,
    },
    /// What is to be noted of a training cannot be written as JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// A directory of a model.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The language model.
    #[error(transparent)]
    Gpt2(#[from] Gpt2Error),
    /// A batch that a model refuses.
    #[error(transparent)]
    Lm(#[from] LmError),
    /// A model that scores.
    #[error(transparent)]
    Reward(#[from] RewardError),
    /// Sampling and scoring.
    #[error(transparent)]
    Rollout(#[from] RolloutError),
    /// A step of a training, or its checkpoint.
    #[error(transparent)]
    Ppo(#[from] PpoError),
    /// A figure.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
}

/// A number of a training that is not finite.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{what} is {value}")]
pub struct NotFinite {
    /// Which number.
    pub what: &'static str,
    /// NaN or an infinity.
    pub value: f64,
}

impl NotFinite {
    /// Lets numbers pass that are finite.
    pub(crate) fn check(what: &'static str, value: f64) -> Result<(), Self> {
        if value.is_finite() { Ok(()) } else { Err(Self { what, value }) }
    }
}

impl PretrainError {
    /// Something that was asked for and makes no sense, and what to do about it.
    pub(crate) fn refused(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Refused { message: message.into(), hint: Some(hint.into()) }
    }

    /// Something that is missing or wrong.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::Failed { message: message.into() }
    }

    /// An error of a tokenizer, and what was to be done.
    pub(crate) fn tokenizer(doing: impl Into<String>) -> impl Fn(tokenizers::Error) -> Self {
        let doing = doing.into();
        move |error| Self::Tokenizer { doing: doing.clone(), error }
    }
}

/// Refuses a count of which 0 means nothing.
pub(crate) fn at_least_one(option: &str, count: u64) -> Result<(), PretrainError> {
    if count > 0 {
        return Ok(());
    }
    Err(PretrainError::Refused {
        message: format!("--{option} is 0, expected at least 1"),
        hint: None,
    })
}
