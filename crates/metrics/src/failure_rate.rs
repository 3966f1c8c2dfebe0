//! How often texts fail, with an interval that holds where they hardly ever do.

use std::num::NonZeroUsize;

use crate::{
    ByPrompt, Influences, MetricsError, any_of, at_or_below, beta::beta_quantile,
    over_seeds::prompts_or_texts, spread::Seen, student::t_975,
};

/// How often texts fail.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FailureRate {
    /// The share of texts that fail; of several seeds the mean of theirs.
    pub value: f64,
    /// What else it may be; `None` where one value alone says nothing of it.
    pub interval: Option<RateInterval>,
}

/// What a rate of failures may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateInterval {
    /// Lower and upper end of the 95 % interval.
    pub ci95: [f64; 2],
    /// What the rate is below with a confidence of 95 %: the end of a one-sided interval. Where
    /// nothing failed, this is the number to tell.
    pub upper95: f64,
    /// How many independent texts would tell as much about the rate.
    pub independent_texts: f64,
    /// Whether the interval is exact, and not only for many texts: of one seed, with one text per
    /// prompt, or where none of the texts failed, or all.
    pub is_exact: bool,
}

/// How often texts score at most `threshold`, compared as [`at_or_below`] does: the share of a
/// seed's texts, averaged over seeds. None where a seed has no text.
///
/// # Interval
/// With one seed and one text per prompt it is the exact one of the binomial distribution (Clopper
/// and Pearson, The use of confidence or fiducial limits, 1934): `failed` of `n` texts give the 2.5
/// % point of the beta distribution of `failed` and `n - failed + 1`, and the 97.5 % point of that
/// of `failed + 1` and `n - failed`. It holds the true rate in *at least* 95 % of all samples.
///
/// Where texts share a prompt, or there are several seeds, the same formula is taken at the number
/// of independent texts that would tell as much (Korn and Graubard, Confidence intervals for
/// proportions with small expected number of positive counts, 1998): the binomial variance over
/// that of [`estimate`](crate::estimate), times the square of the ratio of Student's t of all texts
/// to the reach of that interval, and never more than there are. They take the degrees of freedom
/// from the number of prompts. Here they come from the prompts that matter, as everywhere in this
/// crate: where few prompts have all the failures, these are few. (With theirs, a simulation of 100
/// prompts, 25 alike texts each and a rate of 0.5 % held the truth in 86 % of the samples, with
/// these in 93 %.)
///
/// Where nothing failed, nothing is known of how failures come, and the number of prompts is taken:
/// `1 - 0.05^(1 / prompts)` (about 3 over their number) is exact for the share of prompts that fail
/// at all, and so holds for the rate of texts. With several seeds this is about these seeds'
/// policies. Texts of a single prompt stand for prompts, as in
/// [`mean_over_seeds`](crate::mean_over_seeds).
///
/// # Errors
/// [`MetricsError::NotFinite`].
///
/// # Example
/// ```
/// # use tailguard_metrics::failure_rate;
/// let scores = |failed: usize| {
///     (0..100).map(|prompt| (prompt, if prompt < failed { -1.0 } else { 1.0 })).collect()
/// };
/// let none = failure_rate(&[scores(0)], 0.0)?.unwrap();
/// let interval = none.interval.unwrap();
/// assert!(none.value == 0.0 && interval.is_exact && (interval.upper95 - 0.029_5).abs() < 1e-4);
/// let three = failure_rate(&[scores(3)], 0.0)?.unwrap().interval.unwrap();
/// assert!((three.ci95[0] - 0.006_2).abs() < 1e-4 && (three.ci95[1] - 0.085_2).abs() < 1e-4);
/// # Ok::<(), tailguard_metrics::MetricsError>(())
/// ```
pub fn failure_rate(
    seeds: &[Vec<ByPrompt>],
    threshold: f64,
) -> Result<Option<FailureRate>, MetricsError> {
    let mut flags = Vec::new();
    for values in seeds.iter().filter(|values| !values.is_empty()) {
        let scores: Vec<f64> = values.iter().map(|(_, score)| *score).collect();
        let mut failed: Vec<ByPrompt> = values.iter().map(|(prompt, _)| (*prompt, 0.0)).collect();
        at_or_below(&scores, threshold)?.into_iter().for_each(|place| failed[place].1 = 1.0);
        flags.push(failed);
    }
    if flags.len() < seeds.len() {
        Ok(None)
    } else {
        rate(&flags, seeds.iter().map(Vec::len).sum::<usize>() as f64)
    }
}

