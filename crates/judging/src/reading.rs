//! Which columns of a file of texts are read, and what is made of them.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use tailguard_data::{
    DataError, GenerationColumns, Generations, Labels, Scores, Texts, read_generations,
    read_generations_of_each,
};

use crate::error::JudgingError;
use crate::groups::SEED;
use crate::options::Options;
use crate::wide;

/// Columns that are read if nothing else is said: those of a run's `generations.parquet`.
pub(crate) const PROMPT: &str = "prompt";
const RESPONSE: &str = "response";
/// What else that file has: columns that are read if nothing else is said and all of them are
/// there.
const REWARD: &str = "reward";
const PROMPT_SCORE: &str = "prompt_score";
const JUDGE: &str = "judge";
const METHOD: &str = "method";
/// How far scores of one prompt may lie apart: other batches round otherwise.
const ROUNDING: f64 = 1e-3;

/// What to do where a column of a run's is not what it should be.
const GROUP_BY: &str =
    "fill it in, or name the columns that tell rows apart, as in --group-by method";

/// A file as it was read.
pub(crate) struct Read {
    pub(crate) texts: Generations,
    /// The columns of [`Generations::groups`].
    pub(crate) group_by: Vec<String>,
    /// The columns of whose scores the negative was taken.
    pub(crate) negated: Vec<String>,
    /// What must be said of it.
    pub(crate) notes: Vec<String>,
}

/// Reads the columns that were named, and those that stand where a run has them; not those of
/// scores that a reward model or a judge gives.
///
/// # Errors
/// A file that cannot be read, or lacks a column that was named, or some of whose rows alone name a
/// method or a seed.
pub(crate) fn read(
    options: &Options,
    file: &Path,
    has_reward: bool,
    has_judge: bool,
) -> Result<Read, JudgingError> {
    let there = tailguard_data::table::columns(file)?;
    let (mut columns, taken) = columns(options, &there, has_reward, has_judge);
    let mut texts = if options.columns.methods.is_empty() {
        let mut texts = read_taken(file, &mut columns, &taken)?;
        if options.columns.responses_include_prompt {
            cut_prompts(&mut texts, &columns.response)?;
        }
        texts
    } else {
        let tables = read_wide(options, file, &columns)?;
        columns.group.insert(0, METHOD.to_owned());
        tables
    };
    let without = drop_empty(&mut texts, &mut columns, &taken, file);
    let mut kept: Vec<&str> = Vec::new();
    let has_any = |scores: &Option<Scores>| scores.iter().flatten().any(Option::is_some);
    for column in taken {
        let scores = match column {
            REWARD => &mut texts.scores,
            PROMPT_SCORE => &mut texts.prompt_scores,
            JUDGE => &mut texts.judge,
            column => {
                kept.extend(Some(column).filter(|column| !without.contains(column)));
                continue;
            }
        };
        // a run without a judge has an empty column of its scores
        if has_any(scores) {
            kept.push(column);
        } else {
            *scores = None;
        }
    }
    // models score in single precision: what that cannot hold is infinite, and counted as such
    for score in [&mut texts.scores, &mut texts.prompt_scores, &mut texts.judge]
        .into_iter()
        .flatten()
        .flatten()
        .flatten()
    {
        if score.abs() > f64::from(f32::MAX) {
            *score = f64::INFINITY.copysign(*score);
        }
    }
    let negated = negate(options, &columns, &mut texts);
    let mut notes = std::mem::take(&mut texts.notes);
    if !kept.is_empty() {
        notes.push(format!(
            "the file has the columns of a run, of which these were taken: {} (--score-column, \
             --group-by and the like name others)",
            kept.join(", ")
        ));
    }
    notes.extend(one_score_each(&mut texts));
    Ok(Read { texts, group_by: columns.group, negated, notes })
}

/// Reads a wide table as a long one.
fn read_wide(
    options: &Options,
    file: &Path,
    common: &GenerationColumns,
) -> Result<Generations, JudgingError> {
    let methods = &options.columns.methods;
    let sets: Vec<GenerationColumns> =
        methods.iter().map(|method| wide::columns(method, common)).collect();
    let mut tables = Vec::new();
    for (method, mut texts) in methods.iter().zip(read_generations_of_each(file, &sets)?) {
        if options.columns.responses_include_prompt {
            cut_prompts(&mut texts, &method.response)?;
        }
        tables.push((method.name.as_str(), texts));
    }
    Ok(wide::stacked(tables))
}

