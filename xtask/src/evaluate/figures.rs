//! The figures of the texts of one method and seed.

use std::collections::HashMap;

use anyhow::Result;
use tailguard_data::Generations;
use tailguard_metrics::{
    Bootstrap, MANY, NumberedNGrams, Summary, at_or_below, bootstrap_by, buckets, clustered, curve, duplicated, empty,
    mean_of_lowest, repeating, std_sample, words,
};
use tailguard_report::{EvaluatedMethod, EvaluatedTail, Figure, LeftOut, OtherTail, PromptBucket, QuantilePoint};
use tailguard_risk::{RiskLevel, quantile};

use super::side_by_side;

/// How intervals are resampled.
const BOOTSTRAP: Bootstrap = Bootstrap { resamples: 2_000, seed: 0 };

/// A value, and the first row of its prompt: several values of one prompt are alike, and are resampled together.
type Scored = (usize, f64);

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
/// A value that is missing or no finite number enters no figure, and a figure of fewer than two values is none: it would have
/// no spread. Means are those of all values, and intervals are over prompts: where a prompt has several texts, prompts are
/// resampled with all of theirs. Texts of a single prompt are resampled one by one, for that prompt.
///
/// # Errors
/// When a metric refuses its input.
pub(super) fn figures(texts: &Generations, rows: &[usize], wanted: &Wanted, lengths: Option<&[f64]>) -> Result<EvaluatedMethod> {
    let of = |scores: &Option<Vec<Option<f64>>>| -> Vec<Option<f64>> {
        scores.as_ref().map_or_else(Vec::new, |scores| rows.iter().map(|&row| scores[row]).collect())
    };
    let (scores, prompt_scores, judge) = (of(&texts.scores), of(&texts.prompt_scores), of(&texts.judge));
    let prompts = prompts(texts, rows);
    let rewards = finite(&prompts, &scores);
    let (pairs, tails) = (paired(&prompts, &scores, &prompt_scores), paired(&prompts, &judge, &prompt_scores));
    let there = rows.iter().zip(&prompts).filter_map(|(&row, &prompt)| Some(((row, prompt), texts.responses.get(row)?)));
    let (places, responses): (Vec<(usize, usize)>, Vec<&str>) = there.unzip();
    let scored = |values: Vec<f64>| -> Vec<Scored> { places.iter().map(|(_, prompt)| *prompt).zip(values).collect() };
    let lengths = scored(match lengths {
        Some(lengths) => places.iter().map(|(row, _)| lengths[*row]).collect(),
        None => responses.iter().map(|text| words(text).count() as f64).collect(),
    });
    let share = |flags: &dyn Fn(&[&str]) -> Result<Vec<f64>>| {
        if responses.len() < 2 {
            Ok(None)
        } else {
            Ok(summary(&scored(flags(&responses)?))?.map(|share| share.of_share().into()))
        }
    };
    // first the three that take the most memory, one after the other
    let [distinct_1, distinct_2, distinct_3] = [1, 2, 3].map(|n| diversity(&responses, n));
    let figures = side_by_side([
        &|| mean(&rewards),
        &|| tail(&rewards, &pairs, wanted.tail.as_ref()),
        &|| cvar(&rewards, wanted.level),
        &|| mean(&finite(&prompts, &judge)),
        &|| match wanted.tail {
            Some(EvaluatedTail::PromptScores { threshold, .. }) => mean(&below(&tails, threshold)?),
            _ => Ok(None),
        },
        &|| mean(&lengths),
        &|| share(&|texts| Ok(repeating(texts, 4)?.values())),
        &|| share(&|texts| Ok(empty(texts)?.values())),
        &|| share(&|texts| Ok(duplicated(texts)?.values())),
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
        seeds: 1,
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
        reward_spread: std_sample(&numbers(&rewards)).ok(),
        curve,
        buckets,
        ..EvaluatedMethod::default()
    })
}

/// For each row the first of these rows that has the same prompt; without a prompt, the row itself.
fn prompts(texts: &Generations, rows: &[usize]) -> Vec<usize> {
    let mut first = HashMap::new();
    let of = |&row: &usize| match texts.prompts.as_ref().and_then(|prompts| prompts.get(row)) {
        Some(prompt) => *first.entry(prompt).or_insert(row),
        None => row,
    };
    rows.iter().map(of).collect()
}

/// The values that there are and that are numbers.
fn finite(prompts: &[usize], values: &[Option<f64>]) -> Vec<Scored> {
    let values = prompts.iter().zip(values).filter_map(|(&prompt, value)| Some((prompt, (*value)?)));
    values.filter(|(_, value)| value.is_finite()).collect()
}

