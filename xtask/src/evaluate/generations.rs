//! Texts of a file: read, scored where they have no scores, judged.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use burn::tensor::Device;
use rayon::prelude::*;
use tailguard_checkpoint::ModelDir;
use tailguard_data::{GenerationColumns, Generations, Scores, Texts, read_generations};
use tailguard_report::{EvaluatedMethod, EvaluatedTail, Evaluation, Kind, LengthUnit};
use tailguard_reward::{RewardModel, ScoreSettings, longest_text};
use tailguard_risk::{RiskLevel, quantile};
use tailguard_rollout::score_texts;
use tokenizers::Tokenizer;

use super::args::EvaluateArgs;
use super::comparisons::comparisons;
use super::figures::{Wanted, figures};
use super::groups::{Group, groups, seeds};
use super::tell;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::{device, models};

/// Columns that are read if nothing else is said: those of a run's `generations.parquet`.
const PROMPT: &str = "prompt";
const RESPONSE: &str = "response";
/// Texts that a model scores between two lines of progress.
const SCORED: usize = 4_096;

/// Runs `evaluate --generations`.
pub(super) fn run(args: &EvaluateArgs, file: &Path) -> Result<()> {
    let level = RiskLevel::new(args.judging.tail_share).map_err(|error| Failure::usage(format!("--tail-share: {error}")))?;
    if args.judging.tail_threshold.is_some_and(|threshold| !threshold.is_finite()) {
        return Err(Failure::usage("--tail-threshold: expected a finite number").into());
    }
    device::set_threads(args.thread_count()?)?;
    let device_name = args.device.clone().unwrap_or_else(|| "flex".to_owned());
    let device = device::select(&device_name)?;
    let out = args.reserve()?;
    let tokenizer = args.judging.tokenizer.as_deref().map(tokenizer).transpose()?;
    let scorer = |dir: &Option<PathBuf>, flag| dir.as_deref().map(|dir| scorer(dir, flag, args, &device)).transpose();
    let (reward, judge) = (scorer(&args.reward, "--reward")?, scorer(&args.judge, "--judge")?);
    let mut texts = read(args, file)?;
    if texts.responses.len() == 1 {
        let message = format!("{} has one row, expected at least two: a single text has no spread", file.display());
        return Err(Failure::new(message).into());
    }
    if let Some(reward) = reward {
        let whole = scored(&*reward, "scoring", &whole_texts(&texts))?;
        if let (Some(prompts), None) = (&texts.prompts, &texts.prompt_scores) {
            texts.prompt_scores = Some(scored_once(&*reward, prompts)?);
        }
        texts.scores = Some(whole);
    }
    if let Some(judge) = judge {
        texts.judge = Some(scored(&*judge, "judging", &whole_texts(&texts))?);
    }
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let groups = groups(&texts, &args.columns.group_by, &name)?;
    let lengths = tokenizer.as_ref().map(|tokenizer| lengths(tokenizer, &texts.responses)).transpose()?;
    let wanted = Wanted {
        tail: tail(args, &texts, &groups, level)?,
        level,
        other_tails: Vec::new(),
        curve: args.judging.curve,
        buckets: args.judging.buckets,
    };
    let baseline = args.judging.baseline.as_ref();
    let comparisons = baseline.map(|method| comparisons(&texts, &groups, method, wanted.tail.as_ref())).transpose()?;
    let evaluation = Evaluation {
        kind: Kind::Evaluation,
        task: None,
        preset: None,
        data: None,
        split: None,
        notice: None,
        seeds: seeds(&groups),
        device: device_name,
        tail: wanted.tail,
        cvar_share: level.alpha(),
        length_unit: if tokenizer.is_some() { LengthUnit::Tokens } else { LengthUnit::Words },
        methods: methods(&texts, &groups, &wanted, lengths.as_deref())?,
        comparisons: comparisons.unwrap_or_default(),
    };
    tell(&evaluation, &texts, &groups, out)
}

/// The figures of each method over its seeds.
fn methods(
    texts: &Generations,
    groups: &[Group],
    wanted: &Wanted,
    lengths: Option<&[f64]>,
) -> Result<BTreeMap<String, EvaluatedMethod>> {
    let mut by_method: BTreeMap<String, Vec<EvaluatedMethod>> = BTreeMap::new();
    for group in groups {
        let found = figures(texts, &group.rows, wanted, lengths).with_context(|| format!("cannot judge {}", group.method))?;
        by_method.entry(group.method.clone()).or_default().push(found);
    }
    by_method.into_iter().map(|(method, seeds)| Ok((method, EvaluatedMethod::over_seeds(&seeds)?))).collect()
}

/// Reads the columns that were named, and the prompts if they stand where a run has them.
fn read(args: &EvaluateArgs, file: &Path) -> Result<Generations> {
    let named = &args.columns;
    let mut columns = GenerationColumns {
        prompt: named.prompt_column.clone(),
        response: named.text_column.as_ref().or(named.response_column.as_ref()).map_or(RESPONSE.to_owned(), Clone::clone),
        score: named.score_column.clone(),
        prompt_score: named.prompt_score_column.clone(),
        judge: named.judge_column.clone(),
        group: named.group_by.clone(),
    };
    if columns.prompt.is_none()
        && named.text_column.is_none()
        && tailguard_data::table::columns(file)?.contains(&PROMPT.to_owned())
    {
        columns.prompt = Some(PROMPT.to_owned());
    }
    Ok(read_generations(file, &columns)?)
}

