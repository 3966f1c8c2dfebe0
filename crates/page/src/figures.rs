//! The figures of a run: which charts there are, and what is said beneath them.

use std::collections::BTreeSet;

use maud::{Markup, html};

use crate::charts::palette::{PROMPT, style};
use crate::charts::{Axis, Chart, Draw, Series, Size, data_link, key_sample, svg};
use crate::curves::{self, Point, extent, places};
use crate::error::PageError;
use crate::policies::{Policy, policies};
use crate::run::Run;
use crate::texts::{Counts, Prompt, Sample, Text, Texts};

/// Places at which a density is computed.
const PLACES: usize = 121;
/// Equal groups of prompts.
const GROUPS: usize = 10;
/// Iterations whose mean a smooth line is; shorter trainings are drawn as they are.
const SMOOTH: usize = 9;

/// A heading, a few charts, and what is to be said of them.
pub(crate) struct Figure {
    pub(crate) id: &'static str,
    pub(crate) heading: &'static str,
    pub(crate) caption: String,
    pub(crate) charts: Vec<Chart>,
}

/// All figures for which the run has data.
///
/// # Errors
/// [`PageError::Metrics`] for texts whose numbers are none.
pub(crate) fn figures(run: &Run) -> Result<Vec<Figure>, PageError> {
    let mut figures = Vec::new();
    if !run.texts.samples.is_empty() {
        figures.push(shift(run));
        figures.push(tails(run));
        figures.extend(hardness(run)?);
    }
    figures.extend(training(run));
    figures.iter_mut().for_each(|figure| figure.charts.retain(|chart| !chart.is_empty()));
    figures.retain(|figure| !figure.charts.is_empty());
    Ok(figures)
}

/// The policies that have texts, with their samples.
fn sampled<'a>(run: &'a Run) -> Vec<(&'a Policy, Vec<&'a Sample>)> {
    let with = |policy: &'a Policy| (policy, run.texts.of(&policy.key).collect::<Vec<_>>());
    run.methods.iter().map(with).filter(|(_, samples)| !samples.is_empty()).collect()
}

fn series(policy: &Policy, points: Vec<Point>) -> Series {
    Series { name: policy.label.clone(), style: style(policy.style), points, draw: Draw::Joined }
}

/// How the rewards are distributed, for each class of prompts and for the tail.
fn shift(run: &Run) -> Figure {
    let of_class = |class| move |text: &Text, _: &Prompt| text.good == Some(class);
    let mut charts = vec![
        density(run, "density-good", " of the good class", &of_class(true)),
        density(run, "density-bad", " of the bad class", &of_class(false)),
    ];
    if charts.iter().all(Option::is_none) {
        charts = vec![density(run, "density-all", "", &|_, _| true)];
    }
    let of_tail = |threshold| {
        density(run, "density-tail", " of the tail", &|_, prompt| prompt.is_within(threshold))
    };
    charts.extend(run.results.threshold().map(of_tail));
    let caption = "How the rewards of the continuations are distributed, and how the prompts \
        score alone (thin line, cut off where it is far above the others). A line further to the \
        right is a better policy; what remains on the left is its tail. Each line is a sum of \
        normal bells, all of the same width within a chart; with several seeds their texts are \
        taken together."
        .to_owned();
    Figure {
        id: "shift",
        heading: "Where the rewards move",
        caption,
        charts: charts.into_iter().flatten().collect(),
    }
}

/// Whether a text, with its prompt, is one of those that a chart is about.
type IsOf<'a> = dyn Fn(&Text, &Prompt) -> bool + 'a;

