//! Figures of a method from the values of its texts, seed by seed.

use std::borrow::Cow;

use crate::{ByPrompt, Estimate, Influences, MetricsError, Scale, estimate};

/// The mean over all texts of a seed, averaged over seeds. None where a seed has no value.
///
/// Where all values are of one prompt, texts stand for prompts: the interval is then about this
/// prompt, and says nothing about others.
///
/// # Errors
/// [`MetricsError::NotFinite`].
///
/// # Example
/// ```
/// # use tailguard_metrics::{Scale, mean_over_seeds};
/// let prompts = vec![(0, 1.0), (1, 3.0), (2, 2.0), (3, 6.0)];
/// let once = mean_over_seeds(&[prompts.clone()], Scale::Any)?;
/// let often = mean_over_seeds(&[prompts.repeat(16)], Scale::Any)?;
/// // 64 answers tell no more than four, if each prompt is always answered alike
/// assert_eq!(once, often);
/// let alone = mean_over_seeds(&[vec![(0, 1.0)]], Scale::Any)?.unwrap();
/// assert_eq!(alone.ci95, None);
/// # Ok::<(), tailguard_metrics::MetricsError>(())
/// ```
pub fn mean_over_seeds(
    seeds: &[Vec<ByPrompt>],
    scale: Scale,
) -> Result<Option<Estimate>, MetricsError> {
    over_seeds(seeds, scale, Influences::of_mean)
}

/// The mean of the lowest values of a seed (`CVaR`), averaged over seeds; of how many, `count` says
/// from how many there are. As [`mean_over_seeds`] otherwise.
///
/// # Errors
/// [`MetricsError::NotFinite`]; [`MetricsError::OutOfRange`] for a count of 0, or of more than
/// there are.
pub fn lowest_over_seeds(
    seeds: &[Vec<ByPrompt>],
    count: impl Fn(usize) -> usize,
) -> Result<Option<Estimate>, MetricsError> {
    over_seeds(seeds, Scale::Any, |values| Influences::of_lowest(values, count(values.len())))
}

/// The quantile of a seed's values ([`Influences::of_quantile`]), averaged over seeds: the
/// `count`-th lowest; which, `count` says from how many there are. As [`mean_over_seeds`]
/// otherwise.
///
/// # Errors
/// [`MetricsError::NotFinite`]; [`MetricsError::OutOfRange`] for a count of 0, or of more than
/// there are.
pub fn quantile_over_seeds(
    seeds: &[Vec<ByPrompt>],
    count: impl Fn(usize) -> usize,
) -> Result<Option<Estimate>, MetricsError> {
    over_seeds(seeds, Scale::Any, |values| Influences::of_quantile(values, count(values.len())))
}

fn over_seeds(
    seeds: &[Vec<ByPrompt>],
    scale: Scale,
    figure: impl Fn(&[ByPrompt]) -> Result<Influences, MetricsError>,
) -> Result<Option<Estimate>, MetricsError> {
    influences_over_seeds(seeds, figure)?.map(|influences| estimate(&influences, scale)).transpose()
}

/// The influences on a figure of each seed, for [`estimate`], [`p_value`](crate::p_value) and
/// [`prompts_needed`](crate::prompts_needed). None where a seed has no value. Texts of a single
/// prompt stand for prompts.
///
/// # Errors
/// Those of the figure.
///
/// # Example
/// ```
/// # use tailguard_metrics::{Influences, Scale, estimate, influences_over_seeds, mean_over_seeds};
/// let seeds = [vec![(0, 1.0), (1, 3.0), (2, 2.0), (3, 6.0)]];
/// let of_mean = influences_over_seeds(&seeds, Influences::of_mean)?.unwrap();
/// assert_eq!(Some(estimate(&of_mean, Scale::Any)?), mean_over_seeds(&seeds, Scale::Any)?);
/// # Ok::<(), tailguard_metrics::MetricsError>(())
/// ```
pub fn influences_over_seeds(
    seeds: &[Vec<ByPrompt>],
    figure: impl Fn(&[ByPrompt]) -> Result<Influences, MetricsError>,
) -> Result<Option<Vec<Influences>>, MetricsError> {
    if seeds.is_empty() || seeds.iter().any(Vec::is_empty) {
        return Ok(None);
    }
    prompts_or_texts(seeds).iter().map(|values| figure(values)).collect::<Result<_, _>>().map(Some)
}

