//! One objective at several KL coefficients: a line of the front.

use tailguard_risk::RiskLevel;

use crate::best_of::{best_of, best_of_kl};
use crate::error::FrontError;
use crate::figures::{ByPrompts, Figures, Gains};
use crate::optimum::{Objective, optimum};
use crate::policy::{Policy, check_beta, tilted};
use crate::sample::Sample;

/// Halvings by which a coefficient is searched for, at most.
const HALVINGS: usize = 60;
/// Coefficients below the spread of the scores over this are not tried.
const LEAST_SHARE: f64 = 1e3;
/// By how much of itself a coefficient is moved, to see how figures change with the KL.
const STEP: f64 = 0.02;

/// At which coefficients a line has points.
#[derive(Debug, Clone, PartialEq)]
pub enum Betas {
    /// At these.
    Given(Vec<f64>),
    /// At so many, from next to no KL up to [`most_kl`]: the least coefficient that is not refused,
    /// times `n / 1`, `n / 2`, ..., `n / n`.
    Spread(usize),
}

/// The best policy for an objective at one coefficient, the best of n, or a trained policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// The coefficient, where it has one.
    pub beta: Option<f64>,
    /// The figures of the policy.
    pub figures: Figures,
    /// Its KL where that is spent: [`Policy::kl_where_spent`]; of a trained policy it is not known.
    pub kl_where_spent: Option<f64>,
    /// [`Policy::effective_responses`], likewise.
    pub effective_responses: Option<f64>,
    /// What it has more than the mean's policy at the same KL; none where that is refused, or does
    /// not reach so far.
    pub gains: Option<Gains>,
}

/// A policy of which the samples say too little.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Refused {
    /// The coefficient.
    pub beta: f64,
    /// The policy's KL.
    pub kl: f64,
    /// Its KL where that is spent, which is beyond [`most_kl`].
    pub kl_where_spent: f64,
}

/// A line of the front.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// By falling coefficients, so by rising KL.
    pub points: Vec<Point>,
    /// What was refused, likewise.
    pub refused: Vec<Refused>,
}

/// The most KL of which K samples say something, in nats: `ln(K) / 2`, at which K responses are
/// worth about the root of K. It is a bound on the KL where that is spent
/// ([`Policy::kl_where_spent`]), and so on the KL itself.
///
/// With K responses no KL is above `ln K`, and far below that the estimates fall short: the best
/// responses of K are not as good as the best of all. `tests/bias.rs` measures by how much on
/// scores whose exact front is known: up to the bound at least 95 % of a gain is seen with 32
/// responses, 85 % with 8, and beyond it less and less.
pub fn most_kl(responses: usize) -> f64 {
    (responses.max(1) as f64).ln() / 2.0
}

/// The line of an objective. With `over_mean`, each point has its [`Gains`].
///
/// # Errors
/// [`FrontError::Beta`], and those of [`optimum`].
pub fn line(
    sample: &Sample,
    objective: &Objective,
    betas: &Betas,
    levels: &[RiskLevel],
    over_mean: bool,
) -> Result<Line, FrontError> {
    let mut betas = match betas {
        Betas::Given(betas) => betas.clone(),
        Betas::Spread(count) => spread(sample, objective, *count)?,
    };
    betas.iter().try_for_each(|&beta| check_beta(beta))?;
    betas.sort_by(|one, other| other.total_cmp(one));
    let most = most_kl(sample.responses());
    let mut line = Line { points: Vec::new(), refused: Vec::new() };
    for beta in betas {
        let policy = optimum(sample, objective, beta)?.policy;
        let kl_where_spent = policy.kl_where_spent();
        if kl_where_spent > most {
            line.refused.push(Refused { beta, kl: policy.kl(), kl_where_spent });
            continue;
        }
        let values = ByPrompts::of(sample, &policy, levels);
        let gains = if over_mean { gains(sample, &values, levels)? } else { None };
        line.points.push(Point {
            beta: Some(beta),
            figures: Figures::of_values(sample, &values)?,
            kl_where_spent: Some(kl_where_spent),
            effective_responses: Some(policy.effective_responses()),
            gains,
        });
    }
    Ok(line)
}

/// The point of the best of n. Its KL is [`best_of_kl`], and nothing of it is refused, as order
/// statistics have no bias.
///
/// # Errors
/// [`FrontError::BestOf`].
pub fn best_of_point(sample: &Sample, n: usize, levels: &[RiskLevel]) -> Result<Point, FrontError> {
    let policy = best_of(sample, n)?;
    let kl = vec![best_of_kl(n); sample.prompts()];
    let values = ByPrompts::of(sample, &policy, levels).with_kl(kl);
    Ok(Point {
        beta: None,
        figures: Figures::of_values(sample, &values)?,
        kl_where_spent: Some(policy.kl_where_spent()),
        effective_responses: Some(policy.effective_responses()),
        gains: gains(sample, &values, levels)?,
    })
}

