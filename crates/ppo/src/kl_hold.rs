//! Holding a policy at a KL, so that policies can be compared at one.
//!
//! The paper's controller (Eqs. 4 and 12) adds up errors: it moves the coefficient by at most a
//! fifth of its gain an iteration, whatever the KL did last. The KL itself adds up steps of the
//! optimiser. Two sums in a row swing: the KL runs out, is called back late, and comes back too
//! far. What is here answers to the change of the KL as well, which damps that, and lets the KL
//! come out to its target along a straight line.

use crate::error::PpoError;

/// What the coefficient answers to a change of the error: the proportional part.
const PROPORTIONAL: f64 = 2.0;
/// What it answers to the error itself, at each iteration: the integral part.
const INTEGRAL: f64 = 0.2;
/// Errors are cut at this, in units of the target.
const LARGEST_ERROR: f64 = 1.0;
/// The target rises from 0 to its value over one in so many iterations of the run.
const APPROACH: usize = 10;

/// A proportional and integral controller of the logarithm of the coefficient, in its form of
/// differences (Åström and Hägglund, Advanced PID Control, 2006, chapter 13):
///
/// `beta <- beta exp(P (e_t - e_(t-1)) + I e_t)`, with `e_t = clip(KL_t / K - min(1, t / T), -1,
/// 1)` and `e_0 = 0`,
///
/// where `K` is the KL to hold, `t` counts the iterations and `T` is a tenth of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct KlHold {
    target: f64,
    /// T.
    approach: f64,
    /// t, of the last update.
    iteration: usize,
    /// e of the last update.
    error: f64,
}

impl KlHold {
    /// A controller before its first update, in a run of so many iterations; the target in nats.
    ///
    /// # Errors
    /// [`PpoError::Setting`] for a target that is not positive and finite.
    #[expect(clippy::cast_precision_loss, reason = "runs are short")]
    pub(crate) fn new(target: f64, iterations: usize) -> Result<Self, PpoError> {
        if !(target.is_finite() && target > 0.0) {
            return Err(PpoError::setting("the KL to hold", &target, "a positive number"));
        }
        let approach = iterations.div_ceil(APPROACH).max(1) as f64;
        Ok(Self { target, approach, iteration: 0, error: 0.0 })
    }

    /// By what factor the coefficient changes, given the mean KL per episode of the next iteration.
    #[expect(clippy::cast_precision_loss, reason = "runs are short")]
    pub(crate) fn update(&mut self, mean_kl: f64) -> f64 {
        self.iteration += 1;
        let asked = (self.iteration as f64 / self.approach).min(1.0);
        let error = (mean_kl / self.target - asked).clamp(-LARGEST_ERROR, LARGEST_ERROR);
        let change = PROPORTIONAL * (error - self.error) + INTEGRAL * error;
        self.error = error;
        change.exp()
    }

    /// The error of the last update, which a resumed run needs.
    pub(crate) fn error(&self) -> f64 {
        self.error
    }

    /// The same controller after so many updates, of which the last had this error.
    pub(crate) fn after(self, iteration: usize, error: f64) -> Self {
        Self { iteration, error, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_coefficient_follows_the_error_and_its_change() {
        // T is 2 of 20 iterations
        let mut hold = KlHold::new(4.0, 20).unwrap();
        // half of the target is asked for: e = 0 - 0.5
        assert!((hold.update(0.0) - (2.0 * -0.5 + 0.2 * -0.5_f64).exp()).abs() < 1e-12);
        // all of it from here on: e = 1.5 - 1
        assert!((hold.update(6.0) - (2.0 * 1.0 + 0.2 * 0.5_f64).exp()).abs() < 1e-12);
        // on the target nothing is left but the change
        assert!((hold.update(4.0) - (2.0 * -0.5_f64).exp()).abs() < 1e-12);
        assert!((hold.update(4.0) - 1.0).abs() < 1e-12);
        // an error is cut at the target
        assert!((hold.update(400.0) - (2.0 + 0.2_f64).exp()).abs() < 1e-12);
        assert!((hold.update(-400.0) - (2.0 * -2.0 - 0.2_f64).exp()).abs() < 1e-12);
    }

    #[test]
    fn a_resumed_controller_goes_on_as_one_that_was_not_stopped() {
        let mut whole = KlHold::new(3.0, 100).unwrap();
        whole.update(1.0);
        whole.update(2.5);
        let mut resumed = KlHold::new(3.0, 100).unwrap().after(2, whole.error());
        assert_eq!(resumed, whole);
        assert_eq!(resumed.update(3.5).to_bits(), whole.update(3.5).to_bits());
    }

    /// A policy whose KL moves a tenth of the way to where the coefficient would have it, with
    /// noise of a fifteenth in each measurement: the swing of the paper's controller is gone, and
    /// the KL of the last iterations is the one that was asked for, wherever the coefficient began.
    #[test]
    fn a_slow_policy_is_held_at_the_target_from_any_beginning() {
        for begin in [0.02_f64, 0.1, 1.0] {
            let (mut hold, mut coef, mut kl) = (KlHold::new(4.0, 150).unwrap(), begin, 0.0);
            let (mut highest, mut last) = (0.0_f64, 0.0);
            for iteration in 0..150_u32 {
                // a fixed sequence that looks like noise: the golden ratio's multiples
                let noise = (f64::from(iteration) * 0.618_034).fract() - 0.5;
                kl += 0.1 * (1.2 / coef.powf(0.7) - kl);
                coef *= hold.update(kl * (1.0 + 0.23 * noise));
                highest = highest.max(kl);
                if iteration >= 140 {
                    last += kl / 10.0;
                }
            }
            assert!((last / 4.0 - 1.0).abs() < 0.03, "{begin}: {last}");
            assert!(highest < 5.0, "{begin}: {highest}");
        }
    }

    #[test]
    fn no_kl_below_or_at_zero_can_be_held() {
        for target in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(KlHold::new(target, 10).is_err(), "{target}");
        }
    }
}
