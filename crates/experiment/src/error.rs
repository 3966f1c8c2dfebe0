//! What keeps an experiment from beginning, from going on, or from coming to its end.

use std::error::Error;
use std::io;

use tailguard_checkpoint::CheckpointError;
use tailguard_data::DataError;
use tailguard_files::FileError;
use tailguard_front::FrontError;
use tailguard_gpt2::Gpt2Error;
use tailguard_judging::JudgingError;
use tailguard_kernels::DeviceError;
use tailguard_lm::LmError;
use tailguard_metrics::MetricsError;
use tailguard_ppo::PpoError;
use tailguard_report::ReportError;
use tailguard_reward::RewardError;
use tailguard_risk::RiskError;
use tailguard_rollout::RolloutError;

use crate::settings::ConfigError;

/// Errors of experiments.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExperimentError {
    /// Settings or directories that no experiment can be made of: whoever asked for it has to ask
    /// for something else.
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
        /// What to do about it.
        hint: Option<String>,
    },
    /// The observer wanted no more. What is done so far is kept, and the same experiment goes on
    /// from there.
    #[error("stopped")]
    Stopped,
    /// An error, and what was being done.
    #[error("{doing}")]
    During {
        /// What was being done.
        doing: String,
        /// The error, an [`ExperimentError`].
        source: Box<dyn Error + Send + Sync>,
    },
    /// An error of a recipe, an objective or a reward model that is not ours.
    #[error(transparent)]
    Other(Box<dyn Error + Send + Sync>),
    /// Settings.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A device that is not there, or cannot do what was asked of it.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A directory of a model.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Texts.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The exact front.
    #[error(transparent)]
    Front(#[from] FrontError),
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
    /// Training.
    #[error(transparent)]
    Ppo(#[from] PpoError),
    /// A risk level or a schedule.
    #[error(transparent)]
    Risk(#[from] RiskError),
    /// A figure.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// The run directory.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// A scorer, or texts that are judged.
    #[error(transparent)]
    Judging(#[from] JudgingError),
}

impl ExperimentError {
    /// Something that was asked for and that no experiment can be made of.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::Refused { message: message.into(), hint: None }
    }

    /// Something that is missing or wrong.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed { message: message.into(), hint: None }
    }

    /// The same, with what to do about it, where it is [`Refused`](Self::Refused) or
    /// [`Failed`](Self::Failed).
    #[must_use]
    pub fn with_hint(self, to_do: impl Into<String>) -> Self {
        match self {
            Self::Refused { message, .. } => Self::Refused { message, hint: Some(to_do.into()) },
            Self::Failed { message, .. } => Self::Failed { message, hint: Some(to_do.into()) },
            other => other,
        }
    }

    /// An error, and what was being done.
    pub(crate) fn during_this(doing: impl Into<String>, error: Self) -> Self {
        Self::During { doing: doing.into(), source: Box::new(error) }
    }

    /// The error that came while something was being done.
    fn inner(&self) -> Option<&Self> {
        match self {
            Self::During { source, .. } => source.downcast_ref(),
            _ => None,
        }
    }

    /// This error and those that it came from, the last one first.
    pub fn chain(&self) -> impl Iterator<Item = &(dyn Error + 'static)> {
        let first: &(dyn Error + 'static) = self;
        std::iter::successors(Some(first), |error| (*error).source())
    }

    /// What to do about it, if that is known.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Refused { hint, .. } | Self::Failed { hint, .. } => hint.as_deref(),
            Self::Judging(error) => error.hint(),
            _ => self.inner()?.hint(),
        }
    }

    /// Whether whoever asked for it has to ask for something else.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::Config(_) => true,
            Self::Device(error) => !matches!(error, DeviceError::NotPresent { .. }),
            Self::Report(error) => error.is_usage(),
            Self::Judging(error) => error.is_usage(),
            _ => self.inner().is_some_and(Self::is_usage),
        }
    }

    /// Whether a policy was lost in training, and not something that would hold for any policy: the
    /// numbers of the training itself, or of the policy that it left, are not finite.
    #[must_use]
    pub fn is_divergence(&self) -> bool {
        match self {
            Self::Ppo(error) => error.is_divergence(),
            Self::Rollout(RolloutError::NotFinite { .. })
            | Self::Metrics(MetricsError::NotFinite { .. }) => true,
            _ => self.inner().is_some_and(Self::is_divergence),
        }
    }

    /// Whether the system refused to write: there may be room later.
    #[must_use]
    pub fn is_of_disk(&self) -> bool {
        let is_of_system = |error: &io::Error| {
            use io::ErrorKind::{
                FileTooLarge, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull,
                WriteZero,
            };
            matches!(
                error.kind(),
                StorageFull
                    | QuotaExceeded
                    | FileTooLarge
                    | ReadOnlyFilesystem
                    | PermissionDenied
                    | WriteZero
            )
        };
        match (self, self.inner()) {
            (Self::Ppo(PpoError::State { action: "write", .. }), _) => true,
            (_, Some(inner)) => inner.is_of_disk(),
            _ => self.chain().any(|cause| cause.downcast_ref().is_some_and(is_of_system)),
        }
    }
}

/// Says what was being done when an error came.
pub(crate) trait During<T> {
    /// The error with what was being done.
    fn during<S: Into<String>>(self, doing: impl FnOnce() -> S) -> Result<T, ExperimentError>;
}

impl<T, E: Into<ExperimentError>> During<T> for Result<T, E> {
    fn during<S: Into<String>>(self, doing: impl FnOnce() -> S) -> Result<T, ExperimentError> {
        self.map_err(|error| ExperimentError::during_this(doing(), error.into()))
    }
}