/// The distribution of the rewards of some texts; nothing if there are none.
fn density<'a>(run: &'a Run, id: &str, of_what: &str, is_of: &IsOf<'_>) -> Option<Chart> {
    let is_of = |text: &&Text| is_of(text, run.texts.prompt(text));
    let of = |sample: &'a Sample| sample.texts.iter().filter(is_of).collect::<Vec<&'a Text>>();
    let mut texts: Vec<(&Policy, Vec<Vec<&Text>>)> = sampled(run)
        .into_iter()
        .map(|(policy, samples)| (policy, samples.into_iter().map(of).collect()))
        .collect();
    let samples = || texts.iter().flat_map(|(_, samples)| samples);
    let counts: Vec<Counts> = samples().map(|texts| Texts::count(texts.iter().copied())).collect();
    let title = format!("{}{of_what}", counted(&counts)?);
    let most = samples().max_by_key(|texts| texts.len())?;
    let alone = run
        .texts
        .different(most.iter().copied())
        .into_iter()
        .filter_map(|prompt| prompt.score)
        .collect();
    texts.retain(|(_, samples)| samples.iter().any(|texts| !texts.is_empty()));
    let rewards = texts.into_iter().map(|(policy, samples)| {
        let all = samples.iter().flatten().map(|text| text.reward).collect::<Vec<f64>>();
        ((policy.label.clone(), style(policy.style)), all)
    });
    let alone = (("Prompt alone".to_owned(), PROMPT), alone);
    let lines: Vec<_> =
        std::iter::once(alone).chain(rewards).filter(|(_, values)| !values.is_empty()).collect();
    let widths: Vec<f64> =
        lines.iter().filter_map(|(_, values)| curves::bandwidth(values)).collect();
    let [low, high] = extent(lines.iter().flat_map(|(_, values)| values.iter().copied()))?;
    // the median of them, as the tail's own scores, cut off at the threshold, would ask for a far
    // narrower one; but no bell may fall between two places
    let width = median(widths)?.max((high - low) / (PLACES - 5) as f64);
    let xs = places(low - 2.0 * width, high + 2.0 * width, PLACES);
    let line = |((name, style), values): ((String, usize), Vec<f64>)| Series {
        name,
        style,
        points: curves::density(&values, width, &xs),
        draw: Draw::Joined,
    };
    let series: Vec<Series> = lines.into_iter().map(line).collect();
    // the prompts of the tail are a narrow peak that would flatten everything else
    let top = extent(
        series
            .iter()
            .filter(|series| series.style != PROMPT)
            .flat_map(|series| series.points.iter().map(|point| point.y)),
    );
    let range = top.map(|[_, top]| [0.0, 1.15 * top]);
    let (x, y) = (Axis::new("reward"), Axis { range, ..Axis::new("density") });
    Some(Chart { id: id.to_owned(), title, x, y, series, size: Size::Small })
}

