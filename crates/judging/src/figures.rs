//! The figures of the texts of one method, over its seeds.

use std::collections::HashMap;

use rayon::prelude::*;
use tailguard_data::{Generations, Scores};
use tailguard_metrics::{
    ByPrompt, Estimate, Influences, MetricsError, NumberedNGrams, Scale, at_or_below, buckets,
    curve, duplicates, empty, estimate, lowest_over_seeds, mean_over_seeds, repeating, std_sample,
    words,
};
use tailguard_report::{
    EvaluatedMethod, EvaluatedTail, Figure, LeftOut, OtherTail, PromptBucket, QuantilePoint,
};
use tailguard_risk::RiskLevel;

use crate::error::JudgingError;
use crate::rows::{finite, prompt};
use crate::tails::tail_report;

/// What is asked for, the same for all methods.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// What the figure `tail` is the mean of; no such figure where it is `None`.
    pub tail: Option<EvaluatedTail>,
    /// The share of CVaR.
    pub level: RiskLevel,
    /// Other thresholds of the prompts' scores, each with a tail of its own.
    pub other_tails: Vec<f64>,
    /// A text fails whose score is at most one of these.
    pub failures: Vec<f64>,
    /// Whether scores are toxicities from 0 to 1, with a minus.
    pub is_toxicity: bool,
    /// The method that all others are compared with.
    pub baseline: Option<String>,
    /// Whether there is to be a curve of the reward against the quantile of the prompt score; of
    /// methods of one seed alone.
    pub curve: bool,
    /// Of how many groups of prompts that score alike the rewards are to be there; of methods of
    /// one seed alone.
    pub buckets: Option<usize>,
}

impl Wanted {
    /// No tail, no failures, no comparison, no curve; `level` is the share of CVaR.
    #[must_use]
    pub fn of_level(level: RiskLevel) -> Self {
        Self {
            tail: None,
            level,
            other_tails: Vec::new(),
            failures: Vec::new(),
            is_toxicity: false,
            baseline: None,
            curve: false,
            buckets: None,
        }
    }
}

/// Values of each seed, by the numbers of their prompts.
type Seeds = Vec<Vec<ByPrompt>>;

/// A figure, where there is one.
type Found = Result<Option<Figure>, JudgingError>;

/// Says of each of some texts whether it is something: 1 or 0.
type Flags = dyn Fn(&[&str]) -> Result<Vec<f64>, MetricsError>;

/// The texts of one seed.
struct Seed<'a> {
    /// Places in the file.
    rows: &'a [usize],
    /// Of each row the number of its prompt, the same in all seeds; a row without a prompt has one
    /// of its own.
    prompts: Vec<usize>,
    /// The rows that have a response, by their places among the rows.
    answered: Vec<usize>,
    responses: Vec<&'a str>,
}

impl<'a> Seed<'a> {
    /// Numbers the prompts of all seeds.
    fn all(texts: &'a Generations, seeds: &[&'a [usize]]) -> Vec<Self> {
        let (mut numbers, mut next) = (HashMap::new(), 0);
        let mut number = |row: &usize| {
            let number =
                prompt(texts, *row).map_or(next, |prompt| *numbers.entry(prompt).or_insert(next));
            next += usize::from(number == next);
            number
        };
        let mut all = Vec::new();
        for &rows in seeds {
            let there = rows
                .iter()
                .enumerate()
                .filter_map(|(place, &row)| Some((place, texts.responses.get(row)?)));
            let (answered, responses) = there.unzip();
            all.push(Self {
                rows,
                prompts: rows.iter().map(&mut number).collect(),
                answered,
                responses,
            });
        }
        all
    }

    /// The values of its rows that there are and that are numbers, by prompt.
    fn finite(&self, values: &Option<Scores>) -> Vec<ByPrompt> {
        let rows = self.rows.iter().zip(&self.prompts);
        rows.filter_map(|(&row, &prompt)| Some((prompt, finite(values, row)?))).collect()
    }

    /// Those of rows whose other value is at most a threshold.
    fn below(
        &self,
        values: &Option<Scores>,
        others: &Option<Scores>,
        threshold: f64,
    ) -> Result<Vec<ByPrompt>, JudgingError> {
        let rows = self.rows.iter().zip(&self.prompts);
        let both = rows.filter_map(|(&row, &prompt)| {
            Some(((prompt, finite(values, row)?), finite(others, row)?))
        });
        let (values, others): (Vec<ByPrompt>, Vec<f64>) = both.unzip();
        if others.is_empty() {
            return Ok(values);
        }
        Ok(at_or_below(&others, threshold)?.into_iter().map(|place| values[place]).collect())
    }

    /// Values of its responses by prompt.
    fn of_responses(&self, values: impl IntoIterator<Item = f64>) -> Vec<ByPrompt> {
        self.answered.iter().map(|&place| self.prompts[place]).zip(values).collect()
    }
}

