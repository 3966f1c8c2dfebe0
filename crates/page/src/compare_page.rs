//! The page of a comparison.

use maud::{Markup, html};
use tailguard_report::{Arm, Figure as Value, cell};

use crate::charts::palette::style;
use crate::charts::{Axis, Chart, Draw, Series, Size};
use crate::clean;
use crate::compare::{Comparison, setting};
use crate::curves::{self, Point};
use crate::error::PageError;
use crate::figures::{Figure, logged, section};
use crate::gains::are_same;
use crate::page::frame;
use crate::policies::{Policy, policies};
use crate::run::{Run, letter};
use crate::table::{NOTHING, minus, shown};
use crate::texts::Sample;

/// Figures of the overview: key, title.
const OVERVIEW: [(&str, &str); 4] = [
    ("reward", "Mean reward"),
    ("tail", "Mean reward in the tail"),
    ("judge_tail", "Judge’s score in the tail"),
    ("perplexity_human", "Perplexity on human texts"),
];
/// Numbers of the log that are shown: key, title, unit.
const LOGGED: [(&str, &str, &str); 3] = [
    ("reward", "mean reward", "reward"),
    ("kl", "KL to what it began with", "nats per response"),
    ("kept", "episodes kept", "episodes"),
];

impl Comparison {
    /// The runs in one page: one file of HTML that needs no other and no network.
    ///
    /// # Errors
    /// [`PageError::Metrics`] for texts whose numbers are none, [`PageError::Chart`] for a chart
    /// that cannot be drawn.
    pub fn page(&self) -> Result<String, PageError> {
        let mut figures = vec![self.overview()];
        figures.extend(self.curves()?);
        figures.extend(self.training());
        figures.iter_mut().for_each(|figure| figure.charts.retain(|chart| !chart.is_empty()));
        figures.retain(|figure| !figure.charts.is_empty());
        let sections: Vec<Markup> = (1..)
            .zip(&figures)
            .map(|(number, figure)| section(number, figure))
            .collect::<Result<_, _>>()?;
        let mut links = vec![("runs", "The runs"), ("table", "Table")];
        links.extend(figures.iter().map(|figure| (figure.id, figure.heading)));
        let body = html! {
            (self.notices())
            (self.which())
            (self.figures_table())
            @for section in &sections { (section) }
        };
        let letters: Vec<String> = (0..self.runs.len()).map(letter).collect();
        let under = format!("runs {}", letters.join(", "));
        Ok(frame(&format!("Comparison of {} runs", self.runs.len()), &under, &links, &body))
    }

    fn notices(&self) -> Markup {
        html! {
            @if !self.differences.is_empty() {
                aside.notice role="note" {
                    b {
                        "These runs are not on the same prompts, so their figures do not compare. "
                    }
                    "In these things they differ: " (clean::line(&self.differences.join("; "))) "."
                }
            }
            @for (notice, runs) in self.said() {
                aside.notice role="note" {
                    b { @if runs.len() > 1 { "Runs " } @else { "Run " } (runs.join(", ")) ". " }
                    (clean::line(notice))
                }
            }
        }
    }

    /// Notices and warnings, each once, with the runs that it is about.
    fn said(&self) -> Vec<(&str, Vec<String>)> {
        let mut said: Vec<(&str, Vec<String>)> = Vec::new();
        for (place, run) in self.runs.iter().enumerate() {
            for notice in run.results.notice.iter().chain(&run.warnings) {
                match said.iter_mut().find(|(other, _)| other == notice) {
                    Some((_, runs)) => runs.push(letter(place)),
                    None => said.push((notice, vec![letter(place)])),
                }
            }
        }
        said
    }

