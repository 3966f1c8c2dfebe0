//! A matrix laid out once for products with few rows, one after another: what sampling does with
//! the weights, token by token.
//!
//! Every product brings its right side into an order that streams from memory. With thousands of
//! rows that costs little; with one token of each response it is most of the time, and the same
//! work for every token.

use std::sync::Arc;

use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Device, Tensor};
use rayon::prelude::*;

use crate::panels::{COLUMNS, Left, ROWS, Right, Rows, product};
use crate::products::{onto_bias, onto_residual};
use crate::slices::{contiguous, floats, tensor, vectorised, width};

/// Multiplications that are worth a thread.
const GRAIN: usize = 1 << 19;

/// The right side of products with few rows, on the CPU. No gradient flows through it.
#[derive(Clone, Debug)]
pub struct PackedMatrix {
    right: Arc<Right>,
    columns: usize,
}

impl PackedMatrix {
    /// The layout of a matrix `[in, out]`; none on other devices, whose products need none.
    #[must_use]
    pub fn new(matrix: Tensor<2>) -> Option<Self> {
        has_layout(&matrix.device())
            .then(|| <Dispatch as PackedOps>::pack(matrix.into_dispatch(), false))
    }

    /// The layout of a matrix that is given with rows and columns exchanged, `[out, in]`, like the
    /// rows of an embedding.
    #[must_use]
    pub fn transposed(matrix: Tensor<2>) -> Option<Self> {
        has_layout(&matrix.device())
            .then(|| <Dispatch as PackedOps>::pack(matrix.into_dispatch(), true))
    }

    /// `x` times the matrix.
    ///
    /// # Shapes
    /// `[n, in]` to `[n, out]`.
    ///
    /// # Panics
    /// If the width of `x` is another.
    #[must_use]
    pub fn product(&self, x: Tensor<2>) -> Tensor<2> {
        self.check(x.dims()[1]);
        Tensor::from_dispatch(<Dispatch as PackedOps>::packed_product(
            x.into_dispatch(),
            self.clone(),
        ))
    }

    /// `x` times the matrix, plus `bias`.
    pub(crate) fn linear<const D: usize>(&self, x: Tensor<D>, bias: Tensor<1>) -> Tensor<D> {
        self.check(x.dims()[D - 1]);
        Tensor::from_dispatch(<Dispatch as PackedOps>::packed_linear(
            x.into_dispatch(),
            bias.into_dispatch(),
            self.clone(),
        ))
    }

    /// `residual` plus `x` times the matrix, plus `bias`.
    pub(crate) fn linear_add<const D: usize>(
        &self,
        residual: Tensor<D>,
        x: Tensor<D>,
        bias: Tensor<1>,
    ) -> Tensor<D> {
        self.check(x.dims()[D - 1]);
        let (residual, x) = (residual.into_dispatch(), x.into_dispatch());
        Tensor::from_dispatch(<Dispatch as PackedOps>::packed_linear_add(
            residual,
            x,
            bias.into_dispatch(),
            self.clone(),
        ))
    }

    fn check(&self, width: usize) {
        assert_eq!(width, self.right.depth(), "the width of the input is not that of the matrix");
    }

    /// Adds the product with rows that stand one after another to the rows in `out`.
    fn add_product(&self, out: &mut [f32], x: &[f32]) {
        let depth = self.right.depth();
        let rows = x.len().checked_div(depth).unwrap_or(0);
        let left = Left::of(Rows { data: x, stride: depth, width: depth, count: rows }, 1.0);
        // all rows of a block of columns one after another: the block comes from memory once
        let panels = rows.div_ceil(ROWS);
        let tiles = 0..panels * self.right.blocks();
        if rayon::current_num_threads() > 1 {
            let tile = |at: usize| {
                vectorised(
                    #[inline(always)]
                    || product(left.panel(at % panels), self.right.block(at / panels)),
                )
            };
            let grain = GRAIN / (ROWS * COLUMNS * depth).max(1);
            let products: Vec<_> =
                tiles.into_par_iter().with_min_len(grain.max(1)).map(tile).collect();
            products
                .iter()
                .enumerate()
                .for_each(|(at, tile)| self.add_tile(out, at % panels, at / panels, tile));
        } else {
            vectorised(
                #[inline(always)]
                || {
                    for at in tiles {
                        let (panel, block) = (at % panels, at / panels);
                        self.add_tile(
                            out,
                            panel,
                            block,
                            &product(left.panel(panel), self.right.block(block)),
                        );
                    }
                },
            );
        }
    }

    #[inline(always)]
    fn add_tile(&self, out: &mut [f32], panel: usize, block: usize, tile: &[[f32; COLUMNS]; ROWS]) {
        let first = block * COLUMNS;
        for (row, sums) in out.chunks_exact_mut(self.columns).skip(panel * ROWS).zip(tile) {
            for (out, sum) in row[first..].iter_mut().zip(sums) {
                *out += sum;
            }
        }
    }
}

