//! Whether a gain may be chance, and what is left of that where many methods are compared.

use crate::{Influences, MetricsError, spread::Seen};

/// The probability that a figure which is truly 0 comes out as far from it as this one, to either
/// side. None where there is neither a second prompt nor a second seed.
///
/// It comes from the same account as the interval of [`estimate`](crate::estimate): Student's t
/// with the same degrees of freedom and the same lean. So it is below 0.05 just where the 95 %
/// interval does not hold 0. (With several seeds up to three of them ask for their share; the
/// largest counts, as the widest does there.) Use it for differences: see
/// [`Pairs::influences_of_mean`](crate::Pairs::influences_of_mean).
///
/// # Errors
/// [`MetricsError::TooFew`] for no seed; [`MetricsError::NotFinite`].
///
/// # Example
/// ```
/// # use tailguard_metrics::{Pairs, p_value};
/// let better = [vec![(0, 1.0), (1, 2.1), (2, 3.0), (3, 4.2)]];
/// let worse = [vec![(0, 0.5), (1, 1.5), (2, 2.6), (3, 3.6)]];
/// let gain = Pairs::new(&better, &worse)?.influences_of_mean()?.unwrap();
/// assert!(p_value(&gain)?.is_some_and(|p| p < 0.01));
/// # Ok::<(), tailguard_metrics::MetricsError>(())
/// ```
pub fn p_value(seeds: &[Influences]) -> Result<Option<f64>, MetricsError> {
    let seen = Seen::of(seeds)?;
    Ok(seen.spread().map(|spread| spread.p_value(seen.value())))
}

/// Adjusted p-values of so many comparisons, in their order: with a bound on these, the chance that
/// *any* of the gains that were found is none keeps the bound, whatever the comparisons have in
/// common (Holm, A simple sequentially rejective multiple test procedure, 1979).
///
/// The smallest of `m` is taken times `m`, the next one times `m - 1`, and so on; none is below an
/// earlier one, and none above 1.
///
/// # Errors
/// [`MetricsError::NoProbability`] for a value that is not from 0 to 1.
///
/// # Example
/// ```
/// # use tailguard_metrics::holm;
/// assert_eq!(holm(&[0.01, 0.5, 0.02])?, [0.03, 0.5, 0.04]);
/// # Ok::<(), tailguard_metrics::MetricsError>(())
/// ```
pub fn holm(p_values: &[f64]) -> Result<Vec<f64>, MetricsError> {
    if let Some((index, &value)) =
        p_values.iter().enumerate().find(|(_, value)| !(0.0..=1.0).contains(*value))
    {
        return Err(MetricsError::NoProbability { what: "p-value", index, value });
    }
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&one, &other| p_values[one].total_cmp(&p_values[other]));
    let (mut adjusted, mut highest) = (vec![0.0; p_values.len()], 0.0_f64);
    for (rank, place) in order.into_iter().enumerate() {
        highest = highest.max(p_values[place] * (p_values.len() - rank) as f64).min(1.0);
        adjusted[place] = highest;
    }
    Ok(adjusted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ByPrompt, Scale, estimate};
    use proptest::{collection::vec, prelude::*};

    #[test]
    fn holm_by_hand() {
        // the second smallest asks for 3 * 0.015 = 0.045, the third for 2 * 0.016 < that
        let adjusted = holm(&[0.9, 0.015, 0.01, 0.016]).unwrap();
        for (found, expected) in adjusted.iter().zip([0.9, 0.045, 0.04, 0.045]) {
            assert!((found - expected).abs() < 1e-12, "{adjusted:?}");
        }
        assert_eq!(holm(&[]), Ok(vec![]));
        let message = holm(&[0.5, 1.5]).unwrap_err().to_string();
        assert_eq!(message, "p-value 1 is 1.5, expected 0 to 1");
        assert!(holm(&[f64::NAN]).is_err());
    }

    #[test]
    fn the_p_value_of_student_by_hand() {
        // influences without a skew; t = 2 / (2 / sqrt(3)) with 4 prompts, of which the kurtosis of
        // 1 leaves 3 degrees of freedom
        let gain = Influences::of_mean(&[(0, 1.0), (1, 3.0), (2, 3.0), (3, 1.0)]).unwrap();
        let t = 2.0 / (1.0 / 3.0_f64.sqrt());
        // of three degrees of freedom
        let beyond = 1.0
            - 2.0 / std::f64::consts::PI
                * ((t / 3.0_f64.sqrt()).atan() + t / 3.0_f64.sqrt() / (1.0 + t * t / 3.0));
        assert!((p_value(&[gain]).unwrap().unwrap() - beyond).abs() < 1e-9);
    }

    #[test]
    fn one_value_has_none_and_no_difference_is_chance() {
        let one = Influences::of_mean(&[(0, 1.0)]).unwrap();
        assert_eq!(p_value(&[one]), Ok(None));
        let none = Influences::of_mean(&[(0, 0.0), (1, 0.0)]).unwrap();
        assert_eq!(p_value(&[none]), Ok(Some(1.0)));
        assert!(matches!(p_value(&[]), Err(MetricsError::TooFew { .. })));
    }

    proptest! {
        #[test]
        fn below_one_in_twenty_is_outside_of_the_interval(
            seeds in vec(vec((0_usize..9, -3.0..3.0_f64), 2..30), 1..4),
            shift in -2.0..2.0_f64,
        ) {
            let moved = |seed: &Vec<ByPrompt>| {
                Influences::of_mean(
                    &seed
                        .iter()
                        .map(|&(prompt, value)| (prompt, value + shift))
                        .collect::<Vec<_>>(),
                )
                .unwrap()
            };
            let influences: Vec<Influences> = seeds.iter().map(moved).collect();
            let found =
                (estimate(&influences, Scale::Any).unwrap().ci95, p_value(&influences).unwrap());
            if let (Some([low, high]), Some(p)) = found {
                prop_assert!((0.0..=1.0).contains(&p));
                // but for the last digits
                if (p - 0.05).abs() > 1e-5 {
                    prop_assert_eq!(p < 0.05, low > 0.0 || high < 0.0, "{} {:?}", p, [low, high]);
                }
            }
        }

        #[test]
        fn adjusted_values_keep_the_order_and_are_never_smaller(
            p_values in vec(0.0..=1.0_f64, 0..20),
        ) {
            let adjusted = holm(&p_values).unwrap();
            for (one, first) in p_values.iter().zip(&adjusted) {
                prop_assert!(
                    first >= one && *first <= 1.0 && *first <= one * p_values.len() as f64 + 1e-12
                );
                for (other, second) in p_values.iter().zip(&adjusted) {
                    prop_assert!(one > other || first <= second);
                }
            }
        }

        #[test]
        fn a_comparison_more_makes_none_surer(
            p_values in vec(0.0..=1.0_f64, 1..20),
            more in 0.0..=1.0_f64,
        ) {
            let (before, after) =
                (holm(&p_values).unwrap(), holm(&[&p_values[..], &[more]].concat()).unwrap());
            prop_assert!(before.iter().zip(&after).all(|(before, after)| before <= after));
        }
    }
}
