//! Risk measures: one number for how good a batch of returns is, with more or less attention to the
//! worst of them.

use std::num::NonZeroUsize;

use crate::weighted::Attention;
use crate::{RiskAversion, RiskError, RiskLevel, Utility, Weighted, Worth, error::check};

/// A risk measure of returns (higher is better) as weights over the returns sorted from the lowest
/// to the highest.
///
/// Implement [`RiskMeasure::weights`] to add a measure of your own; its value then is the weighted
/// mean, and the utility that trains for it follows from the weights. Weights are not negative and
/// sum to 1, or there is no value; those of a coherent measure never rise along the sorted returns.
///
/// # Example
/// A measure that looks only at the median and below, with the lowest return counted twice:
/// ```
/// use tailguard_risk::RiskMeasure;
///
/// struct LowerHalf;
/// impl RiskMeasure for LowerHalf {
///     fn weights(&self, sorted: &[f64]) -> Vec<f64> {
///         let half = sorted.len().div_ceil(2);
///         let unit = 1.0 / (half as f64 + 1.0);
///         let weight = |rank: usize| match rank {
///             0 => 2.0 * unit,
///             _ if rank < half => unit,
///             _ => 0.0,
///         };
///         (0..sorted.len()).map(weight).collect()
///     }
/// }
/// assert_eq!(LowerHalf.value(&[4.0, 1.0, -2.0, 9.0])?, -1.0); // (2 * -2 + 1) / 3
/// // slopes 1/2, 0, 0 from -2 up
/// assert_eq!(LowerHalf.utility(&[4.0, 1.0, -2.0, 9.0])?.values, [-0.5, -0.5, -2.0, -0.5]);
/// # Ok::<(), tailguard_risk::RiskError>(())
/// ```
pub trait RiskMeasure {
    /// One weight per return; `sorted` ascends and is not empty.
    fn weights(&self, sorted: &[f64]) -> Vec<f64>;

    /// How many returns it takes to say anything about the measure.
    fn fewest(&self) -> usize {
        1
    }

    /// The measure of the returns, in their unit: the weighted mean unless the measure says
    /// otherwise.
    ///
    /// It does not depend on the order of the returns, to the last bit.
    ///
    /// # Errors
    /// [`RiskError::Empty`], [`RiskError::NotFinite`]; [`RiskError::TooFew`] for less than
    /// [`fewest`](Self::fewest); [`RiskError::WeightCount`], [`RiskError::Weight`],
    /// [`RiskError::WeightSum`] for weights that are none.
    fn value(&self, returns: &[f64]) -> Result<f64, RiskError> {
        check_enough(returns, self.fewest())?;
        let sorted = sorted(returns);
        Ok(weighted_mean(&sorted, &checked(self.weights(&sorted), sorted.len())?))
    }

    /// The weights in the order of the returns as given; among equal returns the earlier one has
    /// the earlier weight.
    ///
    /// # Errors
    /// As [`value`](Self::value).
    fn episode_weights(&self, returns: &[f64]) -> Result<Vec<f64>, RiskError> {
        check_enough(returns, self.fewest())?;
        let (order, sorted) = ranked(returns);
        Ok(unranked(&order, checked(self.weights(&sorted), sorted.len())?))
    }

    /// What each return is worth to the measure: training for the mean of these utilities is
    /// training for the measure.
    ///
    /// It comes from the weights, as [`Utility`] says. That holds for weights that depend on the
    /// ranks alone; a measure whose weights depend on the returns themselves should give its own.
    /// Of less than [`fewest`](Self::fewest) returns there is a utility, too: that of the weights
    /// that the measure then has.
    ///
    /// # Errors
    /// [`RiskError::Empty`], [`RiskError::NotFinite`]; [`RiskError::WeightCount`],
    /// [`RiskError::Weight`], [`RiskError::WeightSum`] for weights that are none.
    fn utility(&self, returns: &[f64]) -> Result<Utility, RiskError> {
        utility_of_ranks(self, returns)
    }

