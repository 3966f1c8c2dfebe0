//! The matrix products of the model, one by one and by the layer that the model is made of: what
//! the machine could do if there were nothing else.
//!
//! A layer allocates its result and begins with the bias; PyTorch's benchmark writes into a result
//! that is there. With large results much of the difference is page faults.

use burn::tensor::{Device, Tensor, TensorData};
use tailguard_kernels::Linear;

use super::sizes::Sizes;

/// A product of two matrices.
pub(super) struct Product {
    pub(super) name: String,
    /// Rows, inner length, columns.
    pub(super) sizes: [usize; 3],
    left: Tensor<2>,
    right: Linear,
}

impl Product {
    /// The products of these sizes.
    pub(super) fn all(sizes: &Sizes, device: &Device) -> impl Iterator<Item = Self> {
        shapes(sizes).into_iter().map(move |(name, sizes)| {
            let [rows, inner, columns] = sizes;
            let right =
                Linear::new(matrix(inner, columns, device), Tensor::zeros([columns], device));
            // a decoding step has the weights in order already
            let right = if name.starts_with(DECODE) { right.packed() } else { right };
            Self { name, sizes, left: matrix(rows, inner, device), right }
        })
    }

    /// Computes it.
    pub(super) fn run(&self) {
        let _product = self.right.forward(self.left.clone());
    }
}

/// Numbers between -1 and 1 that are neither equal nor ordered.
fn matrix(rows: usize, columns: usize, device: &Device) -> Tensor<2> {
    let numbers = (0..=u16::MAX).map(|at| f32::from(at.wrapping_mul(40_503)) / 32_768.0 - 1.0);
    let values: Vec<f32> = numbers.cycle().take(rows * columns).collect();
    Tensor::from_data(TensorData::new(values, [rows, columns]), device)
}

/// The products of a decoding step.
const DECODE: &str = "decode";

/// Name, and rows, inner length and columns of each product: 1024 cubed; the products of a pass
/// over a minibatch; the same with one row per episode, as in a decoding step.
fn shapes(sizes: &Sizes) -> Vec<(String, [usize; 3])> {
    let (width, vocab) = (sizes.width, sizes.vocab);
    let layers = [
        ("attention_in", width, 3 * width),
        ("attention_out", width, width),
        ("mlp_in", width, 4 * width),
        ("mlp_out", 4 * width, width),
        ("output_head", width, vocab),
    ];
    let mut shapes = vec![("square_1024".to_owned(), [1024; 3])];
    for (pass, rows) in [("pass", sizes.mini_batch * sizes.episode_tokens()), (DECODE, sizes.batch)]
    {
        let named = |(name, inner, columns)| {
            (format!("{pass}/{name}/{rows}x{inner}x{columns}"), [rows, inner, columns])
        };
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
