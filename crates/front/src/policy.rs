//! A policy as weights of the reference's responses.

use crate::error::FrontError;
use crate::sample::Sample;

/// A policy, given by the weights of the sampled responses: those to a prompt sum to 1, and the
/// reference's are all `1 / K`.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    responses: usize,
    /// `[prompts, responses]`.
    weights: Vec<f64>,
}

impl Policy {
    /// The reference itself.
    pub fn reference(sample: &Sample) -> Self {
        let responses = sample.responses();
        Self { responses, weights: vec![1.0 / responses as f64; sample.scores().len()] }
    }

    /// The policy that maximises the mean utility less beta times the KL: each response has the
    /// weight `exp(utility / beta)`, normalised over the responses to its prompt.
    ///
    /// `utilities`: `[prompts, responses]`. (Peters, Mülling and Altün, Relative entropy policy
    /// search, 2010; the weights are those of self-normalised importance sampling.)
    ///
    /// # Errors
    /// [`FrontError::Beta`]; [`FrontError::Count`], [`FrontError::NotFinite`] for the utilities.
    pub fn tilted(responses: usize, utilities: &[f64], beta: f64) -> Result<Self, FrontError> {
        check_beta(beta)?;
        // for the sake of what it refuses
        Sample::new(responses, utilities.to_vec())?;
        Ok(Self { responses, weights: tilted(responses, utilities, beta) })
    }

    /// Weights that are known to be some.
    pub(crate) fn of_weights(responses: usize, weights: Vec<f64>) -> Self {
        Self { responses, weights }
    }

    /// The weights of the responses to a prompt; none for one that there is not.
    pub fn weights(&self, prompt: usize) -> &[f64] {
        self.weights.chunks(self.responses).nth(prompt).unwrap_or_default()
    }

    /// The weights of all responses, `[prompts, responses]`.
    pub fn all_weights(&self) -> &[f64] {
        &self.weights
    }

    /// The KL to the reference on each prompt, in nats: `sum over j of w_j ln(K w_j)`.
    pub fn kl_of_prompts(&self) -> Vec<f64> {
        self.weights.chunks(self.responses).map(kl).collect()
    }

    /// The KL to the reference in nats per response: the mean over prompts.
    pub fn kl(&self) -> f64 {
        let of_prompts = self.kl_of_prompts();
        of_prompts.iter().sum::<f64>() / of_prompts.len() as f64
    }

    /// The KL of the prompt on which a nat is spent, averaged over the nats: `sum KL_i^2 / sum
    /// KL_i`. It is the KL itself where all prompts have the same, and more where the KL goes into
    /// a few prompts; 0 for the reference.
    pub fn kl_where_spent(&self) -> f64 {
        let of_prompts = self.kl_of_prompts();
        let sum: f64 = of_prompts.iter().sum();
        // rounding leaves less than that of the reference
        if sum <= 1e-12 * of_prompts.len() as f64 {
            return 0.0;
        }
        of_prompts.iter().map(|kl| kl * kl).sum::<f64>() / sum
    }

    /// How many of its responses a prompt has left, in effect: `1 / sum w^2`, the mean over
    /// prompts. (Kong, 1992.)
    pub fn effective_responses(&self) -> f64 {
        let prompts = self.weights.len() / self.responses;
        let of_prompt = |weights: &[f64]| weights.iter().map(|weight| weight * weight).sum::<f64>();
        self.weights.chunks(self.responses).map(|row| of_prompt(row).recip()).sum::<f64>()
            / prompts as f64
    }
}

/// `sum w ln(K w)`, never below 0.
fn kl(weights: &[f64]) -> f64 {
    let count = weights.len() as f64;
    let of_one = |&weight: &f64| if weight > 0.0 { weight * (count * weight).ln() } else { 0.0 };
    weights.iter().map(of_one).sum::<f64>().max(0.0)
}

/// `exp(u / beta)` over the responses to each prompt, normalised.
pub(crate) fn tilted(responses: usize, utilities: &[f64], beta: f64) -> Vec<f64> {
    let mut weights = Vec::with_capacity(utilities.len());
    for row in utilities.chunks(responses) {
        let highest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let begin = weights.len();
        weights.extend(row.iter().map(|utility| ((utility - highest) / beta).exp()));
        let sum: f64 = weights[begin..].iter().sum();
        weights[begin..].iter_mut().for_each(|weight| *weight /= sum);
    }
    weights
}

/// Refuses what is no coefficient.
pub(crate) fn check_beta(beta: f64) -> Result<(), FrontError> {
    if beta.is_finite() && beta > 0.0 { Ok(()) } else { Err(FrontError::Beta(beta)) }
}
