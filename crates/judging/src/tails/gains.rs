//! What one method gains over another in the tail.

use rayon::prelude::*;
use tailguard_metrics::{
    ByPrompt, Influences, MetricsError, Pairs, Scale, estimate, p_value, worst_of,
};
use tailguard_report::{FailureGain, Gain, LevelGain, TailGains, WorstOfGain};
use tailguard_risk::RiskLevel;

use super::{failed, fewest, fewest_of_a_prompt, levels};
use crate::error::JudgingError;

/// What one method gains over another, from rewards of the same seeds by the numbers of prompts.
/// None where they have fewer than two prompts in common. P-values are those of this comparison
/// alone: see [`adjust`](tailguard_report::adjust).
///
/// # Errors
/// Other numbers of seeds; a reward or threshold that is no finite number.
pub fn tail_gains(
    own: &[Vec<ByPrompt>],
    others: &[Vec<ByPrompt>],
    thresholds: &[f64],
) -> Result<Option<TailGains>, JudgingError> {
    let pairs = Pairs::new(own, others)?;
    let Some(reward) = gain(pairs.influences_of_mean()?)? else { return Ok(None) };
    let of_level = |level: RiskLevel| -> Result<Option<LevelGain>, JudgingError> {
        let count = |count| level.count(count);
        let quantile = |values: &[ByPrompt]| Influences::of_quantile(values, count(values.len()));
        let cvar = gain(pairs.influences_of_lowest(count)?)?;
        let both = cvar.zip(gain(pairs.influences(quantile)?)?);
        Ok(both.map(|(cvar, quantile)| LevelGain { share: level.alpha(), cvar, quantile }))
    };
    let texts = fewest(own).min(fewest(others));
    let of_levels: Result<Vec<Option<LevelGain>>, JudgingError> =
        levels(texts)?.into_par_iter().map(of_level).collect();
    let mut failures = Vec::new();
    for &threshold in thresholds {
        let (own, others) = (failed(own, threshold)?, failed(others, threshold)?);
        let rate = gain(Pairs::new(&own, &others)?.influences_of_mean()?)?;
        failures.extend(rate.map(|rate| FailureGain { threshold, rate }));
    }
    let k = fewest_of_a_prompt(own).min(fewest_of_a_prompt(others));
    let worst_of = if k > 1 { gain_of_worst(own, others, k)? } else { None };
    let levels = of_levels?.into_iter().flatten().collect();
    Ok(Some(TailGains { reward, levels, failures, worst_of }))
}

fn gain_of_worst(
    own: &[Vec<ByPrompt>],
    others: &[Vec<ByPrompt>],
    k: usize,
) -> Result<Option<WorstOfGain>, JudgingError> {
    let of = |seeds: &[Vec<ByPrompt>]| -> Result<Vec<Vec<ByPrompt>>, MetricsError> {
        seeds.iter().map(|values| worst_of(values, k)).collect()
    };
    let (own, others) = (of(own)?, of(others)?);
    let reward = gain(Pairs::new(&own, &others)?.influences_of_mean()?)?;
    Ok(reward.map(|reward| WorstOfGain { k, reward }))
}

fn gain(differences: Option<Vec<Influences>>) -> Result<Option<Gain>, JudgingError> {
    let Some(differences) = differences else { return Ok(None) };
    let difference = estimate(&differences, Scale::Any)?.into();
    Ok(Some(Gain { difference, p_value: p_value(&differences)?, p_adjusted: None }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed(prompts: usize, reward: impl Fn(usize) -> f64) -> Vec<ByPrompt> {
        (0..prompts).map(|prompt| (prompt, reward(prompt))).collect()
    }

    #[test]
    fn gains_are_those_of_the_figures() {
        // the two lowest of twenty are lifted by 2 and by 1, so that the lowest two are 2 and 2
        let others = [seed(20, |prompt| prompt as f64)];
        let lifted =
            |prompt: usize| prompt as f64 + [2.0, 1.0].get(prompt).copied().unwrap_or_default();
        let own = [seed(20, lifted)];
        let gains = tail_gains(&own, &others, &[1.5]).unwrap().unwrap();
        let shares: Vec<f64> = gains.levels.iter().map(|level| level.share).collect();
        assert_eq!(shares, [0.05, 0.1, 0.2, 0.4]);
        let near = |gain: Gain, expected: f64| (gain.difference.mean - expected).abs() < 1e-12;
        assert!(near(gains.reward, 0.15), "{gains:?}");
        assert!(near(gains.levels[0].cvar, 2.0) && near(gains.levels[1].cvar, 1.5), "{gains:?}");
        assert!(near(gains.levels[1].quantile, 1.0), "{gains:?}");
        // two of twenty fail, and none
        assert!(near(gains.failures[0].rate, -0.1), "{gains:?}");
        let p = gains.reward.p_value.unwrap();
        let [low, high] = gains.reward.difference.ci95.unwrap();
        assert_eq!(p < 0.05, low > 0.0 || high < 0.0, "{p} {low} {high}");
        assert_eq!((gains.worst_of, gains.reward.p_adjusted), (None, None));
    }

    #[test]
    fn the_worst_of_as_many_texts_as_both_have_is_compared() {
        // of three texts a prompt and of two
        let own = [(0..9).map(|place| (place / 3, (place % 3) as f64)).collect()];
        let others = [(0..6).map(|place| (place / 2, -1.0)).collect()];
        let worst = tail_gains(&own, &others, &[]).unwrap().unwrap().worst_of.unwrap();
        // of the pairs of 0, 1 and 2 the lower ones are 0, 0 and 1
        assert!(worst.k == 2 && (worst.reward.difference.mean - 4.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn one_prompt_has_no_gain_and_unpaired_seeds_are_refused() {
        let one = [seed(1, |_| 1.0)];
        assert_eq!(tail_gains(&one, &one, &[]).unwrap(), None);
        assert!(tail_gains(&one, &[], &[]).is_err());
    }
}
