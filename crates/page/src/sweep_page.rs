//! The page of a sweep: a line for each method over its grid, and the table.

use maud::{Markup, html};
use tailguard_report::cell;

use crate::charts::palette::style;
use crate::charts::{Axis, Chart, Draw, Series, Size};
use crate::clean;
use crate::curves::Point;
use crate::error::PageError;
use crate::figures::{Figure, section};
use crate::page::frame;
use crate::sweep::{Row, Sweep, shown};
use crate::table::{NOTHING, minus, shown as marked};
use crate::tail_against_kl::{WORST_HEAD, WORST_KEY};

/// The figures that are drawn against KL: key, title.
const DRAWN: [(&str, &str); 2] =
    [(WORST_KEY, "CVaR 10 % against KL"), ("reward", "Mean reward against KL")];

/// The policies of a method that differ in the first key that concerns it alone.
struct Line<'a> {
    name: String,
    style: usize,
    rows: Vec<&'a Row>,
}

impl Sweep {
    /// The sweep in one page: one file of HTML that needs no other and no network.
    ///
    /// # Errors
    /// [`PageError::Chart`] for a chart that cannot be drawn.
    pub fn page(&self) -> Result<String, PageError> {
        let figure = self.fronts();
        let drawn = if figure.charts.is_empty() { None } else { Some(section(1, &figure)?) };
        let links = [("price", "Tail against KL"), ("table", "Table")];
        let links = if drawn.is_some() { &links[..] } else { &links[1..] };
        let body = html! {
            (self.notices())
            @if let Some(drawn) = drawn { (drawn) }
            (self.figures_table())
        };
        let under = format!("{} runs over {}", self.runs.len(), clean::line(&self.keys.join(", ")));
        let title = format!("Sweep over {}", clean::line(&self.keys.join(", ")));
        Ok(frame(&title, &under, links, &body))
    }

    /// What must be said of its runs, each once.
    fn notices(&self) -> Markup {
        let mut said: Vec<(String, Vec<&str>)> = Vec::new();
        for swept in &self.runs {
            let run = &swept.run;
            for notice in run.results.notice.iter().chain(&run.warnings) {
                match said.iter_mut().find(|(other, _)| other == notice) {
                    Some((_, runs)) => runs.push(&run.name),
                    None => said.push((notice.clone(), vec![&run.name])),
                }
            }
        }
        html! {
            @for (notice, runs) in said {
                aside.notice role="note" {
                    b { (clean::line(&runs.join(", "))) ". " }
                    (clean::line(&notice))
                }
            }
        }
    }

