//! The matrix products of the model, one by one: what the machine could do if there were nothing else.
//!
//! A product allocates its result, as every operation of Burn does; PyTorch's benchmark writes into one that is there. With large
//! results much of the difference is page faults.

use super::sizes::Sizes;

/// Name, and rows, inner length and columns of each product: 1024 cubed; the products of a pass over a minibatch; the same with
/// one row per episode, as in a decoding step.
pub(crate) fn shapes(sizes: &Sizes) -> Vec<(String, [usize; 3])> {
    let (width, vocab) = (sizes.width, sizes.vocab);
    let layers = [
        ("attention_in", width, 3 * width),
        ("attention_out", width, width),
        ("mlp_in", width, 4 * width),
        ("mlp_out", 4 * width, width),
        ("output_head", width, vocab),
    ];
    let mut shapes = vec![("square_1024".to_owned(), [1024; 3])];
    for (pass, rows) in [("pass", sizes.mini_batch * sizes.episode_tokens()), ("decode", sizes.batch)] {
        let named = |(name, inner, columns)| (format!("{pass}/{name}/{rows}x{inner}x{columns}"), [rows, inner, columns]);
        shapes.extend(layers.map(named));
    }
    shapes
}

#[cfg(test)]
mod tests {
    use super::super::sizes::TINY;
    use super::*;

    #[test]
    fn products_are_those_of_a_pass_and_of_a_decoding_step() {
        let sizes = Sizes { vocab: 50, batch: 6, prompt_len: 3, gen_len: 2, mini_batch: 2, ..TINY };
        let shapes = shapes(&sizes);
        assert_eq!(shapes.len(), 11);
        assert_eq!(shapes[1], ("pass/attention_in/10x8x24".to_owned(), [10, 8, 24]));
        assert_eq!(shapes[10], ("decode/output_head/6x8x50".to_owned(), [6, 8, 50]));
    }
}
