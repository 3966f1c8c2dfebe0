//! The figures of the paper's table, and what one arm gains over another, from what was measured
//! text by text.

use tailguard_judging::{tail_gains, tail_report};
use tailguard_metrics::{
    ByPrompt, Influences, NumberedNGrams, Scale, at_or_below, duplicates, empty, estimate,
    mean_over_seeds, repeating, std_sample,
};
use tailguard_report::{Comparison, Figure, Generation, MethodResults, OtherTail, Values};
use tailguard_risk::RiskLevel;

use crate::cost::Cost;
use crate::error::{During, ExperimentError};
use crate::inputs::Inputs;
use crate::protocol::{Beside, Evaluated};
use crate::settings::Settings;

type Result<T, E = ExperimentError> = std::result::Result<T, E>;

/// What was measured of an arm, by seed. A prompt goes by its place among the evaluation prompts,
/// of which there are `prompts`, also where two are alike.
pub(super) fn values(seeds: &[Evaluated], prompts: usize) -> Values {
    let of_rows = |value: fn(&Generation) -> Option<f64>| {
        let of_seed = |seed: &Evaluated| places(seed.rows.iter().map(value), prompts);
        seeds.iter().map(of_seed).collect()
    };
    Values {
        reward: of_rows(|row| Some(row.reward.into())),
        judge: of_rows(|row| row.judge.map(f64::from)),
        perplexity_human: seeds
            .iter()
            .map(|seed| places(seed.beside.perplexity_human.iter().copied(), usize::MAX))
            .collect(),
        perplexity_generated: of_rows(|row| row.perplexity),
        kl: of_rows(|row| row.kl),
    }
}

/// The values that there are, with their places, which begin anew after so many.
fn places(values: impl Iterator<Item = Option<f64>>, count: usize) -> Vec<ByPrompt> {
    values.enumerate().filter_map(|(place, value)| Some((place % count, value?))).collect()
}

/// What is known of an arm beside its texts.
pub(super) struct Price {
    /// What making it has cost, by seed.
    pub(super) making: Vec<Option<Cost>>,
    /// A number that its KL to the reference does not exceed.
    pub(super) kl_bound: Option<f64>,
}

impl Price {
    /// A count over the seeds; nothing where it is not known of each.
    fn making(&self, count: fn(&Cost) -> u64) -> Result<Option<Figure>> {
        let counts = self.making.iter().map(|cost| Some(count(cost.as_ref()?) as f64));
        counts.collect::<Option<Vec<f64>>>().map(|counts| known(&counts)).transpose()
    }
}

/// The mean of numbers that are known, one for each seed: they are estimates of nothing.
fn known(seeds: &[f64]) -> Result<Figure> {
    let mean = tailguard_metrics::mean(seeds)?;
    Ok(Figure { mean, se: None, ci95: None, seeds_std: std_sample(seeds).ok() })
}

/// A figure of all texts of a seed, whose prompts go by these numbers.
type OfTexts<'a> = dyn Fn(&[&str], &[usize]) -> Result<Influences> + 'a;

