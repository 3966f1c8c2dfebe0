//! Texts of a file: read, scored where they have no scores, judged.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use rayon::prelude::*;
use tailguard_checkpoint::read_tokenizer;
use tailguard_data::{Generations, Scores, Texts};
use tailguard_experiment::settings::Side;
use tailguard_experiment::{Scorer, about, of_file, of_model};
use tailguard_report::{About, EvaluatedMethod, EvaluatedTail, Evaluation, Kind, LengthUnit, ScoreAbout, one_line};
use tailguard_reward::{Label, RewardError, ScoreSettings, ScoredText};
use tailguard_risk::{RiskLevel, quantile};
use tailguard_rollout::{RolloutError, score_texts};
use tokenizers::Tokenizer;

use super::args::EvaluateArgs;
use super::comparisons;
use super::figures::{Wanted, figures};
use super::groups::{Group, groups, seeds};
use super::reading::{Read, read};
use super::{notes, tell};
use crate::device;
use crate::failure::Failure;
use crate::program::Program;
use crate::progress::Progress;

/// What scoring prompts alone is called.
const PROMPTS: &str = "scoring prompts";
/// Texts that a model scores between two lines of progress.
const SCORED: usize = 4_096;

/// Runs `evaluate --generations`.
pub(super) fn run(args: &EvaluateArgs, file: &Path, program: &Program) -> Result<()> {
    let level = RiskLevel::new(args.tail_share()).map_err(|error| Failure::usage(format!("--tail-share: {error}")))?;
    device::set_threads(args.thread_count()?)?;
    let device_name = args.device.clone().unwrap_or_else(|| "flex".to_owned());
    let device = device::select(&device_name, program)?;
    let out = args.reserve()?;
    let tokenizer = args.judging.tokenizer.as_deref().map(tokenizer).transpose()?;
    let asked = &args.judging;
    let scorer = |name: &'static str, dir: &Option<PathBuf>, label: &Option<Label>, negate| {
        let (label, truncation_side) = (label.clone().unwrap_or_default(), asked.truncation_side.unwrap_or(Side::Left).into());
        let settings = ScoreSettings { label, negate, truncation_side, ..ScoreSettings::default() };
        let dir = dir.as_ref().map(|dir| program.directory(&dir.display().to_string(), &format!("--{name}"))).transpose()?;
        Ok::<_, anyhow::Error>(dir.map(|dir| Scorer::load_longest(name, &dir, settings, &device)).transpose()?)
    };
    let reward = scorer("reward", &args.reward, &asked.label, asked.negate)?;
    let judge = scorer("judge", &args.judge, &asked.judge_label, asked.judge_negate)?;
    let named = [("reward model", reward.as_ref()), ("judge", judge.as_ref())];
    let named = named.into_iter().filter_map(|(name, scorer)| Some((name.to_owned(), scorer?.about.clone()?)));
    let scores: BTreeMap<String, ScoreAbout> = named.collect();
    let Read { mut texts, group_by, mut negated, notes: mut said } = read(args, file)?;
    if texts.responses.len() == 1 {
        let message = format!("{} has one row, expected at least two: a single text has no spread", file.display());
        return Err(Failure::new(message).into());
    }
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let groups = groups(&texts, &group_by, &name)?;
    let is_scored = texts.scores.is_some() || reward.is_some();
    let is_judged = texts.judge.is_some() || judge.is_some();
    check_scores(args, is_scored || (is_judged && texts.prompt_scores.is_some()))?;
    if let Some(baseline) = &asked.baseline {
        comparisons::check(baseline, &groups, &texts, is_scored)?;
    }
    let can_be_compared = is_scored && texts.prompts.is_some();
    // the first of a wide table, unless --group-by has parted it
    let first = args
        .columns
        .method
        .first()
        .map(|method| &method.name)
        .filter(|name| can_be_compared && groups.iter().any(|group| group.method == **name));
    let baseline = asked.baseline.as_ref().or(first);
    said.extend(notes::without_prompts(args, &texts));
    said.extend(notes::seams(&texts, reward.is_some() || judge.is_some()));
    let models = [("reward model", &args.reward, asked.negate), ("judge", &args.judge, asked.judge_negate)];
    negated.extend(models.iter().filter(|(_, dir, negate)| dir.is_some() && *negate).map(|(name, ..)| (*name).to_owned()));
    said.extend(notes::negated(&negated));
    said.extend(scores.iter().map(|(name, about)| format!("{name}: the score is {about}")));
    if let Some(reward) = reward {
        let whole = scored_whole(&reward, "scoring", &texts, &mut said)?;
        if let (Some(prompts), None) = (&texts.prompts, &texts.prompt_scores) {
            texts.prompt_scores = Some(scored_once(&reward, prompts, &mut said)?);
        }
        texts.scores = Some(whole);
    }
    if let Some(judge) = judge {
        texts.judge = Some(scored_whole(&judge, "judging", &texts, &mut said)?);
    }
    let lengths = tokenizer.as_ref().map(|tokenizer| lengths(tokenizer, &texts.responses)).transpose()?;
    let tail = tail(args, &texts, &groups, level)?;
    said.extend(tail.and_then(|tail| notes::ties(&texts, &tail, level)));
    let buckets = asked.buckets.map(NonZeroUsize::get);
    let wanted = Wanted { tail, level, other_tails: Vec::new(), curve: asked.curve, buckets };
    let methods = methods(&texts, &groups, &wanted, lengths.as_deref())?;
    let mut comparisons = Vec::new();
    if let Some(baseline) = baseline {
        let (compared, others) = comparisons::comparisons(&texts, &groups, baseline, tail.as_ref(), level)?;
        comparisons = compared;
        said.extend(others);
    }
    said.extend(notes::few(&texts, &groups, tail.as_ref())?);
    let about =
        || Ok::<_, anyhow::Error>(About { negated, ..about_texts(args, file, &device_name, seeds(&groups), scores, program)? });
    let out = out.map(|out| Ok::<_, anyhow::Error>((out, about()?))).transpose()?;
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
    said.extend(notes::without_curves(evaluation.in_order(), &wanted));
    tell(&evaluation, texts, &groups, said, out, program)
}