/// Computes the figures of a method. Of each of its seeds `seeds` has the rows. `lengths` has one
/// entry per row of the file; without it, words are counted.
///
/// A value that is missing or no finite number enters no figure, and a figure that one seed lacks
/// is lacking. Means are those of all values of a seed, averaged over seeds; intervals are over
/// prompts and seeds. Texts of a single prompt stand for prompts.
///
/// # Errors
/// When a metric refuses its input.
pub(crate) fn figures(
    texts: &Generations,
    seeds: &[&[usize]],
    wanted: &Wanted,
    lengths: Option<&[f64]>,
) -> Result<EvaluatedMethod, JudgingError> {
    let all = Seed::all(texts, seeds);
    let of_each =
        |values: &dyn Fn(&Seed<'_>) -> Vec<ByPrompt>| -> Seeds { all.iter().map(values).collect() };
    let share = |flags: &Flags| {
        let of_seed = |seed: &Seed<'_>| {
            Ok(seed.of_responses(if seed.responses.is_empty() {
                Vec::new()
            } else {
                flags(&seed.responses)?
            }))
        };
        mean(&all.iter().map(of_seed).collect::<Result<Seeds, JudgingError>>()?, Scale::Share)
    };
    // first the three that take the most memory, one after the other
    let [distinct_1, distinct_2, distinct_3] =
        [1, 2, 3].map(|n| of_all_texts(&all, |texts, prompts| distinct(texts, prompts, n)));
    let [reward, tail, cvar, judge, judge_tail, length, repeated_4gram, empty, duplicate] =
        side_by_side([
            &|| mean(&of_each(&|seed| seed.finite(&texts.scores)), Scale::Any),
            &|| tail(texts, &all, wanted.tail.as_ref()),
            &|| cvar(&of_each(&|seed| seed.finite(&texts.scores)), wanted.level),
            &|| mean(&of_each(&|seed| seed.finite(&texts.judge)), Scale::Any),
            &|| match wanted.tail {
                Some(EvaluatedTail::PromptScores { threshold, .. }) => {
                    mean_below(&all, &texts.judge, &texts.prompt_scores, threshold)
                }
                _ => Ok(None),
            },
            &|| {
                let length = |(place, text): (&usize, &&str), seed: &Seed<'_>| match lengths {
                    Some(lengths) => lengths[seed.rows[*place]],
                    None => words(text).count() as f64,
                };
                let of_seed = |seed: &Seed<'_>| {
                    seed.of_responses(
                        seed.answered.iter().zip(&seed.responses).map(|row| length(row, seed)),
                    )
                };
                mean(&of_each(&of_seed), Scale::Any)
            },
            &|| share(&|texts| Ok(repeating(texts, 4)?.values())),
            &|| share(&|texts| Ok(empty(texts)?.values())),
            &|| of_all_texts(&all, |texts, prompts| Ok(Some(duplicates(texts, prompts)?))),
        ])?;
    let other_tail = |&threshold: &f64| -> Result<OtherTail, JudgingError> {
        let rewards =
            all.iter().map(|seed| seed.below(&texts.scores, &texts.prompt_scores, threshold));
        let rewards = rewards.collect::<Result<Seeds, JudgingError>>()?;
        let fewest = rewards.iter().map(Vec::len).min().unwrap_or(0);
        Ok(OtherTail { threshold, prompts: fewest, reward: mean(&rewards, Scale::Any)? })
    };
    let rewards = of_each(&|seed| seed.finite(&texts.scores));
    let tail_report = tail_report(&rewards, &wanted.failures, wanted.is_toxicity)?;
    let rows: Vec<usize> = seeds.concat();
    let of = |scores: &Option<Scores>| -> Vec<Option<f64>> {
        scores
            .as_ref()
            .map_or_else(Vec::new, |scores| rows.iter().map(|&row| scores[row]).collect())
    };
    let (scores, prompt_scores) = (of(&texts.scores), of(&texts.prompt_scores));
    let is_one = seeds.len() == 1;
    let (curve, buckets) =
        if is_one { curves(&scores, &prompt_scores, wanted)? } else { (Vec::new(), Vec::new()) };
    let rewards: Vec<f64> =
        scores.iter().flatten().copied().filter(|score| score.is_finite() && is_one).collect();
    Ok(EvaluatedMethod {
        seeds: seeds.len(),
        rows: rows.len(),
        missing_responses: rows.len() - all.iter().map(|seed| seed.responses.len()).sum::<usize>(),
        reward_left_out: LeftOut::of(&scores),
        prompt_score_left_out: unscored(&scores, &prompt_scores),
        judge_left_out: LeftOut::of(&of(&texts.judge)),
        reward,
        tail,
        cvar,
        judge,
        judge_tail,
        distinct_1: distinct_1?,
        distinct_2: distinct_2?,
        distinct_3: distinct_3?,
        length,
        repeated_4gram,
        empty,
        duplicate,
        other_tails: wanted.other_tails.iter().map(other_tail).collect::<Result<_, _>>()?,
        tail_report,
        reward_spread: std_sample(&rewards).ok(),
        curve,
        buckets,
        ..EvaluatedMethod::default()
    })
}