/// How often any of `k` texts of a prompt scores at most `threshold`: the mean over prompts of
/// [`any_of`], averaged over seeds, with the interval of [`failure_rate`]. With `k` texts a prompt
/// and one seed it is exact; else it tells no more than as many independent sets of `k` as there
/// are texts for. None where a seed has no text.
///
/// # Errors
/// [`MetricsError::NotFinite`]; [`MetricsError::OutOfRange`] unless `k` is from 1 to what the
/// prompt with the fewest texts has.
pub fn rate_of_any(
    seeds: &[Vec<ByPrompt>],
    k: usize,
    threshold: f64,
) -> Result<Option<FailureRate>, MetricsError> {
    if seeds.iter().any(Vec::is_empty) {
        return Ok(None);
    }
    let sets =
        seeds.iter().map(|values| any_of(values, k, threshold)).collect::<Result<Vec<_>, _>>()?;
    let texts = seeds.iter().map(Vec::len).sum::<usize>() as f64;
    rate(&sets, texts / k as f64)
}

/// The mean of values from 0 to 1, which tells no more than so many independent texts, or sets of
/// texts; no seed is without values.
fn rate(seeds: &[Vec<ByPrompt>], most: f64) -> Result<Option<FailureRate>, MetricsError> {
    let Some(seed_count) = NonZeroUsize::new(seeds.len()) else { return Ok(None) };
    let seeds = prompts_or_texts(seeds);
    let seen = Seen::of(
        &seeds.iter().map(|values| Influences::of_mean(values)).collect::<Result<Vec<_>, _>>()?,
    )?;
    let (value, prompts) = (seen.value().clamp(0.0, 1.0), seen.prompts());
    let binomial = value * (1.0 - value);
    let is_one_seed = seed_count.get() == 1;
    let is_whole = |(_, value): &ByPrompt| *value <= 0.0 || *value >= 1.0;
    let is_text_per_prompt = is_one_seed && prompts >= most && seeds.iter().flatten().all(is_whole);
    let (count, is_exact) = if is_text_per_prompt {
        (most, true)
    } else if binomial <= 0.0 {
        (prompts, is_one_seed)
    } else {
        let Some(spread) = seen.spread() else {
            return Ok(Some(FailureRate { value, interval: None }));
        };
        let surer = (t_975((most - 1.0).max(1.0)) / spread.reach()).powi(2).min(1.0);
        // prompts that all fail equally often show no spread
        let count =
            if spread.variance > 0.0 { (binomial / spread.variance).min(most) } else { most };
        (count * surer, false)
    };
    Ok(Some(FailureRate { value, interval: Some(clopper_pearson(value, count, is_exact)) }))
}