/// Refuses flags that are about scores where the file has none and nobody gives any.
fn check_scores(args: &EvaluateArgs, has_scores: bool) -> Result<(), Failure> {
    let flags = args.about_scores();
    if has_scores || flags.is_empty() {
        return Ok(());
    }
    let need = if flags.len() == 1 { "needs" } else { "need" };
    let message = format!("{} {need} scores of the texts, and there are none", flags.join(", "));
    Err(Failure::usage(message).hint("pass --score-column COLUMN, or --reward DIR that gives scores"))
}

/// What `run.json` says: the file and the scorers, with their digests.
fn about_texts(
    args: &EvaluateArgs,
    file: &Path,
    device: &str,
    seeds: Vec<u64>,
    scores: BTreeMap<String, ScoreAbout>,
    program: &Program,
) -> Result<About> {
    let texts = "generated texts".to_owned();
    let mut inputs = BTreeMap::from([(texts.clone(), of_file(file)?)]);
    let mut places = BTreeMap::from([(texts, file.display().to_string())]);
    for (name, flag, dir) in [("reward model", "--reward", &args.reward), ("judge", "--judge", &args.judge)] {
        if let Some(dir) = dir {
            let place = dir.display().to_string();
            inputs.insert(name.to_owned(), of_model(&program.directory(&place, flag)?)?);
            places.insert(name.to_owned(), place);
        }
    }
    Ok(About { scores, ..about(&program.origin(), device, seeds, inputs, places) })
}

/// The figures of each method over its seeds.
fn methods(
    texts: &Generations,
    groups: &[Group],
    wanted: &Wanted,
    lengths: Option<&[f64]>,
) -> Result<BTreeMap<String, EvaluatedMethod>> {
    let mut by_method: BTreeMap<&str, Vec<&[usize]>> = BTreeMap::new();
    groups.iter().for_each(|group| by_method.entry(&group.method).or_default().push(&group.rows));
    let of_method = |(method, seeds): (&str, Vec<&[usize]>)| {
        let found = figures(texts, &seeds, wanted, lengths).with_context(|| format!("cannot judge {}", one_line(method)))?;
        Ok((method.to_owned(), found))
    };
    by_method.into_iter().map(of_method).collect()
}

