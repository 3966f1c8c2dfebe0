//! How many episodes to keep at each iteration (Eqs. 8-10 of arXiv 2501.06911).

use crate::{RiskError, RiskLevel, decimal::Decimal};

/// The settings of a soft-risk schedule, by the paper's symbols.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScheduleConfig {
    /// B: episodes per iteration, at least 1.
    pub batch: usize,
    /// alpha: share of the worst episodes kept at the end, in (0, 1]; 1 keeps all of them
    /// throughout.
    pub alpha: f64,
    /// n: the first iterations, in which all episodes are kept.
    pub warmup: usize,
    /// rho: share of the iterations after which alpha is reached, in (0, 1].
    pub rho: f64,
    /// M: iterations of the whole run, at least 1.
    pub iterations: usize,
}

/// The soft-risk schedule: all episodes for a while, then fewer at an even pace, then the risk
/// level.
///
/// With K = (1 - alpha) / (ceil(rho M) - n), tested in this order:
///
/// - m <= n: keep B,
/// - m >= ceil(rho M): keep ceil(alpha B),
/// - else: keep ceil(B max(alpha, 1 - K (m - n))).
///
/// A warm-up that lasts until ceil(rho M) or longer jumps from B to ceil(alpha B). Alpha and rho
/// count as the decimals that were written, and every ceiling is exact. A schedule is valid once it
/// exists.
///
/// # Example
/// ```
/// # use tailguard_risk::{ScheduleConfig, SoftRiskSchedule};
/// let paper = ScheduleConfig { batch: 128, alpha: 0.4, warmup: 30, rho: 0.95, iterations: 194 };
/// let schedule = SoftRiskSchedule::new(paper)?;
/// let keep = [30, 31, 110, 185, 194].map(|iteration| schedule.keep(iteration));
/// assert_eq!(keep, [128, 128, 89, 52, 52]);
/// # Ok::<(), tailguard_risk::RiskError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SoftRiskSchedule {
    batch: usize,
    level: RiskLevel,
    warmup: usize,
    /// ceil(rho M): the first iteration at the full risk level.
    end: usize,
}

impl SoftRiskSchedule {
    /// Checks the settings and makes the schedule.
    ///
    /// # Errors
    /// [`RiskError::Count`] if `batch` or `iterations` is 0 or above `u32::MAX`;
    /// [`RiskError::Fraction`] if `alpha` or `rho` is outside (0, 1].
    pub fn new(config: ScheduleConfig) -> Result<Self, RiskError> {
        let ScheduleConfig { batch, alpha, warmup, rho, iterations } = config;
        for (name, value) in [("batch", batch), ("iterations", iterations)] {
            if value == 0 || u32::try_from(value).is_err() {
                return Err(RiskError::Count { name, value });
            }
        }
        let level = RiskLevel::new(alpha)?;
        let rho = Decimal::read(rho).ok_or(RiskError::Fraction { name: "rho", value: rho })?;
        Ok(Self { batch, level, warmup, end: rho.of(iterations) })
    }

    /// The schedule of plain RLHF, which keeps all `batch` episodes at every iteration.
    ///
    /// # Errors
    /// [`RiskError::Count`] if `batch` is 0 or above `u32::MAX`.
    pub fn keep_all(batch: usize) -> Result<Self, RiskError> {
        Self::new(ScheduleConfig { batch, alpha: 1.0, warmup: 0, rho: 1.0, iterations: 1 })
    }

    /// How many episodes to keep at `iteration` (counted from 1): in `1..=batch`, never rising with
    /// the iteration.
    pub fn keep(&self, iteration: usize) -> usize {
        if iteration <= self.warmup {
            return self.batch;
        }
        if iteration >= self.end {
            return self.level.count(self.batch);
        }
        let (kept, of) = self.share(iteration);
        let keep = (self.batch as u128 * kept).div_ceil(of);
        usize::try_from(keep).unwrap_or(self.batch)
    }

    /// The level at `iteration` (counted from 1): that of which [`keep`](Self::keep) is the count,
    /// before it is rounded up to whole episodes. It is 1 during the warm-up and never rises.
    ///
    /// ```
    /// # use tailguard_risk::{ScheduleConfig, SoftRiskSchedule};
    /// let config = ScheduleConfig { batch: 8, alpha: 0.4, warmup: 10, rho: 1.0, iterations: 20 };
    /// let schedule = SoftRiskSchedule::new(config)?;
    /// let levels = [10, 15, 20].map(|iteration| schedule.level(iteration).alpha());
    /// assert_eq!(levels, [1.0, 0.7, 0.4]);
    /// # Ok::<(), tailguard_risk::RiskError>(())
    /// ```
    pub fn level(&self, iteration: usize) -> RiskLevel {
        if iteration <= self.warmup {
            return RiskLevel::NEUTRAL;
        }
        if iteration >= self.end {
            return self.level;
        }
        let (kept, of) = self.share(iteration);
        RiskLevel::new(kept as f64 / of as f64).unwrap_or(self.level)
    }

