//! The sum of squares: one cube per block, then the blocks in order.

use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use burn::tensor::DType;
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use cubecl::prelude::*;

use super::{UNITS, cube_sum, cubes, empty, has_planes};
use crate::squares::SquareOps;

/// Values of a block.
const BLOCK: usize = 1 << 15;

#[cube(launch)]
fn block_sums(
    x: &[f32],
    out: &mut [f32],
    count: usize,
    blocks: usize,
    #[comptime] block: usize,
    #[comptime] squared: bool,
    #[comptime] planes: bool,
) {
    let mut shared = Shared::<[f32]>::new_slice(256usize);
    if CUBE_POS >= blocks {
        terminate!();
    }
    let mut sum = f32::new(0.0);
    let mut at = CUBE_POS * block + UNIT_POS as usize;
    let mut end = (CUBE_POS + 1) * block;
    if end > count {
        end = count;
    }
    while at < end {
        let value = x[at];
        if squared {
            sum += value * value;
        } else {
            sum += value;
        }
        at += CUBE_DIM as usize;
    }
    let sum = cube_sum(sum, &mut shared, planes);
    if UNIT_POS == 0 {
        out[CUBE_POS] = sum;
    }
}

impl SquareOps for CubeBackend {
    fn sum_of_squares(values: FloatTensor<Self>) -> FloatTensor<Self> {
        let values = into_contiguous(values);
        let size = values.shape().num_elements();
        let blocks = size.div_ceil(BLOCK).max(1);
        let (client, dim) = (values.client.clone(), CubeDim::new_1d(UNITS));
        let planes = has_planes(&client);
        let partial = empty(&values, [blocks], DType::F32);
        block_sums::launch(
            &client,
            cubes(blocks),
            dim,
            values.into_buffer_arg(),
            partial.clone().into_buffer_arg(),
            size,
            blocks,
            BLOCK,
            true,
            planes,
        );
        if blocks == 1 {
            return partial;
        }
        let (out, most) = (empty(&partial, [1], DType::F32), blocks.next_power_of_two());
        block_sums::launch(
            &client,
            cubes(1),
            dim,
            partial.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            blocks,
            1,
            most,
            false,
            planes,
        );
        out
    }
}