/// What `tail` is the mean of: one threshold for all methods.
fn tail(args: &EvaluateArgs, texts: &Generations, groups: &[Group], level: RiskLevel) -> Result<Option<EvaluatedTail>> {
    let finite = |scores: &Scores| scores.iter().flatten().copied().filter(|score| score.is_finite()).collect::<Vec<_>>();
    if texts.scores.is_none() && texts.judge.is_none() {
        return Ok(None);
    }
    let scores = texts.prompt_scores.as_ref().map(finite).filter(|scores| !scores.is_empty());
    let tail = match (scores, args.judging.tail_threshold) {
        (None, None) => EvaluatedTail::LowestScores { share: level.alpha() },
        (None, Some(threshold)) => EvaluatedTail::OwnScores { threshold },
        (Some(scores), threshold) => {
            let share = if threshold.is_some() { None } else { Some(level.alpha()) };
            let threshold = threshold.map_or_else(|| quantile(&scores, level), Ok)?;
            EvaluatedTail::PromptScores { threshold, share, prompts: prompts_in_tail(texts, groups, threshold)? }
        }
    };
    Ok(Some(tail))
}

/// How many prompts of each method and seed are in the tail, if it is the same number for all.
fn prompts_in_tail(texts: &Generations, groups: &[Group], threshold: f64) -> Result<Option<usize>> {
    let Some(scores) = &texts.prompt_scores else { return Ok(None) };
    let mut counts = Vec::new();
    for group in groups {
        let scores: Vec<f64> = group.rows.iter().filter_map(|&row| scores[row]).filter(|score| score.is_finite()).collect();
        counts.push(if scores.is_empty() { 0 } else { tailguard_metrics::at_or_below(&scores, threshold)?.len() });
    }
    counts.dedup();
    Ok(if let [count] = counts[..] { Some(count) } else { None })
}

/// The scorer of a directory, which reads as much of a text as it can.
fn scorer(dir: &Path, flag: &str, args: &EvaluateArgs, device: &Device) -> Result<Box<dyn RewardModel>> {
    let dir = ModelDir::open(models::directory(&dir.display().to_string(), flag)?)?;
    let mut settings = ScoreSettings { label: args.judging.label, negate: args.judging.negate, ..ScoreSettings::default() };
    if let Some(longest) = longest_text(&dir)? {
        settings.max_length = longest;
    }
    Ok(tailguard_reward::load(&dir, settings, device)?)
}

/// What is scored: prompt and response, or the whole text; nothing for a row without a response.
fn whole_texts(texts: &Generations) -> Vec<Option<String>> {
    let prompt = |row: usize| texts.prompts.as_ref().and_then(|prompts| prompts.get(row)).unwrap_or_default();
    let whole = |row: usize| texts.responses.get(row).map(|response| format!("{}{response}", prompt(row)));
    (0..texts.responses.len()).map(whole).collect()
}

fn scored(model: &dyn RewardModel, phase: &str, texts: &[Option<String>]) -> Result<Scores> {
    let there: Vec<usize> = (0..texts.len()).filter(|&row| texts[row].is_some()).collect();
    let mut scores = vec![None; texts.len()];
    let mut progress = Progress::new(there.len().div_ceil(SCORED), phase);
    for rows in there.chunks(SCORED) {
        let chunk: Vec<String> = rows.iter().filter_map(|&row| texts[row].clone()).collect();
        for (&row, score) in rows.iter().zip(score_texts(model, &chunk)?) {
            scores[row] = Some(f64::from(score));
        }
        progress.iteration(&format!("{} texts", rows.len()));
    }
    progress.finish();
    Ok(scores)
}

/// Scores of texts of which many are alike, as the prompts of several methods are.
fn scored_once(model: &dyn RewardModel, texts: &Texts) -> Result<Scores> {
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    let mut different = Vec::new();
    for text in (0..texts.len()).filter_map(|row| texts.get(row)) {
        numbers.entry(text).or_insert_with(|| {
            different.push(Some(text.to_owned()));
            different.len() - 1
        });
    }
    let scores = scored(model, "scoring prompts", &different)?;
    Ok((0..texts.len()).map(|row| scores[*numbers.get(texts.get(row)?)?]).collect())
}

/// A tokenizer that cuts and pads nothing.
fn tokenizer(path: &Path) -> Result<Tokenizer> {
    let path = if path.is_dir() { path.join("tokenizer.json") } else { path.to_owned() };
    let unusable = |error| anyhow!("{}: cannot read the tokenizer: {error}", path.display());
    let mut tokenizer = Tokenizer::from_file(&path).map_err(unusable)?;
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None).map_err(unusable)?;
    Ok(tokenizer)
}

/// Tokens of each text, 0 for one that is not there.
fn lengths(tokenizer: &Tokenizer, texts: &Texts) -> Result<Vec<f64>> {
    let length = |row: usize| match texts.get(row) {
        Some(text) => tokenizer.encode_fast(text, false).map(|encoding| encoding.get_ids().len() as f64),
        None => Ok(0.0),
    };
    let lengths: Result<Vec<f64>, _> = (0..texts.len()).into_par_iter().map(length).collect();
    lengths.map_err(|error| anyhow!("the tokenizer refuses a text: {error}"))
}
