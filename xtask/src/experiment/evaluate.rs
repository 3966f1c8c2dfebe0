//! The evaluation protocol: one sample per held-out prompt, and the figures of the paper's table.

use anyhow::{Context, Result};
use tailguard_checkpoint::write_file;
use tailguard_gpt2::{Gpt2, TokenDistribution};
use tailguard_metrics::{Bootstrap, NumberedNGrams, Summary, at_or_below, clustered, duplicated, empty, perplexity, repeating};
use tailguard_ppo::episode_kl;
use tailguard_report::{Figure, Generation, Method, MethodResults, OtherTail, RunDir, write_generations};
use tailguard_reward::ScoredText;
use tailguard_rollout::{DrawSeed, Sequence, TokenScores, generate, log_probs_of, responses, scored_text, token_nlls};

use super::inputs::Inputs;
use crate::config::RunConfig;

/// The streams of the run's seed that draw evaluation samples; training draws from those below.
const EVALUATION: u64 = 1 << 50;
/// Resamples of the intervals.
const RESAMPLES: usize = 2_000;

/// Samples one response per prompt from a model, measures it, and writes texts and figures into the run directory.
///
/// # Errors
/// When the model fails, the tail is empty, or a file cannot be written.
pub(crate) fn evaluate(
    inputs: &Inputs,
    config: &RunConfig,
    dir: &RunDir,
    (method, seed): (Method, u64),
    model: &Gpt2,
    reference: &Gpt2,
) -> Result<MethodResults> {
    let samples = sample(inputs, config, seed, model, Some(&inputs.base), Some(reference))?;
    let evaluation = figures(inputs, config, &samples)?;
    let rows: Vec<Generation> = samples.rows(inputs, method, seed).collect();
    write_generations(&dir.method_generations_path(method, seed), &rows)?;
    write_file(&dir.evaluation_path(method, seed), serde_json::to_string_pretty(&evaluation)?.as_bytes())?;
    Ok(evaluation)
}

/// What a policy made of the evaluation prompts, one entry per prompt, and of the human texts.
pub(crate) struct Samples {
    pub(crate) responses: Vec<String>,
    pub(crate) rewards: Vec<f32>,
    /// None without a judge.
    pub(crate) judge: Option<Vec<f32>>,
    /// Response tokens.
    pub(crate) lengths: Vec<f64>,
    /// To the reference, nats; none without one.
    kl: Option<Vec<f64>>,
    /// Of the response's tokens under the base model; none without one.
    base_nlls: Option<Vec<Vec<f32>>>,
    /// Of the human texts' tokens under the policy.
    human_nlls: Vec<Vec<f32>>,
}

impl Samples {
    /// Perplexity of each human text under the policy, and of each response under the base model if there was one.
    pub(crate) fn perplexities(&self) -> Result<(Vec<f64>, Option<Vec<f64>>)> {
        Ok((per_text(&self.human_nlls)?, self.base_nlls.as_deref().map(per_text).transpose()?))
    }

    fn rows(self, inputs: &Inputs, method: Method, seed: u64) -> impl Iterator<Item = Generation> {
        let prompts = inputs.prompts.iter().zip(&inputs.prompt_scores).zip(&inputs.prompt_good);
        let judge = self.judge.map_or_else(|| vec![None; self.rewards.len()], |scores| scores.into_iter().map(Some).collect());
        let texts = self.responses.into_iter().zip(self.rewards).zip(judge);
        prompts.zip(texts).map(move |(((prompt, &prompt_score), &good), ((response, reward), judge))| Generation {
            prompt: prompt.text.clone(),
            prompt_score,
            good: Some(good),
            response,
            reward,
            judge,
            method,
            seed,
        })
    }
}

