//! How far an update has moved policy and critic from the ones that sampled: what logs show beside
//! the losses.

use crate::error::{PpoError, finite, same_length};

/// What [`policy_stats`] finds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PolicyStats {
    /// Half the mean squared difference of new and old log-probabilities.
    pub approx_kl: f64,
    /// Mean of old less new log-probabilities.
    pub policy_kl: f64,
    /// Share of tokens at which the clipped term of the loss is the larger one.
    pub clip_fraction: f64,
    /// Mean ratio of new to old probabilities.
    pub ratio: f64,
    /// Largest distance of a ratio from 1.
    pub ratio_gap: f64,
}

/// Statistics of [`policy_loss`](crate::policy_loss) at the same numbers, on host slices.
///
/// # Shapes
/// One entry per response token in each slice; log-probabilities in nats.
///
/// # Errors
/// [`PpoError::Length`] for rows of different length or none, [`PpoError::NotFinite`] for NaN or
/// infinity, [`PpoError::Setting`] for a clip below 0.
///
/// # Example
/// ```
/// // the first token became e^0.5 times as likely, which is more than 1.2 times
/// let stats = tailguard_ppo::policy_stats(&[-0.5, -2.0], &[-1.0, -2.0], &[1.0, 1.0], 0.2)?;
/// assert_eq!(stats.clip_fraction, 0.5);
/// # Ok::<(), tailguard_ppo::PpoError>(())
/// ```
pub fn policy_stats(
    log_probs: &[f32],
    old_log_probs: &[f32],
    advantages: &[f32],
    clip: f64,
) -> Result<PolicyStats, PpoError> {
    let share = share(log_probs.len(), "log-probabilities")?;
    check_clip(clip)?;
    same_length("old log-probabilities", old_log_probs.len(), log_probs.len())?;
    same_length("advantages", advantages.len(), log_probs.len())?;
    finite("log-probabilities", log_probs)?;
    finite("old log-probabilities", old_log_probs)?;
    finite("advantages", advantages)?;
    let mut stats = PolicyStats::default();
    for ((&new, &old), &advantage) in log_probs.iter().zip(old_log_probs).zip(advantages) {
        let (difference, advantage) = (f64::from(new) - f64::from(old), f64::from(advantage));
        let ratio = difference.exp();
        stats.approx_kl += 0.5 * difference * difference * share;
        stats.policy_kl -= difference * share;
        stats.ratio += ratio * share;
        stats.ratio_gap = stats.ratio_gap.max((ratio - 1.0).abs());
        if -advantage * ratio.clamp(1.0 - clip, 1.0 + clip) > -advantage * ratio {
            stats.clip_fraction += share;
        }
    }
    Ok(stats)
}

/// What [`value_stats`] finds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ValueStats {
    /// Mean of the new values.
    pub mean: f64,
    /// Mean squared difference of new values and returns, without clipping.
    pub error: f64,
    /// Share of tokens at which the clipped term of the loss is the larger one.
    pub clip_fraction: f64,
}

/// Statistics of [`value_loss`](crate::value_loss) at the same numbers, on host slices.
///
/// # Shapes
/// One entry per response token in each slice, in units of the reward.
///
/// # Errors
/// As [`policy_stats`].
pub fn value_stats(
    values: &[f32],
    old_values: &[f32],
    returns: &[f32],
    clip: f64,
) -> Result<ValueStats, PpoError> {
    let share = share(values.len(), "values")?;
    check_clip(clip)?;
    same_length("old values", old_values.len(), values.len())?;
    same_length("returns", returns.len(), values.len())?;
    finite("values", values)?;
    finite("old values", old_values)?;
    finite("returns", returns)?;
    let mut stats = ValueStats::default();
    for ((&new, &old), &target) in values.iter().zip(old_values).zip(returns) {
        let (new, old, target) = (f64::from(new), f64::from(old), f64::from(target));
        let error = (new - target).powi(2);
        stats.mean += new * share;
        stats.error += error * share;
        if (new.clamp(old - clip, old + clip) - target).powi(2) > error {
            stats.clip_fraction += share;
        }
    }
    Ok(stats)
}

/// Refuses a clip whose range is none.
fn check_clip(clip: f64) -> Result<(), PpoError> {
    if clip >= 0.0 { Ok(()) } else { Err(PpoError::setting("clip", &clip, "0 or more")) }
}

/// The weight of one token in a mean.
fn share(tokens: usize, what: &'static str) -> Result<f64, PpoError> {
    if tokens == 0 {
        return Err(PpoError::Length { what, found: 0, expected: 1 });
    }
    #[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
    Ok(1.0 / tokens as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_unchanged_policy_and_critic_have_no_kl_and_clip_nothing(
            rows in prop::collection::vec((-9.0f32..0.0, -3.0f32..3.0), 1..20),
        ) {
            let (numbers, others): (Vec<f32>, Vec<f32>) = rows.into_iter().unzip();
            let stats = policy_stats(&numbers, &numbers, &others, 0.2).unwrap();
            prop_assert!(
                stats.approx_kl == 0.0
                    && stats.policy_kl == 0.0
                    && stats.clip_fraction == 0.0
                    && stats.ratio_gap == 0.0
            );
            prop_assert!((stats.ratio - 1.0).abs() < 1e-12);
            prop_assert!(
                value_stats(&numbers, &numbers, &others, 0.2).unwrap().clip_fraction == 0.0
            );
        }
    }

    #[test]
    fn the_clip_counts_only_where_it_makes_the_loss_larger() {
        // a bad action that became likelier and a good one that became less likely are not held
        // back
        let stats =
            policy_stats(&[0.5, -0.5, 0.5, -0.5], &[0.0; 4], &[-1.0, 1.0, 1.0, -1.0], 0.2).unwrap();
        assert!((stats.clip_fraction - 0.5).abs() < 1e-12);
        // moved past the clip: towards the return counts, away from it does not
        let stats = value_stats(&[1.5, 0.5], &[1.0, 1.0], &[2.0, 2.0], 0.2).unwrap();
        assert!((stats.clip_fraction - 0.5).abs() < 1e-12);
    }

    #[test]
    fn rows_that_do_not_fit_and_numbers_that_are_none_are_refused() {
        assert!(policy_stats(&[], &[], &[], 0.2).is_err());
        assert!(policy_stats(&[-1.0], &[-1.0, -2.0], &[1.0], 0.2).is_err());
        assert!(policy_stats(&[-1.0], &[-1.0], &[f32::NAN], 0.2).is_err());
        assert!(value_stats(&[], &[], &[], 0.2).is_err());
        assert!(value_stats(&[1.0], &[1.0], &[f32::INFINITY], 0.2).is_err());
        for clip in [-0.1, f64::NAN] {
            assert!(matches!(
                policy_stats(&[-1.0], &[-1.0], &[1.0], clip),
                Err(PpoError::Setting { key, .. }) if key == "clip"
            ));
            assert!(matches!(
                value_stats(&[1.0], &[1.0], &[1.0], clip),
                Err(PpoError::Setting { key, .. }) if key == "clip"
            ));
        }
    }
}
