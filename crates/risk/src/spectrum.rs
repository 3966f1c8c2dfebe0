//! Spectral measures: any weights that never rise from the worst returns to the best.

use crate::weighted::Attention;
use crate::{RiskError, RiskMeasure, Weighted, Worth};

/// A spectral risk measure: weights as a function of a return's share of the ranks, constant on
/// equal parts.
///
/// `[4, 3, 2, 1]` counts the worst quarter of the returns four times as much as the best quarter;
/// `[1, 0, 0, 0, 0]` is `CVaR` at 0.2. A return that lies in several parts has a weight of each.
/// (Acerbi, Spectral measures of risk, 2002.)
///
/// # Example
/// ```
/// # use tailguard_risk::{RiskMeasure, Spectrum};
/// let spectrum = Spectrum::new(&[3.0, 1.0])?;
/// assert_eq!(spectrum.value(&[8.0, 0.0])?, 2.0); // 3/4 of the lower, 1/4 of the higher
/// assert_eq!(spectrum.value(&[8.0, 0.0, 0.0, 8.0])?, 2.0);
/// # Ok::<(), tailguard_risk::RiskError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Spectrum(Vec<f64>);

impl Spectrum {
    /// The measure with these weights for the parts, from the worst; only their ratios matter.
    ///
    /// # Errors
    /// [`RiskError::Spectrum`] unless there is at least one weight and they are finite, at least 0,
    /// never rising and not all 0.
    pub fn new(weights: &[f64]) -> Result<Self, RiskError> {
        if let Some(part) =
            weights.iter().position(|weight| !(weight.is_finite() && *weight >= 0.0))
        {
            return Err(RiskError::Spectrum {
                part,
                value: weights[part],
                expected: "a number of at least 0",
            });
        }
        if let Some(part) = (1..weights.len()).find(|&part| weights[part] > weights[part - 1]) {
            return Err(RiskError::Spectrum {
                part,
                value: weights[part],
                expected: "at most the weight before it",
            });
        }
        let Some(&first) = weights.first() else { return Err(RiskError::NoSpectrum) };
        if first <= 0.0 {
            return Err(RiskError::Spectrum {
                part: 0,
                value: first,
                expected: "a number above 0",
            });
        }
        // by the first one, so that the sum of the largest doubles is in range
        let sum: f64 = weights.iter().map(|weight| weight / first).sum();
        Ok(Self(weights.iter().map(|weight| weight / first / sum).collect()))
    }
}

impl RiskMeasure for Spectrum {
    fn weights(&self, sorted: &[f64]) -> Vec<f64> {
        let (len, parts) = (sorted.len() as u128, self.0.len() as u128);
        // In units of 1 / (len * parts) a return covers `parts` places and a part `len`.
        let of_return = |rank: u128| -> f64 {
            let (from, to) = (rank * parts, (rank + 1) * parts);
            let touched = from / len..to.div_ceil(len);
            touched
                .map(|part| {
                    self.share(part) * (to.min((part + 1) * len) - from.max(part * len)) as f64
                        / len as f64
                })
                .sum()
        };
        let mut lowest = f64::INFINITY;
        // Rounding alone could make one rise.
        let falling = |weight: f64| {
            lowest = weight.min(lowest);
            lowest
        };
        (0..len).map(of_return).map(falling).collect()
    }

    fn worth(&self, sample: Weighted<'_>) -> Result<Worth, RiskError> {
        let parts = self.0.len() as f64;
        Ok(sample.by_ranks(|mass| {
            let (mut share, mut begin) = (0.0, 0.0);
            for part in &self.0 {
                if mass * parts < begin + 1.0 {
                    share += part * (mass * parts - begin);
                    return Attention { share, slope: part * parts };
                }
                share += part;
                begin += 1.0;
            }
            Attention { share: 1.0, slope: 0.0 }
        }))
    }
}

impl Spectrum {
    /// The mass of a part.
    fn share(&self, part: u128) -> f64 {
        usize::try_from(part).ok().and_then(|part| self.0.get(part)).copied().unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_returns_need_not_match() {
        let weights = |parts: &[f64], len| Spectrum::new(parts).unwrap().weights(&vec![0.0; len]);
        assert_eq!(weights(&[1.0, 0.0], 4), [0.5, 0.5, 0.0, 0.0]);
        assert_eq!(weights(&[1.0, 0.0], 1), [1.0]);
        // parts end at 1.5: the middle return has half of the first part's third, and half of the
        // second's
        let uneven = weights(&[3.0, 1.0], 3);
        for (found, expected) in uneven.iter().zip([0.5, 1.0 / 3.0, 1.0 / 6.0]) {
            assert!((found - expected).abs() < 1e-15, "{uneven:?}");
        }
        assert_eq!(weights(&[f64::MAX, f64::MAX], 2), [0.5, 0.5]);
        assert!(weights(&[1.0], 0).is_empty());
    }

    #[test]
    fn weights_that_rise_or_are_none_are_refused() {
        let refused = |weights: &[f64]| Spectrum::new(weights).unwrap_err().to_string();
        assert_eq!(refused(&[]), "the spectrum has no weights, expected at least one");
        assert_eq!(
            refused(&[1.0, 2.0]),
            "weight 1 of the spectrum, counted from 0, is 2, expected at most the weight before it"
        );
        assert_eq!(
            refused(&[1.0, -1.0]),
            "weight 1 of the spectrum, counted from 0, is -1, expected a number of at least 0"
        );
        assert!(refused(&[f64::NAN]).contains("is NaN, expected a number of at least 0"));
        assert!(refused(&[f64::INFINITY]).contains("is inf, expected a number of at least 0"));
        assert!(refused(&[0.0, 0.0]).ends_with("is 0, expected a number above 0"));
    }
}