/// Values and scores of prompts, where both are there.
fn paired(prompts: &[usize], values: &[Option<f64>], prompt_scores: &[Option<f64>]) -> Vec<(Scored, f64)> {
    let rows = prompts.iter().zip(values).zip(prompt_scores);
    let pairs = rows.filter_map(|((&prompt, value), score)| Some(((prompt, (*value)?), (*score)?)));
    pairs.filter(|((_, value), score)| value.is_finite() && score.is_finite()).collect()
}

fn numbers(values: &[Scored]) -> Vec<f64> {
    values.iter().map(|(_, value)| *value).collect()
}

/// The rows with a reward whose prompts have no score, where prompts have scores at all.
fn unscored(scores: &[Option<f64>], prompt_scores: &[Option<f64>]) -> LeftOut {
    let has_reward = |score: &Option<f64>| score.is_some_and(f64::is_finite);
    let pairs = scores.iter().zip(prompt_scores).filter(|(score, _)| has_reward(score));
    LeftOut::of(&pairs.map(|(_, prompt_score)| *prompt_score).collect::<Vec<_>>())
}

/// The values whose prompts score at most a threshold.
fn below(pairs: &[(Scored, f64)], threshold: f64) -> Result<Vec<Scored>> {
    if pairs.is_empty() {
        return Ok(Vec::new());
    }
    let scores: Vec<f64> = pairs.iter().map(|(_, score)| *score).collect();
    Ok(at_or_below(&scores, threshold)?.into_iter().map(|place| pairs[place].0).collect())
}

fn tail(rewards: &[Scored], pairs: &[(Scored, f64)], tail: Option<&EvaluatedTail>) -> Result<Option<Figure>> {
    match tail {
        Some(EvaluatedTail::PromptScores { threshold, .. }) => mean(&below(pairs, *threshold)?),
        Some(EvaluatedTail::OwnScores { threshold }) => {
            mean(&below(&rewards.iter().map(|&scored| (scored, scored.1)).collect::<Vec<_>>(), *threshold)?)
        }
        Some(EvaluatedTail::LowestScores { share }) => cvar(rewards, RiskLevel::new(*share)?),
        None => Ok(None),
    }
}

/// Which values belong together, as one prompt has them: the number of each value's cluster, and how many clusters there are.
fn clusters(values: &[Scored]) -> (Vec<usize>, usize) {
    let each_alone = || ((0..values.len()).collect(), values.len());
    // in the order of the file a prompt that comes again goes back to its first row, or stays there: here none does
    if values.is_sorted_by(|(before, _), (prompt, _)| before < prompt) {
        return each_alone();
    }
    let mut numbers = HashMap::new();
    let number = |&(prompt, _): &Scored| {
        let next = numbers.len();
        *numbers.entry(prompt).or_insert(next)
    };
    let places: Vec<usize> = values.iter().map(number).collect();
    match numbers.len() {
        1 => each_alone(),
        count => (places, count),
    }
}

fn summary(values: &[Scored]) -> Result<Option<Summary>> {
    if values.len() < 2 {
        return Ok(None);
    }
    let (places, count) = clusters(values);
    let mut sums = vec![(0.0, 0); count];
    for (place, (_, value)) in places.into_iter().zip(values) {
        sums[place].0 += value;
        sums[place].1 += 1;
    }
    Ok(Some(clustered(&sums, BOOTSTRAP)?))
}

/// The mean with its spread over prompts; none of fewer than two values.
fn mean(values: &[Scored]) -> Result<Option<Figure>> {
    Ok(summary(values)?.map(Figure::from))
}

/// The mean of values of which each is of a text of its own.
pub(super) fn mean_of(values: &[f64]) -> Result<Option<Figure>> {
    mean(&values.iter().copied().enumerate().collect::<Vec<_>>())
}

/// The mean of the lowest values, each resample's own.
fn cvar(values: &[Scored], level: RiskLevel) -> Result<Option<Figure>> {
    if values.len() < 2 {
        return Ok(None);
    }
    let (places, count) = clusters(values);
    if count > MANY {
        // CVaR is the quantile less the mean shortfall below it over the share: its spread is that of the shortfall
        let numbers = numbers(values);
        let quantile = quantile(&numbers, level)?;
        let shortfalls: Vec<Scored> = values.iter().map(|&(prompt, value)| (prompt, (value - quantile).min(0.0))).collect();
        let mean = mean_of_lowest(&numbers, level.count(numbers.len()))?;
        return Ok(summary(&shortfalls)?.map(|shortfall| Summary::normal(mean, shortfall.std / level.alpha()).into()));
    }
    let mut members = vec![Vec::new(); count];
    places.into_iter().zip(values).for_each(|(place, (_, value))| members[place].push(*value));
    let mut resample = Vec::with_capacity(values.len());
    let figure = |picked: &[usize]| {
        resample.clear();
        picked.iter().for_each(|&place| resample.extend_from_slice(&members[place]));
        // of finite values, and of at least one
        mean_of_lowest(&resample, level.count(resample.len())).unwrap_or(f64::NAN)
    };
    Ok(Some(bootstrap_by(count, figure, BOOTSTRAP)?.into()))
}