/// The point of a trained policy, from one text of its own to each prompt of the sample, and the KL
/// of each text to the reference as it was measured, in nats.
///
/// # Errors
/// [`FrontError::Count`] for several responses to a prompt, other prompts, another number of KLs,
/// or where only one of the two has a second scorer; [`FrontError::Metrics`] for a KL that is no
/// number.
pub fn trained_point(
    sample: &Sample,
    texts: &Sample,
    kl: Vec<f64>,
    levels: &[RiskLevel],
) -> Result<Point, FrontError> {
    let counts = [
        ("responses to a prompt", texts.responses(), 1),
        ("prompts", texts.prompts(), sample.prompts()),
        ("KLs", kl.len(), sample.prompts()),
        (
            "second scorers",
            usize::from(texts.judge().is_some()),
            usize::from(sample.judge().is_some()),
        ),
    ];
    for (what, found, expected) in counts {
        if found != expected {
            return Err(FrontError::Count { what, found, expected: expected.to_string() });
        }
    }
    let values = ByPrompts::of(texts, &Policy::reference(texts), levels).with_kl(kl);
    Ok(Point {
        beta: None,
        figures: Figures::of_values(sample, &values)?,
        kl_where_spent: None,
        effective_responses: None,
        gains: gains(sample, &values, levels)?,
    })
}

/// What a policy has more than the mean's at the same KL.
fn gains(
    sample: &Sample,
    own: &ByPrompts,
    levels: &[RiskLevel],
) -> Result<Option<Gains>, FrontError> {
    let mean_at = |beta: f64| {
        let weights = tilted(sample.responses(), sample.scores(), beta);
        Policy::of_weights(sample.responses(), weights)
    };
    let kl = own.kl();
    let found = least(sample, 1e-9, |beta| Ok(mean_at(beta).kl() <= kl))?;
    let Some(beta) = found else { return Ok(None) };
    let mean = mean_at(beta);
    if mean.kl_where_spent() > most_kl(sample.responses()) {
        return Ok(None);
    }
    let values = |beta: f64| ByPrompts::of(sample, &mean_at(beta), levels);
    let nearby = [values(beta * (1.0 + STEP)), values(beta * (1.0 - STEP))];
    let [less, more] = &nearby;
    Ok(Some(Gains::of(sample, own, (beta, &values(beta)), [less, more])?))
}

/// So many coefficients up to the most KL.
fn spread(sample: &Sample, objective: &Objective, count: usize) -> Result<Vec<f64>, FrontError> {
    let most = most_kl(sample.responses());
    let is_within = |beta: f64| -> Result<bool, FrontError> {
        Ok(optimum(sample, objective, beta)?.policy.kl_where_spent() <= most)
    };
    // a policy that nothing moves so far has next to all that it can have at a small coefficient
    let least = least(sample, 1e-3, is_within)?.unwrap_or(deviation(sample) / 64.0);
    let least = rounded_up(least);
    Ok((1..=count).map(|step| least * count as f64 / step as f64).collect())
}

/// The least coefficient for which something holds that holds for all larger ones; none where it
/// holds for all that are tried. It is found to this share of itself.
fn least(
    sample: &Sample,
    precision: f64,
    holds: impl Fn(f64) -> Result<bool, FrontError>,
) -> Result<Option<f64>, FrontError> {
    let begin = deviation(sample);
    let mut high = begin;
    while !holds(high)? {
        high *= 2.0;
        if high > begin * LEAST_SHARE * LEAST_SHARE {
            return Ok(None);
        }
    }
    let mut low = high / 2.0;
    while holds(low)? {
        (low, high) = (low / 2.0, low);
        if low < begin / LEAST_SHARE {
            return Ok(None);
        }
    }
    for _ in 0..HALVINGS {
        let middle = (low * high).sqrt();
        if !(low < middle && middle < high) || high / low < 1.0 + precision {
            break;
        }
        if holds(middle)? { high = middle } else { low = middle }
    }
    Ok(Some(high))
}

/// The standard deviation of all scores; 1 where all are alike.
fn deviation(sample: &Sample) -> f64 {
    let (scores, count) = (sample.scores(), sample.scores().len() as f64);
    let mean = scores.iter().map(|score| score / count).sum::<f64>();
    let variance = scores.iter().map(|score| (score - mean).powi(2)).sum::<f64>() / count;
    let deviation = variance.sqrt();
    if deviation.is_finite() && deviation > 0.0 { deviation } else { 1.0 }
}

/// The next number of three digits, as one would write it.
fn rounded_up(value: f64) -> f64 {
    let unit = 10_f64.powf(value.log10().floor() - 2.0);
    let rounded = (value / unit).ceil() * unit;
    // 0.137 and not 0.13700000000000001
    format!("{rounded:.12e}").parse().unwrap_or(rounded)
}
