//! Rewards to quantiles: equal parts, the best first.

use crate::error::{PpoError, finite};

/// The bucket of each response when all are sorted by reward, best first, and cut into `count`
/// parts whose sizes differ by one at most: 0 is the best. Of equal rewards, what came first counts
/// as the better, so that the result depends on the rewards alone.
///
/// # Errors
/// [`PpoError::NotFinite`] for a reward that is no number, [`PpoError::Setting`] for no parts.
///
/// # Example
/// ```
/// let buckets = tailguard_ppo::buckets(&[0.5, -1.0, 2.0, 0.5], 2)?;
/// assert_eq!(buckets, [0, 1, 0, 1]);
/// # Ok::<(), tailguard_ppo::PpoError>(())
/// ```
pub fn buckets(rewards: &[f32], count: usize) -> Result<Vec<usize>, PpoError> {
    if count == 0 {
        return Err(PpoError::setting("buckets", &count, "at least 1"));
    }
    finite("rewards", rewards)?;
    let mut order: Vec<usize> = (0..rewards.len()).collect();
    // -0.0 and 0.0 are equal; a stable sort keeps equals in their order
    order.sort_by(|&a, &b| (rewards[b] + 0.0).total_cmp(&(rewards[a] + 0.0)));
    let mut buckets = vec![0; rewards.len()];
    for (rank, place) in order.into_iter().enumerate() {
        buckets[place] = rank * count / rewards.len();
    }
    Ok(buckets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn buckets_are_of_equal_size_and_ordered_by_reward(
            // few values, so that there are many ties
            rewards in prop::collection::vec((-6i8..6).prop_map(|r| f32::from(r) / 4.0), 1..80),
            count in 1usize..9,
        ) {
            let found = buckets(&rewards, count).unwrap();
            let sizes: Vec<usize> = (0..count)
                .map(|bucket| found.iter().filter(|&&of| of == bucket).count())
                .collect();
            let (most, least) = (sizes.iter().max().unwrap(), sizes.iter().min().unwrap());
            prop_assert!(most - least <= 1, "{sizes:?}");
            prop_assert_eq!(sizes.iter().sum::<usize>(), rewards.len());
            prop_assert!(sizes[0] > 0, "what is sampled is sampled behind the best token");
            for one in 0..rewards.len() {
                for other in 0..rewards.len() {
                    if rewards[one] > rewards[other] {
                        prop_assert!(found[one] <= found[other]);
                    }
                    if one < other && (rewards[one] - rewards[other]).abs() < f32::EPSILON {
                        prop_assert!(found[one] <= found[other], "ties keep their order");
                    }
                }
            }
        }

        #[test]
        fn what_keeps_the_order_of_the_rewards_keeps_the_buckets(
            rewards in prop::collection::vec(-9.0f32..9.0, 1..60),
            count in 1usize..9,
        ) {
            let grown: Vec<f32> = rewards.iter().map(|reward| 3.0 * reward + 1.0).collect();
            // rounding may make equals of what differs by less, and then the order decides
            let mut sorted = rewards.clone();
            sorted.sort_by(f32::total_cmp);
            prop_assume!(sorted.windows(2).all(|pair| pair[1] - pair[0] > 1e-4));
            prop_assert_eq!(buckets(&rewards, count).unwrap(), buckets(&grown, count).unwrap());
        }
    }

    #[test]
    fn a_table_made_by_hand() {
        let rewards = [0.1, 0.9, -3.0, 0.9, 2.0, -0.0, 0.0];
        // best first: 2.0, 0.9, 0.9, 0.1, -0.0, 0.0, -3.0; sizes 3, 2, 2
        assert_eq!(buckets(&rewards, 3).unwrap(), [1, 0, 2, 0, 0, 1, 2]);
        assert_eq!(buckets(&rewards, 1).unwrap(), [0; 7]);
        assert_eq!(buckets(&[1.0, 2.0], 5).unwrap(), [2, 0]);
        assert_eq!(buckets(&[], 5).unwrap(), [0; 0]);
    }

    #[test]
    fn a_reward_that_is_no_number_and_no_parts_are_refused() {
        let error = buckets(&[0.0, f32::NAN], 2).unwrap_err();
        assert!(matches!(error, PpoError::NotFinite { index: 1, .. }), "{error}");
        assert!(buckets(&[f32::INFINITY], 2).is_err());
        let error = buckets(&[0.0], 0).unwrap_err().to_string();
        assert_eq!(error, "training setting buckets is 0, expected at least 1");
    }
}