    fn which(&self) -> Markup {
        let apart = self.settings_apart();
        let seeds =
            |run: &Run| run.results.seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
        html! {
            section #runs {
                h2 { "The runs" }
                div.scroll tabindex="0" role="region" aria-label="The runs" {
                    table.figures {
                        thead { tr {
                            th scope="col" { "run" }
                            th.word scope="col" { "name" }
                            th scope="col" { "seeds" }
                            @for key in &apart { th scope="col" { (clean::line(key)) } }
                        } }
                        tbody { @for (place, run) in self.runs.iter().enumerate() {
                            tr {
                                th scope="row" { (letter(place)) }
                                td.word { span.name { (clean::line(&run.name)) } }
                                td { (seeds(run)) }
                                @for key in &apart { td { (clean::line(setting(run, key))) } }
                            }
                        } }
                    }
                }
                p.caption {
                    @if apart.is_empty() { "Their recorded settings are the same." }
                    @else { "Settings that are the same in all runs are left out." }
                }
            }
        }
    }

    fn figures_table(&self) -> Markup {
        let columns = self.columns();
        let gains = self.gains.iter().flat_map(|gains| gains.sentences(minus));
        html! {
            section #table {
                h2 { "Table" }
                div.scroll tabindex="0" role="region" aria-label="Table of figures" {
                    table.figures {
                        thead { tr {
                            th scope="col" { "run" }
                            th.word scope="col" { "policy" }
                            @for column in &columns {
                                th scope="col" {
                                    @if column.key == "tail" { (minus(&self.head(column))) }
                                    @else { (self.head(column)) }
                                }
                            }
                        } }
                        tbody { @for (place, run, policy) in self.rows() {
                            tr {
                                th scope="row" { (letter(place)) }
                                td.word { span.name { (clean::line(&policy.label)) } }
                                @for column in &columns {
                                    @let figure = run.results.figure(&policy.key, column.key);
                                    td data-run=(letter(place))
                                        data-method=(clean::line(&policy.key))
                                        data-key=(column.key) {
                                        @if let Some(figure) = figure {
                                            (shown(&cell(figure, column.digits), false))
                                        } @else { (NOTHING) }
                                    }
                                }
                            }
                        } }
                    }
                }
                p.caption { "Cells are means and their 95 % intervals, over prompts and seeds; of \
                    a run with one seed over prompts, given the policies that this seed has \
                    trained." }
                @for note in self.older().chain(self.references()) { p.remark { (note) } }
                @for gain in gains { p { (gain) } }
            }
        }
    }

    /// The figures of all runs with their intervals.
    fn overview(&self) -> Figure {
        let policies = self.policies();
        let names: Vec<String> = (0..self.runs.len()).map(letter).collect();
        let chart = |(key, title): (&str, &str)| {
            let series = |(nth, policy): (usize, &Policy)| {
                // side by side, so that no bar hides another, and within the place of the run
                let aside = 0.12_f64.min(0.8 / policies.len() as f64)
                    * (nth as f64 - (policies.len() as f64 - 1.0) / 2.0);
                let point = |(place, run): (usize, &Run)| {
                    let Value { mean, ci95, .. } = run.results.figure(&policy.key, key)?;
                    Some(Point { x: (place + 1) as f64 + aside, y: mean, range: ci95 })
                };
                let points = self.runs.iter().enumerate().filter_map(point).collect();
                Series {
                    name: policy.label.clone(),
                    style: style(policy.style),
                    points,
                    draw: Draw::Apart,
                }
            };
            Chart {
                id: format!("overview-{}", key.replace('_', "-")),
                title: title.to_owned(),
                x: Axis {
                    names: names.clone(),
                    ..Axis::from_to("run", 0.5, names.len() as f64 + 0.5)
                },
                y: Axis::new(title),
                series: policies.iter().enumerate().map(series).collect(),
                size: Size::Large,
            }
        };
        let caption = "Means with their 95 % intervals, over prompts and seeds.".to_owned();
        Figure {
            id: "overview",
            heading: "Figures side by side",
            caption,
            charts: OVERVIEW.map(chart).into(),
        }
    }

    /// The arms of all runs, each once.
    fn arms(&self) -> Vec<Arm> {
        let mut arms: Vec<Arm> = Vec::new();
        for arm in self.runs.iter().flat_map(|run| &run.results.arms) {
            if arms.iter().all(|known| known.key != arm.key) {
                arms.push(arm.clone());
            }
        }
        arms
    }

    fn policies(&self) -> Vec<Policy> {
        policies(
            &self.arms(),
            self.runs.iter().flat_map(|run| run.methods.iter().map(|policy| policy.key.as_str())),
        )
    }

    /// One line per run, for every policy that is not the same in all runs.
    fn curves(&self) -> Result<Option<Figure>, PageError> {
        let mut charts = Vec::new();
        for policy in self.policies() {
            let of = self.runs.iter().map(|run| run.texts.of(&policy.key).collect());
            let mut samples: Vec<(usize, Vec<&Sample>)> = of.enumerate().collect();
            samples.retain(|(_, samples)| !samples.is_empty());
            if samples.len() < 2 || samples.iter().all(|(_, other)| are_same(other, &samples[0].1))
            {
                continue;
            }
            let (mut cvar, mut quantiles) = (Vec::new(), Vec::new());
            for (place, samples) in &samples {
                let line = |points| Series {
                    name: format!("Run {}", letter(*place)),
                    style: run_style(*place),
                    points,
                    draw: Draw::Joined,
                };
                cvar.push(line(curves::cvar(
                    &samples.iter().map(|sample| sample.rewards()).collect::<Vec<_>>(),
                )));
                let texts = &self.runs[*place].texts;
                let (scores, rewards) = texts.scored();
                if !scores.is_empty() {
                    let of_policy = texts
                        .samples
                        .iter()
                        .zip(rewards)
                        .filter(|(sample, _)| sample.method == policy.key);
                    let rewards: Vec<Vec<f64>> = of_policy.map(|(_, rewards)| rewards).collect();
                    quantiles.push(line(curves::quantiles(&rewards, &scores)?));
                }
            }
            let key = slug(&policy);
            charts.push(Chart {
                id: format!("cvar-{key}"),
                title: format!("{}: CVaR against α", policy.label),
                x: Axis::from_to("α, share of the worst continuations", 0.0, 1.0),
                y: Axis::new("their mean reward"),
                series: cvar,
                size: Size::Large,
            });
            charts.push(Chart {
                id: format!("quantiles-{key}"),
                title: format!("{}: reward of the hardest prompts", policy.label),
                x: Axis::from_to("% of prompts, those with the lowest scores", 0.0, 100.0),
                y: Axis::new("mean reward"),
                series: quantiles,
                size: Size::Large,
            });
        }
        let caption = "CVaR is the mean reward of the worst share of a policy’s own \
            continuations; the hardest prompts are those with the lowest scores of their own. \
            Bands reach from the lowest seed of a run to the highest. Policies whose texts are the \
            same in all runs are left out."
            .to_owned();
        Ok((!charts.is_empty()).then_some(Figure {
            id: "curves",
            heading: "Worst texts and hardest prompts",
            caption,
            charts,
        }))
    }

    fn training(&self) -> Option<Figure> {
        let trained = policies(
            &self.arms(),
            self.runs.iter().flat_map(|run| run.metrics.iter().map(|row| row.method.as_str())),
        );
        let mut charts = Vec::new();
        for policy in &trained {
            for (key, title, unit) in LOGGED {
                let line = |(place, run): (usize, &Run)| {
                    let points = curves::training(&run.metrics, &policy.key, key);
                    let line = Series {
                        name: format!("Run {}", letter(place)),
                        style: run_style(place),
                        points,
                        draw: Draw::Joined,
                    };
                    logged(line, key)
                };
                charts.push(Chart {
                    id: format!("training-{}-{key}", slug(policy)),
                    title: format!("{}: {title}", policy.label),
                    x: Axis { whole: true, ..Axis::new("iteration") },
                    y: Axis::new(unit),
                    series: self.runs.iter().enumerate().map(line).collect(),
                    size: Size::Small,
                });
            }
        }
        let caption = "What the trainings logged at each iteration; of long ones the strong line \
            is a mean over 9 iterations. Bands reach from the lowest seed of a run to the highest."
            .to_owned();
        (!charts.is_empty()).then_some(Figure {
            id: "training",
            heading: "Training",
            caption,
            charts,
        })
    }
}

