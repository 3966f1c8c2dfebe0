//! The evaluation protocol: one sample per held-out prompt, and the figures of the paper's table.

use anyhow::{Context, Result};
use tailguard_checkpoint::write_file;
use tailguard_gpt2::{Gpt2, TokenDistribution};
use tailguard_metrics::{Bootstrap, bootstrap, bootstrap_by, distinct, perplexity};
use tailguard_ppo::episode_kl;
use tailguard_report::{Figure, Generation, Method, MethodResults, RunDir, write_generations};
use tailguard_rollout::{DrawSeed, Sequence, generate, log_probs_of, responses, score_texts, scored_text, token_nlls};

use super::inputs::Inputs;
use crate::config::RunConfig;

/// The streams of the run's seed that draw evaluation samples; training draws from those below.
const EVALUATION: u64 = 1 << 50;
/// Resamples of the intervals over prompts, and of the dearer ones over texts.
const RESAMPLES: usize = 2_000;
const TEXT_RESAMPLES: usize = 100;

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
    let batch_size = config.evaluation.batch_size;
    let draws = DrawSeed { seed, stream: EVALUATION };
    let generations = generate(model, None, &inputs.prompts, &inputs.sampling, draws, batch_size)?;
    let texts = responses(&inputs.tokenizer, &generations)?;
    let scored: Vec<String> = inputs.prompts.iter().zip(&texts).map(|(prompt, text)| scored_text(prompt, text)).collect();
    let rewards = score_texts(&inputs.reward, &scored)?;
    let sequences: Vec<Sequence<'_>> = inputs
        .prompts
        .iter()
        .zip(&generations)
        .map(|(prompt, generation)| Sequence { prompt: &prompt.ids, response: &generation.response_ids })
        .collect();
    let under_reference = log_probs_of(reference, None, &sequences, &inputs.sampling.distribution(), batch_size)?;
    let kl: Vec<f64> =
        generations.iter().zip(&under_reference).map(|(new, old)| episode_kl(&new.log_probs, &old.log_probs)).collect();
    let under_base = log_probs_of(&inputs.base, None, &sequences, &TokenDistribution::default(), batch_size)?;
    let base_nlls: Vec<Vec<f32>> =
        under_base.into_iter().map(|scores| scores.log_probs.into_iter().map(|log_prob| -log_prob).collect()).collect();
    let begin = model.config().bos_token_id.or(model.config().eos_token_id);
    let human_nlls = token_nlls(model, &inputs.human_texts, begin, batch_size)?;

    let tail: Vec<f64> = inputs.tail(config).into_iter().map(|prompt| f64::from(rewards[prompt])).collect();
    let (threshold, count) = (config.evaluation.tail_threshold, inputs.prompts.len());
    let empty = || format!("none of {count} evaluation prompts scores at most {threshold}: raise evaluation.tail_threshold");
    let settings = Bootstrap { resamples: RESAMPLES, seed: 0 };
    let over = |values: Vec<f64>| Ok::<Figure, anyhow::Error>(bootstrap(&values, settings)?.into());
    let evaluation = MethodResults {
        reward: over(rewards.iter().map(|&reward| f64::from(reward)).collect())?,
        tail: over(tail).with_context(empty)?,
        perplexity_human: over(per_text(&human_nlls)?)?,
        perplexity_generated: over(per_text(&base_nlls)?)?,
        distinct_1: diversity(&texts, 1)?,
        distinct_2: diversity(&texts, 2)?,
        distinct_3: diversity(&texts, 3)?,
        length: over(generations.iter().map(|generation| generation.response_ids.len() as f64).collect())?,
        kl: over(kl)?,
    };
    let rows: Vec<Generation> = inputs
        .prompts
        .iter()
        .zip(texts)
        .zip(inputs.prompt_scores.iter().zip(rewards))
        .map(|((prompt, response), (&prompt_score, reward))| Generation {
            prompt: prompt.text.clone(),
            prompt_score,
            response,
            reward,
            method,
            seed,
        })
        .collect();
    write_generations(&dir.method_generations_path(method, seed), &rows)?;
    write_file(&dir.evaluation_path(method, seed), serde_json::to_string_pretty(&evaluation)?.as_bytes())?;
    Ok(evaluation)
}

/// Perplexity of each text that has a token to score.
fn per_text(nlls: &[Vec<f32>]) -> Result<Vec<f64>> {
    let scored: Vec<&Vec<f32>> = nlls.iter().filter(|row| !row.is_empty()).collect();
    Ok(perplexity(&scored)?.per_text)
}

/// Distinct-n over all texts. Resampled texts repeat themselves, so the bootstrap gives the spread and not the middle.
fn diversity(texts: &[String], n: usize) -> Result<Figure> {
    let mean = distinct(texts, n)?.ratio();
    let figure = |picked: &[usize]| {
        let sample: Vec<&String> = picked.iter().map(|&text| &texts[text]).collect();
        distinct(&sample, n).map_or(0.0, |distinct| distinct.ratio())
    };
    let std = bootstrap_by(texts.len(), figure, Bootstrap { resamples: TEXT_RESAMPLES, seed: 0 })?.std;
    Ok(Figure { mean, std, ci95: [mean - 1.96 * std, mean + 1.96 * std] })
}
