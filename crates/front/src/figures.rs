//! The figures of a policy that is given by weights, and what one has more than another.

use tailguard_metrics::{ByPrompt, Estimate, Influences, MetricsError, Scale, estimate};
use tailguard_risk::RiskLevel;

use crate::error::FrontError;
use crate::policy::Policy;
use crate::sample::Sample;

/// The figures of a policy, with their 95 % intervals over prompts.
///
/// The intervals are those of this policy: its utility and its beta are given, and other prompts
/// of the kind, with new responses to each, might have been drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// KL to the reference in nats per response.
    pub kl: Estimate,
    /// Mean score.
    pub mean: Estimate,
    /// Mean score over the prompts of the tail; none where there are none.
    pub tail: Option<Estimate>,
    /// Mean score by the second scorer, if there is one.
    pub judge: Option<Estimate>,
    /// The same over the prompts of the tail.
    pub judge_tail: Option<Estimate>,
    /// `CVaR` at each of the levels asked for, over all texts: exactly a share alpha of the mass.
    pub cvar: Vec<Estimate>,
}

/// What a policy's figures are more than those of the best policy for the mean at the same KL.
#[derive(Debug, Clone, PartialEq)]
pub struct Gains {
    /// The coefficient at which the mean's policy has that KL.
    pub beta: f64,
    /// Of the mean score.
    pub mean: Estimate,
    /// Of the mean over the tail.
    pub tail: Option<Estimate>,
    /// Of the second scorer's mean.
    pub judge: Option<Estimate>,
    /// Of its mean over the tail.
    pub judge_tail: Option<Estimate>,
    /// Of `CVaR` at each of the levels.
    pub cvar: Vec<Estimate>,
}

/// One number per prompt for each figure: the figure is their mean.
pub(crate) struct ByPrompts {
    pub(crate) kl: Vec<f64>,
    mean: Vec<f64>,
    judge: Option<Vec<f64>>,
    cvar: Vec<Vec<f64>>,
}

impl ByPrompts {
    pub(crate) fn of(sample: &Sample, policy: &Policy, levels: &[RiskLevel]) -> Self {
        let weights = policy.all_weights();
        Self {
            kl: policy.kl_of_prompts(),
            mean: weighted(sample, weights, sample.scores()),
            judge: sample.judge().map(|judge| weighted(sample, weights, judge)),
            cvar: levels.iter().map(|level| lowest(sample, weights, level.alpha())).collect(),
        }
    }

    /// The same with a KL of each prompt that is known otherwise than by these weights.
    pub(crate) fn with_kl(self, kl: Vec<f64>) -> Self {
        Self { kl, ..self }
    }

    pub(crate) fn kl(&self) -> f64 {
        self.kl.iter().sum::<f64>() / self.kl.len() as f64
    }

    /// All numbers whose gains are told, but those of the tail.
    fn all(&self) -> impl Iterator<Item = &Vec<f64>> {
        [&self.mean].into_iter().chain(&self.judge).chain(&self.cvar)
    }
}

/// The weighted mean over the responses to each prompt.
fn weighted(sample: &Sample, weights: &[f64], values: &[f64]) -> Vec<f64> {
    let responses = sample.responses();
    let of_prompt = |(weights, values): (&[f64], &[f64])| {
        weights.iter().zip(values).map(|(weight, value)| weight * value).sum()
    };
    weights.chunks(responses).zip(values.chunks(responses)).map(of_prompt).collect()
}

/// What each prompt has to do with `CVaR`: the quantile less its own shortfall below it over the
/// share. Their mean is `CVaR`, and their spread its spread: an error of the quantile matters by
/// its square alone (Rockafellar and Uryasev, 2000).
fn lowest(sample: &Sample, weights: &[f64], alpha: f64) -> Vec<f64> {
    let (scores, prompts) = (sample.scores(), sample.prompts() as f64);
    let mut mass = 0.0;
    let reaches = |&&place: &&usize| {
        mass += weights[place] / prompts;
        // sums of equal parts are rounded
        mass >= alpha - 1e-12
    };
    let quantile = sample.order().iter().find(reaches).or(sample.order().last());
    let quantile = quantile.map_or(0.0, |&place| scores[place]);
    let shortfall: Vec<f64> = scores.iter().map(|score| (quantile - score).max(0.0)).collect();
    let of_prompts = weighted(sample, weights, &shortfall);
    of_prompts.into_iter().map(|shortfall| quantile - shortfall / alpha).collect()
}