/// The style of a run's lines: the strong colours first.
fn run_style(place: usize) -> usize {
    style([2, 3, 1, 0, 5, 4, 6, 7][place % 8] + 8 * (place / 8))
}

/// A policy's name as part of an identifier, with a number where the name is not of the paper: two
/// may look alike.
fn slug(policy: &Policy) -> String {
    let is_of_paper = Arm::of_paper().iter().any(|arm| arm.key == policy.key);
    let number = if is_of_paper { String::new() } else { format!("-{}", policy.style) };
    let sign = |character: char| if character.is_ascii_alphanumeric() { character } else { '-' };
    policy.key.chars().map(sign).collect::<String>() + &number
}

#[cfg(test)]
mod tests {
    use tailguard_report::TextRow;

    use super::*;
    use crate::fixtures::{Kind, files, run};

    fn comparison(
        allow: bool,
        change: impl Fn(&mut crate::RunFiles),
    ) -> Result<Comparison, PageError> {
        let mut other = files(Kind::Loss);
        other.name = "runs/<b>".into();
        change(&mut other);
        Comparison::new(vec![run(Kind::Gain), Run::new(other)?], allow)
    }

    #[test]
    fn the_page_has_the_runs_their_figures_and_what_sets_them_apart() {
        let page = comparison(false, |files| {
            files.config = files.config.take().map(|text| text.replace("0.4", "0.2"))
        })
        .unwrap()
        .page()
        .unwrap();
        assert!(page.contains("runs/&lt;b&gt;") && page.contains("risk.alpha"), "{page}");
        let gain =
            "RA-RLHF of run B against that of run A, on the 40 prompts that both have: −1.00 [";
        assert!(
            page.contains(gain) && page.contains("−2.00 [−2.00, −2.00] in the tail; brackets"),
            "{page}"
        );
        assert!(
            page.contains("id=\"cvar-ra-rlhf-title\"") && !page.contains("id=\"cvar-sft-title\""),
            "SFT is the same in both"
        );
        assert!(page.contains("id=\"training-rlhf-reward-title\""));
        assert!(!page.contains("not on the same prompts"));
    }

