//! The tail: rewards where the prompt, or the text itself, is among the worst.

use crate::{
    MetricsError,
    error::{check, check_pair, check_range},
    moments::mean_of,
};

/// The mean reward of the texts in the tail, and how many there are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tail {
    /// Mean reward; `None` where the tail is empty.
    pub mean: Option<f64>,
    /// Texts in the tail.
    pub count: usize,
}

/// The paper's tail: rewards of the continuations whose *prompt alone* scores at most `threshold`.
///
/// (Section 4 of arXiv 2501.06911: the prompt defines the tail, not the output, so that all methods
/// are judged on the same prompts.) See [`at_or_below`] for the comparison.
///
/// # Errors
/// [`MetricsError::Unpaired`]; [`MetricsError::TooFew`] for no rewards;
/// [`MetricsError::NotFinite`].
///
/// # Example
/// ```
/// # use tailguard_metrics::tail;
/// let tail = tail(&[1.0, -1.0, -2.0], &[0.3, -2.5, -4.0], -2.5)?;
/// assert_eq!((tail.mean, tail.count), (Some(-1.5), 2));
/// # Ok::<(), tailguard_metrics::MetricsError>(())
/// ```
pub fn tail(rewards: &[f64], prompt_scores: &[f64], threshold: f64) -> Result<Tail, MetricsError> {
    check_pair(("rewards", rewards), ("prompt scores", prompt_scores))?;
    Ok(tail_at(rewards, &at_or_below(prompt_scores, threshold)?))
}

/// The tail by the output: the rewards that are themselves at most `threshold`.
///
/// # Errors
/// [`MetricsError::TooFew`] for no rewards; [`MetricsError::NotFinite`].
pub fn tail_by_own_reward(rewards: &[f64], threshold: f64) -> Result<Tail, MetricsError> {
    Ok(tail_at(rewards, &at_or_below(rewards, threshold)?))
}

/// Indices of the scores that are at most `threshold`, in order.
///
/// Both sides are rounded to single precision first, as reward models score in it: a score of
/// -1.63, read from a `f32`, is within a threshold of -1.63.
///
/// # Errors
/// [`MetricsError::TooFew`] for no scores; [`MetricsError::NotFinite`] for a bad score or
/// threshold.
pub fn at_or_below(scores: &[f64], threshold: f64) -> Result<Vec<usize>, MetricsError> {
    check("scores", scores)?;
    check("threshold", &[threshold])?;
    let within = |&index: &usize| single(scores[index]) <= single(threshold);
    Ok((0..scores.len()).filter(within).collect())
}

/// Mean of the `count` lowest rewards: `CVaR` at the level whose count of `rewards.len()` that is.
///
/// Take the count from `RiskLevel::count` of `tailguard-risk`, which rounds `alpha * n` up exactly.
///
/// # Errors
/// [`MetricsError::TooFew`] for no rewards; [`MetricsError::NotFinite`];
/// [`MetricsError::OutOfRange`] unless `count` is in `1..=rewards.len()`.
pub fn mean_of_lowest(rewards: &[f64], count: usize) -> Result<f64, MetricsError> {
    check("rewards", rewards)?;
    check_range("count", count, 1, rewards.len())?;
    let mut values = rewards.to_vec();
    // Only the lowest need an order, and they need one so that the sum does not depend on the order
    // of the rewards.
    values.select_nth_unstable_by(count - 1, f64::total_cmp);
    values.truncate(count);
    values.sort_unstable_by(f64::total_cmp);
    Ok(mean_of(&values))
}

fn tail_at(rewards: &[f64], indices: &[usize]) -> Tail {
    let within: Vec<f64> = indices.iter().map(|&index| rewards[index]).collect();
    Tail { mean: (!within.is_empty()).then(|| mean_of(&within)), count: within.len() }
}

#[expect(clippy::cast_possible_truncation, reason = "rounding to single precision is the point")]
fn single(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mean;
    use proptest::{collection::vec, prelude::*};

    #[test]
    fn a_score_equal_to_the_threshold_in_single_precision_is_in_the_tail() {
        let score = f64::from(-1.63_f32); // a hair above -1.63 in doubles
        assert_eq!(at_or_below(&[score, 0.0], -1.63), Ok(vec![0]));
    }

    #[test]
    fn an_empty_tail_has_no_mean() {
        assert_eq!(tail(&[1.0], &[1.0], -1e9), Ok(Tail { mean: None, count: 0 }));
    }

    #[test]
    fn unusable_input_is_refused() {
        assert!(matches!(tail(&[1.0], &[], 0.0), Err(MetricsError::Unpaired { .. })));
        assert!(matches!(tail(&[], &[], 0.0), Err(MetricsError::TooFew { .. })));
        assert!(matches!(
            tail(&[1.0], &[f64::NAN], 0.0),
            Err(MetricsError::NotFinite { what: "prompt scores", .. })
        ));
        assert!(matches!(
            tail(&[1.0], &[1.0], f64::NAN),
            Err(MetricsError::NotFinite { what: "threshold", .. })
        ));
        assert!(matches!(
            tail_by_own_reward(&[f64::INFINITY], 0.0),
            Err(MetricsError::NotFinite { .. })
        ));
        let message = mean_of_lowest(&[1.0, 2.0], 3).unwrap_err().to_string();
        assert_eq!(message, "count is 3, expected 1 to 2");
        assert!(mean_of_lowest(&[1.0], 0).is_err());
    }

    proptest! {
        #[test]
        fn the_tail_grows_with_the_threshold_up_to_all(
            rewards in vec(-9.0..9.0, 1..60),
            low in -9.0_f64..9.0,
            by in 0.0..9.0,
        ) {
            let count = |threshold| tail_by_own_reward(&rewards, threshold).unwrap().count;
            prop_assert!(count(low) <= count(low + by));
            prop_assert_eq!(tail_by_own_reward(&rewards, 10.0).unwrap().count, rewards.len());
        }

        #[test]
        fn the_mean_of_the_lowest_rises_to_the_mean(rewards in vec(-9.0..9.0, 1..60)) {
            let means: Vec<f64> =
                (1..=rewards.len()).map(|count| mean_of_lowest(&rewards, count).unwrap()).collect();
            prop_assert!(means.is_sorted_by(|fewer, more| *fewer <= more + 1e-12));
            prop_assert!((means[means.len() - 1] - mean(&rewards).unwrap()).abs() < 1e-12);
        }
    }
}
