//! The numbers behind the charts, from texts and logs to points.

use std::collections::BTreeMap;

use tailguard_metrics::{MetricsError, buckets, curve, std_sample};
use tailguard_report::LogRow;

/// A point of a line, with the lowest and the highest of the seeds where there are several.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) range: Option<[f64; 2]>,
}

/// The mean over seeds of the values that each has at `x`.
fn over(x: f64, values: &[f64]) -> Point {
    let [low, high] = extent(values.iter().copied()).unwrap_or([f64::NAN; 2]);
    let y = values.iter().sum::<f64>() / values.len() as f64;
    Point { x, y, range: (values.len() > 1).then_some([low, high]) }
}

/// The lowest and the highest of the values, if there are any.
pub(crate) fn extent(values: impl IntoIterator<Item = f64>) -> Option<[f64; 2]> {
    values.into_iter().fold(None, |extent: Option<[f64; 2]>, value| match extent {
        None => Some([value, value]),
        Some([low, high]) => Some([low.min(value), high.max(value)]),
    })
}

/// `CVaR` of the rewards of each seed, at each percent from 1 to 100: the mean of the
/// `ceil(percent n / 100)` lowest.
pub(crate) fn cvar(seeds: &[Vec<f64>]) -> Vec<Point> {
    // of the lowest so many, each
    let sums = |rewards: &Vec<f64>| {
        let lowest = sorted(rewards).into_iter();
        lowest
            .scan(0.0, |sum, reward| {
                Some({
                    *sum += reward;
                    *sum
                })
            })
            .collect::<Vec<f64>>()
    };
    let sums: Vec<Vec<f64>> = seeds.iter().map(sums).filter(|sums| !sums.is_empty()).collect();
    let at = |percent: usize| {
        let of = |sums: &Vec<f64>| {
            let count = (percent * sums.len()).div_ceil(100);
            sums[count - 1] / count as f64
        };
        over(percent as f64 / 100.0, &sums.iter().map(of).collect::<Vec<_>>())
    };
    if sums.is_empty() { Vec::new() } else { (1..=100).map(at).collect() }
}

/// The paper's quantile curve: mean reward of the lowest percent of prompts by their own scores.
pub(crate) fn quantiles(seeds: &[Vec<f64>], scores: &[f64]) -> Result<Vec<Point>, MetricsError> {
    let curves: Vec<_> =
        seeds.iter().map(|rewards| curve(rewards, scores, 1..=100)).collect::<Result<_, _>>()?;
    let at = |place: usize| {
        let means: Option<Vec<f64>> = curves.iter().map(|curve| curve[place].mean).collect();
        means.filter(|means| !means.is_empty()).map(|means| over((place + 1) as f64, &means))
    };
    // the first percents of few prompts are no prompt
    Ok((0..100).filter_map(at).collect())
}

/// Mean reward in each of `count` equal groups of prompts, from the lowest scores to the highest,
/// against their middle percent.
pub(crate) fn groups(
    seeds: &[Vec<f64>],
    scores: &[f64],
    count: usize,
) -> Result<Vec<Point>, MetricsError> {
    let groups: Vec<_> =
        seeds.iter().map(|rewards| buckets(rewards, scores, count)).collect::<Result<_, _>>()?;
    let at = |place: usize| {
        let means: Vec<f64> = groups.iter().map(|groups| groups[place].reward).collect();
        over(100.0 * (place as f64 + 0.5) / count as f64, &means)
    };
    Ok((0..count).map(at).collect())
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}

/// How wide the bell over each value is: Silverman's rule.
pub(crate) fn bandwidth(values: &[f64]) -> Option<f64> {
    let sorted = sorted(values);
    let spread = std_sample(&sorted).ok()?;
    let middle = (quarter(&sorted, 3) - quarter(&sorted, 1)) / 1.34;
    let narrow = if middle > 0.0 { spread.min(middle) } else { spread };
    let width = 0.9 * narrow * (sorted.len() as f64).powf(-0.2);
    (width > 0.0).then_some(width)
}

/// A quartile of ascending values.
fn quarter(sorted: &[f64], quarters: usize) -> f64 {
    sorted[(quarters * (sorted.len() - 1)) / 4]
}

/// The density of the values at each `x`: a normal bell over each of them. It is 1 in all.
pub(crate) fn density(values: &[f64], bandwidth: f64, xs: &[f64]) -> Vec<Point> {
    let scale = 1.0 / (values.len() as f64 * bandwidth * std::f64::consts::TAU.sqrt());
    let at = |&x: &f64| {
        let bells = values.iter().map(|value| (-0.5 * ((x - value) / bandwidth).powi(2)).exp());
        Point { x, y: scale * bells.sum::<f64>(), range: None }
    };
    xs.iter().map(at).collect()
}

/// The share of the values, in percent, that are at most `x`.
pub(crate) fn at_most(values: &[f64], xs: &[f64]) -> Vec<Point> {
    let sorted = sorted(values);
    let at = |&x: &f64| {
        let below = sorted.partition_point(|value| *value <= x);
        Point { x, y: 100.0 * below as f64 / sorted.len() as f64, range: None }
    };
    xs.iter().map(at).collect()
}

/// `count` places from `low` to `high`, both included.
pub(crate) fn places(low: f64, high: f64, count: usize) -> Vec<f64> {
    let step = (high - low) / (count.max(2) - 1) as f64;
    (0..count).map(|place| low + step * place as f64).collect()
}