    /// The measure of returns that are not equally likely, and what each of them is worth to it:
    /// to move a little mass from one return to another changes the measure by the difference of
    /// their utilities, times the utility's scale. As in [`utility`](Self::utility) no slope is
    /// above 1.
    ///
    /// The measures of this crate know it exactly. Any other is asked about some thousand equally
    /// likely quantiles.
    ///
    /// # Errors
    /// As [`value`](Self::value).
    ///
    /// # Example
    /// ```
    /// use tailguard_risk::{Measure, RiskLevel, RiskMeasure, Weighted};
    ///
    /// let half = Measure::Cvar(RiskLevel::new(0.5)?);
    /// let worth = half.worth(Weighted::new(&[-1.0, 0.0, 3.0], &[0.25, 0.5, 0.25])?)?;
    /// assert_eq!(worth.value, -0.5);
    /// assert_eq!((worth.utility.values, worth.utility.scale), (vec![-1.0, 0.0, 0.0], 2.0));
    /// # Ok::<(), tailguard_risk::RiskError>(())
    /// ```
    fn worth(&self, sample: Weighted<'_>) -> Result<Worth, RiskError> {
        let stand_ins = sample.stand_ins();
        let (value, utility) = (self.value(&stand_ins)?, self.utility(&stand_ins)?);
        Ok(sample.by_stand_ins(&stand_ins, value, utility))
    }
}

/// Any measure, to choose at run time among those of this crate and others.
impl<M: RiskMeasure + ?Sized> RiskMeasure for Box<M> {
    fn weights(&self, sorted: &[f64]) -> Vec<f64> {
        (**self).weights(sorted)
    }

    fn fewest(&self) -> usize {
        (**self).fewest()
    }

    fn value(&self, returns: &[f64]) -> Result<f64, RiskError> {
        (**self).value(returns)
    }

    fn episode_weights(&self, returns: &[f64]) -> Result<Vec<f64>, RiskError> {
        (**self).episode_weights(returns)
    }

    fn utility(&self, returns: &[f64]) -> Result<Utility, RiskError> {
        (**self).utility(returns)
    }

    fn worth(&self, sample: Weighted<'_>) -> Result<Worth, RiskError> {
        (**self).worth(sample)
    }
}

/// The measures of this crate, to choose among them at run time.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Measure {
    /// [`mean`]: all returns alike.
    Mean,
    /// [`cvar`]: mean of the `count` lowest returns. This is what `CVaR` means in this project.
    Cvar(RiskLevel),
    /// [`cvar_conditional_mean`]: mean of all returns at or below the quantile.
    CvarConditionalMean(RiskLevel),
    /// [`cvar_rockafellar_uryasev`]: exactly a share alpha of the mass, one return counted in part.
    CvarRockafellarUryasev(RiskLevel),
    /// [`entropic`]: soft attention to the worst returns. Its weights are the gradient of the value
    /// by each return.
    Entropic(RiskAversion),
    /// The expected worst of so many returns: the mean, over all choices of so many of the returns,
    /// of the lowest of them. That is unbiased for the worst of so many new ones, and it takes at
    /// least so many. Its utility takes the worst of all there are where they are fewer.
    WorstOf(NonZeroUsize),
}

impl RiskMeasure for Measure {
    fn weights(&self, sorted: &[f64]) -> Vec<f64> {
        let len = sorted.len();
        if len == 0 {
            return Vec::new();
        }
        match *self {
            Self::Mean => vec![1.0 / len as f64; len],
            Self::Cvar(level) => head(len, level.count(len)),
            Self::CvarConditionalMean(level) => {
                let quantile = sorted[level.count(len) - 1];
                head(len, sorted.partition_point(|&value| value <= quantile))
            }
            Self::CvarRockafellarUryasev(level) => fractional_head(len, level),
            Self::Entropic(aversion) => {
                let unscaled = discounts(sorted, sorted[0], aversion);
                let sum: f64 = unscaled.iter().sum();
                unscaled.into_iter().map(|weight| weight / sum).collect()
            }
            Self::WorstOf(count) => worst_of(len, count.get().min(len)),
        }
    }

