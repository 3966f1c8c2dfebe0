//! The learning rate of each iteration: up in the warm-up, then down towards the end.

use crate::config::PpoConfig;

impl PpoConfig {
    /// The policy's learning rate in an iteration, counted from 1. With a warm-up of w iterations
    /// it is `m / (w + 1)` of `learning_rate` in iteration `m <= w`, all of it in iteration w + 1,
    /// and from there it falls in a line to the share `rate_end` in the last one.
    ///
    /// # Example
    /// ```
    /// use tailguard_ppo::PpoConfig;
    /// let config = PpoConfig {
    ///     iterations: 6,
    ///     learning_rate: 8.0,
    ///     rate_warmup: 1,
    ///     rate_end: 0.5,
    ///     ..PpoConfig::default()
    /// };
    /// let rates: Vec<f64> = (1..=6).map(|iteration| config.rate(iteration)).collect();
    /// assert_eq!(rates, [4.0, 8.0, 7.0, 6.0, 5.0, 4.0]);
    /// ```
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "iterations are few")]
    pub fn rate(&self, iteration: usize) -> f64 {
        let Self { iterations, learning_rate, rate_warmup: warmup, rate_end, .. } = *self;
        if iteration <= warmup {
            return learning_rate * (iteration as f64 / (warmup + 1) as f64);
        }
        let (done, whole) = (iteration - warmup - 1, iterations.saturating_sub(warmup + 1));
        // a single iteration is the last one
        let share = if whole == 0 { 1.0 } else { (done as f64 / whole as f64).min(1.0) };
        learning_rate * (1.0 - (1.0 - rate_end) * share)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_rate_rises_in_the_warm_up_and_then_falls_to_its_end(
            iterations in 1_usize..60,
            warmup in 0_usize..60,
            rate_end in 0.01..=1.0,
        ) {
            let rate_warmup = warmup.min(iterations - 1);
            let config = PpoConfig { iterations, rate_warmup, rate_end, ..PpoConfig::default() };
            let rates: Vec<f64> = (1..=iterations).map(|m| config.rate(m)).collect();
            let (rising, falling) = rates.split_at(rate_warmup);
            prop_assert!(rising.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(falling.windows(2).all(|pair| pair[0] >= pair[1]));
            prop_assert!(rates.iter().all(|rate| *rate > 0.0 && *rate <= config.learning_rate));
            let last = config.learning_rate * rate_end;
            prop_assert!((rates[iterations - 1] - last).abs() <= 1e-12 * last);
        }
    }

    #[test]
    fn without_a_schedule_the_rate_is_the_same_to_the_last_bit() {
        let config = PpoConfig::default();
        for iteration in [1, 2, 57, config.iterations, config.iterations + 3] {
            assert_eq!(config.rate(iteration).to_bits(), config.learning_rate.to_bits());
        }
    }
}
