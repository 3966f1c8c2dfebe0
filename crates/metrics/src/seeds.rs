//! How far a figure can be trusted: spread and 95 % intervals over seeds and over prompts.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    MetricsError,
    error::{check, check_finite, check_range},
    mean, std_sample,
};

/// A figure with its spread and its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// The figure.
    pub mean: f64,
    /// Its standard deviation: over seeds (n - 1), or over bootstrap resamples, which is the standard error.
    pub std: f64,
    /// Lower and upper end of the 95 % interval of the figure.
    pub ci95: [f64; 2],
}

impl Summary {
    /// A figure with its standard error, and the 95 % interval of the normal distribution.
    pub fn normal(mean: f64, std: f64) -> Self {
        Self { mean, std, ci95: [mean - NORMAL_975 * std, mean + NORMAL_975 * std] }
    }

    /// The summary of a share: its interval ends where shares do, at 0 and 1.
    #[must_use]
    pub fn of_share(self) -> Self {
        Self { ci95: self.ci95.map(|end| end.clamp(0.0, 1.0)), ..self }
    }
}

/// Settings of a bootstrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bootstrap {
    /// How often to resample; at least 40, so that a 2.5 % tail holds one resample. 1,000 to 10,000 is usual.
    pub resamples: usize,
    /// Seed of the `ChaCha8` stream that draws: the same seed gives the same interval, on every machine.
    pub seed: u64,
}

/// Up to so many values are resampled for an interval of their mean. Of more the resampled means would be normally distributed,
/// and their spread is known without.
pub const MANY: usize = 10_000;
/// The point that the normal distribution exceeds with probability 2.5 %.
const NORMAL_975: f64 = 1.96;
/// The fewest resamples of which 2.5 % is one.
const FEWEST_RESAMPLES: usize = 40;

/// Mean, standard deviation (n - 1) and Student's t interval of a figure measured once per seed.
///
/// The interval is `mean +- t * std / sqrt(n)` with the 97.5 % point of Student's t at n - 1 degrees of freedom.
///
/// # Errors
/// [`MetricsError::TooFew`] for fewer than two seeds: one run has no spread, and 0 would pretend it has
/// (use [`bootstrap`] there); [`MetricsError::NotFinite`].
///
/// # Example
/// ```
/// # use tailguard_metrics::over_seeds;
/// let reward = over_seeds(&[1.0, 2.0, 3.0])?;
/// assert_eq!((reward.mean, reward.std), (2.0, 1.0));
/// assert!((reward.ci95[1] - 4.484138).abs() < 1e-6); // 2 + 4.302653 / sqrt(3)
/// # Ok::<(), tailguard_metrics::MetricsError>(())
/// ```
pub fn over_seeds(values: &[f64]) -> Result<Summary, MetricsError> {
    let (mean, std) = (mean(values)?, std_sample(values)?);
    let half = t_975(values.len() - 1) * std / (values.len() as f64).sqrt();
    Ok(Summary { mean, std, ci95: [mean - half, mean + half] })
}

/// The mean of the values with its percentile-bootstrap interval: values, such as one reward per prompt, are resampled.
///
/// For a difference of two methods pass [`crate::paired_differences`].
///
/// # Errors
/// [`MetricsError::TooFew`] for no values; [`MetricsError::NotFinite`]; [`MetricsError::OutOfRange`] for fewer than 40
/// resamples.
///
/// # Example
/// ```
/// # use tailguard_metrics::{Bootstrap, bootstrap};
/// let rewards: Vec<f64> = (0..100).map(f64::from).collect();
/// let [low, high] = bootstrap(&rewards, Bootstrap { resamples: 1000, seed: 1 })?.ci95;
/// assert!(41.0 < low && low < 47.0 && 52.0 < high && high < 58.0);
/// # Ok::<(), tailguard_metrics::MetricsError>(())
/// ```
pub fn bootstrap(values: &[f64], settings: Bootstrap) -> Result<Summary, MetricsError> {
    check("values", values)?;
    let mean = |picked: &[usize]| picked.iter().map(|&index| values[index]).sum::<f64>() / picked.len() as f64;
    bootstrap_by(values.len(), mean, settings)
}

