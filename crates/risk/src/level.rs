//! The dials of risk: the share of the worst episodes, the aversion of the entropic measure, the
//! share of the mean in a mixture.

use crate::{RiskError, decimal::Decimal};

/// A share alpha in (0, 1] of the worst episodes; 1 is risk-neutral. It is valid once it exists.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RiskLevel {
    alpha: f64,
    decimal: Decimal,
}

impl RiskLevel {
    /// All episodes: risk-neutral.
    pub const NEUTRAL: Self = Self { alpha: 1.0, decimal: Decimal { digits: 1, scale: 1 } };

    /// A level of `alpha`, a fraction: 0.4 for the worst 40 %.
    ///
    /// # Errors
    /// [`RiskError::Fraction`] if `alpha` is NaN or outside (0, 1].
    pub fn new(alpha: f64) -> Result<Self, RiskError> {
        let decimal =
            Decimal::read(alpha).ok_or(RiskError::Fraction { name: "alpha", value: alpha })?;
        Ok(Self { alpha, decimal })
    }

    /// The share, as it was given.
    pub fn alpha(self) -> f64 {
        self.alpha
    }

    /// How many of `len` episodes the level covers: `ceil(alpha * len)`, so at least one unless
    /// `len` is 0.
    ///
    /// Alpha counts as the decimal that was written and the ceiling is exact.
    ///
    /// ```
    /// # use tailguard_risk::RiskLevel;
    /// assert_eq!(RiskLevel::new(0.07)?.count(100), 7); // 0.07 * 100.0 is 7.000000000000001
    /// assert_eq!(RiskLevel::new(0.4)?.count(128), 52);
    /// # Ok::<(), tailguard_risk::RiskError>(())
    /// ```
    pub fn count(self, len: usize) -> usize {
        self.decimal.of(len)
    }

    /// The level as an exact decimal.
    pub(crate) fn decimal(self) -> Decimal {
        self.decimal
    }
}

/// The aversion lambda > 0 of the entropic measure: towards 0 it is the mean, towards infinity the
/// worst return.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RiskAversion(f64);

impl RiskAversion {
    /// An aversion of `lambda`, in units of one over the returns' unit.
    ///
    /// # Errors
    /// [`RiskError::Aversion`] if `lambda` is not a normal, finite number above 0.
    pub fn new(lambda: f64) -> Result<Self, RiskError> {
        if lambda.is_normal() && lambda > 0.0 {
            Ok(Self(lambda))
        } else {
            Err(RiskError::Aversion(lambda))
        }
    }

    /// The aversion, as it was given.
    pub fn lambda(self) -> f64 {
        self.0
    }
}

/// The share of the mean in a [`Mixture`](crate::Mixture): 1 is risk-neutral.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MeanShare(f64);

impl MeanShare {
    /// A share in [0, 1].
    ///
    /// # Errors
    /// [`RiskError::Share`] if it is NaN or outside.
    pub fn new(share: f64) -> Result<Self, RiskError> {
        if (0.0..=1.0).contains(&share) { Ok(Self(share)) } else { Err(RiskError::Share(share)) }
    }

    /// The share, as it was given.
    pub fn share(self) -> f64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_outside_zero_to_one_are_refused() {
        for alpha in [0.0, -0.0, -0.4, 1.01, f64::NAN, f64::INFINITY] {
            let error = RiskLevel::new(alpha).unwrap_err();
            assert!(matches!(error, RiskError::Fraction { name: "alpha", .. }), "{error}");
        }
        let message = RiskLevel::new(1.5).unwrap_err().to_string();
        assert_eq!(message, "alpha is 1.5, expected a fraction above 0 and at most 1");
    }

    #[test]
    fn the_neutral_level_is_the_one_that_is_written() {
        assert_eq!(RiskLevel::new(1.0), Ok(RiskLevel::NEUTRAL));
    }

    #[test]
    fn aversions_that_are_not_positive_are_refused() {
        for lambda in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(matches!(RiskAversion::new(lambda), Err(RiskError::Aversion(_))), "{lambda}");
        }
        assert_eq!(RiskAversion::new(0.5).map(RiskAversion::lambda), Ok(0.5));
    }

    #[test]
    fn shares_outside_zero_to_one_are_refused() {
        for share in [-0.1, 1.1, f64::NAN] {
            assert!(matches!(MeanShare::new(share), Err(RiskError::Share(_))), "{share}");
        }
        assert_eq!(
            MeanShare::new(1.5).unwrap_err().to_string(),
            "the share of the mean is 1.5, expected a number from 0 to 1"
        );
        assert_eq!(MeanShare::new(0.0).map(MeanShare::share), Ok(0.0));
    }
}
