//! How far a figure can be trusted: one account for every figure and every difference of two.

use crate::{
    MetricsError, error::check, error::check_finite, influence::Influences, moments::mean_of,
    std_sample, student::t_975,
};

/// A figure with its standard error and its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The figure; of several seeds the mean of theirs.
    pub value: f64,
    /// Its standard error, over prompts and seeds; `None` where one value alone says nothing of it.
    pub se: Option<f64>,
    /// Lower and upper end of its 95 % interval; `None` likewise.
    pub ci95: Option<[f64; 2]>,
    /// Sample standard deviation (n - 1) of the seeds' figures; `None` for one seed.
    pub seeds_std: Option<f64>,
}

/// What values a figure can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Any number.
    Any,
    /// From 0 to 1.
    Share,
}

/// A figure over seeds, from that of each seed with its [`Influences`]. Prompts are a sample, and
/// so are seeds; each seed meets the same prompts, others, or some of both.
///
/// # Standard error
/// With effects of prompts `a`, of seeds `b` and the rest `c` (a prompt in a seed, the draw of a
/// text) the variance of the figure is that of their means, `A + B + C`. The spread of prompts,
/// averaged over seeds, shows `A + C`, the spread of seeds `B + C`, and what prompts do alike in
/// all seeds shows `A`; where seeds have no prompt in common, `A` is nothing, and `B + C` says it
/// all. (Cornfield and Tukey, 1956, for means; Cameron, Gelbach and Miller, 2011, for any figure.)
/// The variance is never below one of the two spreads. With one seed it is that of prompts, **given
/// the policy that this seed has trained**.
///
/// # Interval
/// Student's t with Satterthwaite's degrees of freedom (1946), in which prompts count as many as
/// the kurtosis of their influences leaves of them: of CVaR, those in the tail. It is no narrower
/// than what the prompts or the seeds alone would ask for, each by its own t and for the share of
/// its spread that the other has not seen as well: two seeds that happen to agree do not make a
/// figure sure. The interval leans to the side where the influences have their long tail, by half
/// of Hall's correction for skewness (On the removal of skewness by transformation, 1992): the
/// whole would correct twice, as the degrees of freedom have fallen too. Of a [share](Scale::Share)
/// it is Wilson's interval (1927) at the number of independent texts that would have the same
/// standard error; where all texts of all seeds are alike, at the number of prompts and by their t
/// alone: several seeds with nothing to tell apart are one account of these prompts.
///
/// `tests/coverage.rs` shows how often these intervals hold the true value.
///
/// # Errors
/// [`MetricsError::TooFew`] for no seed; [`MetricsError::NotFinite`].
///
/// # Example
/// ```
/// # use tailguard_metrics::{Influences, Scale, estimate};
/// let seed = |shift: f64| Influences::of_mean(&[(0, 1.0 + shift), (1, 2.0 - shift), (2, 3.0)]);
/// let one = estimate(&[seed(0.0)?], Scale::Any)?;
/// assert_eq!((one.value, one.seeds_std), (2.0, None));
/// assert!((one.se.unwrap() - 1.0 / 3.0_f64.sqrt()).abs() < 1e-12);
/// // seeds that agree do not make the prompts any surer
/// let same = estimate(&[seed(0.0)?, seed(0.0)?], Scale::Any)?;
/// assert!((same.se.unwrap() - one.se.unwrap()).abs() < 1e-12 && same.seeds_std == Some(0.0));
/// # Ok::<(), tailguard_metrics::MetricsError>(())
/// ```
pub fn estimate(seeds: &[Influences], scale: Scale) -> Result<Estimate, MetricsError> {
    let values: Vec<f64> = seeds.iter().map(Influences::value).collect();
    check("figures of seeds", &values)?;
    let value = mean_of(&values);
    let seeds_std = if seeds.len() > 1 { Some(std_sample(&values)?) } else { None };
    let Some(spread) = Spread::of(seeds, seeds_std) else {
        return Ok(Estimate { value, se: None, ci95: None, seeds_std });
    };
    let ci95 = match scale {
        Scale::Any => spread.interval(value),
        Scale::Share => spread.interval_of_share(value),
    };
    check_finite("interval", ci95)?;
    Ok(Estimate { value, se: Some(spread.variance.sqrt()), ci95: Some(ci95), seeds_std })
}

/// What is known of the distribution of a figure about the true one.
struct Spread {
    variance: f64,
    /// How many standard errors the interval reaches to either side, if the distribution is
    /// symmetric.
    reach: f64,
    /// Skewness of the figure's distribution.
    skewness: f64,
    /// Different prompts.
    prompts: f64,
}

/// The influences of the prompts on the mean over seeds.
struct Prompts {
    count: f64,
    /// Sums of their squares, third and fourth powers.
    powers: [f64; 3],
    /// Sum over seeds of the variance that prompts give the figure of the seed.
    within: f64,
}

