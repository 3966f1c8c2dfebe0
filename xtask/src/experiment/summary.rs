//! From the figures of each seed to the results of the run, and the samples that people look at.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use tailguard_report::{
    Comparison, Diverged, Generation, Method, MethodResults, ReportError, Results, Tail, one_line, read_generations, read_log,
    write_generations, write_metrics, write_trl_metrics,
};

use super::inputs::Inputs;
use crate::failure::say;
use crate::run::Run;

/// The results over all seeds: with one seed the intervals are over prompts, with several the spread is over seeds. A method that diverged
/// with any of them has none.
pub(crate) fn collect(run: &Run, inputs: &Inputs, diverged: Vec<Diverged>) -> Result<Results> {
    let seeds = run.config.seed_list();
    let mut methods = BTreeMap::new();
    let is_lost = |method: Method| diverged.iter().any(|lost| lost.method == method);
    for method in Method::ALL.into_iter().filter(|&method| !is_lost(method)) {
        let evaluations = seeds.iter().map(|&seed| evaluation(run, method, seed)).collect::<Result<Vec<_>>>()?;
        methods.insert(method, MethodResults::over_seeds(&evaluations)?);
    }
    let (task, preset, device) = (run.config.task.clone(), run.config.preset.clone(), run.config.run.device.clone());
    let (data, split) = (inputs.source.place.name().to_owned(), run.config.evaluation.split.name().to_owned());
    let tail = Tail { threshold: run.config.evaluation.tail_threshold, prompts: inputs.tail(&run.config).len() };
    let notice = inputs.notice(&run.config).map(str::to_owned);
    // of a single prompt there is no spread
    let is_there = |(method, over): &&(Method, Method)| inputs.prompts.len() > 1 && !is_lost(*method) && !is_lost(*over);
    let compared = COMPARED.iter().filter(is_there);
    let comparisons = compared.map(|&(method, over)| comparison(run, inputs, method, over)).collect::<Result<_>>()?;
    Ok(Results { task, preset, data, split, notice, seeds, device, tail, methods, diverged, comparisons })
}

/// What is compared with what.
const COMPARED: [(Method, Method); 2] = [(Method::RaRlhf, Method::Rlhf), (Method::Rlhf, Method::Sft)];

/// What a method gains over another, prompt by prompt.
fn comparison(run: &Run, inputs: &Inputs, method: Method, over: Method) -> Result<Comparison> {
    let rewards = |method: Method| {
        let of_seed = |seed| {
            let rows = read_generations(&run.dir.method_generations_path(method, seed))?;
            Ok(rows.iter().map(|row| f64::from(row.reward)).collect())
        };
        run.config.seed_list().into_iter().map(of_seed).collect::<Result<Vec<Vec<f64>>>>()
    };
    let (left, right) = (rewards(method)?, rewards(over)?);
    Comparison::of((method.name(), &left), (over.name(), &right), &inputs.tail(&run.config))
        .with_context(|| format!("cannot compare {method} with {over}"))
}

fn evaluation(run: &Run, method: Method, seed: u64) -> Result<MethodResults> {
    let path = run.dir.evaluation_path(method, seed);
    let text = run.dir.read_text(&path)?.with_context(|| format!("{} is missing", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))
}

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
