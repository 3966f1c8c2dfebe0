//! Generalised advantage estimation (Schulman et al., arXiv 1506.02438) and whitening.

use crate::error::{PpoError, finite, finite_setting, same_length};

/// Advantages and returns of one episode, one entry per response token.
#[derive(Clone, Debug, PartialEq)]
pub struct Gae {
    /// `A_t = delta_t + gamma lambda A_{t+1}` with `delta_t = r_t + gamma V_{t+1} - V_t`.
    pub advantages: Vec<f32>,
    /// `A_t + V_t`: what the critic learns.
    pub returns: Vec<f32>,
}

/// Advantages of one finished episode: the value after its last token is 0.
///
/// # Shapes
/// `rewards`, `values` and both results have one entry per response token, in units of the reward.
///
/// # Errors
/// [`PpoError::Length`] for rows of different length, [`PpoError::NotFinite`] for NaN or infinity,
/// [`PpoError::Setting`] for such a `gamma` or `lambda`.
///
/// # Example
/// ```
/// // with lambda = 1 the return is what is still to come, whatever the values are
/// let estimate = tailguard_ppo::gae(&[0.0, 0.0, 1.0], &[0.2, 0.5, 0.9], 1.0, 1.0)?;
/// assert_eq!(estimate.returns, [1.0, 1.0, 1.0]);
/// # Ok::<(), tailguard_ppo::PpoError>(())
/// ```
pub fn gae(rewards: &[f32], values: &[f32], gamma: f64, lambda: f64) -> Result<Gae, PpoError> {
    same_length("values", values.len(), rewards.len())?;
    finite_setting("gamma", gamma)?;
    finite_setting("lambda", lambda)?;
    finite("rewards", rewards)?;
    finite("values", values)?;
    let mut advantages = vec![0.0; rewards.len()];
    let mut returns = vec![0.0; rewards.len()];
    let (mut next_value, mut advantage) = (0.0, 0.0);
    for t in (0..rewards.len()).rev() {
        let value = f64::from(values[t]);
        let delta = f64::from(rewards[t]) + gamma * next_value - value;
        advantage = delta + gamma * lambda * advantage;
        #[expect(clippy::cast_possible_truncation, reason = "the losses are single precision")]
        {
            advantages[t] = advantage as f32;
            returns[t] = (advantage + value) as f32;
        }
        next_value = value;
    }
    // numbers near the largest may add up to more
    finite("advantages", &advantages)?;
    finite("returns", &returns)?;
    Ok(Gae { advantages, returns })
}

/// Shifts and scales the advantages of all rows together to mean 0 and variance 1:
/// `(A - mean) / sqrt(var + 1e-8)`, with the variance divided by the count less one. A single token
/// has variance 0 and becomes 0.
///
/// # Errors
/// [`PpoError::NotFinite`] for NaN or infinity.
pub fn whiten(advantages: &mut [Vec<f32>]) -> Result<(), PpoError> {
    rescale(advantages, false)
}

/// [`whiten`] that leaves the mean where it was: `(A - mean) / sqrt(var + 1e-8) + mean`.
///
/// # Errors
/// [`PpoError::NotFinite`] for NaN or infinity.
pub fn whiten_keep_mean(advantages: &mut [Vec<f32>]) -> Result<(), PpoError> {
    rescale(advantages, true)
}

