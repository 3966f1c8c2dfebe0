//! The figures of a method, each stated once: its key, how a table shows it, where it is.

use crate::figure::Figure;
use crate::methods::{EvaluatedMethod, MethodResults, OtherTail};
use crate::tail_report::TailReport;

/// A figure of a method, as a run or an evaluation has it.
pub(crate) struct Column<T> {
    /// Key in `results.json`.
    pub(crate) key: &'static str,
    /// What stands over it.
    pub(crate) head: &'static str,
    /// Digits after the point.
    pub(crate) digits: usize,
    /// None where nothing was measured.
    pub(crate) get: fn(&T) -> Option<Figure>,
}

// derived, they would ask the same of T
impl<T> Clone for Column<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Column<T> {}

/// The column of a field, whose name is the key; `optional` if it may hold nothing.
macro_rules! column {
    ($field:ident, $head:literal, $digits:literal) => {
        column!($field, $head, $digits, |results| Some(results.$field))
    };
    (optional $field:ident, $head:literal, $digits:literal) => {
        column!($field, $head, $digits, |results| results.$field)
    };
    ($field:ident, $head:literal, $digits:literal, $get:expr) => {
        Column { key: stringify!($field), head: $head, digits: $digits, get: $get }
    };
}

/// How good the texts are.
pub(crate) const QUALITY: [Column<MethodResults>; 7] = [
    column!(reward, "reward", 2),
    column!(tail, "tail", 2),
    column!(optional judge, "judge", 2),
    column!(optional judge_tail, "judge tail", 2),
    column!(optional perplexity_human, "ppl human", 1),
    column!(perplexity_generated, "ppl generated", 1),
    column!(optional kl, "KL", 2),
];

macro_rules! text_columns {
    ($($optional:ident)?) => {
        [
            column!($($optional)? distinct_1, "distinct-1", 3),
            column!($($optional)? distinct_2, "distinct-2", 3),
            column!($($optional)? distinct_3, "distinct-3", 3),
            column!($($optional)? length, "length", 1),
            column!($($optional)? repeated_4gram, "repeated 4-gram", 3),
            column!($($optional)? empty, "empty", 3),
            column!($($optional)? duplicate, "duplicate", 3),
        ]
    };
}

/// What the texts look like.
pub(crate) const TEXT: [Column<MethodResults>; 7] = text_columns!();

/// What a policy and its answers cost. A table has those that some policy has.
pub(crate) const COST: [Column<MethodResults>; 5] = [
    column!(optional making_tokens, "tokens to make it", 0),
    column!(optional making_rewards, "rewards to make it", 0),
    column!(optional answer_tokens, "tokens per answer", 1),
    column!(optional answer_rewards, "rewards per answer", 2),
    column!(optional kl_bound, "KL at most", 2),
];

/// [`QUALITY`] of an evaluation, where any figure may be unknown.
pub(crate) const EVALUATED_QUALITY: [Column<EvaluatedMethod>; 8] = [
    column!(optional reward, "reward", 2),
    column!(optional tail, "tail", 2),
    column!(optional cvar, "CVaR", 2),
    column!(optional judge, "judge", 2),
    column!(optional judge_tail, "judge tail", 2),
    column!(optional perplexity_human, "ppl human", 1),
    column!(optional perplexity_generated, "ppl generated", 1),
    column!(optional kl, "KL", 2),
];

/// [`TEXT`] of an evaluation.
pub(crate) const EVALUATED_TEXT: [Column<EvaluatedMethod>; 7] = text_columns!(optional);

/// All figures of a run, in the order of the tables.
pub(crate) fn columns() -> impl Iterator<Item = Column<MethodResults>> {
    QUALITY.into_iter().chain(TEXT).chain(COST)
}

/// All figures of an evaluation, in the order of the tables.
pub(crate) fn evaluated_columns() -> impl Iterator<Item = Column<EvaluatedMethod>> {
    EVALUATED_QUALITY.into_iter().chain(EVALUATED_TEXT)
}

impl MethodResults {
    /// The figures with their keys, in the order of the tables; not those of
    /// [`other_tails`](Self::other_tails).
    pub fn figures(&self) -> impl Iterator<Item = (&'static str, Figure)> {
        columns().filter_map(|column| Some((column.key, (column.get)(self)?)))
    }
}

impl EvaluatedMethod {
    /// The figures that there are, with their keys, in the order of the tables.
    pub fn figures(&self) -> impl Iterator<Item = (&'static str, Figure)> {
        evaluated_columns().filter_map(|column| Some((column.key, (column.get)(self)?)))
    }
}

/// Every number of these figures, with what to call it.
pub(crate) fn numbers<'a>(
    method: &'a str,
    figures: impl Iterator<Item = (&'static str, Figure)> + 'a,
    other_tails: &'a [OtherTail],
    tail_report: Option<&'a TailReport>,
) -> impl Iterator<Item = (String, f64)> + 'a {
    let rewards = other_tails.iter().filter_map(|tail| Some(("other_tails", tail.reward?)));
    let of_figures = figures
        .chain(rewards)
        .flat_map(|(key, figure)| figure.numbers().map(move |number| (key, number)));
    let thresholds = other_tails.iter().map(|tail| ("other_tails", tail.threshold));
    let report = tail_report.map(TailReport::numbers).unwrap_or_default();
    let report = report.into_iter().map(|number| ("tail_report", number));
    of_figures
        .chain(thresholds)
        .chain(report)
        .map(move |(key, number)| (format!("{method}: {key}"), number))
}

/// A figure of the tables, for whoever shows it in another form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableColumn {
    /// Key in `results.json`.
    pub key: &'static str,
    /// What stands over it.
    pub head: &'static str,
    /// Digits after the point.
    pub digits: usize,
}

/// The columns of the three tables: how good the texts are, what they look like, and what they
/// cost. The first two are those of an evaluation; a run has all of them but `cvar`. The third is
/// that of a run.
#[must_use]
pub fn table_columns() -> [Vec<TableColumn>; 3] {
    fn columns<T>(columns: &[Column<T>]) -> Vec<TableColumn> {
        columns
            .iter()
            .map(|&Column { key, head, digits, .. }| TableColumn { key, head, digits })
            .collect()
    }
    [columns(&EVALUATED_QUALITY), columns(&EVALUATED_TEXT), columns(&COST)]
}