/// `20 prompts`, `19 to 20 prompts`, `38 to 40 texts of 20 prompts`: of all samples.
fn counted(counts: &[Counts]) -> Option<String> {
    let range = |count: fn(&Counts) -> usize| {
        let [least, most] = [counts.iter().map(count).min()?, counts.iter().map(count).max()?];
        Some(if least == most { most.to_string() } else { format!("{least} to {most}") })
    };
    let [texts, prompts] = [range(|counts| counts.texts)?, range(|counts| counts.prompts)?];
    let prompts = format!("{prompts} {}", if prompts == "1" { "prompt" } else { "prompts" });
    Some(if counts.iter().any(|counts| counts.has_several()) {
        format!("{texts} texts of {prompts}")
    } else {
        prompts
    })
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// The worst continuations: their share, and their mean at each level of risk.
fn tails(run: &Run) -> Figure {
    let rewards: Vec<(&Policy, Vec<Vec<f64>>)> = sampled(run)
        .into_iter()
        .map(|(policy, samples)| (policy, samples.into_iter().map(Sample::rewards).collect()))
        .collect();
    let low = extent(rewards.iter().flat_map(|(_, seeds)| seeds.iter().flatten().copied()))
        .map_or(0.0, |[low, _]| low);
    // as far as the median of the worst policy, so that the chart shows the tail and not the bulk
    let medians = rewards.iter().filter_map(|(_, seeds)| median(seeds.concat()));
    let high = extent(medians).map_or(1.0, |[lowest, _]| lowest).max(low + 1e-3);
    let xs = places(low, high, PLACES);
    let shares: Vec<Series> = rewards
        .iter()
        .map(|(policy, seeds)| series(policy, curves::at_most(&seeds.concat(), &xs)))
        .collect();
    let charts = vec![
        Chart {
            id: "cvar".into(),
            title: "CVaR against α".into(),
            x: Axis::from_to("α, share of the worst continuations", 0.0, 1.0),
            y: Axis::new("their mean reward"),
            series: rewards
                .iter()
                .map(|(policy, seeds)| series(policy, curves::cvar(seeds)))
                .collect(),
            size: Size::Large,
        },
        Chart {
            id: "low-end".into(),
            title: "The low end of the rewards".into(),
            x: Axis::new("reward"),
            y: Axis {
                range: extent_from_zero(&shares),
                ..Axis::new("% of continuations at most this")
            },
            series: shares,
            size: Size::Large,
        },
    ];
    let caption = format!(
        "CVaR is the mean reward of the share α of each policy’s own continuations that scores \
         lowest; at α = 1 it is the mean. Here each policy has its own worst texts, whatever their \
         prompts. The low end of the rewards is the share of the continuations that scores at most \
         so much; a lower line has fewer bad texts.{}",
        band_words(run)
    );
    Figure { id: "tails", heading: "How bad the worst texts are", caption, charts }
}

fn extent_from_zero(series: &[Series]) -> Option<[f64; 2]> {
    let [_, top] =
        extent(series.iter().flat_map(|series| series.points.iter().map(|point| point.y)))?;
    (top > 0.0).then_some([0.0, 1.05 * top])
}

/// Reward against how bad the prompt is, over the prompts that all policies have.
fn hardness(run: &Run) -> Result<Option<Figure>, PageError> {
    let (scores, rewards) = run.texts.scored();
    if scores.is_empty() {
        return Ok(None);
    }
    let count = GROUPS.min(scores.len());
    let (mut quantiles, mut groups) = (Vec::new(), Vec::new());
    for policy in &run.methods {
        let of_policy = run
            .texts
            .samples
            .iter()
            .zip(&rewards)
            .filter(|(sample, _)| sample.method == policy.key);
        let seeds: Vec<Vec<f64>> = of_policy.map(|(_, rewards)| rewards.clone()).collect();
        if seeds.is_empty() {
            continue;
        }
        quantiles.push(series(policy, curves::quantiles(&seeds, &scores)?));
        groups.push(series(policy, curves::groups(&seeds, &scores, count)?));
    }
    let charts = vec![
        Chart {
            id: "quantiles".into(),
            title: "Mean reward of the hardest prompts".into(),
            x: Axis::from_to("% of prompts, those with the lowest scores", 0.0, 100.0),
            y: Axis::new("mean reward"),
            series: quantiles,
            size: Size::Large,
        },
        Chart {
            id: "groups".into(),
            title: format!("Mean reward in {count} groups of prompts"),
            x: Axis::from_to("quantile of the prompt’s own score, %", 0.0, 100.0),
            y: Axis::new("mean reward"),
            series: groups,
            size: Size::Large,
        },
    ];
    let caption = format!(
        "The hardest prompts are the paper’s quantile curve: the mean reward over the given \
         percentage of {} prompts, beginning with those that score lowest alone; at 100 it is the \
         mean over all. The groups are the same prompts, cut into {count} equal parts, each for \
         itself.{}{}",
        scores.len(),
        if run.texts.samples.iter().any(|sample| Texts::count(&sample.texts).has_several()) {
            " Of several texts of a prompt it is the mean that counts."
        } else {
            ""
        },
        band_words(run)
    );
    Ok(Some(Figure {
        id: "hardness",
        heading: "Reward against how bad the prompt is",
        caption,
        charts,
    }))
}

fn band_words(run: &Run) -> String {
    match run.texts.seeds().len() {
        0 | 1 => String::new(),
        seeds => format!(
            " Lines are means over {seeds} seeds, bands reach from the lowest seed to the highest."
        ),
    }
}

/// Numbers of the training log: key, what the chart is called, what is on its axis.
const TRAINING: [(&str, &str, &str); 9] = [
    ("reward", "Mean reward", "reward"),
    ("reward_std", "Spread of the rewards", "standard deviation"),
    ("reward_tail", "CVaR of the rewards", "mean of the lowest share α"),
    ("return_kept", "Return of the episodes kept", "reward − KL penalty"),
    ("kept", "Episodes kept", "episodes"),
    ("kl", "KL to what training began with", "nats per response"),
    ("kl_coef", "KL coefficient β", "β"),
    ("entropy", "Entropy of the policy", "nats per token"),
    ("length", "Length of the responses", "tokens"),
];

/// What the figure of the training is called in the page.
pub(crate) const TRAINING_ID: &str = "training";

fn training(run: &Run) -> Option<Figure> {
    let trained: BTreeSet<&str> = run.metrics.iter().map(|row| row.method.as_str()).collect();
    // numbered together, so that they look as in the other charts
    let mut policies = policies(
        &run.results.arms,
        run.methods.iter().map(|policy| policy.key.as_str()).chain(trained.iter().copied()),
    );
    policies.retain(|policy| trained.contains(policy.key.as_str()));
    // what an objective makes of rewards; without one that does, and in older logs, the rewards
    // themselves
    let differ = |row: &tailguard_report::LogRow| {
        row.values.get("utility").is_some_and(|utility| row.values.get("reward") != Some(utility))
    };
    let has_utilities = run.metrics.iter().any(differ);
    let chart = |(key, title, label): (&str, &str, &str)| Chart {
        id: format!("training-{}", key.replace('_', "-")),
        title: title.to_owned(),
        x: Axis { whole: true, ..Axis::new("iteration") },
        y: Axis::new(if key == "return_kept" && has_utilities {
            "utility − KL penalty"
        } else {
            label
        }),
        series: policies
            .iter()
            .map(|policy| {
                logged(series(policy, curves::training(&run.metrics, &policy.key, key)), key)
            })
            .collect(),
        size: Size::Small,
    };
    let seeds = run.metrics.iter().map(|row| row.seed).collect::<BTreeSet<_>>().len();
    let over = match seeds {
        0 => return None,
        1 => String::new(),
        seeds => format!(
            " Lines are means over {seeds} seeds, bands reach from the lowest seed to the highest."
        ),
    };
    let smooth =
        format!(" Pale lines are as logged, strong ones the mean over {SMOOTH} iterations.");
    let caption = format!(
        "What the training logged at each iteration, over the episodes sampled then (other \
         prompts and other draws than those of the evaluation).{over}{}{}",
        if has_utilities {
            " The utility of an episode is what its policy’s objective makes of the reward."
        } else {
            ""
        },
        if run.metrics.iter().any(|row| row.iteration > LONG) { smooth } else { String::new() }
    );
    Some(Figure {
        id: TRAINING_ID,
        heading: "Training",
        caption,
        charts: TRAINING.map(chart).into(),
    })
}

/// Iterations from which on a training is smoothed.
const LONG: u64 = 30;

/// A line of a log, smoothed unless it is one that does not tremble.
pub(crate) fn logged(line: Series, key: &str) -> Series {
    let is_long = line.points.last().is_some_and(|point| point.x > LONG as f64);
    let trembles = !["kept", "kl_coef", "length"].contains(&key);
    Series { draw: if is_long && trembles { Draw::Smoothed(SMOOTH) } else { Draw::Joined }, ..line }
}

/// The means of reward and tail with their intervals, at a glance.
pub(crate) fn glance(run: &Run) -> Option<Chart> {
    let line = |key: &str, name: String, style: usize, aside: f64| {
        let point = |(place, policy): (usize, &Policy)| {
            let figure = run.results.figure(&policy.key, key)?;
            Some(Point { x: (place + 1) as f64 + aside, y: figure.mean, range: figure.ci95 })
        };
        Series {
            name,
            style,
            points: run.methods.iter().enumerate().filter_map(point).collect(),
            draw: Draw::Apart,
        }
    };
    let names: Vec<String> = run.methods.iter().map(|policy| policy.label.clone()).collect();
    let chart = Chart {
        id: "glance".into(),
        title: "Mean reward with 95 % intervals".into(),
        x: Axis { names: names.clone(), ..Axis::from_to("policy", 0.5, names.len() as f64 + 0.5) },
        y: Axis::new("mean reward"),
        series: vec![
            line("reward", "all prompts".into(), 6, -0.06),
            line("tail", "tail".into(), 5, 0.06),
        ],
        size: Size::Small,
    };
    (!chart.is_empty() && names.len() < 7).then_some(chart)
}

/// The figure as a section.
///
/// # Errors
/// [`PageError::Chart`] if a chart cannot be drawn.
pub(crate) fn section(number: usize, figure: &Figure) -> Result<Markup, PageError> {
    let panels: Vec<Markup> = figure.charts.iter().map(panel).collect::<Result<_, _>>()?;
    let small = figure.charts.iter().all(|chart| chart.size == Size::Small);
    Ok(html! {
        section id=(figure.id) {
            h2 { (figure.heading) }
            (key(&figure.charts))
            div.charts.small[small] { @for panel in &panels { (panel) } }
            p.caption { b { "Figure " (number) ". " } (figure.caption) }
        }
    })
}

pub(crate) fn panel(chart: &Chart) -> Result<Markup, PageError> {
    Ok(html! {
        figure.chart {
            figcaption { span { (chart.title) } (data_link(chart)) }
            (svg(chart)?)
        }
    })
}

/// What the lines are, each once.
pub(crate) fn key(charts: &[Chart]) -> Markup {
    let mut lines: Vec<(usize, &str)> = Vec::new();
    for series in charts.iter().flat_map(Chart::named).filter(|series| !series.points.is_empty()) {
        if !lines.contains(&(series.style, &series.name)) {
            lines.push((series.style, &series.name));
        }
    }
    html! {
        ul.key aria-label="Key" {
            @for (style, name) in lines { li { (key_sample(style)) " " (name) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{Kind, files};

    #[test]
    fn a_density_is_one_in_all_however_far_a_text_is_off() {
        let mut files = files(Kind::Gain);
        for (row, place) in files.texts.iter_mut().flatten().zip(0_u32..) {
            row.good = None;
            row.reward = Some(if place % 40 == 7 { -1e4 } else { f64::from(place * 7 % 11) });
        }
        let figure = shift(&Run::new(files).unwrap());
        let of_policies = figure.charts[0].series.iter().filter(|series| series.style != PROMPT);
        for Series { name, points, .. } in of_policies {
            let area =
                points.iter().map(|point| point.y).sum::<f64>() * (points[1].x - points[0].x);
            assert!((area - 1.0).abs() < 0.05, "{name}: {area}");
        }
    }

    #[test]
    fn a_return_is_of_utilities_where_an_objective_makes_others_of_rewards() {
        let label = |utility: f64| {
            let mut files = files(Kind::Gain);
            for row in &mut files.metrics {
                row.values.insert("utility".to_owned(), utility * row.values["reward"]);
                row.values.insert("return_kept".to_owned(), 0.5);
            }
            let figure = training(&Run::new(files).unwrap()).unwrap();
            let chart =
                figure.charts.iter().find(|chart| chart.id == "training-return-kept").unwrap();
            (chart.y.label.clone(), figure.caption.contains("objective makes of the reward"))
        };
        assert_eq!(label(1.0), ("reward − KL penalty".to_owned(), false));
        assert_eq!(label(0.5), ("utility − KL penalty".to_owned(), true));
    }

    #[test]
    fn a_policy_looks_the_same_in_its_training_as_in_the_other_charts() {
        let mut files = files(Kind::Others);
        files.metrics = crate::fixtures::files(Kind::Gain).metrics;
        files.metrics.iter_mut().for_each(|row| row.method = "dpo".to_owned());
        let run = Run::new(files).unwrap();
        let series = &training(&run).unwrap().charts[0].series;
        assert_eq!((series.len(), series[0].style), (1, run.policy("dpo").unwrap().style));
    }
}
