//! What can go wrong with a page.

use tailguard_metrics::MetricsError;

/// Errors of making a page.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PageError {
    /// A file of the run that does not say what was expected.
    #[error("{run}: {file}: not what was expected: {detail}")]
    File {
        /// Name of the run.
        run: String,
        /// Name of the file.
        file: &'static str,
        /// What is wrong.
        detail: String,
    },
    /// Figures that cannot be computed.
    #[error("cannot compute the figures of the page")]
    Metrics(#[from] MetricsError),
    /// A chart that cannot be drawn.
    #[error("cannot draw the chart {chart:?}: {detail}")]
    Chart {
        /// Its title.
        chart: String,
        /// What is wrong.
        detail: String,
    },
    /// Fewer runs than can be compared.
    #[error("{found} runs to compare, expected at least 2")]
    TooFew {
        /// How many there are.
        found: usize,
    },
    /// Runs that are not on the same prompts.
    #[error(
        "the runs are not on the same prompts, so their figures do not compare: {}",
        differences.join("; ")
    )]
    DifferentPrompts {
        /// What differs, one entry each.
        differences: Vec<String>,
    },
}

impl PageError {
    /// Whether the caller chose the wrong runs, rather than something being wrong with the right
    /// ones.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::TooFew { .. } | Self::DifferentPrompts { .. })
    }
}
