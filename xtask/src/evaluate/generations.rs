//! Texts of a file: read, scored where they have no scores, judged.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use burn::tensor::Device;
use rayon::prelude::*;
use tailguard_checkpoint::ModelDir;
use tailguard_data::{GenerationColumns, Generations, Scores, Texts, read_generations};
use tailguard_report::{EvaluatedMethod, EvaluatedTail, Evaluation, Kind, LengthUnit, number, one_line};
use tailguard_reward::{RewardModel, ScoreSettings, longest_text};
use tailguard_risk::{RiskLevel, quantile};
use tailguard_rollout::{RolloutError, score_texts};
use tokenizers::Tokenizer;

use super::args::EvaluateArgs;
use super::comparisons;
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
    let (asked, judging) = (&args.judging, |label, negate| ScoreSettings { label, negate, ..ScoreSettings::default() });
    let scorer =
        |dir: &Option<PathBuf>, flag, settings| dir.as_deref().map(|dir| scorer(dir, flag, settings, &device)).transpose();
    let reward = scorer(&args.reward, "--reward", judging(asked.label, asked.negate))?;
    let judge = scorer(&args.judge, "--judge", judging(asked.judge_label, asked.judge_negate))?;
    let mut texts = read(args, file)?;
    if texts.responses.len() == 1 {
        let message = format!("{} has one row, expected at least two: a single text has no spread", file.display());
        return Err(Failure::new(message).into());
    }
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let groups = groups(&texts, &args.columns.group_by, &name)?;
    if let Some(baseline) = &asked.baseline {
        comparisons::check(baseline, &groups, &texts, texts.scores.is_some() || reward.is_some())?;
    }
    let mut notes: Vec<String> = without_prompts(args, &texts).into_iter().collect();
    if let Some(reward) = reward {
        let whole = scored_whole(&*reward, "scoring", &texts)?;
        if let (Some(prompts), None) = (&texts.prompts, &texts.prompt_scores) {
            texts.prompt_scores = Some(scored_once(&*reward, prompts)?);
        }
        texts.scores = Some(whole);
    }
    if let Some(judge) = judge {
        texts.judge = Some(scored_whole(&*judge, "judging", &texts)?);
    }
    let lengths = tokenizer.as_ref().map(|tokenizer| lengths(tokenizer, &texts.responses)).transpose()?;
    let tail = tail(args, &texts, &groups, level)?;
    notes.extend(tail.and_then(|tail| ties(&texts, &tail, level)));
    let buckets = asked.buckets.map(NonZeroUsize::get);
    let wanted = Wanted { tail, level, other_tails: Vec::new(), curve: asked.curve, buckets };
    let methods = methods(&texts, &groups, &wanted, lengths.as_deref())?;
    notes.extend(methods.iter().filter_map(|(name, method)| without_curves(name, method, &wanted)));
    let mut comparisons = Vec::new();
    if let Some(baseline) = &asked.baseline {
        let (compared, others) = comparisons::comparisons(&texts, &groups, baseline, tail.as_ref())?;
        comparisons = compared;
        notes.extend(others);
    }
    let evaluation = Evaluation {
        kind: Kind::Evaluation,
        task: None,
        preset: None,
        data: None,
        split: None,
        notice: None,
        seeds: seeds(&groups),
        device: device_name,
        tail,
        cvar_share: level.alpha(),
        length_unit: if tokenizer.is_some() { LengthUnit::Tokens } else { LengthUnit::Words },
        methods,
        comparisons,
    };
    tell(&evaluation, texts, &groups, notes, out)
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
        let found =
            figures(texts, &group.rows, wanted, lengths).with_context(|| format!("cannot judge {}", one_line(&group.method)))?;
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
    let mut texts = read_generations(file, &columns)?;
    // models score in single precision: what that cannot hold is infinite, and counted as such
    for score in [&mut texts.scores, &mut texts.prompt_scores, &mut texts.judge].into_iter().flatten().flatten().flatten() {
        if score.abs() > f64::from(f32::MAX) {
            *score = f64::INFINITY.copysign(*score);
        }
    }
    Ok(texts)
}

/// Says that prompts are missing, where whole texts are not what was asked for.
fn without_prompts(args: &EvaluateArgs, texts: &Generations) -> Option<String> {
    let Some(prompts) = &texts.prompts else {
        let note = format!("there is no column {PROMPT:?} (in JSONL, on the first line): texts are judged without prompts");
        return args.columns.text_column.is_none().then_some(note);
    };
    let missing = (0..prompts.len()).filter(|&row| prompts.get(row).is_none()).count();
    (missing > 0).then(|| format!("{missing} of {} rows have no prompt", prompts.len()))
}

/// Says that a tail by a share is noticeably more than that share, as many prompts score alike.
fn ties(texts: &Generations, tail: &EvaluatedTail, level: RiskLevel) -> Option<String> {
    let EvaluatedTail::PromptScores { threshold, share: Some(_), .. } = *tail else { return None };
    let scores: Vec<f64> = texts.prompt_scores.iter().flatten().flatten().copied().filter(|score| score.is_finite()).collect();
    let (found, wanted) = (tailguard_metrics::at_or_below(&scores, threshold).ok()?.len(), level.count(scores.len()));
    (found as f64 > 1.1 * wanted as f64).then(|| {
        let [real, share] =
            [found as f64 / scores.len() as f64, level.alpha()].map(|share| number(100.0 * share, 1).replace(".0", ""));
        format!(
            "the tail is {real} % of the texts, not the lowest {share} %: so many have a prompt that scores {threshold} or less"
        )
    })
}

