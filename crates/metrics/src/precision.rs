//! How many prompts an interval of a wanted width needs.

use std::iter::successors;

use crate::{
    Influences, MetricsError, Scale,
    error::{check_finite, check_positive},
    spread::Seen,
};

/// No more prompts than this are ever asked for.
const MOST_PROMPTS: u64 = 1 << 30;
/// Beyond those that there are, numbers of prompts are tried in steps of such a part of them.
const STEPS: u64 = 200;

/// What an interval of a wanted width needs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Needed {
    /// So many different prompts, with as many texts each as now, and as many seeds.
    Prompts(usize),
    /// More seeds: with these, however many prompts there are, the interval reaches at least so far
    /// to either side.
    MoreSeeds {
        /// Half of the width that the interval keeps.
        narrowest: f64,
    },
}

/// How many prompts a figure needs whose 95 % interval shall reach at most `half_width` to either
/// side (half of its width, where it leans). None where nothing is known of the spread.
///
/// The variance that prompts give a figure is the sum of squares of their influences, and falls as
/// their number rises; so do the variance of what neither prompts nor seeds explain, and with the
/// number of prompts that matter the reach of Student's t. What seeds do stays. The answer is the
/// least number whose interval, by the account of [`estimate`](crate::estimate), is narrow enough
/// (beyond the prompts that there are, to half a percent).
/// It is an estimate from a sample itself: where a pilot of 100 prompts asks for half of its width,
/// the interval that comes of it has 0.8 to 1.25 times the wanted width for a mean, and 0.5 to 2
/// times for the `CVaR` of the lowest tenth (in 9 of 10 cases, `tests/coverage.rs`).
///
/// A prompt has as many texts as now; more texts of the same prompts make only their own part of
/// the spread smaller. For a figure of a sample see
/// [`influences_over_seeds`](crate::influences_over_seeds), for a gain [`Pairs`](crate::Pairs).
///
/// # Errors
/// [`MetricsError::TooFew`] for no seed; [`MetricsError::NotFinite`]; [`MetricsError::NotPositive`]
/// for the wanted width.
///
/// # Example
/// ```
/// # use tailguard_metrics::{Influences, Needed, Scale, prompts_needed};
/// let pilot: Vec<(usize, f64)> = (0..100).map(|prompt| (prompt, (prompt % 10) as f64)).collect();
/// // variance 8.33: 1.97^2 * 8.33 / 0.4^2
/// let needed = prompts_needed(&[Influences::of_mean(&pilot)?], Scale::Any, 0.4)?;
/// assert!(matches!(needed, Some(Needed::Prompts(195..210))));
/// # Ok::<(), tailguard_metrics::MetricsError>(())
/// ```
pub fn prompts_needed(
    seeds: &[Influences],
    scale: Scale,
    half_width: f64,
) -> Result<Option<Needed>, MetricsError> {
    check_finite("wanted half width", [half_width])?;
    check_positive("wanted half width", half_width)?;
    let seen = Seen::of(seeds)?;
    let half = |prompts: u64| -> Option<f64> {
        let spread = seen.with_prompts(prompts as f64).spread()?;
        let [low, high] = match scale {
            Scale::Any if spread.variance <= 0.0 => return None,
            Scale::Any => spread.interval(seen.value()),
            Scale::Share => spread.interval_of_share(seen.value()),
        };
        Some((high - low) / 2.0)
    };
    // one prompt in one seed tells nothing of others
    if seen.spread().and_then(|_| half(MOST_PROMPTS)).is_none() {
        return Ok(None);
    }
    // One after the other, as a width may rise again: the more is known of prompts, the more rests
    // on the seeds, and Student's t with their few degrees of freedom is large.
    let now = seeds.iter().map(|seed| seed.parts().len() as u64).max().unwrap_or(0);
    let next = |&prompts: &u64| {
        let step = if prompts < now { 1 } else { prompts.div_ceil(STEPS) };
        Some(prompts + step).filter(|&next| next <= MOST_PROMPTS)
    };
    let mut narrowest = f64::INFINITY;
    for prompts in successors(Some(2), next) {
        let half = half(prompts).unwrap_or(f64::INFINITY);
        if half <= half_width {
            return Ok(usize::try_from(prompts).ok().map(Needed::Prompts));
        }
        narrowest = narrowest.min(half);
    }
    Ok(Some(Needed::MoreSeeds { narrowest }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ByPrompt, estimate};
    use proptest::{collection::vec, prelude::*};

    fn of_mean(values: &[ByPrompt]) -> Influences {
        Influences::of_mean(values).unwrap()
    }

    fn half_width(seeds: &[Influences], scale: Scale) -> f64 {
        estimate(seeds, scale).unwrap().ci95.map(|[low, high]| (high - low) / 2.0).unwrap()
    }

    #[test]
    fn one_value_or_no_spread_says_nothing() {
        assert_eq!(prompts_needed(&[of_mean(&[(0, 1.0)])], Scale::Any, 0.1), Ok(None));
        assert_eq!(prompts_needed(&[of_mean(&[(0, 1.0), (1, 1.0)])], Scale::Any, 0.1), Ok(None));
        let message = prompts_needed(&[of_mean(&[(0, 1.0), (1, 1.0)])], Scale::Any, 0.0)
            .unwrap_err()
            .to_string();
        assert_eq!(message, "wanted half width is 0, expected more than 0");
        assert!(prompts_needed(&[], Scale::Any, 0.1).is_err());
        assert!(prompts_needed(&[of_mean(&[(0, 1.0)])], Scale::Any, f64::NAN).is_err());
    }

    #[test]
    fn seeds_that_differ_are_not_made_up_for_by_prompts() {
        let seed = |shift: f64| {
            of_mean(
                &(0..50).map(|prompt| (prompt, shift + (prompt % 7) as f64)).collect::<Vec<_>>(),
            )
        };
        let seeds = [seed(0.0), seed(1.0), seed(0.5)];
        // t of two degrees of freedom, and 0.5 / sqrt(3)
        let Some(Needed::MoreSeeds { narrowest }) =
            prompts_needed(&seeds, Scale::Any, 0.5).unwrap()
        else {
            panic!("seeds")
        };
        let limit = 4.302_653 * 0.5 / 3.0_f64.sqrt();
        assert!((limit - narrowest).abs() < 1e-5, "{narrowest} and {limit}");
        assert!(matches!(
            prompts_needed(&seeds, Scale::Any, 1.4).unwrap(),
            Some(Needed::Prompts(_))
        ));
    }

    #[test]
    fn a_share_of_nothing_needs_as_many_prompts_as_wilson_says() {
        let none = of_mean(&(0..40).map(|prompt| (prompt, 0.0)).collect::<Vec<_>>());
        let Some(Needed::Prompts(needed)) = prompts_needed(&[none], Scale::Share, 0.01).unwrap()
        else {
            panic!("prompts")
        };
        // half of t^2 / (n + t^2)
        assert!((180..200).contains(&needed), "{needed}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_width_that_there_is_needs_the_prompts_that_there_are(
            seeds in vec(vec(-9.0..9.0_f64, 20), 1..4),
            is_share: bool,
        ) {
            let value =
                |value: f64| if is_share { f64::from(u8::from(value > 3.0)) } else { value };
            let seeds: Vec<Influences> = seeds
                .into_iter()
                .map(|seed| of_mean(&seed.into_iter().map(value).enumerate().collect::<Vec<_>>()))
                .collect();
            let scale = if is_share { Scale::Share } else { Scale::Any };
            let half = half_width(&seeds, scale);
            prop_assume!(half > 1e-6);
            let needed = |half| prompts_needed(&seeds, scale, half).unwrap().unwrap();
            // a little wider, so that rounding does not count
            prop_assert!(
                matches!(needed(half * (1.0 + 1e-9)), Needed::Prompts(..=20)),
                "{:?}",
                needed(half)
            );
            let (wide, narrow) = (needed(half * 0.8), needed(half * 0.5));
            if let (Needed::Prompts(few), Needed::Prompts(many)) = (wide, narrow) {
                prop_assert!(few <= many);
            } else {
                prop_assert!(!matches!(narrow, Needed::Prompts(_)), "{:?} {:?}", wide, narrow);
            }
        }
    }
}
