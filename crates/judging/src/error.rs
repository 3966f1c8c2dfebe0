//! What keeps texts from being judged.

use tailguard_checkpoint::CheckpointError;
use tailguard_data::DataError;
use tailguard_metrics::MetricsError;
use tailguard_report::{ReportError, one_line};
use tailguard_reward::RewardError;
use tailguard_risk::RiskError;

/// Errors of judging texts.
///
/// Messages name options as the command line has them: `--score-column` is
/// [`Columns::score`](crate::Columns::score).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JudgingError {
    /// Options that contradict each other, or that this file cannot obey: whoever asked has to ask
    /// for something else.
    #[error("{message}")]
    Refused {
        /// What is wrong.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// Texts that are not as they should be.
    #[error("{message}")]
    Failed {
        /// What is wrong.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// A scorer failed, and what it was doing.
    #[error("{doing}")]
    Scorer {
        /// What it was doing.
        doing: String,
        /// Its error.
        source: Box<RewardError>,
    },
    /// The figures of a method cannot be had.
    #[error("cannot judge {}", one_line(method))]
    Method {
        /// The method.
        method: String,
        /// Why not.
        source: Box<JudgingError>,
    },
    /// The tokenizer that counts lengths.
    #[error("the tokenizer refuses a text: {0}")]
    Tokenizer(tokenizers::Error),
    /// The file of texts.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A directory of a model.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A model that scores.
    #[error(transparent)]
    Reward(#[from] RewardError),
    /// A share of the lowest.
    #[error(transparent)]
    Risk(#[from] RiskError),
    /// A figure.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// What is written.
    #[error(transparent)]
    Report(#[from] ReportError),
}

impl JudgingError {
    /// Something that was asked for and makes no sense.
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::Refused { message: message.into(), hint: None }
    }

    /// Texts that are not as they should be.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::Failed { message: message.into(), hint: None }
    }

    /// The same, with what to do about it, where it is [`Refused`](Self::Refused) or
    /// [`Failed`](Self::Failed).
    pub(crate) fn with_hint(self, to_do: impl Into<String>) -> Self {
        match self {
            Self::Refused { message, .. } => Self::Refused { message, hint: Some(to_do.into()) },
            Self::Failed { message, .. } => Self::Failed { message, hint: Some(to_do.into()) },
            other => other,
        }
    }

    /// An error of a scorer, and what it was doing.
    pub(crate) fn scorer(doing: impl Into<String>) -> impl FnOnce(RewardError) -> Self {
        move |error| Self::Scorer { doing: doing.into(), source: Box::new(error) }
    }

    /// What to do about it, if that is known.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Refused { hint, .. } | Self::Failed { hint, .. } => hint.as_deref(),
            Self::Method { source, .. } => source.hint(),
            _ => None,
        }
    }

    /// Whether whoever asked for it has to ask for something else.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Refused { .. } => true,
            Self::Report(error) => error.is_usage(),
            Self::Method { source, .. } => source.is_usage(),
            _ => false,
        }
    }
}
