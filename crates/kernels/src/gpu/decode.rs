//! One more token per row: a cube per row and head reads the cache once.

use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use cubecl::prelude::*;

use super::products::factors;
use super::{cube_max, cube_sum, cubes, elem, empty, has_planes, owned, starts_on};
use crate::decode::DecodeOps;

/// Units of a cube.
const UNITS: u32 = 256;

#[cube(launch)]
fn attend<Q: Float, C: Float, O: Float>(
    qkv: &[Q],
    keys: &mut [C],
    values: &mut [C],
    starts: &[i32],
    out: &mut [O],
    rows: usize,
    at: usize,
    capacity: usize,
    heads: usize,
    scale: f32,
    #[comptime] width: usize,
    #[comptime] places: usize,
    #[comptime] groups: usize,
    #[comptime] planes: bool,
    #[define(Q, C, O)] _dtypes: [ElemType; 3],
) {
    let mut shared = Shared::<[f32]>::new_slice(256usize);
    let mut query = Shared::<[f32]>::new_slice(width);
    let mut weights = Shared::<[f32]>::new_slice(places);
    let hidden = heads * width;
    if CUBE_POS >= rows * heads {
        terminate!();
    }
    let head = CUBE_POS % heads;
    let batch = CUBE_POS / heads;
    let unit = UNIT_POS as usize;
    let step = CUBE_DIM as usize;
    let start = usize::cast_from(starts[batch]);
    let token = batch * 3 * hidden + head * width;

    let mut column = unit;
    while column < width {
        query[column] = f32::cast_from(qkv[token + column]) * scale;
        keys[(batch * hidden + head * width + column) * capacity + at] =
            C::cast_from(qkv[token + hidden + column]);
        values[(batch * capacity + at) * hidden + head * width + column] =
            C::cast_from(qkv[token + 2 * hidden + column]);
        column += step;
    }
    sync_cube();

    // the token itself comes from its own row: what was just written need not be seen yet
    let mut largest = f32::new(-3.0e38);
    let mut place = start + unit;
    while place <= at {
        let mut score = f32::new(0.0);
        if place == at {
            for column in 0..width {
                score += query[column] * f32::cast_from(qkv[token + hidden + column]);
            }
        } else {
            for column in 0..width {
                score += query[column]
                    * f32::cast_from(
                        keys[(batch * hidden + head * width + column) * capacity + place],
                    );
            }
        }
        weights[place] = score;
        if score > largest {
            largest = score;
        }
        place += step;
    }
    let largest = cube_max(largest, &mut shared, planes);
    let mut sum = f32::new(0.0);
    let mut place = start + unit;
    while place <= at {
        let weight = (weights[place] - largest).exp();
        weights[place] = weight;
        sum += weight;
        place += step;
    }
    // also a barrier for the weights
    let total = cube_sum(sum, &mut shared, planes);

    // groups of units, each for every so many places, a unit per column
    let group = unit / width;
    let column = unit % width;
    let mut mixed = f32::new(0.0);
    if group < groups {
        let mut place = start + group;
        while place <= at {
            if place == at {
                mixed += weights[place] * f32::cast_from(qkv[token + 2 * hidden + column]);
            } else {
                mixed += weights[place]
                    * f32::cast_from(
                        values[(batch * capacity + place) * hidden + head * width + column],
                    );
            }
            place += groups;
        }
    }
    shared[unit] = mixed;
    sync_cube();
    if unit < width {
        let mut sum = f32::new(0.0);
        for group in 0..groups {
            sum += shared[group * width + unit];
        }
        out[batch * hidden + head * width + unit] = O::cast_from(sum / total);
    }
}

impl DecodeOps for CubeBackend {
    fn attend(
        qkv: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        at: usize,
        heads: usize,
        starts: Vec<usize>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let (qkv, [keys, values]) = (into_contiguous(qkv), [keys, values].map(owned));
        let shape = values.shape();
        let (batch, capacity, hidden) = (shape[0], shape[1], shape[2]);
        let width = hidden / heads;
        assert!(width <= UNITS as usize, "heads of width {width} are wider than {UNITS}");
        let out = empty(&qkv, [batch, hidden], factors(&qkv.client));
        #[expect(clippy::cast_precision_loss, reason = "a head's width is far below 2^24")]
        let scale = (width as f32).sqrt().recip();
        let client = qkv.client.clone();
        attend::launch(
            &client,
            cubes(batch * heads),
            CubeDim::new_1d(UNITS),
            qkv.clone().into_buffer_arg(),
            keys.clone().into_buffer_arg(),
            values.clone().into_buffer_arg(),
            starts_on(&qkv, &starts).into_buffer_arg(),
            out.clone().into_buffer_arg(),
            batch,
            at,
            capacity,
            heads,
            scale,
            width,
            capacity.next_multiple_of(64),
            (UNITS as usize / width).max(1),
            has_planes(&client),
            [elem(qkv.dtype), elem(keys.dtype), elem(out.dtype)],
        );
        (out, keys, values)
    }
}