/// Cuts the prompt off the beginning of each response.
fn cut_prompts(texts: &mut Generations, column: &str) -> Result<(), JudgingError> {
    let Some(prompts) = &texts.prompts else {
        let hint = "name their column with --prompt-column";
        let message = "--responses-include-prompt needs prompts, and the file has none";
        return Err(JudgingError::refused(message).with_hint(hint));
    };
    let (mut cut, mut others, mut first) = (Texts::default(), 0, None);
    for row in 0..texts.responses.len() {
        let (prompt, response) = (prompts.get(row).unwrap_or_default(), texts.responses.get(row));
        let rest = response.map(|response| response.strip_prefix(prompt));
        if rest == Some(None) {
            others += 1;
            first = first.or(Some(row + 1));
        }
        cut.push(rest.flatten());
    }
    if let Some(row) = first {
        let message = format!(
            "column {column:?}: {others} of {} responses do not begin with their prompt, as \
             --responses-include-prompt says; the first is in row {row}",
            cut.len()
        );
        let hint = "leave --responses-include-prompt out, or see how prompts and responses differ \
            there: in spaces, in special tokens";
        return Err(JudgingError::failed(message).with_hint(hint));
    }
    texts.responses = cut;
    Ok(())
}

/// Takes the negative of the scores of the columns where lower is better, and gives the names of
/// these columns.
fn negate(options: &Options, columns: &GenerationColumns, texts: &mut Generations) -> Vec<String> {
    let mut negated = Vec::new();
    let mut negate = |is_asked: bool, scores: &mut Option<Scores>, names: Vec<&String>| {
        if is_asked && scores.is_some() && !names.is_empty() {
            // not -x, which makes -0 of 0
            scores.iter_mut().flatten().flatten().for_each(|score| *score = 0.0 - *score);
            negated.extend(names.into_iter().cloned());
        }
    };
    let of_methods = options.columns.methods.iter().filter_map(|method| method.score.as_ref());
    negate(options.negate, &mut texts.scores, columns.score.iter().chain(of_methods).collect());
    negate(
        options.negates_prompt_column(),
        &mut texts.prompt_scores,
        columns.prompt_score.iter().collect(),
    );
    negate(options.judge_negate, &mut texts.judge, columns.judge.iter().collect());
    negated
}

/// Reads the columns. Of those that were taken as the file is that of a run, a method or a seed
/// that no row has is none: texts that were judged without seeds have an empty column of them. One
/// that some rows have tells them apart, and must be there in all.
fn read_taken(
    file: &Path,
    columns: &mut GenerationColumns,
    taken: &[&str],
) -> Result<Generations, JudgingError> {
    loop {
        let error = match read_generations(file, columns) {
            Ok(texts) => return Ok(texts),
            Err(error) => error,
        };
        let group = match &error {
            DataError::Value { column, .. }
                if taken.contains(&column.as_str()) && columns.group.contains(column) =>
            {
                column.clone()
            }
            _ => return Err(error.into()),
        };
        if !has_no_value(file, columns, &group) {
            return Err(JudgingError::failed(error.to_string()).with_hint(GROUP_BY));
        }
        columns.group.retain(|name| *name != group);
    }
}

/// Whether no row has a value in a column.
fn has_no_value(file: &Path, columns: &GenerationColumns, column: &str) -> bool {
    // a score may be missing, as no name may be
    let alone = GenerationColumns {
        response: columns.response.clone(),
        score: Some(column.to_owned()),
        ..GenerationColumns::default()
    };
    read_generations(file, &alone)
        .is_ok_and(|texts| texts.scores.iter().flatten().all(Option::is_none))
}