    /// The share of an iteration between the warm-up and the end, as a fraction.
    ///
    /// 1 - K (m - n) over the common denominator scale * (end - n). It stays above alpha before the
    /// end, so the maximum of Eq. 9 is met by itself. Counts fit 32 bits and the scale 64, so
    /// nothing overflows 128.
    fn share(&self, iteration: usize) -> (u128, u128) {
        let alpha = self.level.decimal();
        let (span, past) = ((self.end - self.warmup) as u128, (iteration - self.warmup) as u128);
        (alpha.scale * span - (alpha.scale - alpha.digits) * past, alpha.scale * span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_config() -> impl Strategy<Value = ScheduleConfig> {
        (1_usize..300, 0.001..=1.0, 0_usize..60, 0.001..=1.0, 1_usize..200).prop_map(
            |(batch, alpha, warmup, rho, iterations)| ScheduleConfig {
                batch,
                alpha,
                warmup,
                rho,
                iterations,
            },
        )
    }

    const PAPER: ScheduleConfig =
        ScheduleConfig { batch: 128, alpha: 0.4, warmup: 30, rho: 0.95, iterations: 194 };

    #[test]
    fn invalid_settings_are_refused_at_construction() {
        let refused = |config| SoftRiskSchedule::new(config).unwrap_err().to_string();
        assert_eq!(
            refused(ScheduleConfig { batch: 0, ..PAPER }),
            "batch is 0, expected 1 to 4294967295"
        );
        assert_eq!(
            refused(ScheduleConfig { iterations: 0, ..PAPER }),
            "iterations is 0, expected 1 to 4294967295"
        );
        assert!(refused(ScheduleConfig { alpha: 0.0, ..PAPER }).starts_with("alpha is 0"));
        assert!(refused(ScheduleConfig { rho: 1.2, ..PAPER }).starts_with("rho is 1.2"));
        assert!(refused(ScheduleConfig { rho: f64::NAN, ..PAPER }).starts_with("rho is NaN"));
        assert!(SoftRiskSchedule::keep_all(0).is_err());
    }

    #[test]
    fn a_long_warmup_jumps_to_the_level() {
        let schedule = SoftRiskSchedule::new(ScheduleConfig { warmup: 190, ..PAPER }).unwrap();
        assert_eq!((schedule.keep(190), schedule.keep(191)), (128, 52));
    }

    #[test]
    fn the_largest_counts_and_longest_decimals_do_not_overflow() {
        let most = u32::MAX as usize;
        let config = ScheduleConfig {
            batch: most,
            alpha: f64::MIN_POSITIVE,
            warmup: 0,
            rho: 1.0,
            iterations: most,
        };
        let schedule = SoftRiskSchedule::new(config).unwrap();
        assert_eq!(schedule.keep(1), most);
        assert_eq!(schedule.keep(usize::MAX), 1);
        let schedule =
            SoftRiskSchedule::new(ScheduleConfig { alpha: 0.012_345_678_901_234_567, ..config })
                .unwrap();
        assert!((1..=most).contains(&schedule.keep(most - 1)));
    }

    proptest! {
        #[test]
        fn keep_is_in_range_and_never_rises(config in any_config()) {
            let schedule = SoftRiskSchedule::new(config).unwrap();
            let keeps: Vec<usize> =
                (0..config.iterations + 70).map(|iteration| schedule.keep(iteration)).collect();
            prop_assert!(keeps.iter().all(|keep| (1..=config.batch).contains(keep)));
            prop_assert!(keeps.is_sorted_by(|earlier, later| earlier >= later));
            prop_assert_eq!(keeps[0], config.batch);
            let level = RiskLevel::new(config.alpha).unwrap().count(config.batch);
            prop_assert_eq!(schedule.keep(config.iterations.max(config.warmup + 1)), level);
        }

        #[test]
        fn keep_agrees_with_the_formula_in_doubles_to_one_episode(config in any_config()) {
            let schedule = SoftRiskSchedule::new(config).unwrap();
            let end = (config.rho * config.iterations as f64).ceil();
            let slope = (1.0 - config.alpha) / (end - config.warmup as f64);
            for iteration in (config.warmup + 1..).take_while(|&iteration| (iteration as f64) < end)
            {
                let share = config.alpha.max(1.0 - slope * (iteration - config.warmup) as f64);
                let keep = schedule.keep(iteration) as f64;
                prop_assert!((keep - config.batch as f64 * share).abs() < 1.0 + 1e-6);
            }
        }

        #[test]
        fn the_level_is_what_keep_rounds_up(config in any_config()) {
            let schedule = SoftRiskSchedule::new(config).unwrap();
            let levels: Vec<f64> = (0..config.iterations + 70)
                .map(|iteration| schedule.level(iteration).alpha())
                .collect();
            prop_assert!(levels.is_sorted_by(|earlier, later| earlier >= later));
            prop_assert!(levels.iter().all(|level| (config.alpha..=1.0).contains(level)));
            prop_assert_eq!(
                schedule.level(config.iterations.max(config.warmup + 1)),
                RiskLevel::new(config.alpha).unwrap()
            );
            for (iteration, level) in levels.iter().enumerate() {
                let over = schedule.keep(iteration) as f64 - level * config.batch as f64;
                prop_assert!((-1e-9..1.0 + 1e-9).contains(&over), "{over} at {iteration}");
            }
        }

        #[test]
        fn keep_all_keeps_all(batch in 1_usize..1000, iteration: usize) {
            prop_assert_eq!(SoftRiskSchedule::keep_all(batch).unwrap().keep(iteration), batch);
        }
    }
}
