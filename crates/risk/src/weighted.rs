//! Returns that are not equally likely, as those of a sample that was reweighted, and what they are
//! worth to a measure.

use crate::error::{RiskError, check};
use crate::utility::{Utility, risen};

/// Rounding of the sum of some hundred million probabilities.
const SUM_ROUNDING: f64 = 1e-8;
/// A mass that is short of a level by no more than this has reached it: sums of equal parts are
/// rounded.
const MASS_ROUNDING: f64 = 1e-12;
/// Equally likely returns that stand for a distribution where a measure knows no other.
const STAND_INS: usize = 4096;

/// Returns from the lowest to the highest, each with its probability.
#[derive(Debug, Clone, Copy)]
pub struct Weighted<'a> {
    returns: &'a [f64],
    masses: &'a [f64],
}

/// What a distribution of returns is worth to a measure.
#[derive(Debug, Clone, PartialEq)]
pub struct Worth {
    /// The measure of the distribution.
    pub value: f64,
    /// What each of the returns is worth: see [`RiskMeasure::worth`](crate::RiskMeasure::worth).
    pub utility: Utility,
}

impl<'a> Weighted<'a> {
    /// A distribution of returns.
    ///
    /// # Errors
    /// [`RiskError::Empty`], [`RiskError::NotFinite`]; [`RiskError::Order`] for returns that do not
    /// ascend; [`RiskError::MassCount`], [`RiskError::Mass`], [`RiskError::MassSum`] for
    /// probabilities that are none.
    pub fn new(returns: &'a [f64], masses: &'a [f64]) -> Result<Self, RiskError> {
        check(returns)?;
        if let Some(index) = (1..returns.len()).find(|&index| returns[index] < returns[index - 1]) {
            return Err(RiskError::Order { index });
        }
        if masses.len() != returns.len() {
            return Err(RiskError::MassCount { found: masses.len(), expected: returns.len() });
        }
        let is_none = |mass: &f64| !(mass.is_finite() && *mass >= 0.0);
        if let Some(index) = masses.iter().position(is_none) {
            return Err(RiskError::Mass { index, value: masses[index] });
        }
        let sum: f64 = masses.iter().sum();
        if (sum - 1.0).abs() > SUM_ROUNDING {
            return Err(RiskError::MassSum { sum });
        }
        Ok(Self { returns, masses })
    }

    /// The returns, ascending.
    pub fn returns(self) -> &'a [f64] {
        self.returns
    }

    /// Their probabilities.
    pub fn masses(self) -> &'a [f64] {
        self.masses
    }

    /// The mean of a function of the returns.
    pub(crate) fn mean(self, of: impl Fn(f64) -> f64) -> f64 {
        self.returns.iter().zip(self.masses).map(|(&value, mass)| mass * of(value)).sum()
    }

    /// The worth to a measure that pays attention by ranks alone. `attention` says, for the lowest
    /// share of the mass, how much of all attention it has (a concave function from 0 to 1) and how
    /// much more a little more mass would have (its slope to the right).
    ///
    /// The measure is `max(r) - sum over k of attention(P_k) (r_k+1 - r_k)`, with `P_k` the mass of
    /// the returns up to the k-th. Mass that moves to `r_j` changes it by the slopes at the masses
    /// that it passes; so the slope of the utility between two returns is that of the attention at
    /// the mass below. (Acerbi, Spectral measures of risk, 2002; for `CVaR` the utility is
    /// `min(r, eta)`, with eta the quantile.)
    pub(crate) fn by_ranks(self, attention: impl Fn(f64) -> Attention) -> Worth {
        let steepest = attention(0.0).slope;
        let mut values = Vec::with_capacity(self.returns.len());
        let (mut mass, mut had, mut value) = (0.0, 0.0, 0.0);
        let (mut low, mut utility, mut is_return, mut slope) = (0.0, 0.0, true, 1.0);
        for (&high, own) in self.returns.iter().zip(self.masses) {
            // the return itself, to the last bit, for as long as nothing is discounted
            is_return &= slope >= 1.0;
            utility = if is_return { high } else { risen(utility, slope, low, high) };
            values.push(utility);
            low = high;
            mass += own;
            let share = attention(mass.min(1.0)).share;
            value += (share - had) * high;
            had = share;
            slope = attention((mass + MASS_ROUNDING).min(1.0)).slope / steepest;
        }
        let (lowest, highest) = (self.returns[0], self.returns[self.returns.len() - 1]);
        Worth {
            value: (value + (1.0 - had) * highest).clamp(lowest, highest),
            utility: Utility { values, scale: steepest },
        }
    }

    /// Equally likely returns that stand for the distribution: its quantiles.
    pub(crate) fn stand_ins(self) -> Vec<f64> {
        let (mut place, mut mass) = (0, self.masses[0]);
        let at = |rank: usize| {
            let middle = (rank as f64 + 0.5) / STAND_INS as f64;
            while mass < middle && place + 1 < self.returns.len() {
                place += 1;
                mass += self.masses[place];
            }
            self.returns[place]
        };
        (0..STAND_INS).map(at).collect()
    }

    /// The worth to a measure, from what it says of the stand-ins.
    pub(crate) fn by_stand_ins(self, stand_ins: &[f64], value: f64, utility: Utility) -> Worth {
        let Utility { values, scale } = utility;
        let worth = |&value: &f64| {
            let above = stand_ins.partition_point(|&stand_in| stand_in < value);
            match (above.checked_sub(1), stand_ins.get(above)) {
                // between two of them it is on the line between them, and below all of them on one
                // of slope 1
                (Some(below), Some(&high)) => {
                    let (low, rise) = (stand_ins[below], values[above] - values[below]);
                    values[below] + (value - low) / (high - low) * rise
                }
                (None, Some(&high)) => values[above] - (high - value),
                (Some(below), None) => values[below],
                (None, None) => value,
            }
        };
        let values = self.returns.iter().map(worth).collect();
        Worth { value, utility: Utility { values, scale } }
    }
}

/// How much attention the lowest share of the mass has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attention {
    pub(crate) share: f64,
    pub(crate) slope: f64,
}
