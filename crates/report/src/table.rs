//! The tables of a run, as plain text and as Markdown.

use comfy_table::{Cell, CellAlignment, Table, presets};

use crate::columns::{Column, QUALITY, TEXT};
use crate::results::{Figure, MethodResults, Results};

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Columns for a terminal.
    Plain,
    /// A Markdown table.
    Markdown,
}

/// The tables, with an empty line between them: how good the texts are, what they look like, and the tails by other
/// thresholds if there are any. A row per method, a column per figure.
///
/// With several seeds a cell is `mean ± standard deviation` over seeds; with one seed it is `mean [low, high]`, the 95 %
/// interval over prompts.
#[must_use]
pub fn table(results: &Results, style: Style) -> String {
    let seeds = results.seeds.len();
    let of_columns = |columns: &[Column]| {
        let head = |column: &Column| match column.key {
            "tail" => tail_head(results.tail.threshold, results.tail.prompts),
            _ => column.head.to_owned(),
        };
        grid(results, style, columns.iter().map(head).collect(), |method| {
            let text =
                |column: &Column| (column.get)(method).map(|figure| cell(figure, column.digits, seeds)).unwrap_or_default();
            columns.iter().map(text).collect()
        })
    };
    let mut tables = vec![of_columns(&QUALITY), of_columns(&TEXT)];
    let other_tails = results.methods.values().next().map(|method| method.other_tails.as_slice()).unwrap_or_default();
    if !other_tails.is_empty() {
        let heads = other_tails.iter().map(|tail| tail_head(tail.threshold, tail.prompts)).collect();
        tables.push(grid(results, style, heads, |method| {
            method.other_tails.iter().map(|tail| tail.reward.map(|reward| cell(reward, 2, seeds)).unwrap_or_default()).collect()
        }));
    }
    tables.join("\n")
}

fn tail_head(threshold: f64, prompts: usize) -> String {
    format!("tail ≤ {threshold} ({prompts} prompts)")
}

/// A table with a row per method.
fn grid(results: &Results, style: Style, heads: Vec<String>, cells: impl Fn(&MethodResults) -> Vec<String>) -> String {
    let mut table = Table::new();
    table.load_style(if style == Style::Plain { presets::NOTHING } else { presets::ASCII_MARKDOWN });
    let to_the_right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
    table.set_header(std::iter::once(Cell::new("")).chain(heads.into_iter().map(to_the_right)));
    for (method, figures) in &results.methods {
        table.add_row(std::iter::once(Cell::new(method)).chain(cells(figures).into_iter().map(to_the_right)));
    }
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n") + "\n"
}

/// A figure as the tables show it: `mean ± standard deviation` with several seeds, `mean [low, high]` with one.
#[must_use]
pub fn cell(figure: Figure, digits: usize, seeds: usize) -> String {
    let Figure { mean, std, ci95: [low, high] } = figure;
    let (mean, std) = (number(mean, digits), number(std, digits));
    if seeds > 1 { format!("{mean} ± {std}") } else { format!("{mean} [{}, {}]", number(low, digits), number(high, digits)) }
}

/// A number with so many digits after the point, or with three in all where it is too large or too small for that.
#[must_use]
pub fn number(value: f64, digits: usize) -> String {
    let text = match value.abs() {
        size if size >= 1e6 => format!("{value:.2e}"),
        size if size >= 1000.0 => format!("{value:.0}"),
        _ => format!("{value:.digits$}"),
    };
    // -0.00 is a number too, but not one to show
    if text.trim_start_matches('-').chars().all(|digit| digit == '0' || digit == '.') {
        text.trim_start_matches('-').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::results;

    /// The tables of the text, line by line.
    fn tables(text: &str) -> Vec<Vec<&str>> {
        text.split("\n\n").map(|table| table.lines().collect()).collect()
    }

    #[test]
    fn one_seed_shows_the_interval_over_prompts() {
        let text = table(&results(&[1]), Style::Plain);
        let tables = tables(&text);
        assert_eq!(tables.iter().map(Vec::len).collect::<Vec<_>>(), [5, 5, 5], "{text}");
        assert!(tables[0][0].contains("judge tail") && tables[1][0].contains("repeated 4-gram"), "{text}");
        assert!(tables[0][4].trim_start().starts_with("RA-RLHF") && tables[0][4].contains("30.00 [29.50, 30.50]"), "{text}");
    }

    #[test]
    fn several_seeds_show_their_spread_within_120_columns() {
        let text = table(&results(&[1, 2, 3]), Style::Plain);
        assert!(text.contains("0.00 ± 0.25") && text.contains("43.000 ± 0.250"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
    }

    #[test]
    fn tails_are_headed_by_threshold_and_prompts_and_an_empty_one_has_no_figure() {
        let text = table(&results(&[1]), Style::Plain);
        let tables = tables(&text);
        assert!(tables[0][0].contains("tail ≤ -2.5 (19 prompts)"), "{text}");
        assert!(tables[2][0].contains("tail ≤ 5 (60 prompts)") && tables[2][0].contains("tail ≤ -9.5 (0 prompts)"), "{text}");
        assert!(tables[2][4].ends_with("44.00 [43.50, 44.50]"), "{text}");
        let mut none = results(&[1]);
        none.methods.values_mut().for_each(|method| method.other_tails.clear());
        assert_eq!(table(&none, Style::Plain).split("\n\n").count(), 2);
    }

    #[test]
    fn markdown_has_a_rule_under_each_head() {
        let text = table(&results(&[1, 2]), Style::Markdown);
        let tables = tables(&text);
        assert_eq!(tables.len(), 3, "{text}");
        for lines in tables {
            assert_eq!(lines.len(), 6, "{text}");
            assert!(
                lines[1].starts_with("|--") && lines.iter().all(|line| line.starts_with('|') && line.ends_with('|')),
                "{text}"
            );
        }
    }

    #[test]
    fn numbers_have_sensible_digits() {
        assert_eq!(number(-0.001, 2), "0.00");
        assert_eq!(number(-1.236, 2), "-1.24");
        assert_eq!(number(12_345.6, 1), "12346");
        assert_eq!(number(3.2e9, 1), "3.20e9");
    }
}
