//! The best of n responses, from samples of K.

use crate::error::FrontError;
use crate::policy::Policy;
use crate::sample::Sample;

/// The policy that draws n responses from the reference and gives the one that scores highest.
///
/// A response counts with the probability that it is the best of n drawn from the K without
/// putting back: of the k-th lowest that is `C(k - 1, n - 1) / C(K, n)`, and responses that score
/// alike share theirs. Means over the prompts are then unbiased for the best of n new responses,
/// for any function of the score: mean and distribution alike.
///
/// # Errors
/// [`FrontError::BestOf`] unless n is in `1..=K`.
pub fn best_of(sample: &Sample, n: usize) -> Result<Policy, FrontError> {
    let responses = sample.responses();
    if n == 0 || n > responses {
        return Err(FrontError::BestOf { n, responses });
    }
    let of_ranks = of_ranks(responses, n);
    let mut weights = vec![0.0; sample.scores().len()];
    for (row, weights) in sample.scores().chunks(responses).zip(weights.chunks_mut(responses)) {
        let mut order: Vec<usize> = (0..responses).collect();
        order.sort_by(|&one, &other| row[one].total_cmp(&row[other]));
        let mut rank = 0;
        // neither is above the other: total_cmp would part 0 from -0
        for alike in order.chunk_by(|&one, &other| row[one] >= row[other]) {
            let share = of_ranks[rank..rank + alike.len()].iter().sum::<f64>() / alike.len() as f64;
            alike.iter().for_each(|&place| weights[place] = share);
            rank += alike.len();
        }
    }
    Ok(Policy::of_weights(responses, weights))
}

/// The KL of the best of n to the reference in nats per response: `ln n - (n - 1) / n`, exact where
/// no two responses score alike, and an upper bound otherwise. (Beirami et al., Theoretical
/// guarantees on the best-of-n alignment policy, arXiv 2401.01879.)
pub fn best_of_kl(n: usize) -> f64 {
    let n = n.max(1) as f64;
    n.ln() - (n - 1.0) / n
}

/// The probabilities of the ranks from the lowest to the highest.
fn of_ranks(responses: usize, n: usize) -> Vec<f64> {
    let mut weights = vec![0.0; responses];
    // from the highest down, each by C(k - 2, n - 1) / C(k - 1, n - 1) = (k - n) / (k - 1)
    let mut weight = n as f64 / responses as f64;
    for k in (n..=responses).rev() {
        weights[k - 1] = weight;
        weight *= (k - n) as f64 / (k - 1).max(1) as f64;
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // of four, the best of two is the highest in 3 of 6 choices, then in 2 and 1
        for (found, expected) in of_ranks(4, 2).iter().zip([0.0, 1.0 / 6.0, 1.0 / 3.0, 0.5]) {
            assert!((found - expected).abs() < 1e-15);
        }
        assert_eq!(of_ranks(3, 1), [1.0 / 3.0; 3]);
        assert_eq!(of_ranks(3, 3), [0.0, 0.0, 1.0]);
        assert_eq!(of_ranks(1, 1), [1.0]);
        assert!((best_of_kl(4) - (4.0_f64.ln() - 0.75)).abs() < 1e-15);
    }

    #[test]
    fn responses_that_score_alike_share() {
        let sample = Sample::new(4, vec![1.0, 0.0, 1.0, -0.0]).unwrap();
        let best = best_of(&sample, 2).unwrap();
        let expected = [5.0 / 12.0, 1.0 / 12.0, 5.0 / 12.0, 1.0 / 12.0];
        for (found, expected) in best.weights(0).iter().zip(expected) {
            assert!((found - expected).abs() < 1e-15, "{best:?}");
        }
        assert_eq!(
            best_of(&sample, 5).unwrap_err().to_string(),
            "best of 5 was asked for, expected 1 to 4, the responses to each prompt"
        );
        assert!(best_of(&sample, 0).is_err());
    }
}
