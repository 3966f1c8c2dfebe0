//! The policy that maximises a risk measure less beta times its KL.

use rayon::prelude::*;
use tailguard_risk::{Over, RiskMeasure, Weighted};

use crate::error::FrontError;
use crate::policy::{Policy, check_beta, tilted};
use crate::sample::Sample;

/// Weights that change by no more than this from one round to the next have come to rest.
const AT_REST: f64 = 1e-10;
/// Rounds after which a policy counts as found; most need some ten.
const MOST_ROUNDS: usize = 1_000;
/// Caps of the score that are tried where the policy at rest is not the only one.
const CAPS: usize = 64;

/// A risk measure of the scores, of all texts or of each prompt's responses.
pub struct Objective {
    measure: Box<dyn RiskMeasure + Send + Sync>,
    over: Over,
}

impl Objective {
    /// The objective that maximises a measure.
    pub fn new(measure: impl RiskMeasure + Send + Sync + 'static, over: Over) -> Self {
        Self { measure: Box::new(measure), over }
    }
}

/// The best policy at a KL coefficient.
#[derive(Debug, Clone, PartialEq)]
pub struct Optimum {
    /// The policy: weights `exp(utility / beta)`.
    pub policy: Policy,
    /// What each response is worth, `[prompts, responses]`: for `CVaR` `min(r, eta)`, with eta the
    /// quantile of the policy itself.
    pub utilities: Vec<f64>,
    /// The measure of the policy; over prompts, the mean of theirs.
    pub value: f64,
    /// What a unit of utility is worth in the measure: beta beside the utility is `scale * beta`
    /// beside the measure (see [`Utility`](tailguard_risk::Utility)).
    pub scale: f64,
}

/// The policy that maximises `measure - scale beta KL`, where beta is the coefficient of the KL
/// beside a utility whose steepest slope is 1: beside the reward itself for the mean, beside
/// `min(r, eta)` for `CVaR` (`scale = 1 / alpha`). That is what `ppo.kl_coef` is to the objectives
/// of training.
///
/// A measure of this kind is the largest of many mean utilities (Rockafellar and Uryasev, 2000, for
/// `CVaR`: `max over eta of eta - E[max(eta - r, 0)] / alpha`), and for a given utility the best
/// policy is known ([`Policy::tilted`]). So the two are found in turns, and no turn makes the
/// objective worse. A better policy has a utility that is at least as steep everywhere, so that the
/// turns rise from the reference to the lowest policy at rest, and fall from the best response to
/// each prompt to the highest. Where the two agree, no policy is better. Where they do not, the
/// turns begin in between as well, and the best policy counts.
///
/// # Errors
/// [`FrontError::Beta`]; [`FrontError::Risk`] for a measure whose weights are none.
pub fn optimum(sample: &Sample, objective: &Objective, beta: f64) -> Result<Optimum, FrontError> {
    check_beta(beta)?;
    let (responses, measure) = (sample.responses(), &*objective.measure);
    let solved = match objective.over {
        Over::Batch => {
            vec![best(
                Group { responses, scores: sample.scores(), order: sample.order() },
                measure,
                beta,
            )?]
        }
        Over::Prompt => sample
            .scores()
            .par_chunks(responses)
            .map(|scores| {
                let mut order: Vec<usize> = (0..responses).collect();
                order.sort_by(|&one, &other| scores[one].total_cmp(&scores[other]));
                best(Group { responses, scores, order: &order }, measure, beta)
            })
            .collect::<Result<_, _>>()?,
    };
    let groups = solved.len() as f64;
    let value = solved.iter().map(|solved| solved.value).sum::<f64>() / groups;
    let scale = solved.iter().map(|solved| solved.scale).sum::<f64>() / groups;
    let (mut weights, mut utilities) = (Vec::new(), Vec::new());
    for solved in solved {
        weights.extend(solved.weights);
        utilities.extend(solved.utilities);
    }
    Ok(Optimum { policy: Policy::of_weights(responses, weights), utilities, value, scale })
}

/// Prompts whose responses have one tail together.
#[derive(Clone, Copy)]
struct Group<'a> {
    responses: usize,
    /// `[prompts, responses]`.
    scores: &'a [f64],
    /// Their places, ascending by score.
    order: &'a [usize],
}

/// The policy of a group.
struct Solved {
    weights: Vec<f64>,
    utilities: Vec<f64>,
    value: f64,
    scale: f64,
    kl: f64,
    /// The measure, in units of the utility, less beta times the KL.
    objective: f64,
}

fn best(group: Group<'_>, measure: &dyn RiskMeasure, beta: f64) -> Result<Solved, FrontError> {
    let Group { responses, scores, order } = group;
    let uniform = vec![1.0 / responses as f64; scores.len()];
    let from_below = rest(group, measure, beta, uniform)?;
    // each prompt has its best response alone
    let from_above = rest(group, measure, beta, tilted(responses, scores, f64::MIN_POSITIVE))?;
    if !are_apart(&from_below, &from_above) {
        return Ok(better(from_below, from_above));
    }
    // between two policies at rest there may be further ones: by each cap one begins in between
    let mut found = better(from_below, from_above);
    for cap in order.iter().step_by(order.len().div_ceil(CAPS)).map(|&place| scores[place]) {
        let capped: Vec<f64> = scores.iter().map(|score| score.min(cap)).collect();
        found = better(found, rest(group, measure, beta, tilted(responses, &capped, beta))?);
    }
    Ok(found)
}

/// Whether two policies at rest are so different that others between them matter. Among many scores
/// there are always some at neighbouring ones, which are as good as each other.
fn are_apart(one: &Solved, other: &Solved) -> bool {
    let change = one.weights.iter().zip(&other.weights).map(|(one, other)| (one - other).abs());
    let is_same = change.fold(0.0, f64::max) <= 10.0 * AT_REST;
    let differ = (one.kl - other.kl).abs() > 0.01 * one.kl.max(other.kl);
    !is_same && (one.weights.len() <= CAPS || differ)
}

fn better(one: Solved, other: Solved) -> Solved {
    if other.objective > one.objective { other } else { one }
}

/// Utility and policy in turns, until they are at rest.
fn rest(
    Group { responses, scores, order }: Group<'_>,
    measure: &dyn RiskMeasure,
    beta: f64,
    mut weights: Vec<f64>,
) -> Result<Solved, FrontError> {
    let prompts = (scores.len() / responses) as f64;
    let sorted: Vec<f64> = order.iter().map(|&place| scores[place]).collect();
    let mut utilities = scores.to_vec();
    let mut round = 0;
    loop {
        let masses: Vec<f64> = order.iter().map(|&place| weights[place] / prompts).collect();
        let worth = measure.worth(Weighted::new(&sorted, &masses)?)?;
        for (&place, utility) in order.iter().zip(&worth.utility.values) {
            utilities[place] = *utility;
        }
        let next = tilted(responses, &utilities, beta);
        let change = weights.iter().zip(&next).map(|(old, new)| (old - new).abs());
        let change = change.fold(0.0, f64::max);
        weights = next;
        round += 1;
        if change <= AT_REST || round == MOST_ROUNDS {
            let (value, scale) = (worth.value, worth.utility.scale);
            let policy = Policy::of_weights(responses, weights);
            let kl = policy.kl();
            let weights = policy.all_weights().to_vec();
            let objective = value / scale - beta * kl;
            return Ok(Solved { weights, utilities, value, scale, kl, objective });
        }
    }
}