/// Says that a curve or groups were asked for which a method has not.
fn without_curves(name: &str, method: &EvaluatedMethod, wanted: &Wanted) -> Option<String> {
    let lacks_curve = wanted.curve && method.curve.is_empty();
    if !lacks_curve && (wanted.buckets.is_none() || !method.buckets.is_empty()) {
        return None;
    }
    let reason = match wanted.tail {
        _ if method.seeds > 1 => "it has several seeds",
        Some(EvaluatedTail::PromptScores { .. }) => "too few of its texts have a score and a prompt with a score",
        _ => "its prompts have no scores",
    };
    Some(format!("{name}: no {}, as {reason}", if lacks_curve { "curve" } else { "buckets" }))
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

/// How many prompts of each method and seed are in the tail, if it is the same number for all. Rows without a prompt count one
/// by one.
fn prompts_in_tail(texts: &Generations, groups: &[Group], threshold: f64) -> Result<Option<usize>> {
    let Some(scores) = &texts.prompt_scores else { return Ok(None) };
    let mut counts = Vec::new();
    for group in groups {
        let scored = group.rows.iter().filter_map(|&row| Some((row, scores[row].filter(|score| score.is_finite())?)));
        let (rows, scores): (Vec<usize>, Vec<f64>) = scored.unzip();
        let low = if scores.is_empty() { Vec::new() } else { tailguard_metrics::at_or_below(&scores, threshold)? };
        let prompt = |place: usize| {
            let prompt = texts.prompts.as_ref().and_then(|prompts| prompts.get(rows[place]));
            prompt.ok_or(rows[place])
        };
        counts.push(low.into_iter().map(prompt).collect::<HashSet<_>>().len());
    }
    counts.dedup();
    Ok(if let [count] = counts[..] { Some(count) } else { None })
}

/// The scorer of a directory, which reads as much of a text as it can.
fn scorer(dir: &Path, flag: &str, mut settings: ScoreSettings, device: &Device) -> Result<Box<dyn RewardModel>> {
    let dir = ModelDir::open(models::directory(&dir.display().to_string(), flag)?)?;
    if let Some(longest) = longest_text(&dir)? {
        settings.max_length = longest;
    }
    Ok(tailguard_reward::load(&dir, settings, device)?)
}

/// Scores of prompt and response, or of the whole text; nothing for a row without a response.
fn scored_whole(model: &dyn RewardModel, phase: &str, texts: &Generations) -> Result<Scores> {
    let rows: Vec<usize> = (0..texts.responses.len()).filter(|&row| texts.responses.get(row).is_some()).collect();
    let prompt = |row: usize| texts.prompts.as_ref().and_then(|prompts| prompts.get(row)).unwrap_or_default();
    let whole = |row: usize| format!("{}{}", prompt(row), texts.responses.get(row).unwrap_or_default());
    let mut scores = vec![None; texts.responses.len()];
    for (row, score) in rows.iter().zip(scored(model, phase, &rows, whole)?) {
        scores[*row] = Some(score);
    }
    Ok(scores)
}

/// Scores of texts of which many are alike, as the prompts of several methods are.
fn scored_once(model: &dyn RewardModel, texts: &Texts) -> Result<Scores> {
    let (mut numbers, mut rows) = (HashMap::new(), Vec::new());
    for (row, text) in (0..texts.len()).filter_map(|row| Some((row, texts.get(row)?))) {
        numbers.entry(text).or_insert_with(|| {
            rows.push(row);
            rows.len() - 1
        });
    }
    let scores = scored(model, "scoring prompts", &rows, |row| texts.get(row).unwrap_or_default().to_owned())?;
    Ok((0..texts.len()).map(|row| Some(scores[*numbers.get(texts.get(row)?)?])).collect())
}

/// The score of the text of each of these rows; few of the texts are in memory together.
fn scored(model: &dyn RewardModel, phase: &str, rows: &[usize], text: impl Fn(usize) -> String) -> Result<Vec<f64>> {
    let mut scores = Vec::with_capacity(rows.len());
    let mut progress = Progress::new(rows.len().div_ceil(SCORED), phase);
    for rows in rows.chunks(SCORED) {
        let chunk: Vec<String> = rows.iter().map(|&row| text(row)).collect();
        let found = score_texts(model, &chunk).map_err(|error| match error {
            RolloutError::Score { row, score } => {
                anyhow!("row {}: {phase} gave {score}, expected a finite number", rows.get(row).map_or(0, |row| row + 1))
            }
            other => other.into(),
        })?;
        scores.extend(found.into_iter().map(f64::from));
        progress.iteration(&format!("{} texts", rows.len()));
    }
    progress.finish();
    Ok(scores)
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
