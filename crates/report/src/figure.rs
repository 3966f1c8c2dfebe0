//! One figure with its interval, and how numbers are shown.

use serde::{Deserialize, Serialize};
use tailguard_metrics::Estimate;

/// One figure, or the difference of two, and how far it can be trusted: see
/// [`estimate`](tailguard_metrics::estimate).
///
/// The interval is over prompts (or texts) and seeds together; with one seed it is over prompts,
/// given the policy that this seed has trained.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// The mean over seeds of the figure of each.
    pub mean: f64,
    /// Its standard error; `null` where a single value says nothing of it.
    pub se: Option<f64>,
    /// Lower and upper end of its 95 % interval; `null` likewise.
    pub ci95: Option<[f64; 2]>,
    /// Sample standard deviation of the figures of the seeds; absent for one seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seeds_std: Option<f64>,
}

impl Figure {
    /// All its numbers.
    pub(crate) fn numbers(self) -> impl Iterator<Item = f64> {
        let Self { mean, se, ci95, seeds_std } = self;
        [Some(mean), se, seeds_std].into_iter().flatten().chain(ci95.into_iter().flatten())
    }

    /// Whether all of its interval lies above 0.
    #[must_use]
    pub fn is_above_zero(self) -> bool {
        self.ci95.is_some_and(|[low, _]| low > 0.0)
    }

    /// Whether all of its interval lies below 0.
    #[must_use]
    pub fn is_below_zero(self) -> bool {
        self.ci95.is_some_and(|[_, high]| high < 0.0)
    }
}

impl From<Estimate> for Figure {
    fn from(estimate: Estimate) -> Self {
        let Estimate { value, se, ci95, seeds_std } = estimate;
        Self { mean: value, se, ci95, seeds_std }
    }
}

/// A figure as the tables show it: `mean [low, high]`, or the mean alone where there is no
/// interval.
#[must_use]
pub fn cell(figure: Figure, digits: usize) -> String {
    let mean = number(figure.mean, digits);
    figure.ci95.map_or(mean.clone(), |[low, high]| {
        format!("{mean} [{}, {}]", number(low, digits), number(high, digits))
    })
}

/// A difference as it is shown: `+0.25 [0.20, 0.30]`.
#[must_use]
pub fn gain(difference: Figure, digits: usize) -> String {
    let mean = number(difference.mean, digits);
    let sign = if mean.starts_with('-') { "" } else { "+" };
    let interval = difference
        .ci95
        .map(|[low, high]| format!(" [{}, {}]", number(low, digits), number(high, digits)));
    format!("{sign}{mean}{}", interval.unwrap_or_default())
}

/// A number with so many digits after the point, fewer where it is large, and three in all from a
/// million on. One that is too small for so many digits is 0.
#[must_use]
pub fn number(value: f64, digits: usize) -> String {
    let text = match value.abs() {
        size if size >= 1e6 => format!("{value:.2e}"),
        size if size >= 1000.0 => format!("{value:.0}"),
        _ => format!("{value:.digits$}"),
    };
    // -0.00 is a number too, but not one to show
    if text.trim_start_matches('-').chars().all(|digit| digit == '0' || digit == '.') {
        text.trim_start_matches('-').to_owned()
    } else {
        text
    }
}

/// A share as the tables show it: `12.5 %`.
#[must_use]
pub fn percent(share: f64) -> String {
    format!("{} %", number(100.0 * share, 1).trim_end_matches(".0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_sensible_digits() {
        assert_eq!(number(-0.001, 2), "0.00");
        assert_eq!(number(-1.236, 2), "-1.24");
        assert_eq!(number(12_345.6, 1), "12346");
        assert_eq!(number(3.2e9, 1), "3.20e9");
        assert_eq!(number(0.0004, 2), "0.00");
    }
}
