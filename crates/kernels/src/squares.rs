//! The sum of the squares of a tensor in one pass: what the norm of the gradients is made of.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;
use rayon::prelude::*;

use crate::slices::{contiguous, floats, tensor, vectorised};
use crate::sums::dot;

/// Values per task. Blocks are summed by one thread each and then in order, so that threads do not
/// change the result. (Burn's own sum of four million values and more depends on them.)
const BLOCK: usize = 1 << 14;

/// Sum of the squares of all values, `[1]`. No gradient flows through it.
///
/// # Shapes
/// Any; the result stays on the device.
#[must_use]
pub fn sum_of_squares<const D: usize>(values: Tensor<D>) -> Tensor<1> {
    if crate::fused(&values.device()) && !values.device().is_autodiff() {
        Tensor::from_dispatch(<Dispatch as SquareOps>::sum_of_squares(values.into_dispatch()))
    } else {
        plain(values)
    }
}

/// The definition, by Burn operations, row by row.
fn plain<const D: usize>(values: Tensor<D>) -> Tensor<1> {
    values.square().sum_dim(D - 1).sum()
}

#[backend_extension(Flex, Cube: cfg(any(feature = "wgpu", feature = "cuda")))]
pub(crate) trait SquareOps: Backend {
    fn sum_of_squares(values: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl SquareOps for Flex {
    fn sum_of_squares(values: FloatTensor<Self>) -> FloatTensor<Self> {
        let values = contiguous(values);
        let blocks = floats(&values).par_chunks(BLOCK).map(|block| {
            vectorised(
                #[inline(always)]
                || dot(block, block),
            )
        });
        let blocks: Vec<f32> = blocks.collect();
        let sum: f64 = blocks.into_iter().map(f64::from).sum();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "rounding to single precision is the result asked for"
        )]
        tensor(vec![sum as f32], [1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution};

    fn number(sum: Tensor<1>) -> f32 {
        sum.into_scalar::<f32>()
    }

    #[test]
    fn the_sum_is_that_of_the_plain_composition_whatever_the_threads() {
        let device = Device::flex();
        device.seed(12);
        // past the four million values from which Burn's sum is shared out
        for shape in [[1, 1], [37, 531], [4100, 1024]] {
            let values = Tensor::<2>::random(shape, Distribution::Normal(0.0, 1.0), &device);
            let run = |threads: usize, values: Tensor<2>| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                number(pool.install(|| sum_of_squares(values)))
            };
            let (one, expected) = (run(1, values.clone()), number(plain(values.clone())));
            assert!((one / expected - 1.0).abs() < 1e-5, "{one} against {expected}");
            for threads in [2, 3, 4, 8] {
                assert_eq!(
                    run(threads, values.clone()).to_bits(),
                    one.to_bits(),
                    "{shape:?} on {threads} threads"
                );
            }
            // a view
            assert!((run(1, values.transpose()) / expected - 1.0).abs() < 1e-5);
        }
    }

    #[test]
    fn what_is_no_number_is_found_wherever_it_stands() {
        for place in [0, 16, 40_000, 99_999] {
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut values = vec![1.0; 100_000];
                values[place] = bad;
                let sum = number(sum_of_squares(Tensor::<1>::from_floats(
                    values.as_slice(),
                    &Device::flex(),
                )));
                assert!(!sum.is_finite(), "{bad} at {place}: {sum}");
            }
        }
    }
}