impl Prompts {
    fn of(seeds: &[Influences]) -> Self {
        let seed_count = seeds.len() as f64;
        let len = seeds
            .iter()
            .flat_map(|seed| seed.parts().last())
            .map(|(prompt, _)| prompt + 1)
            .max()
            .unwrap_or(0);
        let mut sums: Vec<Option<f64>> = vec![None; len];
        for &(prompt, part) in seeds.iter().flat_map(Influences::parts) {
            *sums[prompt].get_or_insert(0.0) += part / seed_count;
        }
        let mut powers = [0.0; 3];
        let mut count = 0.0;
        for sum in sums.into_iter().flatten() {
            count += 1.0;
            let square = sum * sum;
            [square, square * sum, square * square]
                .iter()
                .zip(&mut powers)
                .for_each(|(power, total)| *total += power);
        }
        let of_seed = |seed: &Influences| {
            unbiased(
                seed.parts().iter().map(|(_, part)| part * part).sum(),
                seed.parts().len() as f64,
            )
        };
        Self { count, powers, within: seeds.iter().map(of_seed).sum() }
    }

    /// Degrees of freedom of the spread of prompts: those of equal prompts whose spread is known as
    /// well. Where few prompts have all the influence, they are few.
    fn freedom(&self) -> f64 {
        let [squares, _, fourth] = self.powers;
        let kurtosis = if squares > 0.0 { self.count * fourth / (squares * squares) } else { 0.0 };
        let most = self.count - 1.0;
        if kurtosis > 1.0 {
            (2.0 * self.count / (kurtosis - 1.0)).clamp(1.0, most.max(1.0))
        } else {
            most.max(1.0)
        }
    }
}

/// A sum of squares about a mean of so many, as if about the true mean.
fn unbiased(squares: f64, count: f64) -> f64 {
    if count > 1.0 { squares * count / (count - 1.0) } else { 0.0 }
}

impl Spread {
    /// `None` where there is neither a second prompt nor a second seed.
    fn of(seeds: &[Influences], seeds_std: Option<f64>) -> Option<Self> {
        let prompts = Prompts::of(seeds);
        let [squares, cubes, _] = prompts.powers;
        let of_prompts = unbiased(squares, prompts.count);
        let (variance, reach) = match seeds_std {
            None if prompts.count < 2.0 => return None,
            None => (of_prompts, t_975(prompts.freedom())),
            Some(std) => crossed(of_prompts, std, seeds.len() as f64, &prompts),
        };
        let skewness = if variance > 0.0 { cubes / variance.powf(1.5) } else { 0.0 };
        Some(Self { variance, reach, skewness, prompts: prompts.count })
    }

    fn interval(&self, value: f64) -> [f64; 2] {
        let (error, skewness) = (self.variance.sqrt(), self.skewness / 2.0);
        // Hall's transformation of the deviation in standard errors, the other way round
        let point = |z: f64| {
            if skewness.abs() < 1e-6 {
                z
            } else {
                3.0 / skewness * ((1.0 + skewness * (z - skewness / 6.0)).cbrt() - 1.0)
            }
        };
        [self.reach, -self.reach].map(|z| value - error * point(z))
    }

    fn interval_of_share(&self, share: f64) -> [f64; 2] {
        let binomial = share * (1.0 - share);
        let texts = if self.variance > 0.0 && binomial > 0.0 {
            binomial / self.variance
        } else {
            self.prompts
        };
        let square = self.reach * self.reach / texts;
        let (centre, half) = (share + square / 2.0, (square * (binomial + square / 4.0)).sqrt());
        let [low, high] = [centre - half, centre + half].map(|end| end / (1.0 + square));
        // rounding may leave the share itself outside
        [low.clamp(0.0, share), high.clamp(share, 1.0)]
    }
}

/// Variance and reach with several seeds.
fn crossed(of_prompts: f64, seeds_std: f64, seeds: f64, prompts: &Prompts) -> (f64, f64) {
    let of_seeds = seeds_std * seeds_std / seeds;
    // the mean covariance of two seeds: what prompts do alike in both
    let alike = ((of_prompts - prompts.within / (seeds * seeds)) * seeds / (seeds - 1.0)).max(0.0);
    let rest = ((prompts.within / seeds - alike) / seeds).max(0.0);
    let of_prompts = alike + rest;
    let variance = (alike + of_seeds).max(of_prompts);
    let [by_prompt, by_seed] = [prompts.freedom(), seeds - 1.0];
    let reach = if variance > 0.0 {
        let of_variances = of_prompts.powi(2) / by_prompt
            + of_seeds.powi(2) / by_seed
            + rest.powi(2) / (by_prompt * by_seed);
        let freedom = match (of_seeds > rest, alike > 0.0) {
            (false, _) if variance <= of_prompts => by_prompt,
            (true, false) => by_seed,
            _ => (variance * variance / of_variances).max(1.0),
        };
        // of a spread only as much as is not the rest, which the other one has seen as well
        let alone = |spread: f64, freedom: f64| {
            t_975(freedom) * spread / ((spread + rest) * variance).sqrt()
        };
        let own = [(of_prompts, by_prompt), (of_seeds, by_seed)]
            .into_iter()
            .filter(|(spread, _)| *spread > 0.0);
        own.map(|(spread, freedom)| alone(spread, freedom)).fold(t_975(freedom), f64::max)
    } else {
        // All texts of all seeds are alike. No seed shows that another one would differ, and t of
        // one or two degrees of freedom would make a share of nothing one of up to 70 %. (Figures
        // that are no shares have an interval of no width here.)
        t_975(by_prompt)
    };
    (variance, reach)
}