/// What `tail` is the mean of: one threshold for all methods.
fn tail(args: &EvaluateArgs, texts: &Generations, groups: &[Group], level: RiskLevel) -> Result<Option<EvaluatedTail>> {
    if texts.scores.is_none() && texts.judge.is_none() {
        return Ok(None);
    }
    let scores = Some(notes::different_scores(texts)).filter(|scores| !scores.is_empty());
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
    let mut counts = Vec::new();
    for group in groups {
        let prompt = |row: usize| texts.prompts.as_ref().and_then(|prompts| prompts.get(row)).ok_or(row);
        counts.push(notes::in_tail(texts, &group.rows, threshold)?.into_iter().map(prompt).collect::<HashSet<_>>().len());
    }
    counts.dedup();
    Ok(if let [count] = counts[..] { Some(count) } else { None })
}

/// Scores of prompt and response, or of the whole text; nothing for a row without a response.
fn scored_whole(scorer: &Scorer, phase: &str, texts: &Generations, said: &mut Vec<String>) -> Result<Scores> {
    let rows: Vec<usize> = (0..texts.responses.len()).filter(|&row| texts.responses.get(row).is_some()).collect();
    let prompt = |row: usize| texts.prompts.as_ref().and_then(|prompts| prompts.get(row)).unwrap_or_default();
    let whole = |row: usize| ScoredText::new(prompt(row), texts.responses.get(row).unwrap_or_default());
    let mut scores = vec![None; texts.responses.len()];
    for (row, score) in rows.iter().zip(scored(scorer, phase, &rows, whole, said)?) {
        scores[*row] = Some(score);
    }
    Ok(scores)
}

/// Scores of texts of which many are alike, as the prompts of several methods are.
fn scored_once(scorer: &Scorer, texts: &Texts, said: &mut Vec<String>) -> Result<Scores> {
    let (mut numbers, mut rows) = (HashMap::new(), Vec::new());
    for (row, text) in (0..texts.len()).filter_map(|row| Some((row, texts.get(row)?))) {
        numbers.entry(text).or_insert_with(|| {
            rows.push(row);
            rows.len() - 1
        });
    }
    let prompt = |row: usize| ScoredText::whole(texts.get(row).unwrap_or_default());
    let scores = scored(scorer, PROMPTS, &rows, prompt, said)?;
    Ok((0..texts.len()).map(|row| Some(scores[*numbers.get(texts.get(row)?)?])).collect())
}

/// The score of the text of each of these rows; few of the texts are in memory together. Texts that are cut are told of.
fn scored(
    scorer: &Scorer,
    phase: &str,
    rows: &[usize],
    text: impl Fn(usize) -> ScoredText,
    said: &mut Vec<String>,
) -> Result<Vec<f64>> {
    let (mut scores, mut cut) = (Vec::with_capacity(rows.len()), 0);
    let mut progress = Progress::new(rows.len().div_ceil(SCORED), phase);
    for rows in rows.chunks(SCORED) {
        let chunk: Vec<ScoredText> = rows.iter().map(|&row| text(row)).collect();
        let number = |row: usize| rows.get(row).map_or(0, |row| row + 1);
        let found = score_texts(&*scorer.model, &chunk).map_err(|error| match &error {
            RolloutError::Score { row, .. } | RolloutError::Reward(RewardError::NothingOfResponse { index: row, .. }) => {
                let row = number(*row);
                anyhow::Error::from(error).context(format!("row {row}: {phase} failed"))
            }
            _ => error.into(),
        })?;
        cut += found.cut.iter().filter(|cut| **cut).count();
        scores.extend(found.scores.into_iter().map(f64::from));
        progress.iteration(&format!("{} texts", rows.len()));
    }
    progress.finish();
    let what = if phase == PROMPTS { "prompts" } else { "texts" };
    said.extend(scorer.cut_note(cut, rows.len(), what));
    Ok(scores)
}

/// A tokenizer that cuts and pads nothing.
fn tokenizer(path: &Path) -> Result<Tokenizer> {
    let path = if path.is_dir() { path.join("tokenizer.json") } else { path.to_owned() };
    Ok(read_tokenizer(&path)?)
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
