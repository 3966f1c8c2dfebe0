//! What the worst texts and the mean are worth at the KL that they cost: a point for each policy.

use tailguard_metrics::{ByPrompt, MetricsError, lowest_over_seeds};
use tailguard_report::Figure as Value;

use crate::charts::palette::style;
use crate::charts::{Axis, Chart, Draw, Series, Size};
use crate::curves::{Point, extent};
use crate::error::PageError;
use crate::figures::Figure;
use crate::policies::Policy;
use crate::run::Run;
use crate::texts::{Sample, Text};

/// The share of a policy's texts that are its worst, in percent.
const WORST: usize = 10;
/// The key of their mean, and what stands over it.
pub(crate) const WORST_KEY: &str = "cvar_10";
pub(crate) const WORST_HEAD: &str = "CVaR 10 %";

/// Where a policy is: its KL, its mean reward and the mean of its worst.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Place {
    pub(crate) kl: Value,
    pub(crate) reward: Value,
    /// Nothing without texts.
    pub(crate) cvar: Option<Value>,
    /// The same three of each seed, in their order, where there are several.
    seeds: Vec<OfSeed>,
}

/// Where a policy is with one seed.
#[derive(Clone, Copy, Debug, PartialEq)]
struct OfSeed {
    seed: u64,
    kl: f64,
    reward: f64,
    cvar: f64,
}

/// Of how many values the worst are the mean.
fn worst_of(count: usize) -> usize {
    (WORST * count).div_ceil(100)
}

/// Where a policy is; nothing of one whose KL is not known.
///
/// # Errors
/// [`PageError::Metrics`] for texts whose numbers are none.
pub(crate) fn place(run: &Run, policy: &Policy) -> Result<Option<Place>, PageError> {
    let figure = |key| run.results.figure(&policy.key, key);
    let (Some(kl), Some(reward)) = (figure("kl"), figure("reward")) else { return Ok(None) };
    let samples: Vec<&Sample> =
        run.texts.of(&policy.key).filter(|sample| !sample.texts.is_empty()).collect();
    let rewards: Vec<Vec<ByPrompt>> =
        samples.iter().map(|sample| sample.by_prompt(|text| Some(text.reward))).collect();
    let cvar = lowest_over_seeds(&rewards, worst_of)?.map(Value::from);
    let of_seed = |(sample, rewards): (&&Sample, &Vec<ByPrompt>)| -> Option<Result<_, _>> {
        let kls = sample.by_prompt(|text: &Text| text.kl);
        // of a part of its texts the KL is that of another sample
        if kls.len() < rewards.len() {
            return None;
        }
        let lowest = lowest_over_seeds(std::slice::from_ref(rewards), worst_of);
        let cvar = lowest.map(|found| found.map(|found| found.value)).transpose()?;
        Some(cvar.map(|cvar| OfSeed {
            seed: sample.seed,
            kl: mean(&kls),
            reward: mean(rewards),
            cvar,
        }))
    };
    let seeds = samples.iter().zip(&rewards).filter_map(of_seed);
    let seeds = seeds.collect::<Result<Vec<_>, MetricsError>>()?;
    let seeds = if seeds.len() > 1 { seeds } else { Vec::new() };
    Ok(Some(Place { kl, reward, cvar, seeds }))
}

fn mean(values: &[ByPrompt]) -> f64 {
    values.iter().map(|(_, value)| value).sum::<f64>() / values.len() as f64
}

/// The figure: `CVaR` and mean reward against KL. Nothing where fewer than two policies have a KL.
///
/// # Errors
/// As [`place`].
pub(crate) fn tail_against_kl(run: &Run) -> Result<Option<Figure>, PageError> {
    let mut places = Vec::new();
    for policy in &run.methods {
        places.extend(place(run, policy)?.map(|place| (policy, place)));
    }
    if places.len() < 2 {
        return Ok(None);
    }
    let mut charts = vec![
        chart(&places, "tail-against-kl", "CVaR 10 % against KL", |place| {
            (place.cvar, |seed| seed.cvar)
        }),
        chart(&places, "reward-against-kl", "Mean reward against KL", |place| {
            (Some(place.reward), |seed| seed.reward)
        }),
    ];
    charts.retain(|chart| !chart.is_empty());
    let small = if places.iter().any(|(_, place)| !place.seeds.is_empty()) {
        " Small marks are the single seeds."
    } else {
        ""
    };
    let caption = format!(
        "What each policy reaches, and how far from {} it has gone for it: policies compare where \
         they stand above each other. CVaR 10 % is the mean reward of the worst tenth of a \
         policy’s own continuations. Bars are the 95 % intervals of both.{small}",
        run.results.reference()
    );
    Ok(Some(Figure { id: "price", heading: "Tail against KL", caption, charts }))
}

/// A figure of a place, and the same of one of its seeds.
type OfPlace = fn(&Place) -> (Option<Value>, fn(&OfSeed) -> f64);

