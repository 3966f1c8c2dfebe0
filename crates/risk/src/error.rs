//! What can be wrong with returns, levels and schedules.

use thiserror::Error;

/// Why a risk figure, a selection or a schedule cannot be had.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum RiskError {
    /// There is not a single return.
    #[error("no returns: expected at least one")]
    Empty,
    /// A return is NaN or infinite.
    #[error("return {index} is {value}, expected a finite number")]
    NotFinite {
        /// Position of the first such return.
        index: usize,
        /// Its value.
        value: f64,
    },
    /// A fraction such as alpha or rho lies outside (0, 1].
    #[error("{name} is {value}, expected a fraction above 0 and at most 1")]
    Fraction {
        /// Which fraction: `alpha` or `rho`.
        name: &'static str,
        /// The value found.
        value: f64,
    },
    /// The risk aversion of the entropic measure is not a positive finite number.
    #[error("lambda is {0}, expected a finite number above 0")]
    Aversion(f64),
    /// The share of the mean in a mixture lies outside [0, 1].
    #[error("the share of the mean is {0}, expected a number from 0 to 1")]
    Share(f64),
    /// A spectral measure has no weights.
    #[error("the spectrum has no weights, expected at least one")]
    NoSpectrum,
    /// A weight of a spectral measure is none, or rises.
    #[error("weight {part} of the spectrum, counted from 0, is {value}, expected {expected}")]
    Spectrum {
        /// Its place.
        part: usize,
        /// Its value.
        value: f64,
        /// What it must be.
        expected: &'static str,
    },
    /// The measure takes more returns than there are.
    #[error("{found} returns, expected at least {needed}")]
    TooFew {
        /// How many it takes.
        needed: usize,
        /// How many there are.
        found: usize,
    },
    /// A measure gave another number of weights than there are returns.
    #[error("the measure gave {found} weights for {expected} returns")]
    WeightCount {
        /// How many weights there are.
        found: usize,
        /// How many returns there are.
        expected: usize,
    },
    /// A weight of a measure is NaN, infinite or negative.
    #[error(
        "the measure's weight of return {rank}, counted from the lowest, is {value}, expected a \
         number of at least 0"
    )]
    Weight {
        /// Place of its return among the sorted ones, from 0.
        rank: usize,
        /// Its value.
        value: f64,
    },
    /// The weights of a measure do not sum to 1.
    #[error("the measure's weights sum to {sum}, expected 1")]
    WeightSum {
        /// Their sum.
        sum: f64,
    },
    /// Returns with probabilities do not ascend.
    #[error("return {index} is below the one before it, expected returns that ascend")]
    Order {
        /// Its place, from 0.
        index: usize,
    },
    /// Returns and their probabilities are not as many.
    #[error("there are {found} probabilities, expected one per return: {expected}")]
    MassCount {
        /// How many there are.
        found: usize,
        /// How many returns there are.
        expected: usize,
    },
    /// A probability is NaN, infinite or negative.
    #[error("the probability of return {index} is {value}, expected a number of at least 0")]
    Mass {
        /// Place of its return, from 0.
        index: usize,
        /// Its value.
        value: f64,
    },
    /// Probabilities do not sum to 1.
    #[error("the probabilities of the returns sum to {sum}, expected 1")]
    MassSum {
        /// Their sum.
        sum: f64,
    },
    /// More episodes are asked for than there are, or none.
    #[error("keep is {keep}, expected at least 1 and at most the number of returns, {len}")]
    Keep {
        /// How many were asked for.
        keep: usize,
        /// How many returns there are.
        len: usize,
    },
    /// A count of a schedule is 0 or absurdly large.
    #[error("{name} is {value}, expected 1 to {most}", most = u32::MAX)]
    Count {
        /// Which count: `batch` or `iterations`.
        name: &'static str,
        /// The value found.
        value: usize,
    },
}

/// Refuses an empty batch and the first return that is not finite.
pub(crate) fn check(returns: &[f64]) -> Result<(), RiskError> {
    if returns.is_empty() {
        return Err(RiskError::Empty);
    }
    match returns.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(RiskError::NotFinite { index, value: returns[index] }),
        None => Ok(()),
    }
}