fn rescale(advantages: &mut [Vec<f32>], keep_mean: bool) -> Result<(), PpoError> {
    for row in advantages.iter() {
        finite("advantages", row)?;
    }
    let all = || advantages.iter().flatten().map(|&advantage| f64::from(advantage));
    #[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
    let count = all().count() as f64;
    let mean = all().sum::<f64>() / count.max(1.0);
    let variance =
        all().map(|advantage| (advantage - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
    let scale = (variance + 1e-8).sqrt().recip();
    let centre = if keep_mean { mean } else { 0.0 };
    for advantage in advantages.iter_mut().flatten() {
        #[expect(clippy::cast_possible_truncation, reason = "the losses are single precision")]
        {
            *advantage = ((f64::from(*advantage) - mean) * scale + centre) as f32;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_episode() -> impl Strategy<Value = (Vec<f32>, Vec<f32>)> {
        prop::collection::vec((-3.0f32..3.0, -3.0f32..3.0), 1..30)
            .prop_map(|rows| rows.into_iter().unzip())
    }

    proptest! {
        #[test]
        fn the_recursion_is_the_discounted_sum_of_temporal_differences(
            (rewards, values) in any_episode(),
            gamma in 0.0f64..=1.0,
            lambda in 0.0f64..=1.0,
        ) {
            let estimate = gae(&rewards, &values, gamma, lambda).unwrap();
            let value = |t: usize| values.get(t).map_or(0.0, |&v| f64::from(v));
            let delta = |t: usize| f64::from(rewards[t]) + gamma * value(t + 1) - value(t);
            for t in 0..rewards.len() {
                let mut weight = 1.0;
                let mut sum = 0.0;
                for l in t..rewards.len() {
                    sum += weight * delta(l);
                    weight *= gamma * lambda;
                }
                prop_assert!(
                    (f64::from(estimate.advantages[t]) - sum).abs() < 1e-4 * (1.0 + sum.abs())
                );
            }
        }

        #[test]
        fn with_lambda_one_advantages_are_returns_less_values((rewards, values) in any_episode()) {
            let estimate = gae(&rewards, &values, 1.0, 1.0).unwrap();
            for t in 0..rewards.len() {
                let to_come: f32 = rewards[t..].iter().sum();
                prop_assert!((estimate.returns[t] - to_come).abs() < 1e-3);
                prop_assert!((estimate.advantages[t] - (to_come - values[t])).abs() < 1e-3);
            }
        }

        #[test]
        fn keeping_the_mean_only_shifts_the_whitened_advantages(
            rows in prop::collection::vec(prop::collection::vec(-9.0f32..9.0, 1..9), 1..9),
        ) {
            let (mut whitened, mut kept) = (rows.clone(), rows.clone());
            whiten(&mut whitened).unwrap();
            whiten_keep_mean(&mut kept).unwrap();
            let all = rows.concat();
            let mean = all.iter().sum::<f32>() / all.len() as f32;
            for (whitened, kept) in whitened.concat().into_iter().zip(kept.concat()) {
                prop_assert!((kept - whitened - mean).abs() < 1e-4);
            }
        }

        #[test]
        fn whitened_advantages_have_mean_zero_and_variance_one(
            rows in prop::collection::vec(prop::collection::vec(-9.0f32..9.0, 1..9), 2..9),
        ) {
            let mut rows = rows;
            rows[0][0] = 10.0; // never all the same
            whiten(&mut rows).unwrap();
            let all: Vec<f64> = rows.concat().into_iter().map(f64::from).collect();
            let mean = all.iter().sum::<f64>() / all.len() as f64;
            let variance =
                all.iter().map(|a| (a - mean).powi(2)).sum::<f64>() / (all.len() - 1) as f64;
            prop_assert!(mean.abs() < 1e-5 && (variance - 1.0).abs() < 1e-4);
        }
    }

    #[test]
    fn one_token_or_equal_advantages_give_zero_and_not_nan() {
        for mut rows in [vec![vec![3.0f32]], vec![vec![2.0; 3], vec![2.0]], vec![], vec![vec![]]] {
            whiten(&mut rows).unwrap();
            assert!(rows.concat().iter().all(|&advantage| advantage == 0.0));
        }
    }

    #[test]
    fn rows_that_do_not_fit_and_numbers_that_are_none_are_refused() {
        assert!(gae(&[1.0], &[1.0, 2.0], 1.0, 1.0).is_err());
        assert!(gae(&[f32::NAN], &[1.0], 1.0, 1.0).is_err());
        assert!(gae(&[1.0], &[1.0], 1.0, f64::NAN).is_err());
        assert!(gae(&[f32::MAX, f32::MAX], &[1.0, 1.0], 1.0, 1.0).is_err());
        assert!(whiten(&mut [vec![1.0, f32::INFINITY]]).is_err());
    }
}
