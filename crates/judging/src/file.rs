//! Texts of a file: read, scored where they have no scores, judged.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;

use rayon::prelude::*;
use tailguard_checkpoint::read_tokenizer;
use tailguard_data::{Scores, Texts};
use tailguard_report::ScoreAbout;
use tokenizers::Tokenizer;

use crate::comparisons;
use crate::error::JudgingError;
use crate::figures::Wanted;
use crate::groups::groups;
use crate::judged::{Judged, judge_noted};
use crate::notes;
use crate::options::Options;
use crate::reading::{PROMPT, Read, read};
use crate::scorer::Scorer;
use crate::scoring::{JUDGED, Scoring, WHOLE, scored_once, scored_whole};
use crate::tail::{tail, ties};
use crate::tails::{LOGIT_BORDER, TOXIC};

/// Models that score texts which have no scores; what is `None` is read from the file, if it is
/// there.
#[derive(Default)]
pub struct Scorers {
    /// Gives the rewards, and the scores of the prompts unless these have a column.
    pub reward: Option<Scorer>,
    /// A second opinion.
    pub judge: Option<Scorer>,
}

impl Scorers {
    /// The scorers that there are, by their names in `run.json`.
    fn named(&self) -> impl Iterator<Item = (&'static str, &Scorer)> {
        let all = [("reward model", self.reward.as_ref()), ("judge", self.judge.as_ref())];
        all.into_iter().filter_map(|(name, scorer)| Some((name, scorer?)))
    }

    /// What their scores are, as far as that is known.
    fn about(&self) -> BTreeMap<String, ScoreAbout> {
        self.named()
            .filter_map(|(name, scorer)| Some((name.to_owned(), scorer.about.clone()?)))
            .collect()
    }
}

/// Judges the texts of a file: Parquet, CSV or JSON, as
/// [`read_generations`](tailguard_data::read_generations) reads it. `tell` hears how far scoring
/// is. Where scorers are on another device than the CPU, the caller says so in
/// [`Judged::evaluation`].
///
/// # Errors
/// Options that make no sense, or that this file cannot obey: [`JudgingError::is_usage`]. A file or
/// model that is not what it should be.
pub fn judge(
    file: &Path,
    options: &Options,
    scorers: &Scorers,
    tell: &mut dyn FnMut(Scoring),
) -> Result<Judged, JudgingError> {
    let (has_reward, has_judge) = (scorers.reward.is_some(), scorers.judge.is_some());
    options.check(has_reward, has_judge)?;
    let level = options.level()?;
    let tokenizer = options.tokenizer.as_deref().map(tokenizer).transpose()?;
    let Read { mut texts, group_by, mut negated, notes: mut said } =
        read(options, file, has_reward, has_judge)?;
    if texts.responses.len() == 1 {
        let message = format!(
            "{} has one row, expected at least two: a single text has no spread",
            file.display()
        );
        return Err(JudgingError::failed(message));
    }
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let groups = groups(&texts, &group_by, &name)?;
    let is_scored = texts.scores.is_some() || has_reward;
    let is_judged = texts.judge.is_some() || has_judge;
    options.check_scores(is_scored || (is_judged && texts.prompt_scores.is_some()))?;
    if let Some(baseline) = &options.baseline {
        comparisons::check(baseline, &groups, &texts, is_scored)?;
    }
    let can_be_compared = is_scored && texts.prompts.is_some();
    // the first of a wide table, unless the groups have parted it
    let first = options.columns.methods.first().map(|method| &method.name);
    let first =
        first.filter(|name| can_be_compared && groups.iter().any(|group| group.method == **name));
    let baseline = options.baseline.as_ref().or(first).cloned();

    said.extend(notes::without_prompts(
        &texts,
        Some(PROMPT).filter(|_| options.columns.text.is_none()),
    ));
    said.extend(notes::seams(&texts, has_reward || has_judge));
    let scores = scorers.about();
    let is_negated = |scorer: &Scorer| scorer.about.as_ref().is_some_and(|about| about.negated);
    negated.extend(
        scorers.named().filter(|(_, scorer)| is_negated(scorer)).map(|(name, _)| name.to_owned()),
    );
    said.extend(notes::negated(&negated));
    said.extend(scores.iter().map(|(name, about)| format!("{name}: the score is {about}")));

    if let Some(reward) = &scorers.reward {
        let whole = scored_whole(reward, WHOLE, &texts, &mut said, tell)?;
        if let (Some(prompts), None) = (&texts.prompts, &texts.prompt_scores) {
            texts.prompt_scores = Some(scored_once(reward, prompts, &mut said, tell)?);
        }
        texts.scores = Some(whole);
    }
    if let Some(judge) = &scorers.judge {
        texts.judge = Some(scored_whole(judge, JUDGED, &texts, &mut said, tell)?);
    }
    let lengths =
        tokenizer.as_ref().map(|tokenizer| lengths(tokenizer, &texts.responses)).transpose()?;

    let tail = tail(&texts, &groups, options.tail_threshold, level)?;
    said.extend(tail.and_then(|tail| ties(&texts, &tail, level)));
    let buckets = options.buckets.map(NonZeroUsize::get);
    let is_toxicity = !has_reward && options.negate && are_toxicities(&texts.scores);
    let failures = match (&options.failures[..], is_toxicity) {
        ([], true) => {
            said.push(TOXICITIES.to_owned());
            vec![TOXIC]
        }
        ([], false) if has_reward => vec![LOGIT_BORDER],
        (given, _) => given.to_owned(),
    };
    let wanted = Wanted {
        tail,
        failures,
        is_toxicity,
        baseline,
        curve: options.curve,
        buckets,
        ..Wanted::of_level(level)
    };
    Ok(Judged { negated, scores, ..judge_noted(texts, groups, &wanted, lengths.as_deref(), said)? })
}

/// What is said of a column of toxicities.
const TOXICITIES: &str = "the scores are from 0 to 1 and lower is better, so that they are taken \
    as toxicities: a text fails from 0.5 on (--failure says otherwise)";

/// Whether scores, of which the negative was taken, can be toxicities: some are there, and all that
/// are numbers are from 0 to 1.
fn are_toxicities(scores: &Option<Scores>) -> bool {
    let mut scores = scores.iter().flatten().flatten().filter(|score| score.is_finite()).peekable();
    scores.peek().is_some() && scores.all(|score| (-1.0..=0.0).contains(score))
}

/// A tokenizer that cuts and pads nothing.
fn tokenizer(path: &Path) -> Result<Tokenizer, JudgingError> {
    let path = if path.is_dir() { path.join("tokenizer.json") } else { path.to_owned() };
    Ok(read_tokenizer(&path)?)
}

/// Tokens of each text, 0 for one that is not there.
fn lengths(tokenizer: &Tokenizer, texts: &Texts) -> Result<Vec<f64>, JudgingError> {
    let length = |row: usize| match texts.get(row) {
        Some(text) => {
            tokenizer.encode_fast(text, false).map(|encoding| encoding.get_ids().len() as f64)
        }
        None => Ok(0.0),
    };
    let lengths: Result<Vec<f64>, _> = (0..texts.len()).into_par_iter().map(length).collect();
    lengths.map_err(JudgingError::Tokenizer)
}
