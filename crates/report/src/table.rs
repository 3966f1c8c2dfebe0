//! The table of a run, as plain text and as Markdown.

use comfy_table::{Cell, CellAlignment, Table, presets};

use crate::results::{Figure, Results};

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Columns for a terminal.
    Plain,
    /// A Markdown table.
    Markdown,
}

/// Column heads with the key of the figure and the digits after the point.
const COLUMNS: [(&str, &str, usize); 9] = [
    ("reward", "reward", 2),
    ("tail", "tail", 2),
    ("ppl human", "perplexity_human", 1),
    ("ppl generated", "perplexity_generated", 1),
    ("distinct-1", "distinct_1", 3),
    ("distinct-2", "distinct_2", 3),
    ("distinct-3", "distinct_3", 3),
    ("length", "length", 1),
    ("KL", "kl", 2),
];

/// The table: a row per method, a column per figure.
///
/// With several seeds a cell is `mean ± standard deviation` over seeds; with one seed it is `mean [low, high]`, the 95 %
/// interval over prompts.
#[must_use]
pub fn table(results: &Results, style: Style) -> String {
    let mut table = Table::new();
    table.load_style(if style == Style::Plain { presets::NOTHING } else { presets::ASCII_MARKDOWN });
    table.set_header(std::iter::once("").chain(COLUMNS.map(|(head, _, _)| head)));
    for (method, figures) in &results.methods {
        let figures = figures.figures();
        let cell = |(_, key, digits): (&str, &str, usize)| {
            let figure = figures.iter().find(|(name, _)| *name == key).map(|(_, figure)| *figure);
            figure.map(|figure| cell(figure, digits, results.seeds.len())).unwrap_or_default()
        };
        let cells = COLUMNS.map(|column| Cell::new(cell(column)).set_alignment(CellAlignment::Right));
        table.add_row(std::iter::once(Cell::new(method)).chain(cells));
    }
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n") + "\n"
}

fn cell(figure: Figure, digits: usize, seeds: usize) -> String {
    let Figure { mean, std, ci95: [low, high] } = figure;
    let (mean, std) = (number(mean, digits), number(std, digits));
    if seeds > 1 { format!("{mean} ± {std}") } else { format!("{mean} [{}, {}]", number(low, digits), number(high, digits)) }
}

/// A number with so many digits after the point, or with three in all where it is too large or too small for that.
fn number(value: f64, digits: usize) -> String {
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

    #[test]
    fn one_seed_shows_the_interval_over_prompts() {
        let text = table(&results(&[1]), Style::Plain);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 5, "{text}");
        assert!(lines[0].contains("ppl human") && lines[0].contains("distinct-3"), "{text}");
        assert!(lines[4].trim_start().starts_with("RA-RLHF") && lines[4].contains("30.00 [29.50, 30.50]"), "{text}");
    }

    #[test]
    fn several_seeds_show_their_spread() {
        let text = table(&results(&[1, 2, 3]), Style::Plain);
        assert!(text.contains("0.00 ± 0.25") && text.contains("38.00 ± 0.25"), "{text}");
    }

    #[test]
    fn markdown_has_a_rule_under_the_head() {
        let text = table(&results(&[1, 2]), Style::Markdown);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 6, "{text}");
        assert!(lines[1].starts_with("|--") && lines.iter().all(|line| line.starts_with('|') && line.ends_with('|')), "{text}");
    }

    #[test]
    fn numbers_have_sensible_digits() {
        assert_eq!(number(-0.001, 2), "0.00");
        assert_eq!(number(-1.236, 2), "-1.24");
        assert_eq!(number(12_345.6, 1), "12346");
        assert_eq!(number(3.2e9, 1), "3.20e9");
    }
}
