//! The draw of a token: softmax, entropy, the inverse of the cumulative distribution at a uniform
//! number, and the log-probability of what was drawn; nothing is read back.

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::DType;
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use cubecl::prelude::*;

use super::log_probs::{padded_head, weight_of};
use super::products::{factor, product, transposed};
use super::{UNITS, cube_max, cube_sum, cubes, empty, has_planes, rows_and_width};
use crate::draw::{DrawOps, Masks};

/// Units of a cube, as many segments of the vocabulary.
const SEGMENTS: usize = UNITS as usize;

#[cube(launch)]
fn draw_rows(
    logits: &[f32],
    uniforms: &[f32],
    ids: &mut [i32],
    stats: &mut [f32],
    rows: usize,
    stride: usize,
    vocab: usize,
    scale: f32,
    suppress: usize,
    forbidden: usize,
    length: usize,
    #[comptime] segments: usize,
    #[comptime] planes: bool,
) {
    let mut shared = Shared::<[f32]>::new_slice(segments);
    let mut sums = Shared::<[f32]>::new_slice(segments);
    if CUBE_POS >= rows {
        terminate!();
    }
    let first = CUBE_POS * stride;
    let unit = UNIT_POS as usize;
    // of what is scored, and of what is drawn from
    let mut largest = f32::new(-3.0e38);
    let mut largest_drawn = f32::new(-3.0e38);
    let mut at = unit;
    while at < vocab {
        if at != suppress {
            let value = logits[first + at] * scale;
            if value > largest {
                largest = value;
            }
            if at != forbidden && value > largest_drawn {
                largest_drawn = value;
            }
        }
        at += CUBE_DIM as usize;
    }
    let largest = cube_max(largest, &mut shared, planes);
    let largest_drawn = cube_max(largest_drawn, &mut shared, planes);

    // a segment of consecutive tokens for each unit, so that the sums before it are those of the
    // tokens before it
    let mut sum = f32::new(0.0);
    let mut weighted = f32::new(0.0);
    let mut drawn = f32::new(0.0);
    let mut at = unit * length;
    let mut end = at + length;
    if end > vocab {
        end = vocab;
    }
    while at < end {
        if at != suppress {
            let scaled = logits[first + at] * scale;
            let value = scaled - largest;
            let weight = weight_of(value);
            sum += weight;
            if weight > 0.0f32 {
                weighted += weight * value;
            }
            if at != forbidden {
                drawn += weight_of(scaled - largest_drawn);
            }
        }
        at += 1;
    }
    sums[unit] = drawn;
    let total = cube_sum(sum, &mut shared, planes);
    let weighted = cube_sum(weighted, &mut shared, planes);

    if unit == 0 {
        let mut all = f32::new(0.0);
        for segment in 0..segments {
            all += sums[segment];
        }
        let target = uniforms[CUBE_POS] * all;
        // the segment at which the running sum exceeds the target; if rounding leaves none, the
        // last that weighs anything
        let mut below = f32::new(0.0);
        let mut chosen = 0usize;
        let mut before = f32::new(0.0);
        let mut searching = true;
        for segment in 0..segments {
            let weight = sums[segment];
            if searching {
                if weight > 0.0f32 {
                    chosen = segment;
                    before = below;
                }
                below += weight;
                if below > target {
                    searching = false;
                }
            }
        }
        let mut token = chosen * length;
        let mut last = token;
        let mut end = token + length;
        if end > vocab {
            end = vocab;
        }
        let mut running = before;
        let mut searching = true;
        while token < end {
            if searching && token != suppress && token != forbidden {
                let weight = weight_of(logits[first + token] * scale - largest_drawn);
                if weight > 0.0f32 {
                    last = token;
                    running += weight;
                    if running > target {
                        searching = false;
                    }
                }
            }
            token += 1;
        }
        ids[CUBE_POS] = i32::cast_from(last);
        stats[2 * CUBE_POS] = logits[first + last] * scale - largest - total.ln();
        stats[2 * CUBE_POS + 1] = total.ln() - weighted / total;
    }
}

impl DrawOps for CubeBackend {
    fn drawing_head(head: FloatTensor<Self>) -> FloatTensor<Self> {
        padded_head(head)
    }

    fn rounded(matrix: FloatTensor<Self>) -> FloatTensor<Self> {
        factor(matrix)
    }

    fn draw(
        hidden: FloatTensor<Self>,
        head: FloatTensor<Self>,
        uniforms: FloatTensor<Self>,
        masks: Masks,
    ) -> (IntTensor<Self>, FloatTensor<Self>) {
        let logits = product(factor(hidden), transposed(factor(head)));
        let uniforms = into_contiguous(uniforms);
        let [rows, stride] = rows_and_width(&logits);
        let (ids, stats) =
            (empty(&logits, [rows], DType::I32), empty(&logits, [rows, 2], DType::F32));
        let client = logits.client.clone();
        // an id outside the vocabulary is that of no token
        let place = |id: Option<u32>| id.map_or(stride, |id| stride.min(id as usize));
        draw_rows::launch(
            &client,
            cubes(rows),
            CubeDim::new_1d(UNITS),
            logits.into_buffer_arg(),
            uniforms.into_buffer_arg(),
            ids.clone().into_buffer_arg(),
            stats.clone().into_buffer_arg(),
            rows,
            stride,
            masks.vocab,
            masks.scale,
            place(masks.suppress),
            place(masks.forbidden),
            masks.vocab.div_ceil(SEGMENTS),
            SEGMENTS,
            has_planes(&client),
        );
        (ids, stats)
    }
}
