//! How much arithmetic a pass needs, to set its time against the machine's matrix products.
//!
//! Counted are the matrix products that no implementation can do without, a multiplication and an
//! addition as two operations:
//!
//! - per token and block: 24 width^2 (3, 1, 4 and 4 width^2 for `c_attn`, `c_proj`, `c_fc` and the
//!   MLP's `c_proj`),
//! - per pair of a token and one that it may see, and per block: 4 width, for scores and mixture of
//!   all heads,
//! - per predicted token: 2 width vocabulary, for its logits.
//!
//! A backward pass has two products for each of the forward pass. Not counted: what is computed and
//! then masked out, logits that are computed again in the backward pass, element-wise operations,
//! norms, softmax, the value head, the optimizer. So the rate of a training step is below that of
//! its matrix products, and means the same for every implementation.

use super::sizes::Sizes;

/// Operations of a forward pass of `rows` sequences of `tokens` tokens, of which `predicted` are
/// predicted.
pub(crate) fn forward(sizes: &Sizes, rows: usize, tokens: usize, predicted: usize) -> f64 {
    let [layers, width, vocab] = [sizes.layers, sizes.width, sizes.vocab].map(|count| count as f64);
    let [rows, tokens, predicted] = [rows, tokens, predicted].map(|count| count as f64);
    let pairs = tokens * (tokens + 1.0) / 2.0;
    rows * (layers * (24.0 * width * width * tokens + 4.0 * width * pairs)
        + 2.0 * width * vocab * predicted)
}

/// The same with the backward pass.
pub(crate) fn training(sizes: &Sizes, rows: usize, tokens: usize, predicted: usize) -> f64 {
    3.0 * forward(sizes, rows, tokens, predicted)
}

/// Operations of the update of a PPO iteration: all epochs over the kept episodes, logits at the
/// responses alone.
pub(crate) fn update(sizes: &Sizes, kept: usize) -> f64 {
    sizes.ppo_epochs as f64 * training(sizes, kept, sizes.episode_tokens(), sizes.gen_len)
}

#[cfg(test)]
mod tests {
    use super::super::sizes::TINY;
    use super::*;

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-6 * expected, "{found}, expected {expected}");
    }

    #[test]
    fn operations_are_those_of_the_products_one_by_one() {
        let product = |rows: f64, inner: f64, columns: f64| 2.0 * rows * inner * columns;
        let (tokens, width) = (3.0, 8.0);
        let block = product(tokens, width, 3.0 * width)
            + product(tokens, width, width)
            + product(tokens, width, 4.0 * width)
            + product(tokens, 4.0 * width, width);
        // one token sees itself, the next two, the third three: a row of scores and a mixture for
        // each, in 2 heads of width 4
        let attention: f64 =
            (1..=3).map(|seen| 2.0 * 2.0 * product(1.0, 4.0, f64::from(seen))).sum();
        let expected = 2.0 * (block + attention) + product(1.0, width, 10.0);
        near(forward(&TINY, 1, 3, 1), expected);
        near(forward(&TINY, 4, 3, 1), 4.0 * expected);
    }

    #[test]
    fn an_update_counts_epochs_kept_episodes_and_the_backward_pass() {
        near(update(&TINY, 2), 5.0 * 3.0 * 2.0 * forward(&TINY, 1, 3, 1));
        near(training(&TINY, 1, 3, 3), 3.0 * (forward(&TINY, 1, 3, 0) + 2.0 * 8.0 * 10.0 * 3.0));
    }

    #[test]
    fn attention_is_small_beside_the_products_of_short_episodes() {
        // GPT-2 117M: about two operations per weight of the blocks and token
        let gpt2 = Sizes { layers: 12, width: 768, vocab: 50_257, ..TINY };
        let blocks = 2.0 * 12.0 * 12.0 * 768.0 * 768.0 * 112.0;
        let share = forward(&gpt2, 1, 112, 0) / blocks;
        assert!((1.0..1.02).contains(&share), "{share}");
    }
}
