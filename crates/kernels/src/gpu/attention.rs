//! Causal attention: heads brought together in one pass, batched products, and a softmax that takes
//! a plane per row.
//!
//! Probabilities are made again in the backward pass, as on the CPU: nothing is kept but the input.

use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::products::{factors, product, transposed};
use super::{elem, empty, has_planes, planes, row_max, row_sum, starts_on, units};
use crate::attention::AttentionOps;

/// Sizes of an attention: rows, tokens, heads, width of a head.
#[derive(Clone, Copy)]
struct Sizes {
    batch: usize,
    tokens: usize,
    heads: usize,
    width: usize,
}

impl Sizes {
    /// Those of `[batch, seq, 3 * hidden]`.
    fn of(qkv: &CubeTensor, heads: usize) -> Self {
        let shape = qkv.shape();
        Self { batch: shape[0], tokens: shape[1], heads, width: shape[2] / 3 / heads }
    }

    /// `[batch * heads, seq, width]`.
    fn by_head(self) -> [usize; 3] {
        [self.batch * self.heads, self.tokens, self.width]
    }

    fn square(self) -> [usize; 3] {
        [self.batch * self.heads, self.tokens, self.tokens]
    }

    /// What scores are multiplied by.
    #[expect(clippy::cast_precision_loss, reason = "a head's width is far below 2^24")]
    fn scale(self) -> f32 {
        (self.width as f32).sqrt().recip()
    }
}

/// One of `parts` that lie side by side, `[batch, seq, parts, heads, width]`, head after head:
/// `[batch * heads, seq, width]`.
#[cube(launch)]
fn split<I: Float, F: Float>(
    x: &[I],
    out: &mut [F],
    tokens: usize,
    #[comptime] heads: usize,
    #[comptime] width: usize,
    part: usize,
    parts: usize,
    count: usize,
    #[define(I, F)] _dtypes: [ElemType; 2],
) {
    if ABSOLUTE_POS < count {
        let column = ABSOLUTE_POS % width;
        let row = ABSOLUTE_POS / width;
        let token = row % tokens;
        let sequence = row / tokens;
        let head = sequence % heads;
        let batch = sequence / heads;
        out[ABSOLUTE_POS] = F::cast_from(
            x[(((batch * tokens + token) * parts + part) * heads + head) * width + column],
        );
    }
}

/// The way back: heads side by side again, for one of `parts`.
#[cube(launch)]
fn merge<I: Float, F: Float>(
    x: &[I],
    out: &mut [F],
    tokens: usize,
    #[comptime] heads: usize,
    #[comptime] width: usize,
    part: usize,
    parts: usize,
    count: usize,
    #[define(I, F)] _dtypes: [ElemType; 2],
) {
    if ABSOLUTE_POS < count {
        let column = ABSOLUTE_POS % width;
        let row = ABSOLUTE_POS / width;
        let token = row % tokens;
        let sequence = row / tokens;
        let head = sequence % heads;
        let batch = sequence / heads;
        out[(((batch * tokens + token) * parts + part) * heads + head) * width + column] =
            F::cast_from(x[ABSOLUTE_POS]);
    }
}

/// Probabilities of scores `[batch * heads, seq, seq]`: a token sees those from its row's start up
/// to itself. Before the start all are 0.
#[cube(launch)]
fn causal_softmax<F: Float>(
    scores: &[f32],
    starts: &[i32],
    out: &mut [F],
    rows: usize,
    tokens: usize,
    heads: usize,
    scale: f32,
    #[comptime] planes: bool,
    #[define(F)] _dtype: ElemType,
) {
    let mut shared = Shared::<[f32]>::new_slice(256usize);
    let mut row = CUBE_POS * CUBE_DIM_Y as usize + UNIT_POS_Y as usize;
    let there = row < rows;
    // what is beyond the last row does as it does and writes nothing, for all units meet
    if !there {
        row = rows - 1;
    }
    let token = row % tokens;
    let start = usize::cast_from(starts[row / tokens / heads]);
    let lane = UNIT_POS_X as usize;
    let step = CUBE_DIM_X as usize;
    let base = row * tokens;
    let mut largest = f32::new(-3.0e38);
    let mut at = start + lane;
    while at <= token {
        let value = scores[base + at] * scale;
        if value > largest {
            largest = value;
        }
        at += step;
    }
    let largest = row_max(largest, &mut shared, planes);
    let mut sum = f32::new(0.0);
    let mut at = start + lane;
    while at <= token {
        sum += (scores[base + at] * scale - largest).exp();
        at += step;
    }
    let total = row_sum(sum, &mut shared, planes);
    let mut at = lane;
    while at < tokens {
        let mut value = f32::new(0.0);
        if at >= start && at <= token {
            value = (scores[base + at] * scale - largest).exp() / total;
        }
        if there {
            out[base + at] = F::cast_from(value);
        }
        at += step;
    }
}