/// Distinct-n over all texts, with its spread over them.
fn diversity(texts: &[&str], n: usize) -> Result<Option<Figure>> {
    if texts.len() < 2 {
        return Ok(None);
    }
    let ngrams = NumberedNGrams::new(texts, n)?;
    Ok(if ngrams.all().total == 0 { None } else { Some(ngrams.summary()?.into()) })
}

/// The curve and the groups that were asked for, where prompts have scores and there are as many of them as groups.
fn curves(pairs: &[(Scored, f64)], wanted: &Wanted) -> Result<(Vec<QuantilePoint>, Vec<PromptBucket>)> {
    let (rewards, scores): (Vec<f64>, Vec<f64>) = pairs.iter().map(|&((_, reward), score)| (reward, score)).unzip();
    let (mut points, mut groups) = (Vec::new(), Vec::new());
    if wanted.curve && !pairs.is_empty() {
        for point in curve(&rewards, &scores, 1..=100)? {
            points.push(QuantilePoint { percent: point.percent, count: point.count, reward: point.mean });
        }
    }
    if let Some(count) = wanted.buckets.filter(|&count| count <= pairs.len()) {
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

    /// Numbers of no simple distribution.
    fn draws(count: usize) -> Vec<f64> {
        let numbers = std::iter::successors(Some(1_u64), |state| Some(state * 48_271 % 2_147_483_647));
        numbers.map(|number| ((number % 1_000) as f64 / 1_000.0).powi(3)).take(count).collect()
    }

    fn cvar_of(values: &[f64], share: f64) -> Figure {
        cvar(&values.iter().copied().enumerate().collect::<Vec<_>>(), RiskLevel::new(share).unwrap()).unwrap().unwrap()
    }

    #[test]
    fn the_spread_of_many_values_is_that_of_resamples() {
        // one more than are resampled
        let values = draws(MANY + 1);
        for figure in [|values: &[f64]| super::mean_of(values).unwrap().unwrap(), |values: &[f64]| cvar_of(values, 0.1)] {
            let (all, resampled) = (figure(&values), figure(&values[..MANY]));
            assert!((all.std / resampled.std - 1.0).abs() < 0.1, "{all:?} {resampled:?}");
            assert!((0..2).all(|end| (all.ci95[end] - resampled.ci95[end]).abs() < 0.2 * all.std), "{all:?} {resampled:?}");
        }
        assert!(cvar_of(&values, 0.1).mean < 1e-3);
    }

    #[test]
    fn copies_of_a_prompt_make_no_figure_surer() {
        let values = draws(60);
        let once: Vec<Scored> = values.iter().copied().enumerate().collect();
        let often: Vec<Scored> = [once.clone(), once.clone(), once.clone(), once.clone()].concat();
        assert_eq!(mean(&often).unwrap(), mean(&once).unwrap());
        let level = RiskLevel::new(0.25).unwrap();
        let (one, four) = (cvar(&once, level).unwrap().unwrap(), cvar(&often, level).unwrap().unwrap());
        assert!((one.mean - four.mean).abs() < 1e-12 && (one.std - four.std).abs() < 1e-12, "{one:?} {four:?}");
        // but draws for a single prompt are draws
        let of_one: Vec<Scored> = values.iter().map(|&value| (7, value)).collect();
        assert_eq!(mean(&of_one).unwrap(), mean(&once).unwrap());
    }

    #[test]
    fn texts_of_one_prompt_are_found_by_its_text() {
        let mut copies = texts(&[Some("a"), Some("b"), Some("c"), Some("d"), Some("e")]);
        copies.prompts = Some([Some("x"), Some("y"), Some("x"), None, None].into_iter().collect());
        assert_eq!(prompts(&copies, &[0, 1, 2, 3, 4]), [0, 1, 0, 3, 4]);
        assert_eq!(prompts(&copies, &[1, 2, 4]), [1, 2, 4]);
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

    #[test]
    fn shares_stay_between_0_and_1() {
        let almost_none = texts(&[Some(""), Some("a"), Some("b"), Some("c")]);
        let tail = EvaluatedTail::LowestScores { share: 0.5 };
        let found = figures(&almost_none, &[0, 1, 2, 3], &wanted(tail), None).unwrap();
        let ends: Vec<f64> = [found.empty, found.distinct_1].iter().flatten().flat_map(|figure| figure.ci95).collect();
        assert!(ends.len() == 4 && ends.iter().all(|end| (0.0..=1.0).contains(end)), "{found:?}");
    }
}
