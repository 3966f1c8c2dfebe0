//! Sums over the rows of a matrix: chunks of rows side by side, then the chunks in order.

use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::{elem, empty};

/// Rows of a chunk.
const ROWS: usize = 64;
/// Columns of a cube.
const COLUMNS: u32 = 128;

/// Sums of chunks of rows, `[chunks, width]`.
#[cube(launch)]
fn chunk_sums<F: Float>(
    x: &[F],
    out: &mut [f32],
    rows: usize,
    width: usize,
    #[comptime] chunk_rows: usize,
    #[define(F)] _dtype: ElemType,
) {
    let column = CUBE_POS_X as usize * CUBE_DIM as usize + UNIT_POS as usize;
    let chunk = CUBE_POS_Y as usize;
    if column < width {
        let mut sum = f32::new(0.0);
        let mut row = chunk * chunk_rows;
        let mut end = row + chunk_rows;
        if end > rows {
            end = rows;
        }
        while row < end {
            sum += f32::cast_from(x[row * width + column]);
            row += 1;
        }
        out[chunk * width + column] = sum;
    }
}

/// The same of the rows of a gradient times what they were a gradient of, brought to mean 0 and
/// variance 1 by `moments`, `[rows, 2]`.
#[cube(launch)]
fn chunk_sums_normalised<G: Float>(
    x: &[f32],
    grad: &[G],
    moments: &[f32],
    out: &mut [f32],
    rows: usize,
    width: usize,
    #[comptime] chunk_rows: usize,
    #[define(G)] _dtype: ElemType,
) {
    let column = CUBE_POS_X as usize * CUBE_DIM as usize + UNIT_POS as usize;
    let chunk = CUBE_POS_Y as usize;
    if column < width {
        let mut sum = f32::new(0.0);
        let mut row = chunk * chunk_rows;
        let mut end = row + chunk_rows;
        if end > rows {
            end = rows;
        }
        while row < end {
            let at = row * width + column;
            sum += f32::cast_from(grad[at]) * (x[at] - moments[2 * row]) * moments[2 * row + 1];
            row += 1;
        }
        out[chunk * width + column] = sum;
    }
}

fn grid(width: usize, chunks: usize) -> (CubeCount, CubeDim) {
    let across = u32::try_from(width).unwrap_or(u32::MAX).div_ceil(COLUMNS);
    (
        CubeCount::Static(across, u32::try_from(chunks).unwrap_or(u32::MAX), 1),
        CubeDim::new_1d(COLUMNS),
    )
}

/// Sums over the rows of a contiguous `[rows, width]`: `[width]`.
pub(super) fn column_sums(x: CubeTensor, [rows, width]: [usize; 2]) -> CubeTensor {
    let chunks = rows.div_ceil(ROWS).max(1);
    let partial = empty(&x, [chunks, width], DType::F32);
    let (client, dtype) = (x.client.clone(), elem(x.dtype));
    let (count, dim) = grid(width, chunks);
    chunk_sums::launch(
        &client,
        count,
        dim,
        x.into_buffer_arg(),
        partial.clone().into_buffer_arg(),
        rows,
        width,
        ROWS,
        dtype,
    );
    totals(partial, [chunks, width])
}

/// Sums over the rows of `grad (x - mean) / deviation`, of contiguous `[rows, width]`: `[width]`.
pub(super) fn column_sums_normalised(
    x: CubeTensor,
    grad: CubeTensor,
    moments: CubeTensor,
    [rows, width]: [usize; 2],
) -> CubeTensor {
    let chunks = rows.div_ceil(ROWS).max(1);
    let partial = empty(&x, [chunks, width], DType::F32);
    let (client, dtype) = (x.client.clone(), elem(grad.dtype));
    let (count, dim) = grid(width, chunks);
    let (x, grad, moments) =
        (x.into_buffer_arg(), grad.into_buffer_arg(), moments.into_buffer_arg());
    chunk_sums_normalised::launch(
        &client,
        count,
        dim,
        x,
        grad,
        moments,
        partial.clone().into_buffer_arg(),
        rows,
        width,
        ROWS,
        dtype,
    );
    totals(partial, [chunks, width])
}

fn totals(partial: CubeTensor, [chunks, width]: [usize; 2]) -> CubeTensor {
    let out = empty(&partial, [width], DType::F32);
    let client = partial.client.clone();
    let (count, dim) = grid(width, 1);
    // all rows in one chunk
    let most = chunks.next_power_of_two();
    let (partial, output) = (partial.into_buffer_arg(), out.clone().into_buffer_arg());
    chunk_sums::launch(&client, count, dim, partial, output, chunks, width, most, elem(DType::F32));
    out
}
