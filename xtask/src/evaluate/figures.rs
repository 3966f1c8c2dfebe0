//! The figures of the texts of one method and seed.

use anyhow::Result;
use tailguard_data::Generations;
use tailguard_metrics::{
    Bootstrap, NumberedNGrams, at_or_below, bootstrap, bootstrap_by, buckets, curve, duplicated, empty, mean_of_lowest,
    repeating, std_sample,
};
use tailguard_report::{EvaluatedMethod, EvaluatedTail, Figure, LeftOut, OtherTail, PromptBucket, QuantilePoint};
use tailguard_risk::{RiskLevel, quantile};

use super::side_by_side;

/// Resamples of an interval.
const RESAMPLES: usize = 2_000;
/// More values than these are not resampled: the means of resamples would be normally distributed, and their spread is known.
const LARGE: usize = 10_000;
/// Groups of texts that are left out in turn for the spread of distinct-n, at most.
const GROUPS: usize = 100;
/// Of the normal distribution, 95 % lie within so many standard deviations.
const NORMAL_95: f64 = 1.96;

/// What is asked for, the same for all methods.
pub(super) struct Wanted {
    pub(super) tail: Option<EvaluatedTail>,
    /// The share of CVaR.
    pub(super) level: RiskLevel,
    pub(super) other_tails: Vec<f64>,
    pub(super) curve: bool,
    pub(super) buckets: Option<usize>,
}

/// Computes the figures of the texts at these rows. `lengths` has one entry per row of the file; without it, words are counted.
///
/// A value that is missing or no finite number enters no figure, and a figure of fewer than two values is none: it would have no spread.
///
/// # Errors
/// When a metric refuses its input.
pub(super) fn figures(texts: &Generations, rows: &[usize], wanted: &Wanted, lengths: Option<&[f64]>) -> Result<EvaluatedMethod> {
    let of = |scores: &Option<Vec<Option<f64>>>| -> Vec<Option<f64>> {
        scores.as_ref().map_or_else(Vec::new, |scores| rows.iter().map(|&row| scores[row]).collect())
    };
    let (scores, prompt_scores, judge) = (of(&texts.scores), of(&texts.prompt_scores), of(&texts.judge));
    let rewards = finite(&scores);
    let (pairs, tails) = (paired(&scores, &prompt_scores), paired(&judge, &prompt_scores));
    let responses: Vec<&str> = rows.iter().filter_map(|&row| texts.responses.get(row)).collect();
    let lengths: Vec<f64> = match lengths {
        Some(lengths) => rows.iter().filter(|&&row| texts.responses.get(row).is_some()).map(|&row| lengths[row]).collect(),
        None => responses.iter().map(|text| text.split_whitespace().count() as f64).collect(),
    };
    // first the three that take the most memory, one after the other
    let [distinct_1, distinct_2, distinct_3] = [1, 2, 3].map(|n| diversity(&responses, n));
    let figures = side_by_side([
        &|| mean(&rewards),
        &|| tail(&rewards, &pairs, wanted.tail.as_ref()),
        &|| cvar(&rewards, wanted.level),
        &|| mean(&finite(&judge)),
        &|| match wanted.tail {
            Some(EvaluatedTail::PromptScores { threshold, .. }) => mean(&below(&tails, threshold)?),
            _ => Ok(None),
        },
        &|| mean(&lengths),
        &|| share(&responses, |texts| Ok(repeating(texts, 4)?.values())),
        &|| share(&responses, |texts| Ok(empty(texts)?.values())),
        &|| share(&responses, |texts| Ok(duplicated(texts)?.values())),
    ])?;
    let [reward, tail, cvar, judge_mean, judge_tail, length, repeated_4gram, empty, duplicate] = figures[..] else {
        anyhow::bail!("nine figures were asked for, {} are there", figures.len());
    };
    let other_tail = |&threshold: &f64| -> Result<OtherTail> {
        let rewards = below(&pairs, threshold)?;
        Ok(OtherTail { threshold, prompts: rewards.len(), reward: mean(&rewards)? })
    };
    let (curve, buckets) = curves(&pairs, wanted)?;
    Ok(EvaluatedMethod {
        rows: rows.len(),
        missing_responses: rows.len() - responses.len(),
        reward_left_out: LeftOut::of(&scores),
        prompt_score_left_out: unscored(&scores, &prompt_scores),
        judge_left_out: LeftOut::of(&judge),
        reward,
        tail,
        cvar,
        judge: judge_mean,
        judge_tail,
        distinct_1: distinct_1?,
        distinct_2: distinct_2?,
        distinct_3: distinct_3?,
        length,
        repeated_4gram,
        empty,
        duplicate,
        other_tails: wanted.other_tails.iter().map(other_tail).collect::<Result<_>>()?,
        reward_spread: std_sample(&rewards).ok(),
        curve,
        buckets,
        ..EvaluatedMethod::default()
    })
}

/// The values that there are and that are numbers.
fn finite(values: &[Option<f64>]) -> Vec<f64> {
    values.iter().flatten().copied().filter(|value| value.is_finite()).collect()
}