/// A number of the log by iteration: the mean over the seeds that have it, as long as all of them
/// do.
pub(crate) fn training(rows: &[LogRow], method: &str, name: &str) -> Vec<Point> {
    let mut values: BTreeMap<u64, BTreeMap<u64, f64>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.method == method) {
        if let Some(value) = row.values.get(name) {
            values.entry(row.iteration).or_default().insert(row.seed, *value);
        }
    }
    let seeds = values.values().map(BTreeMap::len).max().unwrap_or_default();
    let whole = values.into_iter().filter(|(_, by_seed)| by_seed.len() == seeds);
    whole
        .map(|(iteration, by_seed)| {
            over(iteration as f64, &by_seed.into_values().collect::<Vec<_>>())
        })
        .collect()
}

/// The mean over `over` neighbours of each point, this one in their middle; fewer at the ends.
/// Ranges are left out.
pub(crate) fn smooth(points: &[Point], over: usize) -> Vec<Point> {
    let mean = |(place, point): (usize, &Point)| {
        // as many on each side as there are on the shorter one, so that the ends do not lean
        // inwards
        let aside = (over / 2).min(place).min(points.len() - 1 - place);
        let near = &points[place - aside..=place + aside];
        Point {
            y: near.iter().map(|point| point.y).sum::<f64>() / near.len() as f64,
            range: None,
            ..*point
        }
    };
    points.iter().enumerate().map(mean).collect()
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};
    use tailguard_risk::RiskLevel;

    use super::*;

    proptest! {
        #[test]
        fn the_curve_is_the_cvar_of_the_risk_measures(rewards in vec(-9.0..9.0, 1..70)) {
            let points = cvar(std::slice::from_ref(&rewards));
            prop_assert_eq!(points.len(), 100);
            for (percent, point) in (1..=100).zip(&points) {
                let level = RiskLevel::new(f64::from(percent) / 100.0).unwrap();
                prop_assert!(
                    (point.y - tailguard_risk::cvar(&rewards, level).unwrap()).abs() < 1e-12,
                    "{}",
                    percent
                );
            }
        }

        #[test]
        fn a_density_is_one_in_all(values in vec(-3.0..3.0, 2..60), width in 0.2..1.0) {
            let xs = places(-12.0, 12.0, 1201);
            let sum: f64 = density(&values, width, &xs).iter().map(|point| point.y * 0.02).sum();
            prop_assert!((sum - 1.0).abs() < 1e-3, "{}", sum);
        }
    }

    #[test]
    fn several_seeds_give_a_mean_and_a_range() {
        let seeds = [vec![0.0, 2.0], vec![1.0, 5.0]];
        let points = cvar(&seeds);
        assert_eq!(points[49], Point { x: 0.5, y: 0.5, range: Some([0.0, 1.0]) });
        assert_eq!(points[99], Point { x: 1.0, y: 2.0, range: Some([1.0, 3.0]) });
        let points = quantiles(&seeds, &[3.0, 1.0]).unwrap();
        assert_eq!(points.len(), 51, "below half there is no prompt");
        assert_eq!(points[0], Point { x: 50.0, y: 3.5, range: Some([2.0, 5.0]) });
        let points = groups(&seeds[..1], &[3.0, 1.0], 2).unwrap();
        assert_eq!((points[0].x, points[0].y, points[1].y), (25.0, 2.0, 0.0));
        assert_eq!(cvar(&[]), []);
    }

    #[test]
    fn shares_count_what_is_at_most_there() {
        let points = at_most(&[3.0, 1.0, 2.0, 1.0], &[0.0, 1.0, 2.5, 9.0]);
        assert_eq!(
            points.iter().map(|point| point.y).collect::<Vec<_>>(),
            [0.0, 50.0, 75.0, 100.0]
        );
        assert_eq!(places(0.0, 1.0, 3), [0.0, 0.5, 1.0]);
        assert_eq!(bandwidth(&[1.0, 1.0]), None);
    }

    #[test]
    fn a_smooth_line_has_the_means_of_neighbours_and_the_same_ends() {
        let points: Vec<Point> = [1.0, 4.0, 1.0, 4.0, 7.0]
            .into_iter()
            .zip(1..)
            .map(|(y, x)| Point { x: f64::from(x), y, range: None })
            .collect();
        let smoothed: Vec<f64> = smooth(&points, 3).into_iter().map(|point| point.y).collect();
        assert_eq!(smoothed, [1.0, 2.0, 3.0, 4.0, 7.0]);
        assert_eq!(smooth(&points, 1), points);
        assert_eq!(smooth(&[], 9), []);
    }

    #[test]
    fn a_training_is_as_long_as_all_its_seeds() {
        let row = |seed, iteration, value| LogRow {
            method: "rlhf".into(),
            seed,
            iteration,
            values: [("kl".to_owned(), value)].into(),
        };
        let rows = [row(1, 1, 1.0), row(2, 1, 3.0), row(1, 2, 5.0)];
        assert_eq!(
            training(&rows, "rlhf", "kl"),
            [Point { x: 1.0, y: 2.0, range: Some([1.0, 3.0]) }]
        );
        assert_eq!(training(&rows, "rlhf", "reward"), []);
        assert_eq!(training(&rows[2..], "rlhf", "kl"), [Point { x: 2.0, y: 5.0, range: None }]);
    }
}
