//! The tables of a run, as plain text and as Markdown.

use crate::arms::{Arm, title};
use crate::columns::{COST, Column, EVALUATED_QUALITY, EVALUATED_TEXT, QUALITY, TEXT};
use crate::comparison::Comparison;
use crate::equal_kl;
use crate::evaluation::{EvaluatedTail, Evaluation, LengthUnit};
use crate::figure::{Figure, cell, percent};
use crate::grid::{Row, Style, grid};
use crate::methods::{EvaluatedMethod, MethodResults, OtherTail};
use crate::results::{Diverged, Results};
use crate::tail_table::tail_table;
use crate::terminal::one_line;

/// The tables, with an empty line between them: how good the texts are, what they look like, the
/// tails by other thresholds if there are any, the worst texts, what methods cost, what they gain
/// over another, how near arms came to the KL at which they were to be held, and what diverged. A
/// row per method, a column per figure.
///
/// A cell is `mean [low, high]`, the 95 % interval: see [`Figure`].
#[must_use]
pub fn table(results: &Results, style: Style) -> String {
    let named = |key: &str| one_line(title(&results.arms, key));
    let row = |(arm, figures): (&Arm, _)| Row { name: one_line(&arm.title), figures };
    let rows: Vec<Row<'_, MethodResults>> = results.in_order().map(row).collect();
    let head = |column: &Column<MethodResults>| match column.key {
        "tail" => tail_head(results.tail.threshold, Some(results.tail.prompts)),
        _ => column.head.to_owned(),
    };
    let mut tables =
        vec![of_columns(&rows, style, &QUALITY, head), of_columns(&rows, style, &TEXT, head)];
    tables.extend(of_other_tails(&rows, style, |figures| &figures.other_tails));
    tables.extend(tail_table(&rows, style, |figures| figures.tail_report.as_ref()));
    let is_there =
        |column: &Column<MethodResults>| rows.iter().any(|row| (column.get)(row.figures).is_some());
    let cost: Vec<_> = COST.into_iter().filter(is_there).collect();
    tables.extend((!cost.is_empty()).then(|| of_columns(&rows, style, &cost, head)));
    tables.extend(gains(&results.comparisons, named));
    tables.extend(equal_kl::lines(&results.equal_kl, named));
    tables.extend(diverged(&results.diverged, &results.arms, style));
    tables.join("\n")
}

/// A line for each training that diverged.
fn diverged(list: &[Diverged], arms: &[Arm], style: Style) -> Option<String> {
    // a list needs a blank line before it
    let item = if style == Style::Markdown { "\n- " } else { "  " };
    let line = |diverged: &Diverged| format!("{item}{}\n", one_line(&diverged.told(arms)));
    (!list.is_empty()).then(|| {
        format!(
            "Without figures, as a training diverged:\n{}",
            list.iter().map(line).collect::<String>()
        )
    })
}

/// [`table`] of an evaluation; a figure that could not be computed is a dash, and one that no
/// method has is left out, but for a tail whose threshold was asked for.
#[must_use]
pub fn evaluation_table(evaluation: &Evaluation, style: Style) -> String {
    let row = |(name, figures): (&String, _)| Row { name: one_line(name), figures };
    let rows: Vec<Row<'_, EvaluatedMethod>> = evaluation.in_order().map(row).collect();
    let head = |column: &Column<EvaluatedMethod>| match (column.key, evaluation.tail) {
        ("tail", Some(tail)) => tail.head(),
        ("cvar", _) => format!("CVaR {}", percent(evaluation.cvar_share)),
        ("length", _) => match evaluation.length_unit {
            LengthUnit::Words => "length (words)".to_owned(),
            LengthUnit::Tokens => column.head.to_owned(),
        },
        _ => column.head.to_owned(),
    };
    // where the tail is CVaR it stands there already
    let is_told = |column: &Column<EvaluatedMethod>| {
        column.key != "cvar" || !matches!(evaluation.tail, Some(EvaluatedTail::LowestScores { .. }))
    };
    let is_there = |column: &Column<EvaluatedMethod>| {
        rows.iter().any(|row| (column.get)(row.figures).is_some())
    };
    // that it is empty is the answer
    let is_asked = |column: &Column<EvaluatedMethod>| match (column.key, evaluation.tail) {
        (
            "tail",
            Some(EvaluatedTail::PromptScores { share: None, .. } | EvaluatedTail::OwnScores { .. }),
        ) => rows.iter().any(|row| row.figures.reward.is_some()),
        ("judge_tail", Some(EvaluatedTail::PromptScores { share: None, .. })) => {
            rows.iter().any(|row| row.figures.judge.is_some())
        }
        _ => false,
    };
    let there = |columns: &[Column<EvaluatedMethod>]| -> Vec<Column<EvaluatedMethod>> {
        columns
            .iter()
            .copied()
            .filter(|column| is_told(column) && (is_there(column) || is_asked(column)))
            .collect()
    };
    let columns = [there(&EVALUATED_QUALITY), there(&EVALUATED_TEXT)];
    let mut tables: Vec<String> = columns
        .iter()
        .filter(|columns| !columns.is_empty())
        .map(|columns| of_columns(&rows, style, columns, head))
        .collect();
    tables.extend(of_other_tails(&rows, style, |figures| &figures.other_tails));
    tables.extend(tail_table(&rows, style, |figures| figures.tail_report.as_ref()));
    tables.extend(gains(&evaluation.comparisons, one_line));
    tables.join("\n")
}