/// The figures of an arm over its seeds.
///
/// # Errors
/// When something was not measured, or is no finite number.
pub(super) fn figures(
    inputs: &Inputs,
    config: &Settings,
    seeds: &[Evaluated],
    values: &Values,
    price: &Price,
) -> Result<MethodResults> {
    let prompt_scores: Vec<f64> = inputs.prompt_scores.iter().map(|&score| score.into()).collect();
    let (tail, prompts) = (inputs.tail(config), inputs.prompts.len());
    let other_tail = |&threshold: &f64| -> Result<OtherTail> {
        let prompts = at_or_below(&prompt_scores, threshold)?;
        Ok(OtherTail {
            threshold,
            prompts: prompts.len(),
            reward: mean(&among(&values.reward, &prompts), Scale::Any)?,
        })
    };
    let there = |values: &[Vec<ByPrompt>], what: &str| -> Result<Figure> {
        mean(values, Scale::Any)?
            .ok_or_else(|| ExperimentError::failed(format!("nothing was measured of {what}")))
    };
    // what is no language model gives human texts no probability
    let is_model = seeds.iter().any(|seed| !seed.beside.perplexity_human.is_empty());
    let of_model = |values: &[Vec<ByPrompt>], what: &str| -> Result<Option<Figure>> {
        if is_model { there(values, what).map(Some) } else { mean(values, Scale::Any) }
    };
    let per_answer = |counts: fn(&Beside) -> &[u64]| -> Result<Option<Figure>> {
        let of_seed = |seed: &Evaluated| {
            places(counts(&seed.beside).iter().map(|&count| Some(count as f64)), prompts)
        };
        let seeds: Vec<Vec<ByPrompt>> = seeds.iter().map(of_seed).collect();
        if seeds.iter().any(Vec::is_empty) { Ok(None) } else { mean(&seeds, Scale::Any) }
    };
    let lengths: Vec<Vec<ByPrompt>> = seeds
        .iter()
        .map(|seed| places(seed.rows.iter().map(|row| row.tokens.map(f64::from)), prompts))
        .collect();
    let responses: Vec<Vec<&str>> = seeds
        .iter()
        .map(|seed| seed.rows.iter().map(|row| row.response.as_str()).collect())
        .collect();
    let share = |flags: &dyn Fn(&[&str]) -> Result<Vec<f64>>| -> Result<Figure> {
        let of_seed = |texts: &Vec<&str>| Ok(places(flags(texts)?.into_iter().map(Some), prompts));
        mean(&responses.iter().map(of_seed).collect::<Result<Vec<_>>>()?, Scale::Share)?
            .ok_or_else(|| ExperimentError::failed("there are no responses"))
    };
    let of_all = |figure: &OfTexts| -> Result<Figure> {
        let numbers = |texts: &[&str]| -> Vec<usize> {
            (0..texts.len()).map(|place| place % prompts).collect()
        };
        let of_seed = |texts: &Vec<&str>| figure(texts, &numbers(texts));
        Ok(estimate(&responses.iter().map(of_seed).collect::<Result<Vec<_>>>()?, Scale::Share)?
            .into())
    };
    let distinct = |n: usize| {
        of_all(&|texts, prompts| Ok(NumberedNGrams::new(texts, n)?.influences(prompts)?))
    };
    Ok(MethodResults {
        reward: there(&values.reward, "rewards")?,
        tail: there(&among(&values.reward, &tail), "rewards of its tail")?,
        perplexity_human: of_model(&values.perplexity_human, "human texts")?,
        perplexity_generated: there(
            &values.perplexity_generated,
            "a base model, and responses with a token",
        )?,
        distinct_1: distinct(1)?,
        distinct_2: distinct(2)?,
        distinct_3: distinct(3)?,
        length: there(&lengths, "lengths")?,
        kl: of_model(&values.kl, "the distance to the reference")?,
        judge: mean(&values.judge, Scale::Any)?,
        judge_tail: mean(&among(&values.judge, &tail), Scale::Any)?,
        repeated_4gram: share(&|texts| Ok(repeating(texts, 4)?.values()))?,
        empty: share(&|texts| Ok(empty(texts)?.values()))?,
        duplicate: of_all(&|texts, prompts| Ok(duplicates(texts, prompts)?))?,
        other_tails: config.evaluation.other_tails.iter().map(other_tail).collect::<Result<_>>()?,
        tail_report: tail_report(&values.reward, &config.evaluation.failure_thresholds, false)?,
        making_tokens: price.making(|cost| cost.sampled_tokens)?,
        making_rewards: price.making(|cost| cost.reward_calls)?,
        answer_tokens: per_answer(|beside| &beside.sampled_tokens)?,
        answer_rewards: per_answer(|beside| &beside.reward_calls)?,
        kl_bound: price.kl_bound.map(|bound| known(&[bound])).transpose()?,
    })
}

/// What an arm gains over another; nothing where there are not two prompts. `CVaR` is that of the
/// share `risk.alpha`.
///
/// # Errors
/// When a value is no finite number.
pub(super) fn comparison(
    inputs: &Inputs,
    config: &Settings,
    (arm, own): (&str, &Values),
    (over, others): (&str, &Values),
) -> Result<Option<Comparison>> {
    let mut in_tail = vec![false; inputs.prompts.len()];
    inputs.tail(config).into_iter().for_each(|prompt| in_tail[prompt] = true);
    let level = RiskLevel::new(config.risk.alpha)?;
    let count = |count| level.count(count);
    let cvar = Some((level.alpha(), &count as &dyn Fn(usize) -> usize));
    let doing = || format!("cannot compare {arm} with {over}");
    let found = Comparison::of((arm, own), (over, others), Some(&|prompt| in_tail[prompt]), cvar)
        .during(doing)?;
    let Some(found) = found else { return Ok(None) };
    let thresholds = &config.evaluation.failure_thresholds;
    let tail_report = tail_gains(&own.reward, &others.reward, thresholds).during(doing)?;
    Ok(Some(Comparison { tail_report, ..found }))
}

/// The values of some prompts.
fn among(seeds: &[Vec<ByPrompt>], prompts: &[usize]) -> Vec<Vec<ByPrompt>> {
    let is_wanted = |prompt: usize| prompts.binary_search(&prompt).is_ok();
    seeds
        .iter()
        .map(|values| values.iter().copied().filter(|(prompt, _)| is_wanted(*prompt)).collect())
        .collect()
}

fn mean(seeds: &[Vec<ByPrompt>], scale: Scale) -> Result<Option<Figure>> {
    Ok(mean_over_seeds(seeds, scale)?.map(Figure::from))
}
