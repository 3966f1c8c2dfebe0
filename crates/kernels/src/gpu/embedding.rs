//! Rows of embeddings, and their gradients without atomics: a cube per row of the table looks for
//! the tokens that chose it.

use burn::backend::TensorMetadata;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::DType;
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use cubecl::prelude::*;

use super::{cube_max, cubes, empty, has_planes, rows_and_width, units};
use crate::embedding::EmbeddingOps;

/// Units of a cube, and ids that it looks at together.
const UNITS: u32 = 128;

#[cube(launch)]
fn gather(table: &[f32], ids: &[i32], out: &mut [f32], width: usize, count: usize) {
    if ABSOLUTE_POS < count {
        out[ABSOLUTE_POS] =
            table[usize::cast_from(ids[ABSOLUTE_POS / width]) * width + ABSOLUTE_POS % width];
    }
}

/// Row `CUBE_POS` of the gradient: the sum of the gradients of the tokens with that id, in their
/// order.
#[cube(launch)]
fn collect(
    grad: &[f32],
    ids: &[i32],
    out: &mut [f32],
    width: usize,
    rows: usize,
    tokens: usize,
    #[comptime] tile: usize,
    #[comptime] planes: bool,
) {
    let mut seen = Shared::<[i32]>::new_slice(tile);
    let mut shared = Shared::<[f32]>::new_slice(tile);
    let row = CUBE_POS;
    if row >= rows {
        terminate!();
    }
    let wanted = i32::cast_from(row);
    let unit = UNIT_POS as usize;
    let step = CUBE_DIM as usize;
    let mut column = unit;
    while column < width {
        out[row * width + column] = 0.0f32;
        column += step;
    }
    let mut first = 0usize;
    while first < tokens {
        let mut id = i32::new(-1);
        if first + unit < tokens {
            id = ids[first + unit];
        }
        seen[unit] = id;
        let mut hit = f32::new(0.0);
        if id == wanted {
            hit = f32::new(1.0);
        }
        // also a barrier for the ids
        if cube_max(hit, &mut shared, planes) > 0.0f32 {
            for token in 0..tile {
                if seen[token] == wanted {
                    let mut column = unit;
                    while column < width {
                        out[row * width + column] += grad[(first + token) * width + column];
                        column += step;
                    }
                }
            }
        }
        sync_cube();
        first += step;
    }
}

impl EmbeddingOps for CubeBackend {
    fn embedding(table: FloatTensor<Self>, ids: IntTensor<Self>) -> FloatTensor<Self> {
        let (table, ids) = (into_contiguous(table), into_contiguous(ids));
        let ([_, width], tokens) = (rows_and_width(&table), ids.shape().num_elements());
        let out = empty(&table, [tokens, width], DType::F32);
        let client = table.client.clone();
        let (count, dim) = units(&client, tokens * width);
        let (table, ids) = (table.into_buffer_arg(), ids.into_buffer_arg());
        gather::launch(
            &client,
            count,
            dim,
            table,
            ids,
            out.clone().into_buffer_arg(),
            width,
            tokens * width,
        );
        out
    }

    fn embedding_backward(
        grad: FloatTensor<Self>,
        ids: IntTensor<Self>,
        rows: usize,
    ) -> FloatTensor<Self> {
        let (grad, ids) = (into_contiguous(grad), into_contiguous(ids));
        let [tokens, width] = rows_and_width(&grad);
        let out = empty(&grad, [rows, width], DType::F32);
        let client = grad.client.clone();
        let (grad, ids) = (grad.into_buffer_arg(), ids.into_buffer_arg());
        let (dim, planes) = (CubeDim::new_1d(UNITS), has_planes(&client));
        collect::launch(
            &client,
            cubes(rows),
            dim,
            grad,
            ids,
            out.clone().into_buffer_arg(),
            width,
            rows,
            tokens,
            UNITS as usize,
            planes,
        );
        out
    }
}
