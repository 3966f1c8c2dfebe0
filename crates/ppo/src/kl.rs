//! The KL coefficient and its controller: Eqs. 4 and 12 of arXiv 2501.06911.

use crate::error::{PpoError, finite, same_length};
use crate::kl_hold::KlHold;

/// KL of one episode to the reference, in nats: the sum of `log pi - log pi_ref` over its tokens.
/// An estimate; it may be negative.
///
/// # Errors
/// As [`KlEstimator::per_token`].
pub fn episode_kl(log_probs: &[f32], ref_log_probs: &[f32]) -> Result<f64, PpoError> {
    Ok(KlEstimator::LogRatio.per_token(log_probs, ref_log_probs)?.into_iter().sum())
}

/// How the KL to the reference is estimated from one sampled token. Training uses
/// [`KlEstimator::LogRatio`] alone (Eq. 5); the others are there for reports, since they are never
/// negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KlEstimator {
    /// `log pi - log pi_ref`: unbiased, may be negative.
    LogRatio,
    /// Its absolute value.
    Absolute,
    /// Half its square: right for small differences, and of low variance.
    HalfSquare,
}

impl KlEstimator {
    /// The estimate at every token of one episode, in nats, before any coefficient.
    ///
    /// # Errors
    /// [`PpoError::Length`] for rows of different length, [`PpoError::NotFinite`] for NaN or
    /// infinity.
    ///
    /// # Example
    /// ```
    /// use tailguard_ppo::KlEstimator;
    /// assert_eq!(KlEstimator::LogRatio.per_token(&[-2.0, -1.0], &[-1.5, -2.0])?, [-0.5, 1.0]);
    /// assert_eq!(KlEstimator::HalfSquare.per_token(&[-2.0, -1.0], &[-1.5, -2.0])?, [0.125, 0.5]);
    /// # Ok::<(), tailguard_ppo::PpoError>(())
    /// ```
    pub fn per_token(self, log_probs: &[f32], ref_log_probs: &[f32]) -> Result<Vec<f64>, PpoError> {
        same_length("reference log-probabilities", ref_log_probs.len(), log_probs.len())?;
        finite("log-probabilities", log_probs)?;
        finite("reference log-probabilities", ref_log_probs)?;
        let differences = log_probs
            .iter()
            .zip(ref_log_probs)
            .map(|(&new, &reference)| f64::from(new) - f64::from(reference));
        Ok(differences
            .map(|difference| match self {
                Self::LogRatio => difference,
                Self::Absolute => difference.abs(),
                Self::HalfSquare => 0.5 * difference * difference,
            })
            .collect())
    }
}

/// Holds the KL near a target: `beta <- beta (1 + gain e)` with
/// `e = clip(KL / target - 1, -0.2, 0.2)`.
///
/// # Example
/// ```
/// let mut kl = tailguard_ppo::KlController::adaptive(0.2, 6.0, 128.0 / 10_000.0)?;
/// kl.update(12.0)?; // twice the target: the error is cut at 0.2
/// assert!((kl.coef() - 0.2 * (1.0 + 0.0128 * 0.2)).abs() < 1e-12);
/// # Ok::<(), tailguard_ppo::PpoError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KlController {
    coef: f64,
    law: Law,
}

/// How the coefficient follows the KL.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Law {
    /// Eqs. 4 and 12.
    Adaptive { target: f64, gain: f64 },
    /// So that the KL is held.
    Hold(KlHold),
}

impl KlController {
    /// Gains are below this: one update moves the coefficient by up to a fifth of the gain, and it
    /// must stay positive.
    pub const GAIN_LIMIT: f64 = 5.0;

    /// The gain of a batch size and a horizon, `batch_size / horizon`; 0 for a horizon of 0, which
    /// leaves the coefficient as it is. NaN or negative, as [`adaptive`](Self::adaptive) refuses
    /// it, for a horizon that is.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "batch sizes are small")]
    pub fn gain(batch_size: usize, horizon: f64) -> f64 {
        if horizon.abs() > 0.0 || horizon.is_nan() { batch_size as f64 / horizon } else { 0.0 }
    }

