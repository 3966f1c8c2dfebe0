//! How far a figure can be trusted: one account for every figure and every difference of two.

use crate::{MetricsError, error::check_finite, influence::Influences, spread::Seen};

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
    let seen = Seen::of(seeds)?;
    let (value, seeds_std) = (seen.value(), seen.seeds_std());
    let Some(spread) = seen.spread() else {
        return Ok(Estimate { value, se: None, ci95: None, seeds_std });
    };
    let ci95 = match scale {
        Scale::Any => spread.interval(value),
        Scale::Share => spread.interval_of_share(value),
    };
    check_finite("interval", ci95)?;
    Ok(Estimate { value, se: Some(spread.variance.sqrt()), ci95: Some(ci95), seeds_std })
}
