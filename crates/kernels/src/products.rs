//! Products of whole matrices, by faer, added to what is there.
//!
//! Burn's own product allocates, clears and copies its result, and the sum with a bias or with the residual stream is one pass more.
//! The result here begins as that bias or residual. It does not depend on the number of threads.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

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

fn product(out: &mut [f32], accum: Accum, left: MatRef<'_, f32>, right: MatRef<'_, f32>) {
    let threads = if rayon::current_num_threads() > 1 { Par::rayon(0) } else { Par::Seq };
    let out = MatMut::from_row_major_slice_mut(out, left.nrows(), right.ncols());
    matmul(out, accum, left, right, 1.0, threads);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let values = |count: usize, seed: usize| -> Vec<f32> {
            (0..count).map(|i| f32::from(u16::try_from((i * 7919 + seed) % 1009).unwrap()) / 1009.0 - 0.5).collect()
        };
        for (rows, depth, columns) in [(1, 128, 4096), (33, 64, 1001), (900, 128, 512), (100, 700, 300)] {
            let (a, b) = (values(rows * depth, 1), values(depth * columns, 2));
            let run = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let mut out = vec![0.5; rows * columns];
                pool.install(|| add_product(&mut out, matrix(&a, depth), matrix(&b, depth).transpose()));
                out
            };
            let expected = run(1);
            for threads in [2, 3, 8] {
                assert!(run(threads) == expected, "{rows} x {depth} x {columns} on {threads} threads");
            }
        }
    }
}
