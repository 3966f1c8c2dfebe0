//! The quantile of a batch and the selection of its lowest returns, both without a full sort.

use crate::{RiskError, RiskLevel, error::check};

/// The quantile `inf { x : F(x) >= alpha }` of the returns: the `count`-th smallest (Eq. 6 of arXiv
/// 2501.06911).
///
/// It is always one of the returns, never an interpolation. Takes time linear in the number of
/// returns.
///
/// # Errors
/// [`RiskError::Empty`], [`RiskError::NotFinite`].
///
/// # Example
/// ```
/// # use tailguard_risk::{RiskLevel, quantile};
/// assert_eq!(quantile(&[4.0, 1.0, 3.0, 2.0], RiskLevel::new(0.5)?)?, 2.0);
/// # Ok::<(), tailguard_risk::RiskError>(())
/// ```
pub fn quantile(returns: &[f64], level: RiskLevel) -> Result<f64, RiskError> {
    check(returns)?;
    Ok(nth_smallest(returns, level.count(returns.len())))
}

/// Indices of exactly the `keep` lowest returns, in ascending order of index; among ties the
/// earlier ones are kept.
///
/// This is the selection step of Algorithm 1 of arXiv 2501.06911. Takes time linear in the number
/// of returns.
///
/// # Errors
/// [`RiskError::Empty`], [`RiskError::NotFinite`]; [`RiskError::Keep`] unless `keep` is in
/// `1..=returns.len()`.
///
/// # Example
/// ```
/// # use tailguard_risk::lowest;
/// assert_eq!(lowest(&[0.5, -1.0, 0.5, -2.0], 3)?, [0, 1, 3]);
/// # Ok::<(), tailguard_risk::RiskError>(())
/// ```
pub fn lowest(returns: &[f64], keep: usize) -> Result<Vec<usize>, RiskError> {
    check(returns)?;
    if keep == 0 || keep > returns.len() {
        return Err(RiskError::Keep { keep, len: returns.len() });
    }
    let highest_kept = nth_smallest(returns, keep);
    let mut ties = keep - returns.iter().filter(|&&value| value < highest_kept).count();
    let mut kept = Vec::with_capacity(keep);
    for (index, &value) in returns.iter().enumerate() {
        if value < highest_kept {
            kept.push(index);
        } else if value <= highest_kept && ties > 0 {
            ties -= 1;
            kept.push(index);
        }
    }
    Ok(kept)
}

/// The `count`-th smallest of checked returns, counted from 1.
fn nth_smallest(returns: &[f64], count: usize) -> f64 {
    let mut values = returns.to_vec();
    *values.select_nth_unstable_by(count - 1, f64::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*, sample::Index};

    /// Returns with many ties, so that the tie rule is met all the time.
    fn any_returns() -> impl Strategy<Value = Vec<f64>> {
        vec(prop_oneof![(-3_i32..3).prop_map(f64::from), -1e6..1e6, Just(-0.0)], 1..200)
    }

    /// The plain way: a stable sort by value, then the first `keep` indices in order.
    fn lowest_by_sorting(returns: &[f64], keep: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..returns.len()).collect();
        order.sort_by(|&left, &right| returns[left].partial_cmp(&returns[right]).unwrap());
        order.truncate(keep);
        order.sort_unstable();
        order
    }

    #[test]
    fn ties_keep_the_earlier_episode() {
        assert_eq!(lowest(&[1.0, 0.0, 1.0, 1.0], 2), Ok(vec![0, 1]));
        assert_eq!(lowest(&[5.0; 4], 3), Ok(vec![0, 1, 2]));
    }

    #[test]
    fn zero_and_minus_zero_are_ties() {
        assert_eq!(lowest(&[0.0, -0.0], 1), Ok(vec![0]));
    }

    #[test]
    fn keep_outside_the_batch_is_refused() {
        assert_eq!(lowest(&[1.0, 2.0], 0), Err(RiskError::Keep { keep: 0, len: 2 }));
        assert_eq!(lowest(&[1.0, 2.0], 3), Err(RiskError::Keep { keep: 3, len: 2 }));
    }

    #[test]
    fn empty_nan_and_infinite_returns_are_refused() {
        let level = RiskLevel::new(0.5).unwrap();
        assert_eq!(quantile(&[], level), Err(RiskError::Empty));
        assert_eq!(lowest(&[], 1), Err(RiskError::Empty));
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(matches!(
                quantile(&[0.0, bad], level),
                Err(RiskError::NotFinite { index: 1, .. })
            ));
            assert!(matches!(lowest(&[0.0, bad], 1), Err(RiskError::NotFinite { index: 1, .. })));
        }
    }

    proptest! {
        #[test]
        fn lowest_agrees_with_a_stable_sort(returns in any_returns(), keep: Index) {
            let keep = keep.index(returns.len()) + 1;
            prop_assert_eq!(lowest(&returns, keep).unwrap(), lowest_by_sorting(&returns, keep));
        }

        #[test]
        fn quantile_is_the_first_value_with_enough_mass(
            returns in any_returns(),
            alpha in 0.001..=1.0,
        ) {
            let level = RiskLevel::new(alpha).unwrap();
            let value = quantile(&returns, level).unwrap();
            let needed = level.count(returns.len());
            prop_assert!(returns.iter().filter(|&&other| other <= value).count() >= needed);
            prop_assert!(returns.iter().filter(|&&other| other < value).count() < needed);
        }

        #[test]
        fn quantile_never_falls_as_alpha_rises(
            returns in any_returns(),
            one in 0.001_f64..=1.0,
            other in 0.001..=1.0,
        ) {
            let (low, high) = (one.min(other), one.max(other));
            let at = |alpha| quantile(&returns, RiskLevel::new(alpha).unwrap()).unwrap();
            prop_assert!(at(low) <= at(high));
        }
    }
}