    fn fewest(&self) -> usize {
        if let Self::WorstOf(count) = self { count.get() } else { 1 }
    }

    fn value(&self, returns: &[f64]) -> Result<f64, RiskError> {
        check_enough(returns, self.fewest())?;
        let sorted = sorted(returns);
        match *self {
            // Its weights depend on the returns, and the weighted mean lacks the penalty for
            // leaving the uniform ones.
            Self::Entropic(aversion) => {
                let mean = discounts(&sorted, sorted[0], aversion).iter().sum::<f64>()
                    / sorted.len() as f64;
                let value = sorted[0] - mean.ln() / aversion.lambda();
                Ok(value.clamp(sorted[0], sorted[sorted.len() - 1]))
            }
            _ => Ok(weighted_mean(&sorted, &self.weights(&sorted))),
        }
    }

    fn utility(&self, returns: &[f64]) -> Result<Utility, RiskError> {
        match *self {
            Self::Entropic(aversion) => entropic_utility(returns, aversion),
            _ => utility_of_ranks(self, returns),
        }
    }

    /// The three forms of `CVaR` are one here, as a return's mass can be counted in part.
    fn worth(&self, sample: Weighted<'_>) -> Result<Worth, RiskError> {
        Ok(match *self {
            Self::Mean => sample.by_ranks(|mass| Attention { share: mass, slope: 1.0 }),
            Self::Cvar(level)
            | Self::CvarConditionalMean(level)
            | Self::CvarRockafellarUryasev(level) => {
                let alpha = level.alpha();
                sample.by_ranks(|mass| Attention {
                    share: (mass / alpha).min(1.0),
                    slope: if mass < alpha { alpha.recip() } else { 0.0 },
                })
            }
            Self::Entropic(aversion) => entropic_worth(sample, aversion),
            Self::WorstOf(count) => {
                let count = count.get() as f64;
                sample.by_ranks(|mass| Attention {
                    share: 1.0 - (1.0 - mass).powf(count),
                    slope: count * (1.0 - mass).powf(count - 1.0),
                })
            }
        })
    }
}

/// The mean of the returns.
///
/// # Errors
/// [`RiskError::Empty`], [`RiskError::NotFinite`].
pub fn mean(returns: &[f64]) -> Result<f64, RiskError> {
    Measure::Mean.value(returns)
}

/// `CVaR`: the mean of the `count` lowest returns, `count = ceil(alpha n)` (Eq. 6 of arXiv
/// 2501.06911, without ties).
///
/// # Errors
/// [`RiskError::Empty`], [`RiskError::NotFinite`].
///
/// # Example
/// ```
/// # use tailguard_risk::{RiskLevel, cvar};
/// assert_eq!(cvar(&[3.0, -1.0, 2.0, -2.0], RiskLevel::new(0.5)?)?, -1.5);
/// # Ok::<(), tailguard_risk::RiskError>(())
/// ```
pub fn cvar(returns: &[f64], level: RiskLevel) -> Result<f64, RiskError> {
    check(returns)?;
    let count = level.count(returns.len());
    let mut values = returns.to_vec();
    // Only the lowest need an order, and they need one so that the sum does not depend on the order
    // of the returns.
    values.select_nth_unstable_by(count - 1, f64::total_cmp);
    values.truncate(count);
    values.sort_unstable_by(f64::total_cmp);
    Ok(weighted_mean(&values, &head(count, count)))
}

/// `CVaR` as the paper writes it, `E[R | R <= q]`: the mean of all returns at or below the quantile
/// (Eq. 6).
///
/// Never below [`cvar`]; it differs only where further returns tie with the quantile.
///
/// # Errors
/// [`RiskError::Empty`], [`RiskError::NotFinite`].
pub fn cvar_conditional_mean(returns: &[f64], level: RiskLevel) -> Result<f64, RiskError> {
    Measure::CvarConditionalMean(level).value(returns)
}

