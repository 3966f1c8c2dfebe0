//! `tailguard evaluate`: judges texts that are in a file, or those of a model on a task's prompts.

pub(crate) mod args;
mod comparisons;
mod figures;
mod generations;
mod groups;
mod model;
mod notes;
mod reading;
mod wide;

use anyhow::Result;
use rayon::prelude::*;
use tailguard_data::Generations;
use tailguard_report::{
    About, Evaluation, GenerationRow, NewRunDir, ResultsFile, Style, evaluation_table, one_line, write_generation_rows,
};

use crate::failure::{put_json, say};
use crate::program::Program;
use crate::report;
use args::EvaluateArgs;
use groups::Group;

/// Runs the command.
///
/// # Errors
/// A file, model or directory that is not what it should be, or a call that makes no sense.
pub(crate) fn run(args: &EvaluateArgs, program: &Program) -> Result<()> {
    match (&args.generations, &args.model) {
        (Some(file), _) => generations::run(args, file, program),
        (None, Some(model)) => model::run(args, model, program),
        // the command line wants one of them
        (None, None) => Ok(()),
    }
}

/// Writes the files, and then prints the tables and what must be said with them: whoever reads no further than the first line has
/// all files.
fn tell(
    evaluation: &Evaluation,
    texts: Generations,
    groups: &[Group],
    said: Vec<String>,
    out: Option<(NewRunDir, About)>,
    program: &Program,
) -> Result<()> {
    if let Some((out, about)) = &out {
        out.write_about(about)?;
        write_generation_rows(&out.file("generations.parquet"), rows(&texts, groups))?;
        // last: what has results is whole
        evaluation.write(&out.file("results.json"))?;
        out.keep();
    }
    // the page reads its own
    drop(texts);
    let page = out.as_ref().and_then(|(out, _)| report::leave(out.path(), program));
    if program.json() {
        put_json(&evaluation.to_json()?)?;
        let said = notes::left_out(evaluation).into_iter().chain(said);
        said.for_each(|note| tracing::info!("note: {}", one_line(&note)));
        evaluation.notice.iter().for_each(|notice| tracing::warn!("{notice}"));
        return Ok(());
    }
    say(evaluation_table(evaluation, Style::Plain))?;
    for note in notes::left_out(evaluation).into_iter().chain(said) {
        say(format_args!("note: {}", one_line(&note)))?;
    }
    if let Some(notice) = &evaluation.notice {
        say(notice)?;
    }
    if let Some((out, _)) = &out {
        report::tell(page.as_deref())?;
        say(format_args!("written: {}", out.path().display()))?;
    }
    Ok(())
}

/// The rows of `generations.parquet`, in the order of the file.
fn rows<'a>(texts: &'a Generations, groups: &'a [Group]) -> impl Iterator<Item = GenerationRow<'a>> {
    let mut group_of = vec![0_usize; texts.responses.len()];
    for (number, group) in groups.iter().enumerate() {
        group.rows.iter().for_each(|&row| group_of[row] = number);
    }
    let score = |scores: &Option<Vec<Option<f64>>>, row: usize| single(scores.as_ref()?[row]?);
    (0..texts.responses.len()).map(move |row| {
        let group = &groups[group_of[row]];
        GenerationRow {
            prompt: texts.prompts.as_ref().and_then(|prompts| prompts.get(row)),
            prompt_score: score(&texts.prompt_scores, row),
            good: None,
            response: texts.responses.get(row),
            reward: score(&texts.scores, row),
            judge: score(&texts.judge, row),
            method: &group.method,
            seed: group.seed,
            ..GenerationRow::default()
        }
    })
}

/// As the column has it; nothing for what is no finite number.
#[expect(clippy::cast_possible_truncation, reason = "the column is single precision")]
fn single(score: f64) -> Option<f32> {
    Some(score as f32).filter(|score| score.is_finite())
}

/// Runs tasks side by side and gives what they give, in order.
fn side_by_side<T: Send, const N: usize>(tasks: [&(dyn Fn() -> Result<T> + Sync); N]) -> Result<Vec<T>> {
    tasks.into_par_iter().map(|task| task()).collect()
}