    /// A controller that starts at `coef`; `gain` is the paper's `K_beta`, batch / horizon in its
    /// Table 5.
    ///
    /// # Errors
    /// [`PpoError::Setting`] unless `coef` and `gain` are at least 0, `target` is positive, all are
    /// finite, and `gain` is below [`GAIN_LIMIT`](Self::GAIN_LIMIT).
    pub fn adaptive(coef: f64, target: f64, gain: f64) -> Result<Self, PpoError> {
        let refuse = |key, found: f64, expected| Err(PpoError::setting(key, &found, expected));
        if !(coef.is_finite() && coef >= 0.0) {
            return refuse("kl_coef", coef, "0 or more");
        }
        if !(target.is_finite() && target > 0.0) {
            return refuse("kl_target", target, "a positive number");
        }
        if !(0.0..Self::GAIN_LIMIT).contains(&gain) {
            return refuse(
                "the KL controller's gain, batch_size / kl_horizon,",
                gain,
                "0 or more and below 5",
            );
        }
        Ok(Self { coef, law: Law::Adaptive { target, gain } })
    }

    /// A controller that starts at `coef` and holds the mean KL per episode at `target` nats. It is
    /// to see the KL of all episodes, so that policies of all objectives are held at the same.
    ///
    /// # Errors
    /// [`PpoError::Setting`] unless `coef` and `target` are positive and finite.
    pub fn holding(coef: f64, target: f64) -> Result<Self, PpoError> {
        let hold = KlHold::new(target)?;
        if !(coef.is_finite() && coef > 0.0) {
            // what is multiplied with anything would stay 0
            return Err(PpoError::setting("kl_coef", &coef, "a positive number to hold a KL by"));
        }
        Ok(Self { coef, law: Law::Hold(hold) })
    }

    /// A coefficient that never changes.
    ///
    /// # Errors
    /// As [`KlController::adaptive`].
    pub fn fixed(coef: f64) -> Result<Self, PpoError> {
        Self::adaptive(coef, 1.0, 0.0)
    }

    /// The coefficient, beta.
    #[must_use]
    pub fn coef(&self) -> f64 {
        self.coef
    }

    /// Whether it holds the KL of all episodes, and not by Eq. 12 that of the kept ones.
    #[must_use]
    pub fn holds(&self) -> bool {
        matches!(self.law, Law::Hold(_))
    }

    /// Moves the coefficient, given the mean KL per episode in nats: of the kept ones (Eq. 12), or
    /// of all if the KL is held.
    ///
    /// # Errors
    /// [`PpoError::NotFinite`] for NaN or infinity; the coefficient is then as it was.
    pub fn update(&mut self, mean_kl: f64) -> Result<(), PpoError> {
        if !mean_kl.is_finite() {
            return Err(PpoError::NotFinite {
                what: "the means of the KL",
                index: 0,
                value: mean_kl,
            });
        }
        self.coef *= match &mut self.law {
            Law::Adaptive { target, gain } => {
                1.0 + *gain * (mean_kl / *target - 1.0).clamp(-0.2, 0.2)
            }
            Law::Hold(hold) => hold.update(mean_kl),
        };
        Ok(())
    }

    /// The error of the last update, which a resumed run needs beside the coefficient; nothing
    /// where the coefficient says it all.
    #[must_use]
    pub fn error(&self) -> Option<f64> {
        match &self.law {
            Law::Adaptive { .. } => None,
            Law::Hold(hold) => Some(hold.error()),
        }
    }

