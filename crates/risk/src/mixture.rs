//! A measure mixed with the mean: how good on the whole, and how good at the worst.

use crate::{MeanShare, RiskError, RiskMeasure, Utility, Weighted, Worth, measures::mean};

/// A share of the mean, and the rest of another measure: `share * mean + (1 - share) * of`.
///
/// # Example
/// ```
/// # use tailguard_risk::{MeanShare, Measure, Mixture, RiskLevel, RiskMeasure};
/// let mixture = Mixture::new(MeanShare::new(0.25)?, Measure::Cvar(RiskLevel::new(0.5)?));
/// assert_eq!(mixture.value(&[0.0, 8.0])?, 1.0); // a quarter of 4, and three of 0
/// # Ok::<(), tailguard_risk::RiskError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Mixture<M> {
    share: MeanShare,
    of: M,
}

impl<M: RiskMeasure> Mixture<M> {
    /// So much of the mean, the rest of the other measure.
    pub fn new(share: MeanShare, of: M) -> Self {
        Self { share, of }
    }

    /// Two numbers in the shares of the mixture.
    fn mix(&self, of_mean: f64, of_other: f64) -> f64 {
        let share = self.share.share();
        share * of_mean + (1.0 - share) * of_other
    }
}

impl<M: RiskMeasure> RiskMeasure for Mixture<M> {
    fn weights(&self, sorted: &[f64]) -> Vec<f64> {
        let uniform = 1.0 / sorted.len() as f64;
        self.of.weights(sorted).into_iter().map(|weight| self.mix(uniform, weight)).collect()
    }

    fn fewest(&self) -> usize {
        self.of.fewest()
    }

    fn value(&self, returns: &[f64]) -> Result<f64, RiskError> {
        Ok(self.mix(mean(returns)?, self.of.value(returns)?))
    }

    fn utility(&self, returns: &[f64]) -> Result<Utility, RiskError> {
        Ok(self.mixed(self.of.utility(returns)?, returns))
    }

    fn worth(&self, sample: Weighted<'_>) -> Result<Worth, RiskError> {
        let Worth { value, utility } = self.of.worth(sample)?;
        let value = self.mix(sample.mean(|value| value), value);
        Ok(Worth { value, utility: self.mixed(utility, sample.returns()) })
    }
}

impl<M> Mixture<M> {
    /// The utility of the mixture, from that of the other measure.
    fn mixed(&self, of_other: Utility, returns: &[f64]) -> Utility {
        let Utility { mut values, scale } = of_other;
        let share = self.share.share();
        let mixed = share + (1.0 - share) * scale;
        // In the unit of the measure the other part is worth `scale`, the mean 1; their sum is
        // brought back to a slope of at most 1, where the other's is.
        let of_mean = share / mixed;
        for (value, &of_return) in values.iter_mut().zip(returns) {
            let discount = of_return - *value;
            if discount.is_infinite() {
                // of the largest doubles; the other order of the terms is in range
                *value = (*value - of_mean * *value) + of_mean * of_return;
            } else if discount != 0.0 {
                // what is the return stays the return, to the last bit: 0 added to -0 is not -0
                *value += of_mean * discount;
            }
        }
        Utility { values, scale: mixed }
    }
}