/// The mean of values that come in clusters, such as the rewards of several responses to one prompt, with its interval over the
/// clusters: what is in one cluster is alike, so whole clusters are resampled and not single values.
///
/// Of each cluster `clusters` has the sum of its values and how many they are. The mean is that of all values, so that a
/// cluster counts as often as it has values. With one value each this is [`bootstrap`]. More than [`MANY`] clusters are not
/// resampled: their interval is by the normal distribution, with the standard error of a ratio (Cochran, Sampling Techniques,
/// 1977, chapter 6).
///
/// # Errors
/// [`MetricsError::TooFew`] for no clusters; [`MetricsError::NotFinite`]; [`MetricsError::OutOfRange`] for a cluster without
/// values, or for fewer than 40 resamples.
///
/// # Example
/// ```
/// # use tailguard_metrics::{Bootstrap, clustered};
/// let settings = Bootstrap { resamples: 1000, seed: 0 };
/// let prompts = [(1.0, 1), (3.0, 1), (2.0, 1), (6.0, 1)];
/// let copies = prompts.map(|(reward, _)| (16.0 * reward, 16)); // each answered 16 times, always alike
/// let (once, often) = (clustered(&prompts, settings)?, clustered(&copies, settings)?);
/// assert!(once.mean == 3.0 && often == once); // 64 rewards tell no more than four
/// # Ok::<(), tailguard_metrics::MetricsError>(())
/// ```
pub fn clustered(clusters: &[(f64, usize)], settings: Bootstrap) -> Result<Summary, MetricsError> {
    check("clusters", &clusters.iter().map(|(sum, _)| *sum).collect::<Vec<_>>())?;
    clusters.iter().try_for_each(|(_, count)| check_range("values of a cluster", *count, 1, usize::MAX))?;
    let mean_at = |picked: &[usize]| {
        let sum: f64 = picked.iter().map(|&place| clusters[place].0).sum();
        sum / picked.iter().map(|&place| clusters[place].1).sum::<usize>() as f64
    };
    if clusters.len() <= MANY {
        return bootstrap_by(clusters.len(), mean_at, settings);
    }
    let (mean, len) = (mean_at(&(0..clusters.len()).collect::<Vec<_>>()), clusters.len() as f64);
    let squares: f64 = clusters.iter().map(|&(sum, count)| (sum - mean * count as f64).powi(2)).sum();
    let values: usize = clusters.iter().map(|(_, count)| count).sum();
    Ok(Summary::normal(mean, (squares * len / (len - 1.0)).sqrt() / values as f64))
}

/// The percentile bootstrap of any figure of `len` items; `figure` is given the indices of the items to count.
///
/// It is called once with `0..len` and then once per resample, always with `len` indices.
///
/// # Errors
/// [`MetricsError::TooFew`] if `len` is 0; [`MetricsError::OutOfRange`] for fewer than 40 resamples;
/// [`MetricsError::NotFinite`] if the figure of a resample is not finite (resample 0 is the items themselves).
pub fn bootstrap_by(len: usize, mut figure: impl FnMut(&[usize]) -> f64, settings: Bootstrap) -> Result<Summary, MetricsError> {
    if len == 0 {
        return Err(MetricsError::TooFew { what: "items", needed: 1, found: 0 });
    }
    check_range("resamples", settings.resamples, FEWEST_RESAMPLES, usize::MAX)?;
    let mut random = ChaCha8Rng::seed_from_u64(settings.seed);
    let mut picked: Vec<usize> = (0..len).collect();
    let whole = figure(&picked);
    check_finite("resample", [whole])?;
    let mut figures = Vec::with_capacity(settings.resamples);
    for _ in 0..settings.resamples {
        picked.fill_with(|| below(len, random.next_u64()));
        figures.push(figure(&picked));
    }
    check_finite("resample", std::iter::once(whole).chain(figures.iter().copied()))?;
    let std = std_sample(&figures)?;
    figures.sort_unstable_by(f64::total_cmp);
    Ok(Summary { mean: whole, std, ci95: [percentile(&figures, 25), percentile(&figures, 975)] })
}