/// A mark for each policy with its two intervals, and a small one for each seed.
fn chart(places: &[(&Policy, Place)], id: &str, title: &str, figure: OfPlace) -> Chart {
    let mut series = Vec::new();
    for (policy, place) in places {
        let (value, of_seed) = figure(place);
        let Some(value) = value else { continue };
        let style = style(policy.style);
        let (x, y) = (place.kl.mean, value.mean);
        let mut put = |name: String, points: Vec<Point>, draw| {
            series.push(Series { name, style, points, draw });
        };
        // beneath the mark
        let across = place.kl.ci95.map(|range| Point { x, y, range: Some(range) });
        put(
            format!("{}, 95 % interval of KL", policy.label),
            across.into_iter().collect(),
            Draw::Across,
        );
        for seed in &place.seeds {
            let point = Point { x: seed.kl, y: of_seed(seed), range: None };
            put(format!("{}, seed {}", policy.label, seed.seed), vec![point], Draw::Faint);
        }
        put(policy.label.clone(), vec![Point { x, y, range: value.ci95 }], Draw::Apart);
    }
    let ends = places.iter().flat_map(|(_, place)| {
        let seeds = place.seeds.iter().map(|seed| seed.kl);
        seeds.chain([0.0, place.kl.mean]).chain(place.kl.ci95.into_iter().flatten())
    });
    let [low, high] = extent(ends).unwrap_or([0.0, 1.0]);
    let room = 0.04 * (high - low).max(1e-3);
    Chart {
        id: id.to_owned(),
        title: title.to_owned(),
        x: Axis::from_to("KL, nats per response", low - room, high + room),
        y: Axis::new("reward"),
        series,
        size: Size::Large,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::charts::csv;
    use crate::fixtures::{Kind, files};

    /// A run whose texts have KLs: the first half of the texts of a sample has 1 more than the
    /// second, seed 2 has 2 more than seed 1.
    fn with_kl(kind: Kind) -> Run {
        let mut files = files(kind);
        for row in files.texts.iter_mut().flatten() {
            let is_first = row.prompt_score.is_some_and(|score| score < 0.0);
            row.kl = Some(3.0 + f64::from(u8::from(is_first)) + 2.0 * (row.seed - 1) as f64);
        }
        Run::new(files).unwrap()
    }

    fn chart_of(run: &Run, id: &str) -> Chart {
        let figure = tail_against_kl(run).unwrap().unwrap();
        figure.charts.into_iter().find(|chart| chart.id == id).unwrap()
    }

    #[test]
    fn each_policy_is_a_point_with_both_intervals() {
        let chart = chart_of(&with_kl(Kind::Gain), "reward-against-kl");
        let named: Vec<(&str, Draw)> =
            chart.series.iter().map(|series| (series.name.as_str(), series.draw)).collect();
        assert_eq!(named.len(), 8, "{named:?}");
        assert_eq!(
            named[6..],
            [("RA-RLHF, 95 % interval of KL", Draw::Across), ("RA-RLHF", Draw::Apart)]
        );
        // of the fixture: reward and KL 1.5, each a quarter to both sides
        let point = |range| vec![Point { x: 1.5, y: 1.5, range: Some(range) }];
        assert_eq!(chart.series[7].points, point([1.25, 1.75]));
        assert_eq!(chart.series[6].points, point([1.25, 1.75]));
        // the origin is on the axis, and so are all intervals
        let [low, high] = chart.x.range.unwrap();
        assert!(low < -0.25 && high > 1.75, "{low} {high}");
    }

    #[test]
    fn the_tail_is_the_mean_of_the_worst_tenth() {
        // of 40 rewards the four lowest: those of the tail's 20 prompts
        for (kind, lowest) in [(Kind::Gain, 1.0), (Kind::Loss, 0.0)] {
            let chart = chart_of(&with_kl(kind), "tail-against-kl");
            let last = &chart.series.last().unwrap().points[0];
            assert!((last.y - lowest).abs() < 1e-12, "{kind:?}: {last:?}");
        }
    }

    #[test]
    fn seeds_are_small_points_where_there_are_several() {
        let chart = chart_of(&with_kl(Kind::Seeds), "tail-against-kl");
        let seeds: Vec<_> =
            chart.series.iter().filter(|series| series.name.starts_with("RLHF, seed")).collect();
        let points: Vec<Point> = seeds.iter().map(|series| series.points[0]).collect();
        let point = |x| Point { x, y: 1.0, range: None };
        assert_eq!(points, [point(3.5), point(5.5)]);
        assert!(seeds.iter().all(|series| series.draw == Draw::Faint));
    }

    #[test]
    fn the_numbers_behind_it_say_what_each_is() {
        let text = csv(&chart_of(&with_kl(Kind::Gain), "reward-against-kl"));
        assert!(text.starts_with("series,\"KL, nats per response\",reward,low,high\n"), "{text}");
        assert!(text.contains("\nRA-RLHF,1.5,1.5,1.25,1.75\n"), "{text}");
        assert!(text.contains("\n\"RA-RLHF, 95 % interval of KL\",1.5,1.5,1.25,1.75\n"), "{text}");
    }

    #[test]
    fn without_a_kl_there_is_no_such_figure() {
        let mut files = files(Kind::Gain);
        let mut results: serde_json::Value = serde_json::from_str(&files.results).unwrap();
        for method in results["methods"].as_object_mut().unwrap().values_mut() {
            method["kl"] = serde_json::Value::Null;
        }
        files.results = results.to_string();
        assert!(tail_against_kl(&Run::new(files).unwrap()).unwrap().is_none());
    }
}
