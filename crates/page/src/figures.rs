//! The figures of a run: which charts there are, and what is said beneath them.

use maud::{Markup, html};

use crate::charts::palette::{PROMPT, style};
use crate::charts::{Axis, Chart, Draw, Series, Size, data_link, key_sample, svg};
use crate::curves::{self, Point, extent, places};
use crate::error::PageError;
use crate::model::{Policy, Run};
use crate::table::minus;
use crate::texts::Sample;

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
        figures.push(tails(run)?);
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
    let texts = &run.texts;
    let of_class = |good: bool| -> Vec<usize> {
        (0..texts.prompts.len()).filter(|&prompt| texts.prompts[prompt].good == Some(good)).collect()
    };
    let (good, bad) = (of_class(true), of_class(false));
    let mut panels = Vec::new();
    if good.is_empty() && bad.is_empty() {
        panels.push(("density-all", format!("All {} prompts", texts.prompts.len()), (0..texts.prompts.len()).collect()));
    }
    panels.push(("density-good", format!("{} prompts of the good class", good.len()), good));
    panels.push(("density-bad", format!("{} prompts of the bad class", bad.len()), bad));
    if let Some(tail) = run.results.tail {
        let prompts = texts.tail(tail.threshold);
        panels.push((
            "density-tail",
            format!("Tail: the {} prompts that score at most {}", prompts.len(), minus(&tail.threshold.to_string())),
            prompts,
        ));
    }
    let charts = panels.into_iter().filter_map(|(id, title, prompts)| density(run, id, title, &prompts)).collect();
    let caption = "How the rewards of the continuations are distributed, and how the prompts score alone (thin line, cut off where it is \
                   far above the others). A line further to the right is a better policy; what remains on the left is its tail. Each line is a sum \
                   of normal bells, all of the same width within a chart; with several seeds their texts are taken together."
        .to_owned();
    Figure { id: "shift", heading: "Where the rewards move", caption, charts }
}

fn density(run: &Run, id: &str, title: String, prompts: &[usize]) -> Option<Chart> {
    let pick = |values: &[f64]| prompts.iter().map(|&prompt| values[prompt]).collect::<Vec<f64>>();
    let alone = run.texts.scores().map(|scores| (("Prompt alone".to_owned(), PROMPT), pick(&scores)));
    let rewards = sampled(run).into_iter().map(|(policy, samples)| {
        let all = samples.iter().flat_map(|sample| pick(&sample.rewards)).collect::<Vec<f64>>();
        ((policy.label.clone(), style(policy.style)), all)
    });
    let lines: Vec<_> = alone.into_iter().chain(rewards).collect();
    let widths: Vec<f64> = lines.iter().filter_map(|(_, values)| curves::bandwidth(values)).collect();
    // the median of them: the tail's own scores, cut off at the threshold, would ask for a far narrower one
    let width = median(widths)?;
    let [low, high] = extent(lines.iter().flat_map(|(_, values)| values.iter().copied()))?;
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
        series.iter().filter(|series| series.style != PROMPT).flat_map(|series| series.points.iter().map(|point| point.y)),
    );
    let range = top.map(|[_, top]| [0.0, 1.15 * top]);
    let (x, y) = (Axis::new("reward"), Axis { range, ..Axis::new("density") });
    Some(Chart { id: id.to_owned(), title, x, y, series, size: Size::Small })
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// The worst continuations: their share, and their mean at each level of risk.
fn tails(run: &Run) -> Result<Figure, PageError> {
    let sampled = sampled(run);
    let cvar = sampled.iter().map(|(policy, samples)| Ok(series(policy, curves::cvar(samples)?)));
    let cvar: Vec<Series> = cvar.collect::<Result<_, PageError>>()?;
    let all = |samples: &[&Sample]| samples.iter().flat_map(|sample| sample.rewards.iter().copied()).collect::<Vec<f64>>();
    let low = extent(sampled.iter().flat_map(|(_, samples)| all(samples))).map_or(0.0, |[low, _]| low);
    // as far as the median of the worst policy, so that the chart shows the tail and not the bulk
    let medians = sampled.iter().filter_map(|(_, samples)| median(all(samples)));
    let high = extent(medians).map_or(1.0, |[lowest, _]| lowest).max(low + 1e-3);
    let xs = places(low, high, PLACES);
    let shares: Vec<Series> =
        sampled.iter().map(|(policy, samples)| series(policy, curves::at_most(&all(samples), &xs))).collect();
    let charts = vec![
        Chart {
            id: "cvar".into(),
            title: "CVaR against α".into(),
            x: Axis::from_to("α, share of the worst continuations", 0.0, 1.0),
            y: Axis::new("their mean reward"),
            series: cvar,
            size: Size::Large,
        },
        Chart {
            id: "low-end".into(),
            title: "The low end of the rewards".into(),
            x: Axis::new("reward"),
            y: Axis { range: extent_from_zero(&shares), ..Axis::new("% of continuations at most this") },
            series: shares,
            size: Size::Large,
        },
    ];
    let caption = format!(
        "Left: the mean reward of the share α of each policy’s own continuations that scores lowest (CVaR); at α = 1 it is the \
         mean. Here each policy has its own worst texts, whatever their prompts. Right: the share of the continuations that scores at most \
         so much; a lower line has fewer bad texts.{}",
        band_words(run)
    );
    Ok(Figure { id: "tails", heading: "How bad the worst texts are", caption, charts })
}

