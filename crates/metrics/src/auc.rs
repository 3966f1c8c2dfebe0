//! How well scores tell two classes apart, whatever the threshold.

use crate::{MetricsError, error::check_finite};

/// Area under the ROC curve: the share of pairs of a positive and a negative text in which the
/// positive one has the higher score, pairs with equal scores counting half.
///
/// # Errors
/// [`MetricsError::Unpaired`]; [`MetricsError::NotFinite`]; [`MetricsError::TooFew`] unless there
/// are texts of both classes.
///
/// # Example
/// ```
/// # use tailguard_metrics::auc;
/// assert_eq!(auc(&[2.0, 0.5, 1.0, 0.5], &[true, true, false, false])?, 0.625);
/// # Ok::<(), tailguard_metrics::MetricsError>(())
/// ```
pub fn auc(scores: &[f64], positive: &[bool]) -> Result<f64, MetricsError> {
    if scores.len() != positive.len() {
        let (left_len, right_len) = (scores.len(), positive.len());
        return Err(MetricsError::Unpaired {
            left: "scores",
            left_len,
            right: "classes",
            right_len,
        });
    }
    check_finite("scores", scores.iter().copied())?;
    let positives = positive.iter().filter(|&&positive| positive).count();
    let negatives = positive.len() - positives;
    for (what, found) in [("positive texts", positives), ("negative texts", negatives)] {
        if found == 0 {
            return Err(MetricsError::TooFew { what, needed: 1, found });
        }
    }
    let mut ranked: Vec<(f64, bool)> =
        scores.iter().copied().zip(positive.iter().copied()).collect();
    ranked.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
    let (mut below, mut won) = (0, 0.0);
    // In rising order a score that is not below the next one equals it.
    for equal in ranked.chunk_by(|one, next| one.0 >= next.0) {
        let positives = equal.iter().filter(|(_, positive)| *positive).count();
        let negatives = equal.len() - positives;
        won += positives as f64 * (below as f64 + negatives as f64 / 2.0);
        below += negatives;
    }
    Ok(won / (positives as f64 * negatives as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    #[test]
    fn unusable_input_is_refused() {
        let refused =
            |scores: &[f64], positive: &[bool]| auc(scores, positive).unwrap_err().to_string();
        assert_eq!(refused(&[1.0], &[]), "1 scores, but 0 classes: expected one for one");
        assert_eq!(
            refused(&[1.0, f64::NAN], &[true, false]),
            "scores 1 is NaN, expected a finite number"
        );
        assert_eq!(refused(&[1.0], &[true]), "negative texts: found 0, expected at least 1");
        assert_eq!(refused(&[], &[]), "positive texts: found 0, expected at least 1");
    }

    #[test]
    fn zero_equals_minus_zero() {
        assert_eq!(auc(&[0.0, -0.0], &[true, false]), Ok(0.5));
        assert_eq!(auc(&[-0.0, 0.0], &[true, false]), Ok(0.5));
    }

    proptest! {
        #[test]
        fn it_is_the_share_of_pairs_in_the_right_order(
            texts in vec((-4_i32..4, any::<bool>()), 2..60),
        ) {
            let (scores, positive): (Vec<f64>, Vec<bool>) =
                texts.iter().map(|&(score, is)| (f64::from(score), is)).unzip();
            let of = |class| texts.iter().filter(move |text| text.1 == class).map(|text| text.0);
            let pairs: Vec<_> =
                of(true).flat_map(|good| of(false).map(move |bad| good.cmp(&bad))).collect();
            prop_assume!(!pairs.is_empty());
            let won: f64 = pairs.iter().map(|order| f64::from(*order as i8 + 1) / 2.0).sum();
            prop_assert!(
                (auc(&scores, &positive).unwrap() - won / pairs.len() as f64).abs() < 1e-12
            );
            let turned: Vec<f64> = scores.iter().map(|score| -score).collect();
            prop_assert!(
                (auc(&scores, &positive).unwrap() + auc(&turned, &positive).unwrap() - 1.0).abs()
                    < 1e-12
            );
        }
    }
}
