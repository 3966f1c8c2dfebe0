//! Quark's loss of each response token, and its gradient.

use burn::tensor::{IndexingUpdateOp, Int, Tensor, activation::log_softmax};
use tailguard_lm::TokenDistribution;

use crate::quark::config::QuarkConfig;

/// What a masked token's logit is lowered by: probability 0 in single precision, and no NaN.
const MASKED: f32 = 1e4;

/// The loss of response tokens, term by term. All are sums over the tokens in nats, `[1]`, and
/// constants for autodiff but the first.
#[derive(Clone, Debug)]
pub struct QuarkLoss {
    /// A scalar with the gradient of `nll + kl_coef kl - entropy_coef entropy`, and with a value of
    /// its own that means nothing.
    pub gradient_of: Tensor<1>,
    /// `-log pi(y | token, x)`.
    pub nll: Tensor<1>,
    /// `KL(pi(. | token, x, y <) || pi_ref(. | x, y <))` over the whole vocabulary.
    pub kl: Tensor<1>,
    /// Entropy of `pi(. | token, x, y <)` over the whole vocabulary.
    pub entropy: Tensor<1>,
}

/// `-log pi(y) + kl_coef KL(pi || pi_ref) - entropy_coef H(pi)` (Lu et al., NeurIPS 2022), summed
/// over tokens.
///
/// With `p = pi` and `g = (kl_coef + entropy_coef) log p - kl_coef log pi_ref`, the last two terms
/// are the mean of `g` under `p`. So the gradient with respect to the logits is
/// `p (1 + g - E_p[g])`, minus 1 at y: that it is known saves keeping a dozen `[tokens, vocab]` for
/// the backward pass.
///
/// # Shapes
/// `logits`, `reference`: `[n, vocab]`, raw, the second a constant; `targets`: `[n]`, none of them
/// masked.
#[must_use]
pub fn quark_loss(
    logits: &Tensor<2>,
    reference: Tensor<2>,
    targets: Tensor<1, Int>,
    distribution: &TokenDistribution,
    config: &QuarkConfig,
) -> QuarkLoss {
    let log_p = log_probs(logits.clone().inner(), distribution);
    let log_ratio = log_p.clone() - log_probs(reference, distribution);
    let p = log_p.clone().exp();
    let targets = targets.unsqueeze_dim::<2>(1);
    let kl = (p.clone() * log_ratio.clone()).sum_dim(1); // [n, 1]
    let entropy = (p.clone() * log_p.clone()).sum_dim(1).neg();
    let nll = log_p.clone().gather(1, targets.clone()).neg();
    let g = log_ratio * config.kl_coef + log_p * config.entropy_coef;
    let mean_g = kl.clone() * config.kl_coef - entropy.clone() * config.entropy_coef;
    let gradient = p * (g - mean_g + 1.0);
    let gradient = gradient.scatter(1, targets, nll.ones_like().neg(), IndexingUpdateOp::Add);
    let scale = f64::from(distribution.temperature).recip();
    QuarkLoss {
        gradient_of: (logits.clone() * (gradient * scale)).sum(),
        nll: nll.sum(),
        kl: kl.sum(),
        entropy: entropy.sum(),
    }
}

/// Log-probabilities of all tokens as sampling draws them, `[n, vocab]`.
fn log_probs(logits: Tensor<2>, distribution: &TokenDistribution) -> Tensor<2> {
    let logits = logits / distribution.temperature;
    let logits = match distribution.suppress {
        Some(id) => {
            let [_, vocab] = logits.dims();
            let ids = 0..i64::try_from(vocab).unwrap_or(i64::MAX);
            let ids = Tensor::<1, Int>::arange(ids, &logits.device());
            logits - ids.equal_elem(i64::from(id)).float().unsqueeze::<2>() * MASKED
        }
        None => logits,
    };
    log_softmax(logits, 1)
}