impl EvaluatedTail {
    /// What stands over the mean reward in the tail.
    #[must_use]
    pub fn head(&self) -> String {
        match *self {
            Self::PromptScores { threshold, prompts, share: None } => tail_head(threshold, prompts),
            Self::PromptScores { threshold, prompts, share: Some(share) } => {
                format!(
                    "{}: lowest {} of prompts",
                    tail_head(shown(threshold), prompts),
                    percent(share)
                )
            }
            Self::OwnScores { threshold } => format!("tail: rewards ≤ {threshold}"),
            Self::LowestScores { share } => format!("tail: CVaR {} of the rewards", percent(share)),
        }
    }
}

/// A quantile of scores, with no more digits than one wants to read.
fn shown(threshold: f64) -> f64 {
    // adding 0 turns -0 into 0
    (threshold * 1e3).round() / 1e3 + 0.0
}

fn cell_or_dash(figure: Option<Figure>, digits: usize) -> String {
    figure.map_or("-".to_owned(), |figure| cell(figure, digits))
}

fn of_columns<T>(
    rows: &[Row<'_, T>],
    style: Style,
    columns: &[Column<T>],
    head: impl Fn(&Column<T>) -> String,
) -> String {
    let cells = |row: &Row<'_, T>| {
        columns
            .iter()
            .map(|column| cell_or_dash((column.get)(row.figures), column.digits))
            .collect()
    };
    grid(style, columns.iter().map(head).collect(), rows, cells)
}

/// The table of the other tails, if there are any.
fn of_other_tails<T>(
    rows: &[Row<'_, T>],
    style: Style,
    tails: impl Fn(&T) -> &[OtherTail],
) -> Option<String> {
    let first = tails(rows.first()?.figures);
    let heads: Vec<String> =
        first.iter().map(|tail| tail_head(tail.threshold, Some(tail.prompts))).collect();
    let cells = |row: &Row<'_, T>| {
        tails(row.figures).iter().map(|tail| cell_or_dash(tail.reward, 2)).collect()
    };
    (!heads.is_empty()).then(|| grid(style, heads, rows, cells))
}

/// A line for each comparison, if there is one.
fn gains(comparisons: &[Comparison], name: impl Fn(&str) -> String) -> Option<String> {
    let line = |comparison: &Comparison| {
        comparison.line(&name(&comparison.method), &name(&comparison.over)) + "\n"
    };
    (!comparisons.is_empty()).then(|| comparisons.iter().map(line).collect())
}