/// Values and scores of prompts, where both are there.
fn paired(values: &[Option<f64>], prompt_scores: &[Option<f64>]) -> Vec<(f64, f64)> {
    let pairs = values.iter().zip(prompt_scores).filter_map(|(value, score)| Some(((*value)?, (*score)?)));
    pairs.filter(|(value, score)| value.is_finite() && score.is_finite()).collect()
}

/// The rows with a reward whose prompts have no score, where prompts have scores at all.
fn unscored(scores: &[Option<f64>], prompt_scores: &[Option<f64>]) -> LeftOut {
    let has_reward = |score: &Option<f64>| score.is_some_and(f64::is_finite);
    let pairs = scores.iter().zip(prompt_scores).filter(|(score, _)| has_reward(score));
    LeftOut::of(&pairs.map(|(_, prompt_score)| *prompt_score).collect::<Vec<_>>())
}

/// The values whose prompts score at most a threshold.
fn below(pairs: &[(f64, f64)], threshold: f64) -> Result<Vec<f64>> {
    if pairs.is_empty() {
        return Ok(Vec::new());
    }
    let scores: Vec<f64> = pairs.iter().map(|(_, score)| *score).collect();
    Ok(at_or_below(&scores, threshold)?.into_iter().map(|place| pairs[place].0).collect())
}

fn tail(rewards: &[f64], pairs: &[(f64, f64)], tail: Option<&EvaluatedTail>) -> Result<Option<Figure>> {
    match tail {
        Some(EvaluatedTail::PromptScores { threshold, .. }) => mean(&below(pairs, *threshold)?),
        Some(EvaluatedTail::OwnScores { threshold }) => {
            mean(&below(&rewards.iter().map(|&reward| (reward, reward)).collect::<Vec<_>>(), *threshold)?)
        }
        Some(EvaluatedTail::LowestScores { share }) => cvar(rewards, RiskLevel::new(*share)?),
        None => Ok(None),
    }
}

const BOOTSTRAP: Bootstrap = Bootstrap { resamples: RESAMPLES, seed: 0 };

/// A figure with its standard error.
fn normal(mean: f64, std: f64) -> Figure {
    Figure { mean, std, ci95: [mean - NORMAL_95 * std, mean + NORMAL_95 * std] }
}

/// The mean with its spread over the values; none of fewer than two.
pub(super) fn mean(values: &[f64]) -> Result<Option<Figure>> {
    match values.len() {
        0 | 1 => Ok(None),
        len if len > LARGE => Ok(Some(normal(tailguard_metrics::mean(values)?, std_sample(values)? / (len as f64).sqrt()))),
        _ => Ok(Some(bootstrap(values, BOOTSTRAP)?.into())),
    }
}

/// The mean of the lowest values, each resample's own.
fn cvar(values: &[f64], level: RiskLevel) -> Result<Option<Figure>> {
    let len = values.len();
    if len < 2 {
        return Ok(None);
    }
    let count = level.count(len);
    if len > LARGE {
        // CVaR is the quantile less the mean shortfall below it over the share: its spread is that of the shortfall
        let quantile = quantile(values, level)?;
        let shortfalls: Vec<f64> = values.iter().map(|value| (value - quantile).min(0.0)).collect();
        let std = std_sample(&shortfalls)? / (level.alpha() * (len as f64).sqrt());
        return Ok(Some(normal(mean_of_lowest(values, count)?, std)));
    }
    let mut resample = vec![0.0; len];
    let figure = |picked: &[usize]| {
        resample.iter_mut().zip(picked).for_each(|(value, &place)| *value = values[place]);
        // of finite values, and of at least one
        mean_of_lowest(&resample, count).unwrap_or(f64::NAN)
    };
    Ok(Some(bootstrap_by(len, figure, BOOTSTRAP)?.into()))
}

fn share(texts: &[&str], flags: impl Fn(&[&str]) -> Result<Vec<f64>>) -> Result<Option<Figure>> {
    if texts.len() < 2 { Ok(None) } else { mean(&flags(texts)?) }
}

/// Distinct-n over all texts. Resampled texts would repeat themselves, so the spread is that of leaving texts out.
fn diversity(texts: &[&str], n: usize) -> Result<Option<Figure>> {
    if texts.len() < 2 {
        return Ok(None);
    }
    let ngrams = NumberedNGrams::new(texts, n)?;
    if ngrams.all().total == 0 {
        return Ok(None);
    }
    Ok(Some(normal(ngrams.all().ratio(), ngrams.standard_error(texts.len().min(GROUPS))?)))
}