/// The interval of a share of so many texts; neither needs to be whole.
fn clopper_pearson(share: f64, count: f64, is_exact: bool) -> RateInterval {
    let (failed, others) = (share * count, (1.0 - share) * count);
    let low =
        |beyond: f64| if failed > 0.0 { beta_quantile(beyond, failed, others + 1.0) } else { 0.0 };
    let high = |beyond: f64| {
        if others > 0.0 { beta_quantile(1.0 - beyond, failed + 1.0, others) } else { 1.0 }
    };
    RateInterval {
        ci95: [low(0.025), high(0.025)],
        upper95: high(0.05),
        independent_texts: count,
        is_exact,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    fn near(found: [f64; 2], expected: [f64; 2]) -> bool {
        (0..2).all(|end| (found[end] - expected[end]).abs() < 5.1e-5)
    }

    #[test]
    fn exact_intervals_agree_with_printed_ones() {
        // Newcombe, Two-sided confidence intervals for the single proportion, 1998, table I, method
        // 5
        for (failed, count, expected) in [
            (81.0, 263.0, [0.2527, 0.3676]),
            (15.0, 148.0, [0.0578, 0.1617]),
            (0.0, 20.0, [0.0, 0.1684]),
            (1.0, 29.0, [0.0009, 0.1776]),
        ] {
            let found = clopper_pearson(failed / count, count, true);
            assert!(near(found.ci95, expected), "{failed} of {count}: {found:?}");
        }
        // the rule of three
        assert!(
            (clopper_pearson(0.0, 1000.0, true).upper95 - (1.0 - 0.05_f64.powf(0.001))).abs()
                < 1e-12
        );
        assert!((clopper_pearson(1.0, 10.0, true).ci95[0] - 0.025_f64.powf(0.1)).abs() < 1e-12);
    }

    #[test]
    fn texts_that_agree_within_prompts_tell_as_much_as_one_each() {
        let of = |texts: usize| -> RateInterval {
            let scores = (0..40 * texts)
                .map(|place| (place / texts, if place / texts < 20 { -1.0 } else { 1.0 }))
                .collect();
            failure_rate(&[scores], 0.0).unwrap().unwrap().interval.unwrap()
        };
        let (one, eight) = (of(1), of(8));
        assert!(one.is_exact && one.independent_texts > 39.99 && !eight.is_exact);
        assert!((35.0..40.0).contains(&eight.independent_texts), "{eight:?}");
        assert!(eight.ci95[1] - eight.ci95[0] < 1.06 * (one.ci95[1] - one.ci95[0]));
    }

    #[test]
    fn nothing_and_everything_and_no_text() {
        let all =
            |score: f64| vec![(0..60).map(|place| (place / 3, score)).collect::<Vec<ByPrompt>>()];
        let none = failure_rate(&all(1.0), 0.0).unwrap().unwrap().interval.unwrap();
        // 20 prompts
        assert!(
            (none.upper95 - (1.0 - 0.05_f64.powf(0.05))).abs() < 1e-9
                && none.is_exact
                && none.ci95[0] <= 0.0
        );
        let every = failure_rate(&all(-1.0), 0.0).unwrap().unwrap().interval.unwrap();
        assert!(every.ci95[1] >= 1.0 && (every.ci95[0] + none.ci95[1] - 1.0).abs() < 1e-9);
        assert_eq!(failure_rate(&[], 0.0), Ok(None));
        assert_eq!(failure_rate(&[vec![(0, 1.0)], vec![]], 0.0), Ok(None));
        assert_eq!(rate_of_any(&[vec![]], 1, 0.0), Ok(None));
        assert!(failure_rate(&[vec![(0, 1.0)]], f64::NAN).is_err());
    }

    #[test]
    fn any_of_all_texts_is_exact_and_of_one_is_the_rate() {
        let scores: Vec<ByPrompt> =
            (0..90).map(|place| (place / 3, if place % 7 == 0 { -1.0 } else { 1.0 })).collect();
        let seeds = [scores];
        let of = |k| rate_of_any(&seeds, k, 0.0).unwrap().unwrap();
        let rate = failure_rate(&seeds, 0.0).unwrap().unwrap();
        assert!((of(1).value - rate.value).abs() < 1e-12 && of(3).interval.unwrap().is_exact);
        let texts = [of(1), rate].map(|rate| rate.interval.unwrap().independent_texts);
        assert!((texts[0] - texts[1]).abs() < 1e-6, "{texts:?}");
        assert!(
            !of(2).interval.unwrap().is_exact
                && of(1).value < of(2).value
                && of(2).value < of(3).value
        );
        assert!(matches!(rate_of_any(&seeds, 4, 0.0), Err(MetricsError::OutOfRange { .. })));
    }

    #[test]
    fn texts_of_a_single_prompt_stand_for_prompts() {
        let of = |prompt: fn(usize) -> usize| {
            failure_rate(&[(0..30).map(|place| (prompt(place), (place % 5) as f64)).collect()], 0.0)
        };
        assert_eq!(of(|_| 4), of(|place| place));
    }

    proptest! {
        #[test]
        fn the_interval_holds_the_rate_and_the_one_sided_end_is_within(
            scores in vec(vec((0_usize..12, -1.0..1.0_f64), 2..60), 1..4),
            threshold in -1.2..1.2_f64,
        ) {
            let found = failure_rate(&scores, threshold).unwrap().unwrap();
            if let Some(RateInterval { ci95: [low, high], upper95, independent_texts, .. }) =
                found.interval
            {
                prop_assert!(
                    0.0 <= low
                        && low <= found.value
                        && found.value <= upper95
                        && upper95 <= high
                        && high <= 1.0
                );
                prop_assert!(
                    independent_texts <= scores.iter().map(Vec::len).sum::<usize>() as f64 + 1e-9
                );
            }
        }

        #[test]
        fn more_texts_of_more_prompts_are_surer(failed in 0_usize..9, count in 9_usize..60) {
            let high = |times: usize| {
                let scores = (0..count * times)
                    .map(|prompt| (prompt, if prompt < failed * times { -1.0 } else { 1.0 }))
                    .collect();
                failure_rate(&[scores], 0.0).unwrap().unwrap().interval.unwrap().ci95
            };
            let ([low, high], [below, above]) = (high(1), high(4));
            prop_assert!(low <= below && above <= high);
        }
    }
}
