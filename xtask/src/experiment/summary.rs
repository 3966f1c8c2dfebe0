//! From the figures of each seed to the results of the run, and the samples that people look at.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use tailguard_report::{
    Diverged, Generation, Method, ReportError, Results, Tail, one_line, read_generations, read_log, write_generations,
    write_metrics, write_trl_metrics,
};

use super::evaluate::evaluated;
use super::figures::{comparison, figures, values};
use super::inputs::Inputs;
use crate::failure::say;
use crate::run::Run;

/// The results over all seeds. A method that diverged with any of them has none.
pub(crate) fn collect(run: &Run, inputs: &Inputs, diverged: Vec<Diverged>) -> Result<Results> {
    let (config, seeds) = (&run.config, run.config.seed_list());
    let (mut methods, mut measured) = (BTreeMap::new(), BTreeMap::new());
    let is_lost = |method: Method| diverged.iter().any(|lost| lost.method == method);
    for method in Method::ALL.into_iter().filter(|&method| !is_lost(method)) {
        let of_seeds = seeds.iter().map(|&seed| evaluated(&run.dir, method, seed)).collect::<Result<Vec<_>>>()?;
        let values = values(&of_seeds);
        methods.insert(method, figures(inputs, config, &of_seeds, &values).with_context(|| format!("cannot judge {method}"))?);
        measured.insert(method, values);
    }
    let mut comparisons = Vec::new();
    for (method, over) in COMPARED {
        if let (Some(own), Some(others)) = (measured.get(&method), measured.get(&over)) {
            comparisons.extend(comparison(inputs, config, (method, own), (over, others))?);
        }
    }
    let (task, preset, device) = (config.task.clone(), config.preset.clone(), config.run.device.clone());
    let (data, split) = (inputs.source.place.name().to_owned(), config.evaluation.split.name().to_owned());
    let tail = Tail { threshold: config.evaluation.tail_threshold, prompts: inputs.tail(config).len() };
    let notice = inputs.notice(config).map(str::to_owned);
    Ok(Results { task, preset, data, split, notice, seeds, device, tail, methods, diverged, comparisons })
}

/// What is compared with what.
const COMPARED: [(Method, Method); 3] =
    [(Method::RaRlhf, Method::Rlhf), (Method::Rlhf, Method::Sft), (Method::RaRlhf, Method::Sft)];

/// The methods that have texts of a seed: those that did not diverge.
fn with_texts(results: &Results, seed: u64) -> impl Iterator<Item = Method> {
    let is_lost = move |method: Method| results.diverged.iter().any(|lost| (lost.method, lost.seed) == (method, seed));
    Method::ALL.into_iter().filter(move |&method| !is_lost(method))
}

/// Writes `metrics.parquet` and `generations.parquet` from the parts that the phases left.
pub(crate) fn write_tables(run: &Run, results: &Results) -> Result<()> {
    let mut rows = Vec::new();
    for path in run.dir.log_paths()? {
        rows.extend(read_log(&path)?);
    }
    write_metrics(&run.dir.metrics_path(), &rows)?;
    write_trl_metrics(&run.dir.trl_metrics_path(), &rows)?;
    let mut texts = Vec::new();
    for seed in run.config.seed_list() {
        for method in with_texts(results, seed) {
            texts.extend(read_generations(&run.dir.method_generations_path(method, seed))?);
        }
    }
    Ok(write_generations(&run.dir.generations_path(), &texts)?)
}

/// Prints a few prompts of the tail, the worst first, with what the four policies of the first seed made of them.
pub(crate) fn show_samples(run: &Run, inputs: &Inputs, results: &Results) -> Result<()> {
    let mut tail = inputs.tail(&run.config);
    tail.sort_by(|&a, &b| inputs.prompt_scores[a].total_cmp(&inputs.prompt_scores[b]));
    let seed = run.config.run.seed;
    let of_method = |method| Ok::<_, ReportError>((method, read_generations(&run.dir.method_generations_path(method, seed))?));
    let by_method = with_texts(results, seed).map(of_method).collect::<Result<Vec<(Method, Vec<Generation>)>, _>>()?;
    say("\nThe lowest prompts and what became of them. They may offend.")?;
    for prompt in tail.into_iter().take(run.config.evaluation.shown_samples) {
        say(format_args!("\nprompt ({:+.2}): {}", inputs.prompt_scores[prompt], one_line(&inputs.prompts[prompt].text)))?;
        for (method, rows) in &by_method {
            if let Some(row) = rows.get(prompt) {
                say(format_args!("  {:8} ({:+.2}): {}", method.to_string(), row.reward, one_line(&row.response)))?;
            }
        }
    }
    say("")?;
    Ok(())
}