/// `CVaR` as the optimum `max over z of z - mean(max(z - R, 0)) / alpha`, which is reached at the
/// quantile.
///
/// Never above [`cvar`], and equal to it where alpha n is whole: here the `count`-th return counts
/// only with what is left of the mass alpha. (Rockafellar and Uryasev, Optimization of conditional
/// value-at-risk, 2000.)
///
/// # Errors
/// [`RiskError::Empty`], [`RiskError::NotFinite`].
pub fn cvar_rockafellar_uryasev(returns: &[f64], level: RiskLevel) -> Result<f64, RiskError> {
    Measure::CvarRockafellarUryasev(level).value(returns)
}

/// The entropic measure `-(1 / lambda) log(mean(exp(-lambda R)))`, at most the mean and at least
/// the lowest return.
///
/// Computed from the lowest return upwards, so it never overflows; its error is about 1e-16 over
/// lambda. Returns that all lie closer together than that come out as the lowest of them.
///
/// # Errors
/// [`RiskError::Empty`], [`RiskError::NotFinite`].
pub fn entropic(returns: &[f64], aversion: RiskAversion) -> Result<f64, RiskError> {
    Measure::Entropic(aversion).value(returns)
}

/// Equal weights for the first `count` of `len` places, 0 for the rest.
fn head(len: usize, count: usize) -> Vec<f64> {
    (0..len).map(|rank| if rank < count { 1.0 / count as f64 } else { 0.0 }).collect()
}

/// Weights `1 / (alpha n)` until the mass alpha is used up; the last return within it gets what is
/// left.
fn fractional_head(len: usize, level: RiskLevel) -> Vec<f64> {
    let alpha = level.decimal();
    // In units of 1 / scale a return has mass `scale`, and the level covers `digits * len`.
    let covered = alpha.digits * len as u128;
    let weight = |rank: usize| {
        let left = covered.saturating_sub(rank as u128 * alpha.scale);
        left.min(alpha.scale) as f64 / covered as f64
    };
    (0..len).map(weight).collect()
}

/// `exp(-lambda (R - lowest))`: 1 for the lowest return, towards 0 for better ones.
fn discounts(sorted: &[f64], lowest: f64, aversion: RiskAversion) -> Vec<f64> {
    sorted.iter().map(|value| (-aversion.lambda() * (value - lowest)).exp()).collect()
}

/// Weights of the expected worst of `count` among `len` returns: the share of the choices in which
/// a return is the lowest.
fn worst_of(len: usize, count: usize) -> Vec<f64> {
    let first = count as f64 / len as f64;
    // C(n - j - 1, k - 1) / C(n - j, k - 1) from one rank to the next
    let next = |weight: &f64, rank: usize| {
        weight * ((len - rank + 1).saturating_sub(count) as f64 / (len - rank) as f64)
    };
    let weights = std::iter::successors(Some((first, 1)), |(weight, rank)| {
        (*rank < len).then(|| (next(weight, *rank), rank + 1))
    });
    weights.map(|(weight, _)| weight).collect()
}

/// The utility of the entropic measure: `c + (1 - exp(-lambda (R - c))) / lambda` with c the
/// measure of the batch.
///
/// Slope 1 stands at c and is the mean of all slopes, so the mean utility is the measure and a KL
/// coefficient means beside it what it means beside the mean. With slope 1 at the lowest return, a
/// batch with a disaster in it would count for less than others.
fn entropic_utility(returns: &[f64], aversion: RiskAversion) -> Result<Utility, RiskError> {
    check(returns)?;
    let lambda = aversion.lambda();
    let lowest = returns.iter().copied().fold(f64::INFINITY, f64::min);
    // in an order of their own, so that the order of the returns does not matter
    let discounted = sorted(returns).into_iter().map(|value| (-lambda * (value - lowest)).exp_m1());
    let centre = lowest - (discounted.sum::<f64>() / returns.len() as f64).ln_1p() / lambda;
    let values = returns
        .iter()
        .map(|value| centre - (-lambda * (value - centre)).exp_m1() / lambda)
        .collect();
    Ok(Utility { values, scale: 1.0 })
}

