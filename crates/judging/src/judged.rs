//! Texts in memory, judged: figures, comparisons, and what must be said with them.

use std::collections::{BTreeMap, HashMap};

use tailguard_data::{Generations, Scores};
use tailguard_report::{
    About, EvaluatedMethod, Evaluation, GenerationRow, Kind, LengthUnit, NewRunDir, ResultsFile,
    ScoreAbout, TAIL_GAINS, TAIL_PROMPTS, TAIL_TABLE, TailPromptRow, write_generation_rows,
    write_tail_gains, write_tail_prompts, write_tail_table,
};

use crate::comparisons::comparisons;
use crate::error::JudgingError;
use crate::figures::{Wanted, figures};
use crate::groups::{Group, seeds};
use crate::notes;
use crate::rows::{finite, prompt_or_row};
use crate::tails::{TailText, worst_prompts};

/// The device of an evaluation unless somebody says otherwise: figures are computed on the CPU.
const DEVICE: &str = "flex";

/// What was found of texts, and the texts.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// The figures, as `results.json` has them.
    pub evaluation: Evaluation,
    /// What must be said wherever the figures are shown, as sentences without a stop. Names of
    /// methods are as the file has them.
    pub notes: Vec<String>,
    /// The columns and models of whose scores the negative was taken.
    pub negated: Vec<String>,
    /// What the scores of the scorers are, by their names in `run.json`.
    pub scores: BTreeMap<String, ScoreAbout>,
    pub(crate) texts: Generations,
    pub(crate) groups: Vec<Group>,
}

/// Judges texts that are in memory; [`judge`](crate::judge) is for those of a file. `lengths` has
/// one entry per row; without it, words are counted.
///
/// A value that is missing or no finite number enters no figure, and a figure that one seed lacks
/// is lacking. Means are those of all values of a seed, averaged over seeds; intervals are over
/// prompts and seeds. Texts of a single prompt stand for prompts.
///
/// # Errors
/// Columns of different length, a group with a row that is not there, or a metric that refuses its
/// input.
///
/// # Example
/// ```
/// use tailguard_data::Generations;
/// use tailguard_judging::{Group, Wanted, judge_texts};
/// use tailguard_risk::RiskLevel;
///
/// let texts = Generations {
///     responses: ["a film", "a film, a film"].map(Some).into_iter().collect(),
///     scores: Some(vec![Some(1.0), Some(-2.0)]),
///     ..Generations::default()
/// };
/// let group = Group { method: "mine".into(), seed: None, rows: vec![0, 1] };
/// let judged = judge_texts(texts, vec![group], &Wanted::of_level(RiskLevel::new(0.5)?), None)?;
/// let mine = &judged.evaluation.methods["mine"];
/// assert_eq!(mine.reward.map(|figure| figure.mean), Some(-0.5));
/// assert_eq!(mine.cvar.map(|figure| figure.mean), Some(-2.0));
/// assert_eq!(mine.length.map(|figure| figure.mean), Some(3.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn judge_texts(
    texts: Generations,
    groups: Vec<Group>,
    wanted: &Wanted,
    lengths: Option<&[f64]>,
) -> Result<Judged, JudgingError> {
    judge_noted(texts, groups, wanted, lengths, Vec::new())
}

/// [`judge_texts`], of which something is to be said already.
pub(crate) fn judge_noted(
    texts: Generations,
    groups: Vec<Group>,
    wanted: &Wanted,
    lengths: Option<&[f64]>,
    mut said: Vec<String>,
) -> Result<Judged, JudgingError> {
    check(&texts, &groups, lengths)?;
    let methods = methods(&texts, &groups, wanted, lengths)?;
    let (compared, others) = comparisons(&texts, &groups, wanted)?;
    said.extend(others);
    said.extend(notes::few(&texts, &groups, wanted.tail.as_ref())?);
    let evaluation = Evaluation {
        kind: Kind::Evaluation,
        task: None,
        preset: None,
        data: None,
        split: None,
        notice: None,
        seeds: seeds(&groups),
        device: DEVICE.to_owned(),
        tail: wanted.tail,
        cvar_share: wanted.level.alpha(),
        length_unit: if lengths.is_some() { LengthUnit::Tokens } else { LengthUnit::Words },
        methods,
        comparisons: compared,
    };
    said.extend(notes::without_curves(evaluation.in_order(), wanted));
    let notes = notes::left_out(&evaluation).into_iter().chain(said).collect();
    Ok(Judged { evaluation, notes, negated: Vec::new(), scores: BTreeMap::new(), texts, groups })
}