/// An index in `0..len` from 64 random bits: their fraction of the range, with a bias below len over 2^64.
fn below(len: usize, bits: u64) -> usize {
    let scaled = (u128::from(bits) * len as u128) >> 64;
    usize::try_from(scaled).unwrap_or(len - 1)
}

/// The value that `per_mille` of ascending values lie below, in a straight line between neighbours.
fn percentile(sorted: &[f64], per_mille: usize) -> f64 {
    let place = per_mille * (sorted.len() - 1);
    let (index, rest) = (place / 1000, place % 1000);
    let upper = sorted[(index + 1).min(sorted.len() - 1)];
    sorted[index] + (upper - sorted[index]) * (rest as f64 / 1000.0)
}

/// The point that Student's t exceeds with probability 2.5 %, for `freedom` >= 1 degrees of freedom.
fn t_975(freedom: usize) -> f64 {
    // The point falls from 12.71 at one degree towards the normal distribution's 1.96.
    let (mut low, mut high) = (1.9, 13.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if t_within(middle, freedom) < 0.95 { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

/// Probability that Student's t lies within `-t..=t`: the finite series in the angle atan(t / sqrt(freedom)),
/// 26.7.3 and 26.7.4 of Abramowitz and Stegun.
fn t_within(t: f64, freedom: usize) -> f64 {
    let angle = (t / (freedom as f64).sqrt()).atan();
    let (sin, cos) = angle.sin_cos();
    let odd = freedom % 2;
    // Even: 1 + cos^2 / 2 + 1 * 3 / (2 * 4) cos^4 + ...; odd: cos + 2 / 3 cos^3 + ...; up to cos^(freedom - 2).
    let mut term = if odd == 1 { cos } else { 1.0 };
    let mut series = 0.0;
    for power in (odd..freedom.saturating_sub(1)).step_by(2) {
        series += term;
        term *= cos * cos * (power + 1) as f64 / (power + 2) as f64;
    }
    if odd == 1 { (angle + sin * series) * std::f64::consts::FRAC_2_PI } else { sin * series }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    const SETTINGS: Bootstrap = Bootstrap { resamples: 400, seed: 3 };

    #[test]
    fn student_t_agrees_with_printed_tables() {
        let table = [(1, 12.7062), (2, 4.3027), (3, 3.1824), (4, 2.7764), (5, 2.5706), (9, 2.2622), (30, 2.0423), (120, 1.9799)];
        for (freedom, point) in table {
            assert!((t_975(freedom) - point).abs() < 5.1e-5, "{freedom}: {}", t_975(freedom));
        }
        assert!((t_975(100_000) - 1.96).abs() < 1e-3);
    }

    #[test]
    fn one_seed_has_no_spread() {
        let message = over_seeds(&[1.0]).unwrap_err().to_string();
        assert_eq!(message, "values: found 1, expected at least 2");
    }

    #[test]
    fn unusable_input_is_refused() {
        assert!(matches!(over_seeds(&[]), Err(MetricsError::TooFew { .. })));
        assert!(matches!(over_seeds(&[1.0, f64::NAN]), Err(MetricsError::NotFinite { .. })));
        assert!(matches!(bootstrap(&[], SETTINGS), Err(MetricsError::TooFew { .. })));
        assert!(matches!(bootstrap(&[f64::INFINITY], SETTINGS), Err(MetricsError::NotFinite { .. })));
        let few = Bootstrap { resamples: 39, ..SETTINGS };
        assert!(matches!(bootstrap(&[1.0], few), Err(MetricsError::OutOfRange { name: "resamples", .. })));
        assert!(matches!(bootstrap_by(0, |_| 0.0, SETTINGS), Err(MetricsError::TooFew { .. })));
        assert!(matches!(bootstrap_by(1, |_| f64::NAN, SETTINGS), Err(MetricsError::NotFinite { index: 0, .. })));
    }

    #[test]
    fn the_draws_of_a_seed_never_change() {
        // Written down from the first version: published intervals must stay reproducible.
        let values: Vec<f64> = (0..10).map(f64::from).collect();
        let summary = bootstrap(&values, Bootstrap { resamples: 200, seed: 42 }).unwrap();
        let [low, high] = summary.ci95;
        assert!((low - 2.8975).abs() < 1e-9 && (high - 5.9075).abs() < 1e-9, "{low} to {high}");
    }

    #[test]
    fn many_clusters_have_the_interval_of_their_resamples() {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let mut cluster = || {
            let (count, level) = (1 + below(4, random.next_u64()), below(1000, random.next_u64()) as f64);
            (level * count as f64, count)
        };
        let clusters: Vec<(f64, usize)> = (0..=MANY).map(|_| cluster()).collect();
        let (all, resampled) = (clustered(&clusters, SETTINGS).unwrap(), clustered(&clusters[..MANY], SETTINGS).unwrap());
        assert!((all.std / resampled.std - 1.0).abs() < 0.1, "{all:?} {resampled:?}");
        assert!((0..2).all(|end| (all.ci95[end] - resampled.ci95[end]).abs() < 0.3 * all.std), "{all:?} {resampled:?}");
        assert!(matches!(clustered(&[(1.0, 0)], SETTINGS), Err(MetricsError::OutOfRange { .. })));
        assert!(matches!(clustered(&[], SETTINGS), Err(MetricsError::TooFew { .. })));
    }

    #[test]
    fn the_interval_of_a_share_ends_where_shares_do() {
        assert!(matches!(Summary::normal(0.25, 0.5).of_share().ci95, [0.0, 1.0]));
    }

    #[test]
    fn about_95_of_100_bootstrap_intervals_hold_the_true_mean() {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let mut held = 0;
        for seed in 0..300 {
            let values: Vec<f64> = (0..60).map(|_| below(1000, random.next_u64()) as f64).collect();
            let [low, high] = bootstrap(&values, Bootstrap { resamples: 300, seed }).unwrap().ci95;
            held += usize::from(low <= 499.5 && 499.5 <= high);
        }
        assert!((270..=297).contains(&held), "{held} of 300");
    }

    proptest! {
        #[test]
        fn intervals_hold_the_mean_of_the_values(values in vec(-9.0..9.0, 2..40), seed: u64) {
            let seeds = over_seeds(&values).unwrap();
            prop_assert!(seeds.ci95[0] <= seeds.mean && seeds.mean <= seeds.ci95[1]);
            let resampled = bootstrap(&values, Bootstrap { seed, ..SETTINGS }).unwrap();
            prop_assert!((resampled.mean - seeds.mean).abs() < 1e-12);
            let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
            prop_assert!(lowest - 1e-9 <= resampled.ci95[0] && resampled.ci95[0] <= resampled.ci95[1]);
        }

        #[test]
        fn the_same_seed_gives_the_same_interval(values in vec(-9.0..9.0, 1..40), seed: u64) {
            let settings = Bootstrap { seed, ..SETTINGS };
            prop_assert_eq!(bootstrap(&values, settings), bootstrap(&values, settings));
        }

        #[test]
        fn equal_values_have_an_interval_of_one_point(value in -9.0_f64..9.0, count in 2_usize..20) {
            for summary in [over_seeds(&vec![value; count]).unwrap(), bootstrap(&vec![value; count], SETTINGS).unwrap()] {
                prop_assert!(summary.std < 1e-12 && (summary.ci95[1] - summary.ci95[0]).abs() < 1e-12);
            }
        }

        #[test]
        fn clusters_of_one_value_are_the_values(values in vec(-9.0..9.0, 1..40), seed: u64) {
            let settings = Bootstrap { seed, ..SETTINGS };
            let ones: Vec<(f64, usize)> = values.iter().map(|&value| (value, 1)).collect();
            prop_assert_eq!(clustered(&ones, settings), bootstrap(&values, settings));
        }

        #[test]
        fn draws_are_in_range(len in 1_usize.., bits: u64) {
            prop_assert!(below(len, bits) < len);
        }
    }
}