impl Figures {
    /// The figures of a policy, `CVaR` at these levels.
    ///
    /// # Errors
    /// [`FrontError::Count`] for a policy that is not one of this sample;
    /// [`FrontError::Metrics`].
    pub fn of(sample: &Sample, policy: &Policy, levels: &[RiskLevel]) -> Result<Self, FrontError> {
        let (found, expected) = (policy.all_weights().len(), sample.scores().len());
        if found != expected {
            let expected = expected.to_string();
            return Err(FrontError::Count { what: "weights", found, expected });
        }
        Ok(Self::of_values(sample, &ByPrompts::of(sample, policy, levels))?)
    }

    pub(crate) fn of_values(sample: &Sample, values: &ByPrompts) -> Result<Self, MetricsError> {
        let of_mean = |values: &[f64]| one(&Influences::of_mean(&all(values))?);
        let of_tail = |values: &Vec<f64>| -> Result<Option<Estimate>, MetricsError> {
            let among = among(sample, values);
            if among.is_empty() { Ok(None) } else { one(&Influences::of_mean(&among)?).map(Some) }
        };
        let judge_tail = values.judge.as_ref().map(of_tail).transpose()?.flatten();
        Ok(Self {
            kl: of_mean(&values.kl)?,
            mean: of_mean(&values.mean)?,
            tail: of_tail(&values.mean)?,
            judge: values.judge.as_deref().map(of_mean).transpose()?,
            judge_tail,
            cvar: values.cvar.iter().map(|values| of_mean(values)).collect::<Result<_, _>>()?,
        })
    }
}

impl Gains {
    /// What `own` has more than the mean's policy at the same KL, prompt by prompt. `nearby` are
    /// the mean's at a little less KL and a little more: by them the difference is brought to equal
    /// KLs on other prompts as well, where the two may differ.
    pub(crate) fn of(
        sample: &Sample,
        own: &ByPrompts,
        (beta, means): (f64, &ByPrompts),
        nearby: [&ByPrompts; 2],
    ) -> Result<Self, MetricsError> {
        let kl_more: Vec<f64> =
            own.kl.iter().zip(&means.kl).map(|(own, mean)| own - mean).collect();
        // by how much a figure of the mean's policies rises with a nat
        let slope = |of: &dyn Fn(&ByPrompts) -> f64| {
            let kl = nearby[1].kl() - nearby[0].kl();
            if kl > 0.0 { (of(nearby[1]) - of(nearby[0])) / kl } else { 0.0 }
        };
        let gain = |figure: usize, in_tail: bool| -> Result<Option<Estimate>, MetricsError> {
            let figure_of = |values: &ByPrompts| {
                let values = values.all().nth(figure).map_or(&[][..], Vec::as_slice);
                if in_tail { among(sample, values) } else { all(values) }
            };
            let (own, mean) = (figure_of(own), figure_of(means));
            if own.is_empty() {
                return Ok(None);
            }
            let more: Vec<ByPrompt> =
                own.iter().zip(&mean).map(|(own, mean)| (own.0, own.1 - mean.1)).collect();
            let slope = slope(&|values: &ByPrompts| {
                let values = figure_of(values);
                values.iter().map(|(_, value)| value).sum::<f64>() / values.len() as f64
            });
            let of_kl: Vec<f64> = kl_more.iter().map(|kl| slope * kl).collect();
            let of_kl = Influences::of_mean(&all(&of_kl))?;
            one(&Influences::of_mean(&more)?.less(&of_kl)).map(Some)
        };
        let needed = |gain: Option<Estimate>| {
            gain.ok_or(MetricsError::TooFew { what: "prompts", needed: 1, found: 0 })
        };
        let judges = usize::from(own.judge.is_some());
        let judge = |in_tail| if judges > 0 { gain(1, in_tail) } else { Ok(None) };
        Ok(Self {
            beta,
            mean: needed(gain(0, false)?)?,
            tail: gain(0, true)?,
            judge: judge(false)?,
            judge_tail: judge(true)?,
            cvar: (0..own.cvar.len())
                .map(|level| needed(gain(1 + judges + level, false)?))
                .collect::<Result<_, _>>()?,
        })
    }
}

fn one(influences: &Influences) -> Result<Estimate, MetricsError> {
    estimate(std::slice::from_ref(influences), Scale::Any)
}

fn all(values: &[f64]) -> Vec<ByPrompt> {
    values.iter().copied().enumerate().collect()
}

/// The values of the prompts of the tail.
fn among(sample: &Sample, values: &[f64]) -> Vec<ByPrompt> {
    sample.tail().iter().filter_map(|&prompt| Some((prompt, *values.get(prompt)?))).collect()
}