/// Refuses columns that do not go together: what follows trusts their lengths.
fn check(
    texts: &Generations,
    groups: &[Group],
    lengths: Option<&[f64]>,
) -> Result<(), JudgingError> {
    let rows = texts.responses.len();
    let scores = [
        ("scores", &texts.scores),
        ("scores of prompts", &texts.prompt_scores),
        ("scores of the judge", &texts.judge),
    ];
    let scores =
        scores.into_iter().filter_map(|(what, scores)| Some((what, scores.as_ref()?.len())));
    let prompts = texts.prompts.as_ref().map(|prompts| ("prompts", prompts.len()));
    let mut columns =
        scores.chain(prompts).chain(lengths.map(|lengths| ("lengths", lengths.len())));
    if let Some((what, found)) = columns.find(|(_, found)| *found != rows) {
        return Err(JudgingError::failed(format!(
            "{found} {what} for {rows} responses, expected one for each"
        )));
    }
    let row_of = |group: &Group| group.rows.iter().copied().find(|&row| row >= rows);
    match groups.iter().find_map(|group| Some((group, row_of(group)?))) {
        Some((group, row)) => Err(JudgingError::failed(format!(
            "{:?} has a row {row}, and there are {rows} rows, counted from 0",
            group.method
        ))),
        None => Ok(()),
    }
}

/// The figures of each method over its seeds.
fn methods(
    texts: &Generations,
    groups: &[Group],
    wanted: &Wanted,
    lengths: Option<&[f64]>,
) -> Result<BTreeMap<String, EvaluatedMethod>, JudgingError> {
    let mut by_method: BTreeMap<&str, Vec<&[usize]>> = BTreeMap::new();
    groups.iter().for_each(|group| by_method.entry(&group.method).or_default().push(&group.rows));
    let of_method =
        |(method, seeds): (&str, Vec<&[usize]>)| match figures(texts, &seeds, wanted, lengths) {
            Ok(found) => Ok((method.to_owned(), found)),
            Err(error) => {
                Err(JudgingError::Method { method: method.to_owned(), source: Box::new(error) })
            }
        };
    by_method.into_iter().map(of_method).collect()
}

impl Judged {
    /// The rows of `generations.parquet`, in the order of the table.
    pub fn rows(&self) -> impl Iterator<Item = GenerationRow<'_>> {
        let texts = &self.texts;
        let mut group_of: Vec<Option<&Group>> = vec![None; texts.responses.len()];
        for group in &self.groups {
            group.rows.iter().for_each(|&row| group_of[row] = Some(group));
        }
        let score = |scores: &Option<Scores>, row: usize| single(scores.as_ref()?[row]?);
        group_of.into_iter().enumerate().filter_map(move |(row, group)| {
            let group = group?;
            Some(GenerationRow {
                prompt: texts.prompts.as_ref().and_then(|prompts| prompts.get(row)),
                prompt_score: score(&texts.prompt_scores, row),
                good: None,
                response: texts.responses.get(row),
                reward: score(&texts.scores, row),
                judge: score(&texts.judge, row),
                method: &group.method,
                seed: group.seed,
                ..GenerationRow::default()
            })
        })
    }

    /// The prompts that make the tails, in the order of the methods. Rows without a prompt count
    /// one by one.
    fn worst_prompts(&self) -> Result<Vec<TailPromptRow>, JudgingError> {
        let texts = &self.texts;
        let (mut numbers, mut rows) = (HashMap::new(), Vec::new());
        for (method, _) in self.evaluation.in_order() {
            let mut of_group = |group: &Group| -> Vec<TailText<'_>> {
                let text = |&row: &usize| {
                    let (key, next) = (prompt_or_row(texts, row), numbers.len());
                    Some(TailText {
                        number: *numbers.entry(key).or_insert(next),
                        prompt: key.unwrap_or_default(),
                        response: texts.responses.get(row),
                        reward: finite(&texts.scores, row)?,
                    })
                };
                group.rows.iter().filter_map(text).collect()
            };
            let of_method = self.groups.iter().filter(|group| group.method == *method);
            let seeds: Vec<Vec<TailText<'_>>> = of_method.map(&mut of_group).collect();
            rows.extend(worst_prompts(method, &seeds)?);
        }
        Ok(rows)
    }

    /// Figures and notes alone: the texts, which may be many, are forgotten.
    #[must_use]
    pub fn into_figures(self) -> (Evaluation, Vec<String>) {
        (self.evaluation, self.notes)
    }

    /// Writes `run.json`, `generations.parquet`, `results.json` and, of texts with scores,
    /// `tail.csv`, `tail_gains.csv` and `tail_prompts.jsonl` into a directory that was reserved for
    /// them, and keeps it.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, out: &NewRunDir, about: &About) -> Result<(), JudgingError> {
        out.write_about(about)?;
        write_generation_rows(&out.file("generations.parquet"), self.rows())?;
        let mut tails = Vec::new();
        for (name, method) in self.evaluation.in_order() {
            tails.extend(method.tail_report.as_ref().map(|report| (name.as_str(), report)));
        }
        if !tails.is_empty() {
            write_tail_table(&out.file(TAIL_TABLE), tails.into_iter())?;
            write_tail_gains(&out.file(TAIL_GAINS), &self.evaluation.comparisons)?;
            write_tail_prompts(&out.file(TAIL_PROMPTS), &self.worst_prompts()?)?;
        }
        // last: what has results is whole
        self.evaluation.write(&out.file("results.json"))?;
        out.keep();
        Ok(())
    }
}

/// As the column has it; nothing for what is no finite number.
#[expect(clippy::cast_possible_truncation, reason = "the column is single precision")]
fn single(score: f64) -> Option<f32> {
    Some(score as f32).filter(|score| score.is_finite())
}