    #[test]
    fn gains_are_on_common_prompts_whatever_their_scores_and_it_is_said_where_there_are_none() {
        let page = |change: &dyn Fn(&mut TextRow)| {
            comparison(true, |files| files.texts.iter_mut().flatten().for_each(change))
                .unwrap()
                .page()
                .unwrap()
        };
        let rounded = page(&|row| row.prompt_score = row.prompt_score.map(|score| score + 1e-4));
        assert!(rounded.contains("on the 40 prompts that both have: −1.00"), "{rounded:.9000}");
        let fewer =
            page(&|row| row.reward = row.reward.filter(|_| row.prompt != "Prompt 3, <b>bold</b>"));
        assert!(fewer.contains("on the 39 prompts that both have: −0.97"), "{fewer:.9000}");
        let none = page(&|row| row.seed = 2);
        assert!(
            none.contains("not compared, as the two runs have no seed in common"),
            "{none:.9000}"
        );
    }

    #[test]
    fn as_many_policies_as_there_may_be_stay_within_the_place_of_their_run() {
        let mut files = files(Kind::Others);
        let mut results: serde_json::Value = serde_json::from_str(&files.results).unwrap();
        for number in 0..12 {
            results["methods"][format!("policy {number}")] = results["methods"]["dpo"].clone();
        }
        files.results = results.to_string();
        let runs = vec![Run::new(files.clone()).unwrap(), Run::new(files).unwrap()];
        let overview = Comparison::new(runs, false).unwrap().overview();
        let points = overview.charts[0].series.iter().flat_map(|series| &series.points);
        assert!(
            points.clone().count() == 28
                && points.map(|point| (point.x - point.x.round()).abs()).all(|aside| aside < 0.45)
        );
    }

    #[test]
    fn prompts_that_differ_are_said_in_the_page() {
        let page = comparison(true, |files| files.results = files.results.replace("-2.5", "-2.0"))
            .unwrap()
            .page()
            .unwrap();
        assert!(
            page.contains("These runs are not on the same prompts")
                && page.contains("the tail is ≤ -2.5")
        );
    }

    #[test]
    fn two_policies_of_like_names_have_charts_of_their_own() {
        let found = policies(&Arm::of_paper(), ["best of 8", "best-of-8", "ra_rlhf"].into_iter());
        assert_eq!(
            found.iter().map(slug).collect::<Vec<_>>(),
            ["ra-rlhf", "best-of-8-4", "best-of-8-5"]
        );
    }
}