/// Samples and scores: all that needs a model. Base and reference have the tokens of the model.
pub(crate) fn sample(
    inputs: &Inputs,
    config: &RunConfig,
    seed: u64,
    model: &Gpt2,
    base: Option<&Gpt2>,
    reference: Option<&Gpt2>,
) -> Result<Samples> {
    let batch_size = config.evaluation.batch_size;
    let draws = DrawSeed { seed, stream: EVALUATION };
    let generations = generate(model, None, &inputs.prompts, &inputs.sampling, draws, batch_size)?;
    let responses = responses(&inputs.tokenizer, &generations)?;
    let texts: Vec<ScoredText> = inputs.prompts.iter().zip(&responses).map(|(prompt, text)| scored_text(prompt, text)).collect();
    let rewards = inputs.reward.score(&texts, "evaluated texts")?;
    let judge = inputs.judge.as_ref().map(|judge| judge.score(&texts, "evaluated texts")).transpose()?;
    let sequences: Vec<Sequence<'_>> = inputs
        .prompts
        .iter()
        .zip(&generations)
        .map(|(prompt, generation)| Sequence { prompt: &prompt.ids, response: &generation.response_ids })
        .collect();
    let under = |model: &Gpt2, distribution| log_probs_of(model, None, &sequences, &distribution, batch_size);
    let under_reference = reference.map(|reference| under(reference, inputs.sampling.distribution())).transpose()?;
    let under_base = base.map(|base| under(base, TokenDistribution::default())).transpose()?;
    let begin = model.config().bos_token_id.or(model.config().eos_token_id);
    let kl = |old: Vec<TokenScores>| {
        generations.iter().zip(&old).map(|(new, old)| episode_kl(&new.log_probs, &old.log_probs)).collect()
    };
    let nlls = |scores: TokenScores| scores.log_probs.into_iter().map(|log_prob| -log_prob).collect();
    Ok(Samples {
        responses,
        rewards,
        judge,
        lengths: generations.iter().map(|generation| generation.response_ids.len() as f64).collect(),
        kl: under_reference.map(kl),
        base_nlls: under_base.map(|scores| scores.into_iter().map(nlls).collect()),
        human_nlls: token_nlls(model, &inputs.human_texts, begin, batch_size)?,
    })
}

/// The figures of the samples, with their spread over prompts or texts.
fn figures(inputs: &Inputs, config: &RunConfig, samples: &Samples) -> Result<MethodResults> {
    let [prompt_scores, rewards] = [&inputs.prompt_scores, &samples.rewards].map(|scores| doubles(scores));
    let judge = samples.judge.as_deref().map(doubles);
    let tail = at_or_below(&prompt_scores, config.evaluation.tail_threshold)?;
    let no_tail = || {
        let (prompts, threshold) = (prompt_scores.len(), config.evaluation.tail_threshold);
        format!("none of {prompts} evaluation prompts scores at most {threshold}: raise evaluation.tail_threshold")
    };
    let other_tail = |&threshold: &f64| -> Result<OtherTail> {
        let prompts = at_or_below(&prompt_scores, threshold)?;
        // a single prompt has no spread
        let reward = if prompts.len() < 2 { None } else { Some(mean(&at(&prompts, &rewards))?) };
        Ok(OtherTail { threshold, prompts: prompts.len(), reward })
    };
    let texts = &samples.responses;
    let (human, generated) = samples.perplexities()?;
    Ok(MethodResults {
        reward: mean(&rewards)?,
        tail: mean(&at(&tail, &rewards)).with_context(no_tail)?,
        perplexity_human: mean(&human)?,
        perplexity_generated: mean(&generated.context("a run has a base model")?)?,
        distinct_1: diversity(texts, 1)?,
        distinct_2: diversity(texts, 2)?,
        distinct_3: diversity(texts, 3)?,
        length: mean(&samples.lengths)?,
        kl: mean(samples.kl.as_deref().context("a run has a reference")?)?,
        judge: judge.as_ref().map(|judge| mean(judge)).transpose()?,
        judge_tail: judge.as_ref().map(|judge| mean(&at(&tail, judge))).transpose()?,
        repeated_4gram: mean(&repeating(texts, 4)?.values())?,
        empty: mean(&empty(texts)?.values())?,
        duplicate: mean(&duplicated(texts)?.values())?,
        other_tails: config.evaluation.other_tails.iter().map(other_tail).collect::<Result<_>>()?,
    })
}

fn doubles(scores: &[f32]) -> Vec<f64> {
    scores.iter().map(|&score| f64::from(score)).collect()
}

fn at(places: &[usize], values: &[f64]) -> Vec<f64> {
    places.iter().map(|&place| values[place]).collect()
}

/// The mean with its spread over the values; of a single value, which has none, the interval is a point.
fn mean(values: &[f64]) -> Result<Figure> {
    let values: Vec<_> = values.iter().map(|&value| (value, 1)).collect();
    Ok(clustered(&values, Bootstrap { resamples: RESAMPLES, seed: 0 })?.into())
}

/// Perplexity of each text that has a token to score.
fn per_text(nlls: &[Vec<f32>]) -> Result<Vec<f64>> {
    let scored: Vec<&Vec<f32>> = nlls.iter().filter(|row| !row.is_empty()).collect();
    Ok(perplexity(&scored)?.per_text)
}

/// Distinct-n over all texts, with its spread over them, which a single text has not.
fn diversity(texts: &[String], n: usize) -> Result<Figure> {
    let ngrams = NumberedNGrams::new(texts, n)?;
    let single = || Summary::normal(ngrams.all().ratio(), 0.0);
    Ok(if texts.len() < 2 { single() } else { ngrams.summary()? }.into())
}
