//! Which columns of a file of texts are read, and what is made of them.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use anyhow::Result;
use tailguard_data::{DataError, GenerationColumns, Generations, Scores, read_generations};

use super::args::EvaluateArgs;
use super::groups::SEED;

/// Columns that are read if nothing else is said: those of a run's `generations.parquet`.
pub(super) const PROMPT: &str = "prompt";
const RESPONSE: &str = "response";
/// What else that file has: columns that are read if nothing else is said and all of them are there.
const REWARD: &str = "reward";
const PROMPT_SCORE: &str = "prompt_score";
const JUDGE: &str = "judge";
const METHOD: &str = "method";
/// How far scores of one prompt may lie apart: other batches round otherwise.
const ROUNDING: f64 = 1e-3;

/// A file as it was read.
pub(super) struct Read {
    pub(super) texts: Generations,
    /// The columns of [`Generations::groups`].
    pub(super) group_by: Vec<String>,
    /// What must be said of it.
    pub(super) notes: Vec<String>,
}

/// Reads the columns that were named, and those that stand where a run has them.
///
/// # Errors
/// A file that cannot be read, or lacks a column that was named.
pub(super) fn read(args: &EvaluateArgs, file: &Path) -> Result<Read> {
    let there = tailguard_data::table::columns(file)?;
    let (mut columns, taken) = columns(args, &there);
    let mut texts = match read_generations(file, &columns) {
        // texts that were judged without seeds have an empty column of them
        Err(DataError::Value { column, found, .. }) if taken.contains(&SEED) && column == SEED && found == "nothing" => {
            columns.group.retain(|column| column != SEED);
            read_generations(file, &columns)?
        }
        other => other?,
    };
    let mut kept: Vec<&str> = Vec::new();
    let has_any = |scores: &Option<Scores>| scores.iter().flatten().any(Option::is_some);
    for column in taken {
        let scores = match column {
            REWARD => &mut texts.scores,
            PROMPT_SCORE => &mut texts.prompt_scores,
            JUDGE => &mut texts.judge,
            column => {
                kept.extend(Some(column).filter(|column| columns.group.iter().any(|name| name == column)));
                continue;
            }
        };
        // a run without a judge has an empty column of its scores
        if has_any(scores) { kept.push(column) } else { *scores = None }
    }
    // models score in single precision: what that cannot hold is infinite, and counted as such
    for score in [&mut texts.scores, &mut texts.prompt_scores, &mut texts.judge].into_iter().flatten().flatten().flatten() {
        if score.abs() > f64::from(f32::MAX) {
            *score = f64::INFINITY.copysign(*score);
        }
    }
    let mut notes = Vec::new();
    if !kept.is_empty() {
        notes.push(format!(
            "the file has the columns of a run, of which these were taken: {} (--score-column, --group-by and the like name others)",
            kept.join(", ")
        ));
    }
    notes.extend(one_score_each(&mut texts));
    Ok(Read { texts, group_by: columns.group, notes })
}

/// The columns to read, and which of them are taken as the file is that of a run.
fn columns(args: &EvaluateArgs, there: &[String]) -> (GenerationColumns, Vec<&'static str>) {
    let named = &args.columns;
    let mut columns = GenerationColumns {
        prompt: named.prompt_column.clone(),
        response: named.text_column.as_ref().or(named.response_column.as_ref()).map_or(RESPONSE.to_owned(), Clone::clone),
        score: named.score_column.clone(),
        prompt_score: named.prompt_score_column.clone(),
        judge: named.judge_column.clone(),
        group: named.group_by.clone(),
    };
    let has = |name: &str| there.iter().any(|column| column == name);
    if columns.prompt.is_none() && named.text_column.is_none() && has(PROMPT) {
        columns.prompt = Some(PROMPT.to_owned());
    }
    let mut taken = Vec::new();
    let is_of_a_run = [REWARD, PROMPT_SCORE, JUDGE, METHOD, SEED].into_iter().all(has)
        && columns.response == RESPONSE
        && columns.prompt.as_deref() == Some(PROMPT);
    if is_of_a_run {
        let mut take = |to: &mut Option<String>, name: &'static str| {
            if to.is_none() {
                *to = Some(name.to_owned());
                taken.push(name);
            }
        };
        // scores of prompts are on the scale of those of the texts
        if args.reward.is_none() && named.score_column.as_deref().is_none_or(|column| column == REWARD) {
            take(&mut columns.score, REWARD);
            take(&mut columns.prompt_score, PROMPT_SCORE);
        }
        if args.judge.is_none() {
            take(&mut columns.judge, JUDGE);
        }
        if columns.group.is_empty() {
            columns.group = vec![METHOD.to_owned(), SEED.to_owned()];
            taken.extend([METHOD, SEED]);
        }
    }
    (columns, taken)
}