/// From the gradients of probabilities to those of the scores before they were scaled.
#[cube(launch)]
fn softmax_backward<F: Float>(
    probabilities: &[F],
    grads: &[f32],
    out: &mut [F],
    rows: usize,
    tokens: usize,
    scale: f32,
    #[comptime] planes: bool,
    #[define(F)] _dtype: ElemType,
) {
    let mut shared = Shared::<[f32]>::new_slice(256usize);
    let mut row = CUBE_POS * CUBE_DIM_Y as usize + UNIT_POS_Y as usize;
    let there = row < rows;
    if !there {
        row = rows - 1;
    }
    // what stands behind a token has probability 0
    let seen = row % tokens + 1;
    let lane = UNIT_POS_X as usize;
    let step = CUBE_DIM_X as usize;
    let base = row * tokens;
    let mut sum = f32::new(0.0);
    let mut at = lane;
    while at < seen {
        sum += f32::cast_from(probabilities[base + at]) * grads[base + at];
        at += step;
    }
    let mean = row_sum(sum, &mut shared, planes);
    let mut at = lane;
    while at < tokens {
        let mut value = f32::new(0.0);
        if at < seen {
            value = scale * f32::cast_from(probabilities[base + at]) * (grads[base + at] - mean);
        }
        if there {
            out[base + at] = F::cast_from(value);
        }
        at += step;
    }
}

/// One of `parts` by head, as a factor of products.
fn head_rows(x: &CubeTensor, sizes: Sizes, part: usize, parts: usize) -> CubeTensor {
    let dtype = factors(&x.client);
    let out = empty(x, sizes.by_head(), dtype);
    let size = out.shape().num_elements();
    let (count, dim) = units(&x.client, size);
    let (input, output) = (x.clone().into_buffer_arg(), out.clone().into_buffer_arg());
    let dtypes = [elem(x.dtype), elem(dtype)];
    split::launch(
        &x.client,
        count,
        dim,
        input,
        output,
        sizes.tokens,
        sizes.heads,
        sizes.width,
        part,
        parts,
        size,
        dtypes,
    );
    out
}

/// Writes what is by head into one of `parts`.
fn write_heads(x: CubeTensor, out: &CubeTensor, sizes: Sizes, part: usize, parts: usize) {
    let (client, dtypes) = (x.client.clone(), [elem(x.dtype), elem(out.dtype)]);
    let size = x.shape().num_elements();
    let (count, dim) = units(&client, size);
    let (input, output) = (x.into_buffer_arg(), out.clone().into_buffer_arg());
    merge::launch(
        &client,
        count,
        dim,
        input,
        output,
        sizes.tokens,
        sizes.heads,
        sizes.width,
        part,
        parts,
        size,
        dtypes,
    );
}

/// Probabilities as a factor of products, `[batch * heads, seq, seq]`.
fn probabilities(q: CubeTensor, k: CubeTensor, sizes: Sizes, starts: &[usize]) -> CubeTensor {
    let scores = product(q, transposed(k));
    let (client, dtype) = (scores.client.clone(), factors(&scores.client));
    let out = empty(&scores, sizes.square(), dtype);
    let rows = sizes.batch * sizes.heads * sizes.tokens;
    let (count, dim) = planes(&client, rows);
    let starts = starts_on(&scores, starts).into_buffer_arg();
    let (scores, output) = (scores.into_buffer_arg(), out.clone().into_buffer_arg());
    causal_softmax::launch(
        &client,
        count,
        dim,
        scores,
        starts,
        output,
        rows,
        sizes.tokens,
        sizes.heads,
        sizes.scale(),
        has_planes(&client),
        elem(dtype),
    );
    out
}

impl AttentionOps for CubeBackend {
    fn causal_attention(
        qkv: FloatTensor<Self>,
        heads: usize,
        starts: Vec<usize>,
    ) -> FloatTensor<Self> {
        let (sizes, qkv) = (Sizes::of(&qkv, heads), into_contiguous(qkv));
        let out = empty(
            &qkv,
            [sizes.batch, sizes.tokens, sizes.heads * sizes.width],
            factors(&qkv.client),
        );
        if out.shape().num_elements() == 0 {
            return out;
        }
        let [q, k, v] = [0, 1, 2].map(|part| head_rows(&qkv, sizes, part, 3));
        let attended = product(probabilities(q, k, sizes, &starts), v);
        write_heads(attended, &out, sizes, 0, 1);
        out
    }

    fn causal_attention_backward(
        qkv: FloatTensor<Self>,
        heads: usize,
        starts: Vec<usize>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let sizes = Sizes::of(&qkv, heads);
        let [qkv, grad] = [qkv, grad].map(into_contiguous);
        let out = empty(&qkv, qkv.shape(), qkv.dtype);
        if out.shape().num_elements() == 0 {
            return out;
        }
        let [q, k, v] = [0, 1, 2].map(|part| head_rows(&qkv, sizes, part, 3));
        let grad = head_rows(&grad, sizes, 0, 1);
        let p = probabilities(q.clone(), k.clone(), sizes, &starts);
        let grad_p = product(grad.clone(), transposed(v));
        let (client, dtype) = (p.client.clone(), factors(&p.client));
        let grad_scores = empty(&p, sizes.square(), dtype);
        let rows = sizes.batch * sizes.heads * sizes.tokens;
        let (count, dim) = planes(&client, rows);
        let arguments = (
            p.clone().into_buffer_arg(),
            grad_p.into_buffer_arg(),
            grad_scores.clone().into_buffer_arg(),
        );
        let (p_arg, grad_arg, out_arg) = arguments;
        softmax_backward::launch(
            &client,
            count,
            dim,
            p_arg,
            grad_arg,
            out_arg,
            rows,
            sizes.tokens,
            sizes.scale(),
            has_planes(&client),
            elem(dtype),
        );
        write_heads(product(grad_scores.clone(), k), &out, sizes, 0, 3);
        write_heads(product(transposed(grad_scores), q), &out, sizes, 1, 3);
        write_heads(product(transposed(p), grad), &out, sizes, 2, 3);
        out
    }
}
