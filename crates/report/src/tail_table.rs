//! The table of the tails in a terminal: few of their figures, and what more certainty costs.

use crate::grid::{Row, Style, grid};
use crate::tail_figures::TailFigure;
use crate::tail_report::TailReport;

/// The table beneath the main ones, and a sentence of what the least certain of these tails needs;
/// nothing where no method has a report.
pub(crate) fn tail_table<T>(
    rows: &[Row<'_, T>],
    style: Style,
    report: impl Fn(&T) -> Option<&TailReport>,
) -> Option<String> {
    let main = |row: &Row<'_, T>| -> Vec<TailFigure> {
        let figures = report(row.figures).map(TailReport::figures).unwrap_or_default();
        figures.into_iter().filter(|figure| figure.is_main).collect()
    };
    let mut heads: Vec<(String, String)> = Vec::new();
    for TailFigure { key, head, .. } in rows.iter().flat_map(main) {
        if heads.iter().all(|(known, _)| *known != key) {
            heads.push((key, head));
        }
    }
    if heads.is_empty() {
        return None;
    }
    let cells = |row: &Row<'_, T>| {
        let figures = main(row);
        let cell = |(key, _): &(String, String)| {
            let found = figures.iter().find(|figure| figure.key == *key);
            found.map_or_else(|| "-".to_owned(), |figure| figure.shown.cell())
        };
        heads.iter().map(cell).collect()
    };
    let table = grid(style, heads.iter().map(|(_, head)| head.clone()).collect(), rows, cells);
    let needs = |row: &Row<'_, T>| Some((row.name.clone(), report(row.figures)?.precision?));
    let least_certain = rows
        .iter()
        .filter_map(needs)
        .max_by(|(_, one), (_, other)| one.half_width.total_cmp(&other.half_width));
    Some(match least_certain {
        // a paragraph of its own in Markdown
        Some((name, precision)) => {
            let gap = if style == Style::Markdown { "\n" } else { "" };
            format!("{table}{gap}{name}: {}.\n", precision.sentence())
        }
        None => table,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tail_report::tests::tail_report;

    #[test]
    fn few_figures_are_shown_and_a_dash_for_one_that_a_method_lacks() {
        let reports = [tail_report(), TailReport { failures: vec![], ..tail_report() }];
        let row = |(name, report)| Row { name: String::from(name), figures: report };
        let rows: Vec<_> = ["SFT", "RLHF"].into_iter().zip(&reports).map(row).collect();
        let text = tail_table(&rows, Style::Plain, |report: &TailReport| Some(report)).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert!(lines[0].contains("CVaR 1 %") && !lines[0].contains("CVaR 5 %"), "{text}");
        assert!(lines[1].contains("0 (below 0.015)") && lines[2].contains(" -  "), "{text}");
        assert!(lines[3].starts_with("RLHF: CVaR 10 % is known to ±0.50; for"), "{text}");
        assert!(lines.iter().all(|line| line.chars().count() < 160), "{text}");
        let none = tail_table(&rows, Style::Plain, |_: &TailReport| None);
        assert_eq!(none, None);
        let markdown = tail_table(&rows, Style::Markdown, |report: &TailReport| Some(report));
        assert!(markdown.unwrap().contains("|\n\nRLHF: CVaR 10 %"));
    }
}