/// The values as they are; where all are of one prompt, with numbers of their own.
pub(crate) fn prompts_or_texts(seeds: &[Vec<ByPrompt>]) -> Cow<'_, [Vec<ByPrompt>]> {
    let first = seeds.iter().flatten().next().map(|(prompt, _)| *prompt);
    if seeds.iter().flatten().any(|(prompt, _)| Some(*prompt) != first) {
        return Cow::Borrowed(seeds);
    }
    let mut begin = 0;
    let mut alone = Vec::with_capacity(seeds.len());
    for values in seeds {
        alone.push((begin..).zip(values.iter().map(|(_, value)| *value)).collect());
        begin += values.len();
    }
    Cow::Owned(alone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    fn mean(seeds: &[Vec<ByPrompt>]) -> Estimate {
        mean_over_seeds(seeds, Scale::Any).unwrap().unwrap()
    }

    fn width(estimate: Estimate) -> f64 {
        estimate.ci95.map(|[low, high]| high - low).unwrap()
    }

    #[test]
    fn one_value_has_no_interval_and_no_value_is_no_figure() {
        let one = mean(&[vec![(0, 1.5)]]);
        assert_eq!(one, Estimate { value: 1.5, se: None, ci95: None, seeds_std: None });
        assert_eq!(mean_over_seeds(&[], Scale::Any), Ok(None));
        assert_eq!(mean_over_seeds(&[vec![(0, 1.0)], vec![]], Scale::Any), Ok(None));
        assert_eq!(lowest_over_seeds(&[vec![]], |count| count), Ok(None));
        assert!(matches!(
            mean_over_seeds(&[vec![(0, f64::NAN)]], Scale::Any),
            Err(MetricsError::NotFinite { .. })
        ));
    }

    #[test]
    fn two_values_have_the_interval_of_student() {
        let two = mean(&[vec![(0, 1.0), (1, 2.0)]]);
        assert!(
            (two.se.unwrap() - 0.5).abs() < 1e-12 && (width(two) - 12.7062).abs() < 1e-3,
            "{two:?}"
        );
    }

    #[test]
    fn seeds_that_agree_do_not_hide_the_prompts() {
        let prompts: Vec<ByPrompt> =
            (0..50).map(|prompt| (prompt, (prompt * prompt % 17) as f64)).collect();
        let (one, five) = (mean(std::slice::from_ref(&prompts)), mean(&vec![prompts; 5]));
        assert!(
            (width(one) - width(five)).abs() < 1e-9 && five.seeds_std == Some(0.0),
            "{one:?} {five:?}"
        );
    }

    #[test]
    fn seeds_without_a_prompt_in_common_say_all_there_is_to_say() {
        // of one prompt each
        let seeds = [vec![(0, 1.0)], vec![(1, 2.0)], vec![(2, 3.0)]];
        let found = mean(&seeds);
        assert!((found.se.unwrap() - 1.0 / 3.0_f64.sqrt()).abs() < 1e-12, "{found:?}");
        assert!((width(found) - 2.0 * 4.302_65 / 3.0_f64.sqrt()).abs() < 1e-3, "{found:?}");
    }

    #[test]
    fn texts_of_a_single_prompt_stand_for_prompts() {
        let of_one = mean(&[vec![(7, 1.0), (7, 2.0), (7, 4.0)]]);
        assert_eq!(of_one, mean(&[vec![(0, 1.0), (1, 2.0), (2, 4.0)]]));
        // and no seed has those of another
        let seeds = [vec![(7, 1.0), (7, 2.0)], vec![(7, 4.0)], vec![(7, 3.0), (7, 5.0)]];
        let apart = [vec![(0, 1.0), (1, 2.0)], vec![(2, 4.0)], vec![(3, 3.0), (4, 5.0)]];
        assert_eq!(mean(&seeds), mean(&apart));
    }

    #[test]
    fn a_share_of_nothing_or_all_is_not_sure() {
        let share = |value: f64, count: usize| {
            let seed = (0..count).map(|prompt| (prompt, value)).collect();
            mean_over_seeds(&[seed], Scale::Share).unwrap().unwrap().ci95.unwrap()
        };
        let ([low, high], [below, above]) = (share(0.0, 100), share(1.0, 100));
        assert!(
            low <= 0.0
                && (0.03..0.05).contains(&high)
                && above >= 1.0
                && (below + high - 1.0).abs() < 1e-12
        );
        assert!(share(0.0, 1000)[1] < 0.005);
    }

    #[test]
    fn several_seeds_of_nothing_or_all_are_as_sure_as_one() {
        let share = |value: f64, seeds: usize| {
            let seed: Vec<ByPrompt> = (0..64).map(|prompt| (prompt, value)).collect();
            mean_over_seeds(&vec![seed; seeds], Scale::Share).unwrap().unwrap().ci95
        };
        for seeds in [2, 3, 5] {
            assert_eq!([share(0.0, seeds), share(1.0, seeds)], [share(0.0, 1), share(1.0, 1)]);
        }
    }

    proptest! {
        #[test]
        fn intervals_hold_the_figure_and_shares_stay_shares(
            seeds in vec(vec((0_usize..9, 0.0..1.0_f64), 1..30), 1..4),
        ) {
            for scale in [Scale::Any, Scale::Share] {
                let found = mean_over_seeds(&seeds, scale).unwrap().unwrap();
                let Some([low, high]) = found.ci95 else { continue };
                prop_assert!(
                    low <= found.value + 1e-12 && found.value <= high + 1e-12,
                    "{:?}",
                    found
                );
                prop_assert!(
                    scale == Scale::Any
                        || (0.0..=1.0).contains(&low) && (0.0..=1.0).contains(&high)
                );
            }
        }

        #[test]
        fn neither_the_order_of_texts_nor_that_of_seeds_matters(
            seeds in vec(vec((0_usize..9, -9.0..9.0_f64), 2..30), 1..4),
        ) {
            let turned: Vec<Vec<ByPrompt>> =
                seeds.iter().rev().map(|seed| seed.iter().rev().copied().collect()).collect();
            let (one, other) = (mean(&seeds), mean(&turned));
            prop_assert!((one.value - other.value).abs() < 1e-9);
            if let (Some(one), Some(other)) = (one.ci95, other.ci95) {
                prop_assert!(
                    (0..2).all(|end| (one[end] - other[end]).abs() < 1e-6 * (1.0 + one[end].abs())),
                    "{:?} {:?}",
                    one,
                    other
                );
            }
        }

        #[test]
        fn mirrored_values_have_the_mirrored_interval(
            seeds in vec(vec((0_usize..9, -9.0..9.0_f64), 2..30), 1..4),
        ) {
            let turned: Vec<Vec<ByPrompt>> = seeds
                .iter()
                .map(|seed| seed.iter().map(|&(prompt, value)| (prompt, -value)).collect())
                .collect();
            if let (Some([low, high]), Some([below, above])) =
                (mean(&seeds).ci95, mean(&turned).ci95)
            {
                prop_assert!(
                    (low + above).abs() < 1e-6 * (1.0 + low.abs())
                        && (high + below).abs() < 1e-6 * (1.0 + high.abs())
                );
            }
        }
    }
}