/// The curve and the groups that were asked for, where prompts have scores.
fn curves(pairs: &[(f64, f64)], wanted: &Wanted) -> Result<(Vec<QuantilePoint>, Vec<PromptBucket>)> {
    let (rewards, scores): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let (mut points, mut groups) = (Vec::new(), Vec::new());
    if wanted.curve && !pairs.is_empty() {
        for point in curve(&rewards, &scores, 1..=100)? {
            points.push(QuantilePoint { percent: point.percent, count: point.count, reward: point.mean });
        }
    }
    if let Some(count) = wanted.buckets.filter(|_| !pairs.is_empty()) {
        for bucket in buckets(&rewards, &scores, count)? {
            groups.push(PromptBucket { count: bucket.count, prompt_score: bucket.prompt_score, reward: bucket.reward });
        }
    }
    Ok((points, groups))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(tail: EvaluatedTail) -> Wanted {
        Wanted { tail: Some(tail), level: RiskLevel::new(0.5).unwrap(), other_tails: vec![], curve: false, buckets: None }
    }

    fn texts(responses: &[Option<&str>]) -> Generations {
        Generations { responses: responses.iter().copied().collect(), ..Generations::default() }
    }

    fn mean_of(figure: Option<Figure>) -> Option<f64> {
        figure.map(|figure| figure.mean)
    }

    #[test]
    fn what_is_missing_or_no_number_enters_no_mean_and_is_counted() {
        let mut texts = texts(&[Some("a b"), Some("a b"), None, Some(""), Some("c")]);
        texts.scores = Some(vec![Some(1.0), Some(3.0), None, Some(f64::NAN), Some(-2.0)]);
        texts.prompt_scores = Some(vec![Some(-1.0), Some(-2.0), Some(-3.0), Some(-4.0), None]);
        let tail = EvaluatedTail::PromptScores { threshold: -1.0, share: None, prompts: None };
        let found = figures(&texts, &[0, 1, 2, 3, 4], &wanted(tail), None).unwrap();
        assert_eq!((found.rows, found.missing_responses), (5, 1));
        assert_eq!(found.reward_left_out, LeftOut { missing: 1, not_finite: 1 });
        assert_eq!(found.prompt_score_left_out, LeftOut { missing: 1, not_finite: 0 });
        assert_eq!(mean_of(found.reward), Some(2.0 / 3.0));
        assert_eq!(mean_of(found.tail), Some(2.0));
        assert_eq!(mean_of(found.cvar), Some(-0.5));
        assert_eq!((mean_of(found.empty), mean_of(found.duplicate)), (Some(0.25), Some(0.5)));
        assert_eq!(mean_of(found.length), Some(1.25));
        assert_eq!((found.judge, found.kl, found.perplexity_human), (None, None, None));
    }

    #[test]
    fn the_spread_of_many_values_is_that_of_resamples() {
        // values of no simple distribution, and one more than are resampled
        let numbers = std::iter::successors(Some(1_u64), |state| Some(state * 48_271 % 2_147_483_647));
        let values: Vec<f64> = numbers.map(|number| ((number % 1_000) as f64 / 1_000.0).powi(3)).take(LARGE + 1).collect();
        let level = RiskLevel::new(0.1).unwrap();
        for figure in [mean, |values: &[f64]| cvar(values, RiskLevel::new(0.1).unwrap())] {
            let (all, resampled) = (figure(&values).unwrap().unwrap(), figure(&values[..LARGE]).unwrap().unwrap());
            assert!((all.std / resampled.std - 1.0).abs() < 0.1, "{all:?} {resampled:?}");
            assert!(
                (all.ci95[0] - resampled.ci95[0]).abs() < 0.2 * all.std
                    && (all.ci95[1] - resampled.ci95[1]).abs() < 0.2 * all.std
            );
        }
        assert!(cvar(&values, level).unwrap().unwrap().mean < 1e-3);
    }

    #[test]
    fn a_single_value_is_no_figure() {
        let mut one = texts(&[Some("a b")]);
        one.scores = Some(vec![Some(1.0)]);
        let found = figures(&one, &[0], &wanted(EvaluatedTail::LowestScores { share: 0.1 }), None).unwrap();
        assert_eq!(found.figures().count(), 0, "{found:?}");
        // and texts without a pair of words have no pairs that could differ
        let found = figures(&texts(&[Some("a"), Some("b")]), &[0, 1], &wanted(EvaluatedTail::LowestScores { share: 0.1 }), None);
        let found = found.unwrap();
        assert_eq!((mean_of(found.distinct_1), found.distinct_2), (Some(1.0), None));
    }

    #[test]
    fn without_scores_of_prompts_the_tail_is_that_of_the_rewards() {
        let mut texts = texts(&[Some("a"); 4]);
        texts.scores = Some([4.0, -1.0, 2.0, -3.0].map(Some).to_vec());
        let tail = |tail| mean_of(figures(&texts, &[0, 1, 2, 3], &wanted(tail), None).unwrap().tail);
        assert_eq!(tail(EvaluatedTail::LowestScores { share: 0.5 }), Some(-2.0));
        assert_eq!(tail(EvaluatedTail::OwnScores { threshold: 2.0 }), Some(-2.0 / 3.0));
        assert_eq!(tail(EvaluatedTail::OwnScores { threshold: -9.0 }), None, "an empty tail has no mean");
    }
}