    /// The same controller as a resumed run has it: with another coefficient, after updates of
    /// which the last had this [`error`](Self::error).
    ///
    /// # Errors
    /// As those of [`adaptive`](Self::adaptive) and [`holding`](Self::holding); an error that is
    /// missing or is none.
    pub fn resumed(self, coef: f64, error: Option<f64>) -> Result<Self, PpoError> {
        match (self.law, error) {
            (Law::Adaptive { target, gain }, None) => Self::adaptive(coef, target, gain),
            (Law::Hold(hold), Some(error))
                if error.is_finite() && coef.is_finite() && coef > 0.0 =>
            {
                Ok(Self { coef, law: Law::Hold(hold.after(error)) })
            }
            (law, error) => {
                let found = format!("{coef} with the error {error:?}");
                let expected = match law {
                    Law::Adaptive { .. } => "a coefficient alone, as the KL is not held",
                    Law::Hold(_) => "a positive coefficient and a finite error, as the KL is held",
                };
                Err(PpoError::setting("kl_coef", &found, expected))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_coefficient_moves_towards_the_target_by_a_bounded_step(
            kl in -5.0f64..50.0,
            coef in 0.01f64..1.0,
            gain in 0.0f64..0.5,
        ) {
            let mut controller = KlController::adaptive(coef, 6.0, gain).unwrap();
            controller.update(kl).unwrap();
            let change = controller.coef() / coef - 1.0;
            prop_assert!(change.abs() <= 0.2 * gain + 1e-12);
            prop_assert!(change * (kl - 6.0) >= 0.0);
        }
    }

    #[test]
    fn a_fixed_coefficient_stays_and_bad_settings_are_refused() {
        let mut fixed = KlController::fixed(0.3).unwrap();
        fixed.update(100.0).unwrap();
        assert!((fixed.coef() - 0.3).abs() < f64::EPSILON);
        assert!(KlController::adaptive(-0.1, 6.0, 0.1).is_err());
        assert!(KlController::adaptive(0.1, 0.0, 0.1).is_err());
        assert!(KlController::adaptive(0.1, 6.0, f64::NAN).is_err());
        // 1 - 0.2 * 5 = 0: the penalty would be gone, and beyond it a reward
        assert!(KlController::adaptive(0.1, 6.0, 5.0).is_err());
        for (horizon, valid) in
            [(0.0, true), (-0.0, true), (100.0, true), (-100.0, false), (f64::NAN, false)]
        {
            assert_eq!(
                KlController::adaptive(0.1, 6.0, KlController::gain(10, horizon)).is_ok(),
                valid,
                "{horizon}"
            );
        }
    }

    #[test]
    fn a_controller_that_holds_goes_on_from_its_error_and_needs_a_coefficient_to_multiply() {
        let mut whole = KlController::holding(0.2, 4.0).unwrap();
        assert!(whole.holds() && !KlController::fixed(0.2).unwrap().holds());
        whole.update(5.0).unwrap();
        assert!(whole.coef() > 0.2 && whole.error() == Some(0.25));
        let fresh = KlController::holding(0.2, 4.0).unwrap();
        assert_eq!(fresh.resumed(whole.coef(), whole.error()).unwrap(), whole);
        for (coef, error) in [(0.2, None), (0.0, Some(0.1)), (0.2, Some(f64::NAN))] {
            assert!(fresh.resumed(coef, error).is_err(), "{coef} {error:?}");
        }
        assert!(KlController::holding(0.0, 4.0).is_err());
        assert!(KlController::holding(0.2, 0.0).is_err());
    }

    #[test]
    fn what_is_no_kl_and_no_coefficient_is_refused_and_changes_nothing() {
        let mut controller = KlController::adaptive(0.3, 6.0, 0.1).unwrap();
        for bad in [f64::NAN, f64::INFINITY] {
            assert!(controller.update(bad).is_err(), "{bad}");
            assert!(controller.resumed(bad, None).is_err(), "{bad}");
        }
        assert!(controller.resumed(-0.1, None).is_err());
        assert!(controller.resumed(0.1, Some(0.0)).is_err());
        assert_eq!(controller, KlController::adaptive(0.3, 6.0, 0.1).unwrap());
        assert!(matches!(
            episode_kl(&[-1.0, -2.0], &[-1.0]),
            Err(PpoError::Length { found: 1, expected: 2, .. })
        ));
        assert!(matches!(episode_kl(&[-1.0], &[f32::NAN]), Err(PpoError::NotFinite { .. })));
    }
}