    /// The lines: the values of the first key that concerns an arm lie along them, and each value
    /// of the others has one of its own.
    fn lines(&self) -> Vec<Line<'_>> {
        let mut lines: Vec<Line<'_>> = Vec::new();
        let mut next = self.rows.iter().map(|row| row.policy.style + 1).max().unwrap_or_default();
        for row in &self.rows {
            let along = row.values.iter().position(Option::is_some);
            let others: Vec<String> = self
                .keys
                .iter()
                .zip(&row.values)
                .enumerate()
                .filter(|(place, _)| Some(*place) != along)
                .filter_map(|(_, (key, value))| Some(format!("{key} = {}", value.as_ref()?)))
                .collect();
            let name = [vec![row.policy.label.clone()], others].concat().join(", ");
            let is_new = |key: &str| lines.iter().all(|line| line.rows[0].policy.key != key);
            let own = is_new(&row.policy.key);
            match lines.iter_mut().find(|line| line.name == name) {
                Some(line) => line.rows.push(row),
                None => {
                    let style = if own { row.policy.style } else { next };
                    next += usize::from(!own);
                    lines.push(Line { name, style, rows: vec![row] });
                }
            }
        }
        lines
    }

    /// What each method reaches at which KL.
    fn fronts(&self) -> Figure {
        let lines = self.lines();
        let chart = |(key, title): (&str, &str)| {
            let series = |line: &Line<'_>| {
                let point = |row: &&Row| {
                    let (kl, value) = (self.figure(row, "kl")?, self.figure(row, key)?);
                    Some(Point { x: kl.mean, y: value.mean, range: value.ci95 })
                };
                let mut points: Vec<Point> = line.rows.iter().filter_map(point).collect();
                points.sort_by(|one, other| one.x.total_cmp(&other.x));
                Series {
                    name: line.name.clone(),
                    style: style(line.style),
                    draw: if points.len() > 1 { Draw::Joined } else { Draw::Apart },
                    points,
                }
            };
            Chart {
                id: format!("{}-against-kl", key.replace('_', "-")),
                title: title.to_owned(),
                x: Axis::new("KL, nats per response"),
                y: Axis::new("reward"),
                series: lines.iter().map(series).collect(),
                size: Size::Large,
            }
        };
        let mut charts: Vec<Chart> = DRAWN.map(chart).into();
        charts.retain(|chart| !chart.is_empty());
        let reference = self
            .runs
            .first()
            .map_or_else(|| "the reference".to_owned(), |swept| swept.run.results.reference());
        let caption = format!(
            "What each method reaches over its grid, and how far from {reference} it has gone for \
             it: at one KL, the higher line is the better method. Along a line is the first key \
             that concerns the method; other keys have a line for each of their values. \
             {WORST_HEAD} is the mean reward of the worst tenth of a policy’s own continuations. \
             Bands are 95 % intervals."
        );
        Figure { id: "price", heading: "Tail against KL", caption, charts }
    }

    fn figures_table(&self) -> Markup {
        let columns = self.columns();
        html! {
            section #table {
                h2 { "Table" }
                div.scroll tabindex="0" role="region" aria-label="Table of figures" {
                    table.figures {
                        thead { tr {
                            th.word scope="col" { "policy" }
                            @for key in &self.keys { th scope="col" { (clean::line(key)) } }
                            th scope="col" { "run" }
                            @for column in &columns {
                                th scope="col" { (minus(&column.head)) }
                            }
                        } }
                        tbody { @for row in &self.rows {
                            tr {
                                th.word scope="row" {
                                    span.name { (clean::line(&row.policy.label)) }
                                }
                                @for value in &row.values { td { (shown(value.as_deref())) } }
                                td { (clean::line(&self.runs[row.run].run.name)) }
                                @for column in &columns {
                                    @let figure = self.figure(row, &column.key);
                                    td data-method=(clean::line(&row.policy.key))
                                        data-key=(column.key) {
                                        @if let Some(figure) = figure {
                                            (marked(&cell(figure, column.digits), false))
                                        } @else { (NOTHING) }
                                    }
                                }
                            }
                        } }
                    }
                }
                p.caption { "Cells are means and their 95 % intervals, over prompts and seeds; \
                    with one seed over prompts, given the policies that it has trained. A dash \
                    stands where a key does not concern a policy: there is one, whatever the \
                    value." }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::tests::sweep;

    #[test]
    fn a_method_is_a_line_over_its_grid_in_the_order_of_kl() {
        let figure = sweep().fronts();
        let chart = &figure.charts[1];
        assert_eq!((chart.id.as_str(), figure.charts.len()), ("reward-against-kl", 2));
        let names: Vec<(&str, Draw)> =
            chart.series.iter().map(|series| (series.name.as_str(), series.draw)).collect();
        assert_eq!(
            names,
            [
                ("GPT-2", Draw::Apart),
                ("SFT", Draw::Apart),
                ("RLHF", Draw::Joined),
                ("RA-RLHF", Draw::Joined)
            ]
        );
        // of the fixture the KL is the reward: 1.5 at the first point, 0.5 at the second
        let points: Vec<(f64, f64)> =
            chart.series[3].points.iter().map(|point| (point.x, point.y)).collect();
        assert_eq!(points, [(0.5, 0.5), (1.5, 1.5)]);
        assert_eq!(chart.series[3].points[0].range, Some([0.25, 0.75]));
    }

    #[test]
    fn another_key_has_a_line_for_each_of_its_values() {
        let mut sweep = sweep();
        sweep.keys.push("risk.alpha".to_owned());
        for (row, alpha) in sweep.rows.iter_mut().zip(["", "", "0.2", "0.4", "0.2", "0.4"]) {
            row.values.push((!alpha.is_empty()).then(|| alpha.to_owned()));
        }
        let lines = sweep.lines();
        let names: Vec<(&str, usize)> =
            lines.iter().map(|line| (line.name.as_str(), line.style)).collect();
        assert_eq!(
            names[2..],
            [
                ("RLHF, risk.alpha = 0.2", 2),
                ("RLHF, risk.alpha = 0.4", 4),
                ("RA-RLHF, risk.alpha = 0.2", 3),
                ("RA-RLHF, risk.alpha = 0.4", 5)
            ]
        );
    }

    #[test]
    fn the_page_has_the_lines_and_a_row_for_each_policy() {
        let page = sweep().page().unwrap();
        assert!(page.contains("Sweep over ppo.kl_coef") && page.contains(crate::GENERATOR));
        assert_eq!(page.matches("data-key=\"kl\"").count(), 6);
        assert!(page.contains("id=\"cvar-10-against-kl-title\""), "{page:.3000}");
    }
}
