//! Holding a policy at a KL, so that policies can be compared at one.
//!
//! The paper's controller (Eqs. 4 and 12) adds up errors: it moves the coefficient by at most a
//! fifth of its gain an iteration, whatever the KL did last. The KL itself adds up steps of the
//! optimiser. Two sums in a row swing: the KL runs out, is called back late, and comes back too
//! far. What is here answers to the change of the KL as well, which damps that. And it counts
//! little of what the KL is below its target: on the way out there is nothing to put right.

use crate::error::PpoError;

/// What the coefficient answers to a change of the error: the proportional part.
const PROPORTIONAL: f64 = 3.0;
/// What it answers to the error itself, at each iteration: the integral part.
const INTEGRAL: f64 = 0.3;
/// Errors are cut at these, in units of the target. Below it they are small, or the coefficient
/// would fall and fall on the way out, and the KL run far beyond.
const LEAST_ERROR: f64 = -0.2;
const LARGEST_ERROR: f64 = 1.0;

/// A proportional and integral controller of the logarithm of the coefficient, in its form of
/// differences (Åström and Hägglund, Advanced PID Control, 2006, chapter 13):
///
/// `beta <- beta exp(P (e_t - e_(t-1)) + I e_t)`, with `e_t = clip(KL_t / K - 1, -0.2, 1)`,
///
/// where `K` is the KL to hold, and `e_0 = -0.2`, as the KL begins at 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct KlHold {
    target: f64,
    /// e of the last update.
    error: f64,
}

impl KlHold {
    /// A controller before its first update; the target in nats.
    ///
    /// # Errors
    /// [`PpoError::Setting`] for a target that is not positive and finite.
    pub(crate) fn new(target: f64) -> Result<Self, PpoError> {
        if !(target.is_finite() && target > 0.0) {
            return Err(PpoError::setting("the KL to hold", &target, "a positive number"));
        }
        Ok(Self { target, error: LEAST_ERROR })
    }

    /// By what factor the coefficient changes, given the mean KL per episode of the next iteration.
    pub(crate) fn update(&mut self, mean_kl: f64) -> f64 {
        let error = (mean_kl / self.target - 1.0).clamp(LEAST_ERROR, LARGEST_ERROR);
        let change = PROPORTIONAL * (error - self.error) + INTEGRAL * error;
        self.error = error;
        change.exp()
    }

    /// The error of the last update, which a resumed run needs.
    pub(crate) fn error(&self) -> f64 {
        self.error
    }

    /// The same controller after updates of which the last had this error.
    pub(crate) fn after(self, error: f64) -> Self {
        Self { error, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_coefficient_follows_the_error_and_its_change() {
        let mut hold = KlHold::new(4.0).unwrap();
        let mut is = |kl: f64, change: f64| {
            let factor = hold.update(kl);
            assert!((factor - change.exp()).abs() < 1e-12, "{kl}: {factor}");
        };
        // on the way out nothing changes, so there is the error alone
        is(0.0, 0.3 * -0.2);
        is(2.0, 0.3 * -0.2);
        // e from -0.2 to 0.5, then to 0, where nothing is left but the change
        is(6.0, 3.0 * 0.7 + 0.3 * 0.5);
        is(4.0, 3.0 * -0.5);
        is(4.0, 0.0);
        // an error is cut
        is(400.0, 3.0 + 0.3);
        is(-400.0, 3.0 * -1.2 + 0.3 * -0.2);
    }

    #[test]
    fn a_resumed_controller_goes_on_as_one_that_was_not_stopped() {
        let mut whole = KlHold::new(3.0).unwrap();
        whole.update(1.0);
        whole.update(2.75);
        let mut resumed = KlHold::new(3.0).unwrap().after(whole.error());
        assert_eq!(resumed, whole);
        assert_eq!(resumed.update(3.5).to_bits(), whole.update(3.5).to_bits());
    }

    /// A policy whose KL moves a tenth of the way to where the coefficient would have it, with
    /// noise of a fifteenth in each measurement: the KL of the last iterations is the one that was
    /// asked for, and none was far beyond, wherever the coefficient began.
    #[test]
    fn a_slow_policy_is_held_at_the_target_from_any_beginning() {
        for begin in [0.05_f64, 0.1, 1.0] {
            let (mut hold, mut coef, mut kl) = (KlHold::new(4.0).unwrap(), begin, 0.0);
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
            assert!(KlHold::new(target).is_err(), "{target}");
        }
    }
}