/// Gives each prompt one score, the first that the file has: a prompt is in the tail with all of its texts, or with none. Says where the
/// file says something else.
fn one_score_each(texts: &mut Generations) -> Vec<String> {
    let (Some(prompts), Some(scores)) = (&texts.prompts, &mut texts.prompt_scores) else { return Vec::new() };
    let mut first: HashMap<&str, f64> = HashMap::new();
    for (row, score) in scores.iter().enumerate() {
        if let (Some(prompt), Some(score)) = (prompts.get(row), score.filter(|score| score.is_finite())) {
            first.entry(prompt).or_insert(score);
        }
    }
    let (mut contradicted, mut filled) = (HashSet::new(), 0);
    for (row, score) in scores.iter_mut().enumerate() {
        let Some((prompt, &one)) = prompts.get(row).and_then(|prompt| first.get_key_value(prompt)) else { continue };
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
        let (count, have) = (contradicted.len(), if contradicted.len() == 1 { "prompt has" } else { "prompts have" });
        notes.push(format!(
            "{count} {have} scores of their own that contradict each other; of each the first in the file is taken"
        ));
    }
    if filled > 0 {
        notes.push(format!("{filled} rows lack the score of their prompt, which stands in another row and is taken from there"));
    }
    notes
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

    fn asked(words: &[&str]) -> (GenerationColumns, Vec<&'static str>) {
        let words = [&["xtask", "evaluate", "--generations", "a.csv"], words].concat();
        let Command::Evaluate(args) = Cli::try_parse_from(words).unwrap().command else { panic!("not an evaluation") };
        let there = ["prompt", "prompt_score", "good", "response", "reward", "judge", "method", "seed"].map(str::to_owned);
        columns(&args, &there)
    }

    #[test]
    fn the_columns_of_a_run_are_taken_unless_others_are_named() {
        let (all, taken) = asked(&[]);
        assert_eq!(taken, ["reward", "prompt_score", "judge", "method", "seed"]);
        assert_eq!(
            (all.score.as_deref(), all.prompt_score.as_deref(), all.group),
            (Some("reward"), Some("prompt_score"), vec!["method".to_owned(), "seed".to_owned()])
        );
        // a scorer's own scores come in the place of both columns
        let (scored, taken) = asked(&["--reward", "dir", "--group-by", "method"]);
        assert_eq!((scored.score, scored.prompt_score, taken), (None, None, vec!["judge"]));
        assert_eq!(asked(&["--score-column", "judge", "--judge", "dir"]).1, ["method", "seed"]);
        assert!(asked(&["--response-column", "good"]).1.is_empty());
    }

    #[test]
    fn a_prompt_has_the_first_of_its_scores() {
        let prompts = [Some("a"), Some("b"), Some("a"), Some("b"), Some("c"), None, Some("a")].into_iter().collect();
        let scores = [None, Some(2.0), Some(1.0), Some(2.0 + 1e-5), None, Some(7.0), Some(3.0)];
        let mut texts = Generations { prompts: Some(prompts), prompt_scores: Some(scores.to_vec()), ..Generations::default() };
        let notes = one_score_each(&mut texts);
        assert_eq!(texts.prompt_scores.unwrap(), [Some(1.0), Some(2.0), Some(1.0), Some(2.0), None, Some(7.0), Some(1.0)]);
        assert!(
            notes.len() == 2 && notes[0].starts_with("1 prompt has scores") && notes[1].starts_with("1 rows lack"),
            "{notes:?}"
        );
    }
}
