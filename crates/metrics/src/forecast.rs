//! How bad the worst text may be among many more than were seen: a forecast, not a measurement.

use crate::{
    ByPrompt, MetricsError,
    beta::ln_gamma,
    error::{check, check_range},
    over_seeds::prompts_or_texts,
    prompt_figures::lowest_by_prompt,
};

/// The lowest values that the line is fitted to. More are surer of the wrong line: where the tail
/// is not yet one, the forecast is further off with 20 or 40: of normal tails, 100 times as many
/// and 400 values, the range holds 89 % with 10, 83 % with 20 and 56 % with 40.
const FITTED: usize = 10;
/// With fewer prompts, ten of them are no tail.
const LEAST_PROMPTS: usize = 100;
/// How far the line is drawn.
const MOST_TIMES: usize = 1_000;

/// What the worst of many texts *may* be that nobody has seen. It holds as far as the tail goes on
/// as its ten lowest values do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    /// The lowest value among the new texts is below this as often as above.
    pub median: f64,
    /// From where to where the lowest value among the new texts is in 95 % of all cases, if the
    /// tail is as it is taken to be.
    pub range95: [f64; 2],
    /// The lowest value that was seen.
    pub seen: f64,
    /// The prompts (of a single prompt the texts) that it is made from.
    pub prompts: usize,
    /// How many times as many new texts it is about.
    pub times: usize,
}

impl Forecast {
    /// The same, where no text can score below `lowest`.
    #[must_use]
    pub fn not_below(mut self, lowest: f64) -> Self {
        self.median = self.median.max(lowest);
        self.range95 = self.range95.map(|end| end.max(lowest));
        self
    }
}

/// Forecasts the lowest value among new texts of the same method, `times` as many as these: of as
/// many times the prompts, prompts of the same kind with as many texts each. Values are of one
/// seed.
///
/// # How
/// Beyond some point most distributions fall off as `exp(-distance / scale)`; the lowest of many
/// values then has Gumbel's distribution, and falls by `scale` times the logarithm of how many
/// there are. So a line through the lowest values, drawn against the logarithm of how rare they
/// are, is drawn on. (Jones et al., Forecasting rare language model behaviors, 2025, do so for the
/// chance that a prompt elicits what it should not, by least squares.) Here the line is the one of
/// maximum likelihood, by Weissman (Estimation of parameters and large quantiles based on the k
/// largest observations, 1978): with `k = 10` lowest values the scale is the mean distance of these
/// from the k-th. In units of that scale, how far the lowest new value lies from the k-th seen one
/// has a distribution that depends on nothing else: its probability to be at most `d` is the mean
/// of `(1 + times exp(-d g / k))^-k` over `g` of the gamma distribution with `k - 1`. Median and
/// range are its points; they know that the scale is itself an estimate.
///
/// Several texts of a prompt are alike, so that only the lowest of each prompt counts, for these as
/// for the new ones. Texts of a single prompt stand for prompts.
///
/// # How far off it is
/// Of exponential tails the range holds the lowest new value in 95 % of all cases. Normal tails
/// fall off faster: the forecast is too low by 0.2 to 0.6 deviations of a value for 10 times, 0.8
/// to 1.7 for 1,000 times as many (2,000 to 100 prompts), and the lowest new value is almost never
/// below the range. Of values with an end, such as a probability, it is too low by far: use
/// [`Forecast::not_below`], or scores without an end, such as logits. Of tails that fall off more
/// slowly, such as the lognormal, it is **too high**: for 10 times as many the lowest is below the
/// range in 2 cases of 10, for 1,000 times in 6 to 7. New kinds of prompts are not in it at all.
///
/// # Errors
/// [`MetricsError::TooFew`] for fewer than 100 prompts; [`MetricsError::NotFinite`];
/// [`MetricsError::OutOfRange`] unless `times` is from 1 to 1,000; [`MetricsError::NoSpread`] where
/// the ten lowest are all alike.
///
/// # Example
/// ```
/// # use tailguard_metrics::forecast_worst;
/// // an exponential tail of scale 1
/// let scores: Vec<(usize, f64)> =
///     (0..500).map(|place| (place, ((place as f64 + 0.5) / 500.0).ln())).collect();
/// let forecast = forecast_worst(&scores, 100)?;
/// // among 50,000 it is ln(50,000 / ln 2) = 11.2 in half of all cases
/// assert!(
///     (forecast.median + 11.2).abs() < 1.0
///         && forecast.range95[0] < forecast.median
///         && forecast.seen > -8.0
/// );
/// # Ok::<(), tailguard_metrics::MetricsError>(())
/// ```
pub fn forecast_worst(values: &[ByPrompt], times: usize) -> Result<Forecast, MetricsError> {
    check_range("times", times, 1, MOST_TIMES)?;
    let values = [values.to_vec()];
    let [values] = &*prompts_or_texts(&values) else { return Err(too_few(0)) };
    let mut lowest: Vec<f64> = match values.len() {
        0 => Vec::new(),
        _ => lowest_by_prompt(values, |_| 1)?.into_iter().map(|(_, value)| value).collect(),
    };
    let prompts = lowest.len();
    if prompts < LEAST_PROMPTS {
        return Err(too_few(prompts));
    }
    lowest.sort_unstable_by(f64::total_cmp);
    lowest.truncate(FITTED);
    let (seen, last) = (lowest[0], lowest[FITTED - 1]);
    let scale = lowest.iter().map(|value| last - value).sum::<f64>() / FITTED as f64;
    if scale <= 0.0 {
        return Err(MetricsError::NoSpread { what: "lowest values", count: FITTED, value: seen });
    }
    let at = |probability: f64| last - scale * distance(probability, times as f64);
    let forecast =
        Forecast { median: at(0.5), range95: [at(0.975), at(0.025)], seen, prompts, times };
    check("forecasts", &[forecast.median, forecast.range95[0], forecast.range95[1]])?;
    Ok(forecast)
}