fn extent_from_zero(series: &[Series]) -> Option<[f64; 2]> {
    let [_, top] = extent(series.iter().flat_map(|series| series.points.iter().map(|point| point.y)))?;
    (top > 0.0).then_some([0.0, 1.05 * top])
}

/// A line from the samples of a policy.
type Points<'a> = dyn Fn(&[&Sample]) -> Result<Vec<Point>, PageError> + 'a;

/// Reward against how bad the prompt is.
fn hardness(run: &Run) -> Result<Option<Figure>, PageError> {
    let Some(scores) = run.texts.scores() else { return Ok(None) };
    let sampled = sampled(run);
    let of = |points: &Points<'_>| -> Result<Vec<Series>, PageError> {
        sampled.iter().map(|(policy, samples)| Ok(series(policy, points(samples)?))).collect()
    };
    let groups = GROUPS.min(scores.len());
    let charts = vec![
        Chart {
            id: "quantiles".into(),
            title: "Mean reward of the hardest prompts".into(),
            x: Axis::from_to("% of prompts, those with the lowest scores", 0.0, 100.0),
            y: Axis::new("mean reward"),
            series: of(&|samples| Ok(curves::quantiles(samples, &scores)?))?,
            size: Size::Large,
        },
        Chart {
            id: "groups".into(),
            title: format!("Mean reward in {groups} groups of prompts"),
            x: Axis::from_to("quantile of the prompt’s own score, %", 0.0, 100.0),
            y: Axis::new("mean reward"),
            series: of(&|samples| Ok(curves::groups(samples, &scores, groups)?))?,
            size: Size::Large,
        },
    ];
    let caption = format!(
        "Left: the paper’s quantile curve, the mean reward over the given percentage of prompts, beginning with those that score \
         lowest alone; at 100 it is the mean over all. Right: the same prompts cut into {groups} equal groups, each for itself.{}",
        band_words(run)
    );
    Ok(Some(Figure { id: "hardness", heading: "Reward against how bad the prompt is", caption, charts }))
}

fn band_words(run: &Run) -> String {
    match run.texts.seeds().len() {
        0 | 1 => String::new(),
        seeds => format!(" Lines are means over {seeds} seeds, bands reach from the lowest seed to the highest."),
    }
}

/// Numbers of the training log: key, what the chart is called, what is on its axis.
const TRAINING: [(&str, &str, &str); 9] = [
    ("reward", "Mean reward", "reward"),
    ("reward_std", "Spread of the rewards", "standard deviation"),
    ("reward_tail", "CVaR of the rewards", "mean of the lowest share α"),
    ("return_kept", "Return of the episodes kept", "reward − KL penalty"),
    ("kept", "Episodes kept", "episodes"),
    ("kl", "KL to the reference", "nats per response"),
    ("kl_coef", "KL coefficient β", "β"),
    ("entropy", "Entropy of the policy", "nats per token"),
    ("length", "Length of the responses", "tokens"),
];

fn training(run: &Run) -> Option<Figure> {
    let mut trained: Vec<&str> = run.metrics.iter().map(|row| row.method.as_str()).collect();
    trained.sort_unstable();
    trained.dedup();
    let policies = crate::model::policies(trained.into_iter());
    let chart = |(key, title, label): (&str, &str, &str)| Chart {
        id: format!("training-{}", key.replace('_', "-")),
        title: title.to_owned(),
        x: Axis { whole: true, ..Axis::new("iteration") },
        y: Axis::new(label),
        series: policies
            .iter()
            .map(|policy| logged(series(policy, curves::training(&run.metrics, &policy.key, key)), key))
            .collect(),
        size: Size::Small,
    };
    let seeds = run.metrics.iter().map(|row| row.seed).collect::<std::collections::BTreeSet<_>>().len();
    let over = match seeds {
        0 => return None,
        1 => String::new(),
        seeds => format!(" Lines are means over {seeds} seeds, bands reach from the lowest seed to the highest."),
    };
    let smooth = format!(" Pale lines are as logged, strong ones the mean over {SMOOTH} iterations.");
    let caption = format!(
        "What the training logged at each iteration, over the episodes sampled then (other prompts and other draws than those of the \
         evaluation).{over}{}",
        if run.metrics.iter().any(|row| row.iteration > LONG) { smooth } else { String::new() }
    );
    Some(Figure { id: "training", heading: "Training", caption, charts: TRAINING.map(chart).into() })
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
            Some(Point { x: (place + 1) as f64 + aside, y: figure.mean, range: Some(figure.ci95) })
        };
        Series { name, style, points: run.methods.iter().enumerate().filter_map(point).collect(), draw: Draw::Apart }
    };
    let names: Vec<String> = run.methods.iter().map(|policy| policy.label.clone()).collect();
    let chart = Chart {
        id: "glance".into(),
        title: "Mean reward with 95 % intervals".into(),
        x: Axis { names: names.clone(), ..Axis::from_to("policy", 0.5, names.len() as f64 + 0.5) },
        y: Axis::new("mean reward"),
        series: vec![line("reward", "all prompts".into(), 6, -0.06), line("tail", "tail".into(), 5, 0.06)],
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
    for series in charts.iter().flat_map(|chart| &chart.series).filter(|series| !series.points.is_empty()) {
        if !lines.contains(&(series.style, &series.name)) {
            lines.push((series.style, &series.name));
        }
    }
    html! {
        ul.key aria-label="Key" { @for (style, name) in lines { li { (key_sample(style)) " " (name) } } }
    }
}