/// Takes out those of the columns that were taken whose every field is empty, and says which of
/// them are not there: method, seed. What has seeds and no method is all of one, that of the file's
/// name.
fn drop_empty(
    texts: &mut Generations,
    columns: &mut GenerationColumns,
    taken: &[&'static str],
    file: &Path,
) -> Vec<&'static str> {
    let rows = texts.responses.len();
    let taken = [METHOD, SEED].into_iter().filter(|column| taken.contains(column));
    let mut without = Vec::new();
    for column in taken {
        let place = columns.group.iter().position(|name| name == column);
        let is_empty = |labels: &Labels| {
            (0..rows).all(|row| labels.get(row).is_none_or(|label| label.trim().is_empty()))
        };
        match place {
            Some(place) if texts.groups.get(place).is_some_and(is_empty) => {
                columns.group.remove(place);
                texts.groups.remove(place);
                without.push(column);
            }
            Some(_) => {}
            None => without.push(column),
        }
    }
    if without == [METHOD] {
        let (name, mut methods) =
            (file.file_stem().unwrap_or_default().to_string_lossy(), Labels::default());
        (0..rows).for_each(|_| methods.push(&name));
        columns.group.insert(0, METHOD.to_owned());
        texts.groups.insert(0, methods);
    }
    without
}

/// The columns to read, and which of them are taken as the file is that of a run.
fn columns(
    options: &Options,
    there: &[String],
    has_reward: bool,
    has_judge: bool,
) -> (GenerationColumns, Vec<&'static str>) {
    let named = &options.columns;
    let mut columns = GenerationColumns {
        prompt: named.prompt.clone(),
        response: named
            .text
            .as_ref()
            .or(named.response.as_ref())
            .map_or(RESPONSE.to_owned(), Clone::clone),
        score: named.score.clone(),
        prompt_score: named.prompt_score.clone(),
        judge: named.judge.clone(),
        group: named.group_by.clone(),
    };
    let has = |name: &str| there.iter().any(|column| column == name);
    if columns.prompt.is_none() && named.text.is_none() && has(PROMPT) {
        columns.prompt = Some(PROMPT.to_owned());
    }
    let mut taken = Vec::new();
    let is_of_a_run = [REWARD, PROMPT_SCORE, JUDGE, METHOD, SEED].into_iter().all(has)
        && columns.response == RESPONSE
        && named.methods.is_empty()
        && columns.prompt.as_deref() == Some(PROMPT);
    if is_of_a_run {
        let mut take = |to: &mut Option<String>, name: &'static str| {
            if to.is_none() {
                *to = Some(name.to_owned());
                taken.push(name);
            }
        };
        // scores of prompts are on the scale of those of the texts
        if !has_reward && named.score.as_deref().is_none_or(|column| column == REWARD) {
            take(&mut columns.score, REWARD);
            take(&mut columns.prompt_score, PROMPT_SCORE);
        }
        if !has_judge {
            take(&mut columns.judge, JUDGE);
        }
        if columns.group.is_empty() {
            columns.group = vec![METHOD.to_owned(), SEED.to_owned()];
            taken.extend([METHOD, SEED]);
        }
    }
    (columns, taken)
}

/// Gives each prompt one score, the first that the file has: a prompt is in the tail with all of
/// its texts, or with none. Says where the file says something else.
fn one_score_each(texts: &mut Generations) -> Vec<String> {
    let (Some(prompts), Some(scores)) = (&texts.prompts, &mut texts.prompt_scores) else {
        return Vec::new();
    };
    let mut first: HashMap<&str, f64> = HashMap::new();
    for (row, score) in scores.iter().enumerate() {
        if let (Some(prompt), Some(score)) =
            (prompts.get(row), score.filter(|score| score.is_finite()))
        {
            first.entry(prompt).or_insert(score);
        }
    }
    let (mut contradicted, mut filled) = (HashSet::new(), 0);
    for (row, score) in scores.iter_mut().enumerate() {
        let Some((prompt, &one)) = prompts.get(row).and_then(|prompt| first.get_key_value(prompt))
        else {
            continue;
        };
        match score.filter(|score| score.is_finite()) {
            None => filled += 1,
            Some(other) if (other - one).abs() > ROUNDING => {
                contradicted.insert(*prompt);
            }
            Some(_) => {}
        }
        *score = Some(one);
    }
    let mut notes = Vec::new();
    if !contradicted.is_empty() {
        let (count, have) = (
            contradicted.len(),
            if contradicted.len() == 1 { "prompt has" } else { "prompts have" },
        );
        notes.push(format!(
            "{count} {have} scores of their own that contradict each other; of each the first in \
             the file is taken"
        ));
    }
    if filled > 0 {
        notes.push(format!(
            "{filled} rows lack the score of their prompt, which stands in another row and is \
             taken from there"
        ));
    }
    notes
}

#[cfg(test)]
mod tests;