fn too_few(found: usize) -> MetricsError {
    MetricsError::TooFew { what: "prompts of a forecast", needed: LEAST_PROMPTS, found }
}

/// The distance of the worst new value from the last fitted one, in units of the scale, that is not
/// exceeded with this probability.
fn distance(probability: f64, times: f64) -> f64 {
    // beyond these ends there is nothing left for up to a thousand times as many
    let (mut low, mut high) = (-20.0, 200.0);
    for _ in 0..40 {
        let middle = 0.5 * (low + high);
        if not_exceeded(middle, times) < probability { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// The probability that the worst new value lies at most so far from the last fitted one, in units
/// of the scale.
fn not_exceeded(distance: f64, times: f64) -> f64 {
    const PARTS: u32 = 120;
    const END: f64 = 45.0;
    // g is the sum of k - 1 independent exponential numbers; beyond the end there are 1e-11 of them
    let (k, shape) = (FITTED as f64, FITTED as f64 - 1.0);
    let norm = ln_gamma(shape);
    let step = END / f64::from(PARTS);
    let term = |part: u32| {
        let g = step * f64::from(part);
        let density = ((shape - 1.0) * g.ln() - g - norm).exp();
        density * (-k * (times * (-distance * g / k).exp()).ln_1p()).exp()
    };
    // what is as flat as this at both ends is summed up exactly
    (1..=PARTS).map(term).sum::<f64>() * step
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn even(prompts: usize, scale: f64) -> Vec<ByPrompt> {
        (0..prompts)
            .map(|place| (place, scale * ((place as f64 + 0.5) / prompts as f64).ln()))
            .collect()
    }

    #[test]
    fn unusable_input_is_refused() {
        let message = forecast_worst(&even(99, 1.0), 10).unwrap_err().to_string();
        assert_eq!(message, "prompts of a forecast: found 99, expected at least 100");
        assert!(matches!(forecast_worst(&[], 10), Err(MetricsError::TooFew { found: 0, .. })));
        for times in [0, 1_001] {
            assert!(matches!(
                forecast_worst(&even(100, 1.0), times),
                Err(MetricsError::OutOfRange { name: "times", .. })
            ));
        }
        let alike: Vec<ByPrompt> = (0..200).map(|prompt| (prompt, (prompt / 20) as f64)).collect();
        let message = forecast_worst(&alike, 10).unwrap_err().to_string();
        assert_eq!(message, "lowest values: all 10 are 0, expected some that differ");
        assert!(matches!(forecast_worst(&[(0, f64::NAN)], 1), Err(MetricsError::NotFinite { .. })));
        let huge: Vec<ByPrompt> =
            (0..100).map(|prompt| (prompt, if prompt < 5 { f64::MIN } else { f64::MAX })).collect();
        assert!(matches!(
            forecast_worst(&huge, 10),
            Err(MetricsError::NotFinite { what: "forecasts", .. })
        ));
    }

    #[test]
    fn the_distribution_of_the_distance_by_hand() {
        // the worst of as many new values is no further out than the worst ten with probability
        // (1/2)^10
        assert!(
            (not_exceeded(0.0, 1.0) - 0.5_f64.powi(10)).abs() < 1e-9,
            "{}",
            not_exceeded(0.0, 1.0)
        );
        assert!((not_exceeded(0.0, 9.0) - 0.1_f64.powi(10)).abs() < 1e-12);
        assert!((not_exceeded(1e6, 100.0) - 1.0).abs() < 1e-9);
        for (probability, times, expected) in EXPECTED {
            assert!(
                (distance(probability, times) - expected).abs() < 0.03,
                "{}",
                distance(probability, times)
            );
        }
    }

    /// Points of 400,000 draws of `10 (ln times + ln(gamma_10 / exponential)) / gamma_9`.
    const EXPECTED: [(f64, f64, f64); 3] =
        [(0.5, 1.0, 3.039), (0.5, 100.0, 8.463), (0.975, 10.0, 13.978)];

    #[test]
    fn only_the_lowest_text_of_a_prompt_counts() {
        let texts: Vec<ByPrompt> = even(200, 1.0)
            .into_iter()
            .flat_map(|(prompt, value)| [(prompt, value), (prompt, value + 0.01)])
            .collect();
        assert_eq!(forecast_worst(&texts, 10), forecast_worst(&even(200, 1.0), 10));
        // of a single prompt all texts do
        let one: Vec<ByPrompt> = even(200, 1.0).into_iter().map(|(_, value)| (3, value)).collect();
        assert_eq!(forecast_worst(&one, 10), forecast_worst(&even(200, 1.0), 10));
    }

    #[test]
    fn no_text_is_below_the_end() {
        let forecast = forecast_worst(&even(200, 1.0), 1_000).unwrap().not_below(-10.0);
        assert!(
            (forecast.median + 10.0).abs() < 1e-12 && (forecast.range95[0] + 10.0).abs() < 1e-12
        );
        assert!(forecast.range95[1] > -10.0 && forecast.times == 1_000 && forecast.prompts == 200);
    }

    proptest! {
        #[test]
        fn more_texts_are_worse_and_scores_may_be_moved_and_stretched(
            prompts in 100_usize..300,
            scale in 0.1..9.0_f64,
            shift in -9.0..9.0_f64,
            times in 1_usize..500,
        ) {
            let moved: Vec<ByPrompt> = even(prompts, scale)
                .into_iter()
                .map(|(prompt, value)| (prompt, value + shift))
                .collect();
            let (plain, other) = (
                forecast_worst(&even(prompts, 1.0), times).unwrap(),
                forecast_worst(&moved, times).unwrap(),
            );
            prop_assert!(
                (scale * plain.median + shift - other.median).abs()
                    < 1e-6 * (1.0 + other.median.abs())
            );
            let [low, high] = other.range95;
            prop_assert!(low < other.median && other.median < high);
            prop_assert!(forecast_worst(&moved, times * 2).unwrap().median < other.median);
        }
    }
}
