//! Shaped rewards: Eq. 5 of arXiv 2501.06911.

use crate::error::{PpoError, finite, finite_setting, same_length};

/// Per-token rewards of one episode: `-kl_coef (log pi - log pi_ref)`, and the score on the last
/// response token.
///
/// # Shapes
/// `log_probs`, `ref_log_probs` and the result have one entry per response token, in nats and units
/// of the reward.
///
/// # Errors
/// [`PpoError::Length`] for rows of different length or none, [`PpoError::NotFinite`] for NaN or
/// infinity, [`PpoError::Setting`] for such a coefficient.
///
/// # Example
/// ```
/// let rewards = tailguard_ppo::shaped_rewards(&[-1.0, -2.0], &[-1.5, -2.0], 3.0, 0.2)?;
/// assert_eq!(rewards, [-0.1, 3.0]);
/// # Ok::<(), tailguard_ppo::PpoError>(())
/// ```
pub fn shaped_rewards(
    log_probs: &[f32],
    ref_log_probs: &[f32],
    score: f32,
    kl_coef: f64,
) -> Result<Vec<f32>, PpoError> {
    same_length("reference log-probabilities", ref_log_probs.len(), log_probs.len())?;
    if log_probs.is_empty() {
        return Err(PpoError::Length { what: "log-probabilities", found: 0, expected: 1 });
    }
    finite_setting("kl_coef", kl_coef)?;
    finite("log-probabilities", log_probs)?;
    finite("reference log-probabilities", ref_log_probs)?;
    finite("scores", &[score])?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "rewards are single precision, as in the reference"
    )]
    let penalty = |(&new, &reference): (&f32, &f32)| {
        (-kl_coef * (f64::from(new) - f64::from(reference))) as f32
    };
    let mut rewards: Vec<f32> = log_probs.iter().zip(ref_log_probs).map(penalty).collect();
    if let Some(last) = rewards.last_mut() {
        *last += score;
    }
    Ok(rewards)
}

/// The return by which episodes are ranked: the sum of the shaped rewards, without value estimates.
#[must_use]
pub fn episode_return(rewards: &[f32]) -> f64 {
    rewards.iter().map(|&reward| f64::from(reward)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kl::episode_kl;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_return_is_the_score_minus_the_weighted_kl(
            rows in prop::collection::vec((-8.0f32..0.0, -8.0f32..0.0), 1..40),
            score in -5.0f32..5.0,
            kl_coef in 0.0f64..1.0,
        ) {
            let (log_probs, reference): (Vec<f32>, Vec<f32>) = rows.into_iter().unzip();
            let rewards = shaped_rewards(&log_probs, &reference, score, kl_coef).unwrap();
            let expected = f64::from(score) - kl_coef * episode_kl(&log_probs, &reference).unwrap();
            prop_assert!((episode_return(&rewards) - expected).abs() < 1e-4);
        }
    }

    #[test]
    fn rows_that_do_not_fit_and_numbers_that_are_none_are_refused() {
        assert!(shaped_rewards(&[], &[], 0.0, 0.1).is_err());
        assert!(shaped_rewards(&[-1.0], &[-1.0, -2.0], 0.0, 0.1).is_err());
        assert!(shaped_rewards(&[-1.0], &[f32::NAN], 0.0, 0.1).is_err());
        assert!(shaped_rewards(&[-1.0], &[-1.0], f32::INFINITY, 0.1).is_err());
        assert!(shaped_rewards(&[-1.0], &[-1.0], 0.0, f64::NAN).is_err());
    }
}