pub(crate) fn tail_head(threshold: f64, prompts: Option<usize>) -> String {
    match prompts {
        Some(1) => format!("tail ≤ {threshold} (1 prompt)"),
        Some(prompts) => format!("tail ≤ {threshold} ({prompts} prompts)"),
        None => format!("tail ≤ {threshold}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::tests::evaluation;
    use crate::results::tests::results;

    /// The tables of the text, line by line.
    fn tables(text: &str) -> Vec<Vec<&str>> {
        text.split("\n\n").map(|table| table.lines().collect()).collect()
    }

    #[test]
    fn cells_show_the_interval_however_many_seeds_there_are() {
        for seeds in [&[1][..], &[1, 2, 3]] {
            let text = table(&results(seeds), Style::Plain);
            let tables = tables(&text);
            assert_eq!(tables.iter().map(Vec::len).collect::<Vec<_>>(), [5, 5, 5, 5], "{text}");
            assert!(
                tables[0][0].contains("judge tail") && tables[1][0].contains("repeated 4-gram"),
                "{text}"
            );
            assert!(
                tables[0][4].trim_start().starts_with("RA-RLHF")
                    && tables[0][4].contains("30.00 [29.50, 30.50]"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_figure_without_an_interval_is_its_mean() {
        let mut results = results(&[1]);
        results
            .methods
            .values_mut()
            .for_each(|method| (method.tail.se, method.tail.ci95) = (None, None));
        let text = table(&results, Style::Plain);
        assert!(text.contains("  31.00  "), "{text}");
    }

    #[test]
    fn tails_are_headed_by_threshold_and_prompts_and_an_empty_one_is_a_dash() {
        let text = table(&results(&[1]), Style::Plain);
        let tables = tables(&text);
        assert!(tables[0][0].contains("tail ≤ -2.5 (19 prompts)"), "{text}");
        assert!(
            tables[2][0].contains("tail ≤ 5 (60 prompts)")
                && tables[2][0].contains("tail ≤ -9.5 (0 prompts)"),
            "{text}"
        );
        assert!(
            tables[2][4].contains("44.00 [43.50, 44.50]") && tables[2][4].ends_with(" -"),
            "{text}"
        );
        let mut none = results(&[1]);
        none.methods.values_mut().for_each(|method| method.other_tails.clear());
        assert_eq!(table(&none, Style::Plain).split("\n\n").count(), 3);
    }

    #[test]
    fn costs_that_nobody_knows_are_left_out_and_a_bound_is_headed_as_one() {
        let mut results = results(&[1]);
        let text = table(&results, Style::Plain);
        let [costs, first] = &tables(&text)[3][..2] else { panic!("{text}") };
        assert!(costs.trim_start().starts_with("tokens to make it"), "{text}");
        assert!(costs.contains("rewards per answer") && costs.ends_with("KL at most"), "{text}");
        assert!(first.trim_start().starts_with("GPT-2"), "{text}");
        for method in results.methods.values_mut() {
            (method.making_tokens, method.making_rewards) = (None, None);
            (method.answer_tokens, method.answer_rewards) = (None, None);
            method.kl_bound = None;
        }
        assert_eq!(tables(&table(&results, Style::Plain)).len(), 3);
        results.methods.get_mut("rlhf").unwrap().kl_bound =
            Some(Figure { mean: 0.64, se: None, ci95: None, seeds_std: None });
        let text = table(&results, Style::Plain);
        assert_eq!(tables(&text)[3][0].trim(), "KL at most");
        assert!(tables(&text)[3][3].ends_with("0.64") && tables(&text)[3][4].ends_with(" -"));
    }

    #[test]
    fn gains_stand_beneath_the_tables() {
        let mut results = results(&[1]);
        results.comparisons = vec![crate::comparison::tests::comparison()];
        let text = table(&results, Style::Plain);
        let gain = "\n\nRA-RLHF - RLHF, on 2000 prompts: reward +0.25 [0.20, 0.30], in the tail \
            +0.62 [0.57, 0.67]\n";
        assert!(text.contains(gain) && text.ends_with("\n  KL -0.50 [-0.55, -0.45]\n"), "{text}");
    }

    #[test]
    fn how_near_arms_came_to_their_kl_stands_beneath_the_tables() {
        let mut results = results(&[1]);
        results.equal_kl.extend(crate::HeldKl::of("rlhf", 4.0, &[4.1]));
        let text = table(&results, Style::Plain);
        assert!(
            text.ends_with("\n\nHeld at a KL of 4 nats, and off it by: RLHF +2.5 %\n"),
            "{text}"
        );
    }

    #[test]
    fn what_diverged_stands_beneath_the_tables() {
        let mut results = results(&[1]);
        results.methods.shift_remove("rlhf");
        results.diverged =
            vec![Diverged { method: "rlhf".into(), seed: 1, reason: "the loss is NaN".into() }];
        let told = "\n\nWithout figures, as a training diverged:\n";
        let text = table(&results, Style::Plain);
        assert!(text.ends_with(&format!("{told}  RLHF, seed 1: the loss is NaN\n")), "{text}");
        let text = table(&results, Style::Markdown);
        assert!(text.ends_with(&format!("{told}\n- RLHF, seed 1: the loss is NaN\n")), "{text}");
    }

    #[test]
    fn an_evaluation_shows_a_dash_for_what_is_unknown_and_says_which_tail_it_is() {
        let mut evaluation = evaluation();
        let text = evaluation_table(&evaluation, Style::Plain);
        let tables = tables(&text);
        assert!(
            tables[0][0].contains("tail ≤ -2.5 (2 prompts): lowest 10 % of prompts")
                && tables[0][0].contains("CVaR 10 %"),
            "{text}"
        );
        assert!(tables[1][0].contains("length (words)"), "{text}");
        assert_eq!(
            tables[0][2].split_whitespace().collect::<Vec<_>>(),
            ["theirs", "-", "-", "-", "-", "-", "-", "-", "-"]
        );
        assert_eq!(
            tables[1][2].split_whitespace().filter(|word| *word == "-").count(),
            6,
            "{text}"
        );
        evaluation.tail = Some(EvaluatedTail::LowestScores { share: 0.125 });
        let text = evaluation_table(&evaluation, Style::Plain);
        assert!(
            text.contains("tail: CVaR 12.5 % of the rewards") && !text.contains("CVaR 10 %"),
            "{text}"
        );
    }

    #[test]
    fn methods_are_listed_by_the_numbers_in_their_names() {
        let mut evaluation = evaluation();
        let method = evaluation.methods.remove("theirs").unwrap();
        evaluation.methods =
            ["100", "20", "5", "10"].map(|name| (name.to_owned(), method.clone())).into();
        let text = evaluation_table(&evaluation, Style::Plain);
        let names = text.lines().skip(1).map(|line| line.split_whitespace().next().unwrap());
        assert_eq!(names.collect::<Vec<_>>(), ["5", "10", "20", "100"]);
    }

    #[test]
    fn what_no_method_has_is_left_out() {
        let mut evaluation = evaluation();
        evaluation.methods.remove("mine");
        let text = evaluation_table(&evaluation, Style::Plain);
        assert_eq!(
            text.split_whitespace().collect::<Vec<_>>(),
            ["length", "(words)", "theirs", "7.0", "[6.5,", "7.5]"]
        );
    }

    #[test]
    fn an_empty_tail_that_was_asked_for_is_shown() {
        let mut evaluation = evaluation();
        evaluation
            .methods
            .values_mut()
            .for_each(|method| (method.tail, method.judge_tail) = (None, None));
        assert!(!evaluation_table(&evaluation, Style::Plain).contains("tail"));
        evaluation.tail =
            Some(EvaluatedTail::PromptScores { threshold: -100.0, share: None, prompts: Some(0) });
        let text = evaluation_table(&evaluation, Style::Plain);
        assert!(text.contains("tail ≤ -100 (0 prompts)"), "{text}");
    }

    #[test]
    fn names_do_nothing_to_the_terminal_or_the_table() {
        let mut evaluation = evaluation();
        let method = evaluation.methods["theirs"].clone();
        evaluation.methods.insert("a\u{1b}[2J|b\nc".to_owned(), method);
        evaluation.tail = Some(EvaluatedTail::PromptScores {
            threshold: -0.0002,
            share: Some(0.1),
            prompts: Some(2),
        });
        let text = evaluation_table(&evaluation, Style::Plain);
        assert!(text.contains("a [2J|b c") && text.contains("tail ≤ 0 (2 prompts)"), "{text}");
        assert!(evaluation_table(&evaluation, Style::Markdown).contains("| a [2J\\|b c "));
    }

    #[test]
    fn markdown_has_a_rule_under_each_head() {
        let text = table(&results(&[1, 2]), Style::Markdown);
        let tables = tables(&text);
        assert_eq!(tables.len(), 4, "{text}");
        for lines in tables {
            assert_eq!(lines.len(), 6, "{text}");
            assert!(
                lines[1].starts_with("|--")
                    && lines.iter().all(|line| line.starts_with('|') && line.ends_with('|')),
                "{text}"
            );
        }
    }
}
