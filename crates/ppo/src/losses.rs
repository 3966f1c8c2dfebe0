//! PPO's clipped losses over flat response tokens: Eqs. 11 and 13 of arXiv 2501.06911 with the
//! clipping of its Appendix C.2.
//!
//! There are no masks: what should not count is not there. All tensors are `[tokens]` and live on
//! any device.

use burn::tensor::Tensor;

/// Mean of `max(-A rho, -A clip(rho, 1 - clip, 1 + clip))` with
/// `rho = exp(log_probs - old_log_probs)`.
///
/// # Shapes
/// All `[tokens]`; the result is `[1]` and differentiable with respect to `log_probs`. Natural
/// logarithms.
///
/// # Example
/// ```
/// use burn::tensor::{Device, Tensor};
/// let tensor = |values: [f32; 2]| Tensor::<1>::from_floats(values, &Device::flex());
/// // unchanged probabilities: the loss is minus the mean advantage
/// let (log_probs, advantages) = ([-1.0, -2.0], [0.5, 1.5]);
/// let loss = tailguard_ppo::policy_loss(
///     tensor(log_probs),
///     tensor(log_probs),
///     tensor(advantages),
///     0.2,
/// );
/// assert_eq!(loss.into_scalar::<f32>(), -1.0);
/// ```
#[must_use]
pub fn policy_loss(
    log_probs: Tensor<1>,
    old_log_probs: Tensor<1>,
    advantages: Tensor<1>,
    clip: f64,
) -> Tensor<1> {
    let ratio = (log_probs - old_log_probs).exp();
    let unclipped = advantages.clone() * ratio.clone();
    let clipped = advantages * ratio.clamp(1.0 - clip, 1.0 + clip);
    -unclipped.min_pair(clipped).mean()
}

/// Half the mean of `max((v - R)^2, (clip(v, V - clip, V + clip) - R)^2)` for new values v, old
/// values V and returns R.
///
/// # Shapes
/// All `[tokens]`; the result is `[1]` and differentiable with respect to `values`.
#[must_use]
pub fn value_loss(
    values: Tensor<1>,
    old_values: Tensor<1>,
    returns: Tensor<1>,
    clip: f64,
) -> Tensor<1> {
    let clipped = old_values.clone() + (values.clone() - old_values).clamp(-clip, clip);
    let square = |error: Tensor<1>| error.clone() * error;
    square(values - returns.clone()).max_pair(square(clipped - returns)).mean() * 0.5
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use proptest::prelude::*;

    fn tensor(values: &[f32]) -> Tensor<1> {
        Tensor::from_floats(values, &Device::flex().autodiff())
    }

    fn number(tensor: Tensor<1>) -> f64 {
        f64::from(tensor.into_scalar::<f32>())
    }

    #[test]
    fn hand_made_gradients_of_both_losses() {
        // (log ratio, advantage) -> d loss / d log_prob: zero where the clipped term is the larger
        // one
        for (name, log_ratio, advantage, expected) in [
            ("unclipped", 0.0, 2.0, -2.0),
            ("good action, ratio too high", 0.5, 1.0, 0.0),
            ("bad action, ratio too high", 0.5, -1.0, 0.5f64.exp()),
            ("good action, ratio too low", -0.5, 1.0, -((-0.5f64).exp())),
            ("bad action, ratio too low", -0.5, -1.0, 0.0),
        ] {
            let new = tensor(&[log_ratio]).require_grad();
            let grads =
                policy_loss(new.clone(), tensor(&[0.0]), tensor(&[advantage]), 0.2).backward();
            let found = number(new.grad(&grads).unwrap());
            assert!((found - expected).abs() < 1e-6, "{name}: {found}, expected {expected}");
        }
        // (new, old, return) -> d loss / d value
        for (name, new, old, target, expected) in [
            ("inside the clip", 1.0, 0.9, 2.0, -1.0),
            ("moved away from the return", 0.0, 1.0, 2.0, -2.0),
            ("moved past the clip towards the return", 1.5, 1.0, 2.0, 0.0),
        ] {
            let values = tensor(&[new]).require_grad();
            let grads =
                value_loss(values.clone(), tensor(&[old]), tensor(&[target]), 0.2).backward();
            let found = number(values.grad(&grads).unwrap());
            assert!((found - expected).abs() < 1e-6, "{name}: {found}, expected {expected}");
        }
    }

    proptest! {
        #[test]
        fn at_ratio_one_the_policy_loss_is_minus_the_mean_advantage(
            rows in prop::collection::vec((-5.0f32..0.0, -3.0f32..3.0), 1..20),
        ) {
            let (log_probs, advantages): (Vec<f32>, Vec<f32>) = rows.into_iter().unzip();
            let loss = number(policy_loss(
                tensor(&log_probs),
                tensor(&log_probs),
                tensor(&advantages),
                0.2,
            ));
            let mean =
                advantages.iter().map(|&a| f64::from(a)).sum::<f64>() / advantages.len() as f64;
            prop_assert!((loss + mean).abs() < 1e-5);
        }

        #[test]
        fn gradients_are_those_of_finite_differences(
            rows in prop::collection::vec(
                (-2.0f32..0.0, -2.0f32..0.0, -2.0f32..2.0, -2.0f32..2.0),
                1..6,
            ),
        ) {
            let columns =
                |of: fn(&(f32, f32, f32, f32)) -> f32| rows.iter().map(of).collect::<Vec<f32>>();
            let (new, old, advantage, target) =
                (columns(|r| r.0), columns(|r| r.1), columns(|r| r.2), columns(|r| r.3));
            let loss = |at: &[f32]| {
                policy_loss(tensor(at), tensor(&old), tensor(&advantage), 0.2)
                    + value_loss(tensor(at), tensor(&old), tensor(&target), 0.2)
            };
            let leaf = tensor(&new).require_grad();
            let both = policy_loss(leaf.clone(), tensor(&old), tensor(&advantage), 0.2)
                + value_loss(leaf.clone(), tensor(&old), tensor(&target), 0.2);
            let grads =
                leaf.grad(&both.backward()).unwrap().into_data().try_to_vec::<f32>().unwrap();
            for (index, grad) in grads.into_iter().enumerate() {
                let step = 1e-2f32;
                let shifted = |by: f32| {
                    let mut at = new.clone();
                    at[index] += by;
                    number(loss(&at))
                };
                let (up, here, down) = (shifted(step), shifted(0.0), shifted(-step));
                let (right, left) =
                    ((up - here) / f64::from(step), (here - down) / f64::from(step));
                // at a kink the two one-sided slopes differ and any gradient between them is right
                let (low, high) = (right.min(left) - 3e-2, right.max(left) + 3e-2);
                prop_assert!(
                    (low..=high).contains(&f64::from(grad)),
                    "{grad} outside {low}..{high}"
                );
            }
        }
    }
}