/// Whether a matrix of this device is laid out anew.
fn has_layout(device: &Device) -> bool {
    crate::on_flex(device) && !device.is_autodiff()
}

#[backend_extension(Flex)]
trait PackedOps: Backend {
    fn pack(matrix: FloatTensor<Self>, transposed: bool) -> PackedMatrix;

    fn packed_product(x: FloatTensor<Self>, matrix: PackedMatrix) -> FloatTensor<Self>;

    fn packed_linear(
        x: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        matrix: PackedMatrix,
    ) -> FloatTensor<Self>;

    fn packed_linear_add(
        residual: FloatTensor<Self>,
        x: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        matrix: PackedMatrix,
    ) -> FloatTensor<Self>;
}

impl PackedOps for Flex {
    fn pack(matrix: FloatTensor<Self>, transposed: bool) -> PackedMatrix {
        let matrix = contiguous(matrix);
        let (count, width) = (matrix.shape()[0], width(&matrix));
        let rows = Rows { data: floats(&matrix), stride: width, width, count };
        let right = if transposed { Right::transposed(rows) } else { Right::of(rows) };
        PackedMatrix { right: Arc::new(right), columns: if transposed { count } else { width } }
    }

    fn packed_product(x: FloatTensor<Self>, matrix: PackedMatrix) -> FloatTensor<Self> {
        let x = contiguous(x);
        let rows = x.shape()[0];
        let mut out = vec![0.0; rows * matrix.columns];
        matrix.add_product(&mut out, floats(&x));
        tensor(out, [rows, matrix.columns])
    }

    fn packed_linear(
        x: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        matrix: PackedMatrix,
    ) -> FloatTensor<Self> {
        onto_bias(contiguous(x), bias, |out, x| matrix.add_product(out, x))
    }

    fn packed_linear_add(
        residual: FloatTensor<Self>,
        x: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        matrix: PackedMatrix,
    ) -> FloatTensor<Self> {
        onto_residual(residual, contiguous(x), bias, |out, x| matrix.add_product(out, x))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Distribution, Tolerance};

    #[test]
    fn products_are_those_of_the_matrix_and_do_not_depend_on_threads() {
        let device = Device::flex();
        device.seed(4);
        for (rows, depth, columns) in
            [(1, 1, 1), (3, 5, 17), (4, 64, 16), (33, 40, 100), (2, 0, 3), (0, 4, 5)]
        {
            let random = |shape: [usize; 2]| {
                Tensor::<2>::random(shape, Distribution::Normal(0.0, 1.0), &device)
            };
            let (x, matrix) = (random([rows, depth]), random([depth, columns]));
            let expected = if depth == 0 {
                Tensor::zeros([rows, columns], &device)
            } else {
                x.clone().matmul(matrix.clone())
            };
            let run = |threads: usize, packed: &PackedMatrix| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| packed.product(x.clone())).into_data()
            };
            let packed = PackedMatrix::new(matrix.clone()).unwrap();
            let one = run(1, &packed);
            one.assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-4));
            assert_eq!(run(3, &packed), one, "{rows} x {depth} x {columns}");
            // a view, and the same matrix given by its columns
            assert_eq!(run(1, &PackedMatrix::transposed(matrix.clone().transpose()).unwrap()), one);
            assert_eq!(
                run(1, &PackedMatrix::new(matrix.transpose().clone().transpose()).unwrap()),
                one
            );
        }
    }

    #[test]
    fn a_row_does_not_depend_on_the_rows_beside_it() {
        let device = Device::flex();
        let x = Tensor::<2>::random([9, 30], Distribution::Normal(0.0, 1.0), &device);
        let packed =
            PackedMatrix::new(Tensor::random([30, 50], Distribution::Normal(0.0, 1.0), &device))
                .unwrap();
        let all = packed.product(x.clone());
        for row in 0..9 {
            let alone = |of: &Tensor<2>| of.clone().narrow(0, row, 1);
            assert_eq!(packed.product(alone(&x)).into_data(), alone(&all).into_data());
        }
    }

    #[test]
    fn rows_of_another_width_are_refused() {
        let packed = PackedMatrix::new(Tensor::zeros([3, 4], &Device::flex())).unwrap();
        let run =
            std::panic::AssertUnwindSafe(|| packed.product(Tensor::zeros([2, 4], &Device::flex())));
        assert!(std::panic::catch_unwind(run).is_err());
        assert!(
            PackedMatrix::new(Tensor::zeros([3, 4], &Device::flex().autodiff())).is_none(),
            "gradients would be lost"
        );
    }
}