/// The entropic measure of a distribution, and its utility as in [`entropic_utility`].
fn entropic_worth(sample: Weighted<'_>, aversion: RiskAversion) -> Worth {
    let lambda = aversion.lambda();
    let lowest = sample.returns()[0];
    let discounted = sample.mean(|value| (-lambda * (value - lowest)).exp_m1());
    let centre = lowest - discounted.ln_1p() / lambda;
    let utility = |value: &f64| centre - (-lambda * (value - centre)).exp_m1() / lambda;
    let values = sample.returns().iter().map(utility).collect();
    Worth { value: centre, utility: Utility { values, scale: 1.0 } }
}

/// The utility that follows from a measure's weights.
fn utility_of_ranks(
    measure: &(impl RiskMeasure + ?Sized),
    returns: &[f64],
) -> Result<Utility, RiskError> {
    check(returns)?;
    let (order, sorted) = ranked(returns);
    let Utility { values, scale } =
        Utility::of_weights(&sorted, &checked(measure.weights(&sorted), sorted.len())?);
    Ok(Utility { values: unranked(&order, values), scale })
}

/// The places of the returns from the lowest to the highest, and the returns in that order; ties by
/// the earlier place.
fn ranked(returns: &[f64]) -> (Vec<usize>, Vec<f64>) {
    let mut order: Vec<usize> = (0..returns.len()).collect();
    // Adding 0 turns -0 into 0, so that the two tie.
    order.sort_by(|&left, &right| (returns[left] + 0.0).total_cmp(&(returns[right] + 0.0)));
    let sorted = order.iter().map(|&index| returns[index]).collect();
    (order, sorted)
}

/// Numbers in the order of the ranks, put back to the places of their returns.
fn unranked(order: &[usize], of_ranks: Vec<f64>) -> Vec<f64> {
    let mut placed = vec![0.0; order.len()];
    for (&index, value) in order.iter().zip(of_ranks) {
        placed[index] = value;
    }
    placed
}

/// Refuses returns that are too few or not finite.
fn check_enough(returns: &[f64], needed: usize) -> Result<(), RiskError> {
    check(returns)?;
    if returns.len() < needed {
        Err(RiskError::TooFew { needed, found: returns.len() })
    } else {
        Ok(())
    }
}

/// The returns in ascending order.
fn sorted(returns: &[f64]) -> Vec<f64> {
    let mut values = returns.to_vec();
    values.sort_unstable_by(f64::total_cmp);
    values
}

/// Rounding of the sum of the weights of some hundred million returns.
const SUM_ROUNDING: f64 = 1e-8;

/// Weights of so many returns, if they are a distribution: of others the weighted mean is no
/// measure of risk.
fn checked(weights: Vec<f64>, len: usize) -> Result<Vec<f64>, RiskError> {
    if weights.len() != len {
        return Err(RiskError::WeightCount { found: weights.len(), expected: len });
    }
    if let Some(rank) = weights.iter().position(|&weight| !(weight.is_finite() && weight >= 0.0)) {
        return Err(RiskError::Weight { rank, value: weights[rank] });
    }
    let sum: f64 = weights.iter().sum();
    if (sum - 1.0).abs() > SUM_ROUNDING { Err(RiskError::WeightSum { sum }) } else { Ok(weights) }
}

/// The weighted mean of ascending values, held between the lowest and the highest of them against
/// rounding.
fn weighted_mean(sorted: &[f64], weights: &[f64]) -> f64 {
    // Weighting before adding keeps sums of the largest doubles in range.
    let sum: f64 = sorted.iter().zip(weights).map(|(value, weight)| value * weight).sum();
    sum.clamp(sorted[0], sorted[sorted.len() - 1])
}
