//! Products of whole matrices, by faer, added to what is there.
//!
//! Burn's own product allocates, clears and copies its result, and the sum with a bias or with the
//! residual stream is one pass more. The result here begins as that bias or residual.
//!
//! It does not depend on the number of threads: what they share out is the rows and columns of the
//! result, never the sum behind one of its numbers. faer shares the sum out where the result is one
//! column or one row (`matvec_colmajor` in its `linalg/matmul`), so such a product gets one thread.
//! It reads each number of the matrix once, so memory sets its pace.

use burn::backend::TensorMetadata;
use burn::backend::flex::FlexTensor;
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

use crate::slices::{contiguous, floats, overwritten, tensor, width};

/// A matrix of `width` columns whose rows stand one after another.
pub(crate) fn matrix(data: &[f32], width: usize) -> MatRef<'_, f32> {
    MatRef::from_row_major_slice(data, data.len().checked_div(width).unwrap_or(0), width)
}

/// Adds a product to the rows in `out`.
pub(crate) fn add_product(out: &mut [f32], left: MatRef<'_, f32>, right: MatRef<'_, f32>) {
    product(out, Accum::Add, left, right);
}

/// Writes a product over the rows in `out`.
pub(crate) fn write_product(out: &mut [f32], left: MatRef<'_, f32>, right: MatRef<'_, f32>) {
    product(out, Accum::Replace, left, right);
}

/// The bias for each row of `x`, with a product of `x` added to it.
pub(crate) fn onto_bias(
    x: FlexTensor,
    bias: FlexTensor,
    add_product: impl FnOnce(&mut [f32], &[f32]),
) -> FlexTensor {
    let bias = contiguous(bias);
    let mut shape = x.shape();
    *shape.last_mut().unwrap_or(&mut 0) = width(&bias);
    let mut out = floats(&bias).repeat(shape.num_elements() / width(&bias).max(1));
    add_product(&mut out, floats(&x));
    tensor(out, shape)
}

/// The residual plus the bias, with a product of `x` added to it.
pub(crate) fn onto_residual(
    residual: FlexTensor,
    x: FlexTensor,
    bias: FlexTensor,
    add_product: impl FnOnce(&mut [f32], &[f32]),
) -> FlexTensor {
    let bias = contiguous(bias);
    overwritten(residual, |out| {
        for row in out.chunks_exact_mut(width(&bias).max(1)) {
            for (out, bias) in row.iter_mut().zip(floats(&bias)) {
                *out += bias;
            }
        }
        add_product(out, floats(&x));
    })
}

fn product(out: &mut [f32], accum: Accum, left: MatRef<'_, f32>, right: MatRef<'_, f32>) {
    let is_vector = left.nrows() == 1 || right.ncols() == 1;
    let threads =
        if is_vector || rayon::current_num_threads() == 1 { Par::Seq } else { Par::rayon(0) };
    let out = MatMut::from_row_major_slice_mut(out, left.nrows(), right.ncols());
    matmul(out, accum, left, right, 1.0, threads);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers whose sums depend on their order.
    fn values(count: usize, seed: usize) -> Vec<f32> {
        (0..count)
            .map(|i| f32::from(u16::try_from((i * 7919 + seed) % 1009).unwrap()) / 1009.0 - 0.5)
            .collect()
    }

    /// A `rows` by `columns` matrix whose rows stand one after another, or whose columns do.
    fn laid_out(data: &[f32], [rows, columns]: [usize; 2], by_columns: bool) -> MatRef<'_, f32> {
        if by_columns { matrix(data, rows).transpose() } else { matrix(data, columns) }
    }

    /// Every layout of both sides, on pools of several sizes.
    fn check([rows, depth, columns]: [usize; 3]) {
        let (a, b) = (values(rows * depth, 1), values(depth * columns, 2));
        for (left_by_columns, right_by_columns) in
            [(false, false), (false, true), (true, false), (true, true)]
        {
            let run = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let left = laid_out(&a, [rows, depth], left_by_columns);
                let right = laid_out(&b, [depth, columns], right_by_columns);
                let (mut added, mut written) =
                    (vec![0.5; rows * columns], vec![f32::NAN; rows * columns]);
                pool.install(|| {
                    add_product(&mut added, left, right);
                    write_product(&mut written, left, right);
                });
                [added, written].concat().into_iter().map(f32::to_bits).collect::<Vec<_>>()
            };
            let expected = run(1);
            for threads in [2, 3, 4, 8] {
                assert!(
                    run(threads) == expected,
                    "{rows} x {depth} x {columns}, by columns: {left_by_columns} and \
                     {right_by_columns}, on {threads} threads"
                );
            }
        }
    }

    #[test]
    fn the_number_of_threads_changes_no_bit_of_one_column_or_one_row() {
        // around the 65,536 elements from which faer shares a product with a vector out: the value
        // head, a single token
        for [size, depth] in [
            [256, 255],
            [256, 256],
            [256, 1792],
            [1, 70_000],
            [70_000, 1],
            [3, 30_000],
            [30_000, 3],
        ] {
            check([size, depth, 1]);
            check([1, depth, size]);
        }
        check([1, 100_000, 1]);
    }

    #[test]
    fn the_number_of_threads_changes_no_bit_of_a_matrix() {
        // around the sizes from which faer takes another path: 16^3 and 4 * 4,096 multiplications,
        // a depth of 512; and large vocabularies
        for shape in [
            [16, 16, 16],
            [17, 16, 16],
            [32, 16, 32],
            [33, 64, 1001],
            [300, 1, 300],
            [2, 40_000, 2],
            [2, 2, 40_000],
            [40_000, 2, 2],
            [100, 511, 300],
            [100, 513, 300],
            [100, 1500, 300],
            [900, 128, 512],
            [9, 512, 20_000],
        ] {
            check(shape);
        }
    }
}
