//! Reward against the quantile of the prompt score: how the hardest prompts fare, and the easier
//! ones after them.

use crate::{
    MetricsError,
    error::{check_pair, check_range},
    moments::mean_of,
};

/// One point of a quantile curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CurvePoint {
    /// Percent of the prompts, those with the lowest scores.
    pub percent: usize,
    /// How many prompts that is: `floor(percent n / 100)`.
    pub count: usize,
    /// Their mean reward; `None` where the count is 0.
    pub mean: Option<f64>,
}

/// One of several equal groups of prompts, from the lowest prompt scores to the highest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// Prompts in it.
    pub count: usize,
    /// Mean reward of their continuations.
    pub reward: f64,
    /// Mean score of the prompts alone.
    pub prompt_score: f64,
}

/// The quantile curve of arXiv 2501.06911: mean reward of the lowest `percent` of prompts, for each
/// of `percents`.
///
/// Prompts are sorted by prompt score, ties by index. The paper draws all of 1 to 100.
///
/// # Errors
/// [`MetricsError::Unpaired`]; [`MetricsError::TooFew`] for no rewards;
/// [`MetricsError::NotFinite`]; [`MetricsError::OutOfRange`] for a percentage above 100.
///
/// # Example
/// ```
/// # use tailguard_metrics::curve;
/// let points = curve(&[4.0, -2.0], &[1.0, -1.0], [50, 100])?;
/// assert_eq!(points[0].mean, Some(-2.0)); // the harder prompt alone
/// assert_eq!(points[1].mean, Some(1.0));
/// # Ok::<(), tailguard_metrics::MetricsError>(())
/// ```
pub fn curve(
    rewards: &[f64],
    prompt_scores: &[f64],
    percents: impl IntoIterator<Item = usize>,
) -> Result<Vec<CurvePoint>, MetricsError> {
    check_pair(("rewards", rewards), ("prompt scores", prompt_scores))?;
    let mut sums = vec![0.0];
    for index in by_prompt_score(prompt_scores) {
        sums.push(sums[sums.len() - 1] + rewards[index]);
    }
    let point = |percent| {
        check_range("percent", percent, 0, 100)?;
        let count = percent * rewards.len() / 100;
        Ok(CurvePoint { percent, count, mean: (count > 0).then(|| sums[count] / count as f64) })
    };
    percents.into_iter().map(point).collect()
}

/// Cuts the prompts, sorted by prompt score (ties by index), into `count` groups; the first
/// `n mod count` are one longer.
///
/// # Errors
/// [`MetricsError::Unpaired`]; [`MetricsError::TooFew`] for no rewards;
/// [`MetricsError::NotFinite`]; [`MetricsError::OutOfRange`] unless `count` is in
/// `1..=rewards.len()`.
pub fn buckets(
    rewards: &[f64],
    prompt_scores: &[f64],
    count: usize,
) -> Result<Vec<Bucket>, MetricsError> {
    check_pair(("rewards", rewards), ("prompt scores", prompt_scores))?;
    check_range("buckets", count, 1, rewards.len())?;
    let order = by_prompt_score(prompt_scores);
    let (size, longer) = (order.len() / count, order.len() % count);
    let (long, short) = order.split_at(longer * (size + 1));
    let group = |indices: &[usize]| {
        let pick = |values: &[f64]| {
            mean_of(&indices.iter().map(|&index| values[index]).collect::<Vec<_>>())
        };
        Bucket { count: indices.len(), reward: pick(rewards), prompt_score: pick(prompt_scores) }
    };
    Ok(long.chunks(size + 1).chain(short.chunks(size)).map(group).collect())
}

/// Indices of checked scores from the lowest to the highest, ties by index.
fn by_prompt_score(prompt_scores: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..prompt_scores.len()).collect();
    // Adding 0 turns -0 into 0, so that the two tie.
    order.sort_by(|&left, &right| {
        (prompt_scores[left] + 0.0).total_cmp(&(prompt_scores[right] + 0.0))
    });
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mean;
    use proptest::{collection::vec, prelude::*, sample::Index};

    fn any_pairs() -> impl Strategy<Value = (Vec<f64>, Vec<f64>)> {
        vec((-9.0..9.0, prop_oneof![(-3_i32..3).prop_map(f64::from), -9.0..9.0]), 1..80)
            .prop_map(|pairs| pairs.into_iter().unzip())
    }

    #[test]
    fn ties_in_prompt_score_go_by_index() {
        let points = curve(&[1.0, 2.0, 4.0], &[0.0, -0.0, 0.0], [34, 67]).unwrap();
        assert_eq!((points[0].mean, points[1].mean), (Some(1.0), Some(1.5)));
    }

    #[test]
    fn unusable_input_is_refused() {
        assert!(matches!(curve(&[], &[], [1]), Err(MetricsError::TooFew { .. })));
        assert!(matches!(
            curve(&[f64::NAN], &[0.0], [1]),
            Err(MetricsError::NotFinite { what: "rewards", .. })
        ));
        let message = curve(&[1.0], &[0.0], [101]).unwrap_err().to_string();
        assert_eq!(message, "percent is 101, expected 0 to 100");
        for count in [0, 3] {
            let refused = buckets(&[1.0, 2.0], &[0.0, 1.0], count);
            assert!(
                matches!(refused, Err(MetricsError::OutOfRange { name: "buckets", .. })),
                "{count}"
            );
        }
        assert!(matches!(buckets(&[1.0], &[0.0, 1.0], 1), Err(MetricsError::Unpaired { .. })));
    }

    proptest! {
        #[test]
        fn the_curve_ends_at_the_mean((rewards, scores) in any_pairs()) {
            let points = curve(&rewards, &scores, 0..=100).unwrap();
            prop_assert_eq!(points[0].mean, None);
            prop_assert_eq!(points[100].count, rewards.len());
            prop_assert!((points[100].mean.unwrap() - mean(&rewards).unwrap()).abs() < 1e-12);
        }

        #[test]
        fn buckets_share_out_all_prompts_evenly_and_in_order(
            (rewards, scores) in any_pairs(),
            which: Index,
        ) {
            let count = which.index(rewards.len()) + 1;
            let groups = buckets(&rewards, &scores, count).unwrap();
            prop_assert_eq!(groups.len(), count);
            prop_assert_eq!(groups.iter().map(|group| group.count).sum::<usize>(), rewards.len());
            prop_assert!(groups[0].count - groups[count - 1].count <= 1);
            let means: Vec<f64> = groups.iter().map(|group| group.prompt_score).collect();
            prop_assert!(means.is_sorted_by(|lower, higher| *lower <= higher + 1e-12));
            let total: f64 = groups.iter().map(|group| group.reward * group.count as f64).sum();
            prop_assert!((total - rewards.iter().sum::<f64>()).abs() < 1e-9);
        }
    }
}