/// The rows with a reward whose prompts have no score, where prompts have scores at all.
fn unscored(scores: &[Option<f64>], prompt_scores: &[Option<f64>]) -> LeftOut {
    let has_reward = |score: &Option<f64>| score.is_some_and(f64::is_finite);
    let pairs = scores.iter().zip(prompt_scores).filter(|(score, _)| has_reward(score));
    LeftOut::of(&pairs.map(|(_, prompt_score)| *prompt_score).collect::<Vec<_>>())
}

/// The mean of values whose rows have another value of at most a threshold.
fn mean_below(
    all: &[Seed<'_>],
    values: &Option<Scores>,
    others: &Option<Scores>,
    threshold: f64,
) -> Found {
    mean(
        &all.iter()
            .map(|seed| seed.below(values, others, threshold))
            .collect::<Result<Seeds, JudgingError>>()?,
        Scale::Any,
    )
}

fn tail(texts: &Generations, all: &[Seed<'_>], tail: Option<&EvaluatedTail>) -> Found {
    match tail {
        Some(EvaluatedTail::PromptScores { threshold, .. }) => {
            mean_below(all, &texts.scores, &texts.prompt_scores, *threshold)
        }
        Some(EvaluatedTail::OwnScores { threshold }) => {
            mean_below(all, &texts.scores, &texts.scores, *threshold)
        }
        Some(EvaluatedTail::LowestScores { share }) => cvar(
            &all.iter().map(|seed| seed.finite(&texts.scores)).collect::<Seeds>(),
            RiskLevel::new(*share)?,
        ),
        None => Ok(None),
    }
}

/// The mean with its interval; none where a seed has no value.
fn mean(seeds: &[Vec<ByPrompt>], scale: Scale) -> Found {
    Ok(mean_over_seeds(seeds, scale)?.map(Figure::from))
}

/// The mean of the lowest values.
fn cvar(seeds: &[Vec<ByPrompt>], level: RiskLevel) -> Found {
    Ok(lowest_over_seeds(seeds, |count| level.count(count))?.map(Figure::from))
}

/// A figure of all responses of a seed together; none where a seed has none.
fn of_all_texts(
    all: &[Seed<'_>],
    figure: impl Fn(&[&str], &[usize]) -> Result<Option<Influences>, MetricsError>,
) -> Found {
    // texts of a single prompt stand for prompts
    let first = all.first().and_then(|seed| seed.prompts.first());
    let is_one = all.iter().flat_map(|seed| &seed.prompts).all(|prompt| Some(prompt) == first);
    let (mut begin, mut influences) = (0, Vec::new());
    for seed in all {
        let prompts: Vec<usize> = if is_one {
            (begin..).take(seed.responses.len()).collect()
        } else {
            seed.answered.iter().map(|&place| seed.prompts[place]).collect()
        };
        begin += seed.responses.len();
        let found =
            if seed.responses.is_empty() { None } else { figure(&seed.responses, &prompts)? };
        let Some(found) = found else { return Ok(None) };
        influences.push(found);
    }
    let figure: Estimate = estimate(&influences, Scale::Share)?;
    Ok(Some(figure.into()))
}

/// Distinct-n; none of texts that are too short to have an n-gram.
fn distinct(
    texts: &[&str],
    prompts: &[usize],
    n: usize,
) -> Result<Option<Influences>, MetricsError> {
    let ngrams = NumberedNGrams::new(texts, n)?;
    Ok(if ngrams.all().total == 0 { None } else { Some(ngrams.influences(prompts)?) })
}

/// The curve and the groups that were asked for, where prompts have scores and there are as many of
/// them as groups.
fn curves(
    scores: &[Option<f64>],
    prompt_scores: &[Option<f64>],
    wanted: &Wanted,
) -> Result<(Vec<QuantilePoint>, Vec<PromptBucket>), MetricsError> {
    let pairs = scores
        .iter()
        .zip(prompt_scores)
        .filter_map(|(score, prompt_score)| Some(((*score)?, (*prompt_score)?)));
    let (rewards, scores): (Vec<f64>, Vec<f64>) =
        pairs.filter(|(reward, score)| reward.is_finite() && score.is_finite()).unzip();
    let (mut points, mut groups) = (Vec::new(), Vec::new());
    if wanted.curve && !rewards.is_empty() {
        for point in curve(&rewards, &scores, 1..=100)? {
            points.push(QuantilePoint {
                percent: point.percent,
                count: point.count,
                reward: point.mean,
            });
        }
    }
    if let Some(count) = wanted.buckets.filter(|&count| count <= rewards.len()) {
        for bucket in buckets(&rewards, &scores, count)? {
            groups.push(PromptBucket {
                count: bucket.count,
                prompt_score: bucket.prompt_score,
                reward: bucket.reward,
            });
        }
    }
    Ok((points, groups))
}

/// Computes figures side by side and gives them in order.
fn side_by_side<const N: usize>(
    figures: [&(dyn Fn() -> Found + Sync); N],
) -> Result<[Option<Figure>; N], JudgingError> {
    let mut found = [None; N];
    found
        .par_iter_mut()
        .zip(figures)
        .try_for_each(|(to, figure)| figure().map(|figure| *to = figure))?;
    Ok(found)
}

#[cfg(test)]
mod tests;
