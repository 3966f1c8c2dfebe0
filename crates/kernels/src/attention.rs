//! Causal self-attention of whole sequences, from the projected queries, keys and values to the
//! merged heads.
//!
//! Under autodiff the plain composition keeps queries, keys, values, scores and probabilities, and
//! copies most of them once more to bring heads next to each other. Here a head is packed into
//! small panels, its probabilities are made a few rows at a time, and nothing is kept for the
//! backward pass but the input: it makes the probabilities again. What a row may not see is not
//! computed, which is half of the work.

use burn::backend::TensorMetadata;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Tensor, module, s};
use rayon::prelude::*;

use crate::decode::padding;
use crate::exp::exp;
use crate::panels::{COLUMNS, Left, ROWS, Right, Rows, product};
use crate::slices::{contiguous, floats, tensor, vectorised};
use crate::sums::total;

/// Attention in which each token sees itself and those before it: `softmax(q k^T / sqrt(e)) v` for
/// every head.
///
/// # Shapes
/// - `qkv`: `[batch, seq, 3 * hidden]`, queries, keys and values side by side, each with its
///   `heads` side by side
/// - `starts`: the first token of each row; those before are padding, which no token sees and where
///   the result is 0
/// - result: `[batch, seq, hidden]`
///
/// # Panics
/// If `heads` does not divide `hidden`, or there is not one start within `seq` for each row.
#[must_use]
pub fn causal_attention(qkv: Tensor<3>, heads: usize, starts: &[usize]) -> Tensor<3> {
    let [batch, seq, width] = qkv.dims();
    assert!(
        starts.len() == batch && starts.iter().all(|&start| start <= seq),
        "{starts:?} are no starts of {batch} x {seq} tokens"
    );
    assert!(
        heads > 0 && width.is_multiple_of(3 * heads),
        "{heads} heads do not divide queries, keys and values of width {width}"
    );
    if crate::fused(&qkv.device()) {
        Tensor::from_dispatch(<Dispatch as AttentionOps>::causal_attention(
            qkv.into_dispatch(),
            heads,
            starts.to_vec(),
        ))
    } else {
        plain(qkv, heads, starts)
    }
}

/// The definition, by Burn operations.
fn plain(qkv: Tensor<3>, heads: usize, starts: &[usize]) -> Tensor<3> {
    let [b, t, width] = qkv.dims();
    let d = width / 3;
    let part = |i: usize| {
        qkv.clone()
            .slice(s![.., .., i * d..(i + 1) * d])
            .reshape([b, t, heads, d / heads])
            .swap_dims(1, 2)
    };
    let options = AttentionModuleOptions { is_causal: true, ..Default::default() };
    let padding = padding(starts, t, &qkv.device());
    let out = module::attention(part(0), part(1), part(2), padding, None, options); // [b, h, t, e]
    out.swap_dims(1, 2).reshape([b, t, d])
}

#[backend_extension(Flex, Cube: cfg(any(feature = "wgpu", feature = "cuda")), Autodiff)]
pub(crate) trait AttentionOps: Backend {
    fn causal_attention(
        qkv: FloatTensor<Self>,
        heads: usize,
        starts: Vec<usize>,
    ) -> FloatTensor<Self>;

    fn causal_attention_backward(
        qkv: FloatTensor<Self>,
        heads: usize,
        starts: Vec<usize>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

/// Sizes of an attention.
#[derive(Clone, Copy)]
struct Sizes {
    /// Tokens of a sequence.
    tokens: usize,
    /// Hidden width.
    hidden: usize,
    heads: usize,
}

impl Sizes {
    /// Those of `[batch, seq, 3 * hidden]`.
    fn of(qkv: &FlexTensor, heads: usize) -> Self {
        let shape = qkv.shape();
        Self { tokens: shape[1], hidden: shape[2] / 3, heads }
    }

    /// Those of a sequence from a token on.
    fn from(self, start: usize) -> Self {
        Self { tokens: self.tokens - start, ..self }
    }

    fn head_width(self) -> usize {
        self.hidden / self.heads
    }

    /// A head's rows in one sequence of `[seq, parts * hidden]`.
    fn rows(self, data: &[f32], part: usize, parts: usize, head: usize) -> Rows<'_> {
        let width = self.head_width();
        Rows {
            data: &data[part * self.hidden + head * width..],
            stride: parts * self.hidden,
            width,
            count: self.tokens,
        }
    }

    /// What scores are multiplied by.
    #[expect(clippy::cast_precision_loss, reason = "a head's width is far below 2^24")]
    fn scale(self) -> f32 {
        (self.head_width() as f32).sqrt().recip()
    }

    /// Keys that the rows of a panel see.
    fn seen(self, panel: usize) -> usize {
        self.tokens.min((panel + 1) * ROWS)
    }

    fn panels(self) -> usize {
        self.tokens.div_ceil(ROWS)
    }
}

impl AttentionOps for Flex {
    fn causal_attention(
        qkv: FloatTensor<Self>,
        heads: usize,
        starts: Vec<usize>,
    ) -> FloatTensor<Self> {
        let (sizes, qkv) = (Sizes::of(&qkv, heads), contiguous(qkv));
        let Sizes { tokens, hidden, .. } = sizes;
        let batch = qkv.shape()[0];
        let mut out = vec![0.0; batch * tokens * hidden];
        let size = (tokens * hidden).max(1); // none of no tokens
        let rows = floats(&qkv).par_chunks(3 * size).zip(starts);
        out.par_chunks_mut(size).zip(rows).for_each(|(out, (qkv, start))| {
            if start == tokens {
                return; // nothing but padding
            }
            let (sizes, qkv, out) =
                (sizes.from(start), &qkv[3 * start * hidden..], &mut out[start * hidden..]);
            vectorised(
                #[inline(always)]
                || {
                    for head in 0..heads {
                        attend(sizes, head, qkv, out);
                    }
                },
            );
        });
        tensor(out, [batch, tokens, hidden])
    }

    fn causal_attention_backward(
        qkv: FloatTensor<Self>,
        heads: usize,
        starts: Vec<usize>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let sizes = Sizes::of(&qkv, heads);
        let (qkv, grad) = (contiguous(qkv), contiguous(grad));
        let Sizes { tokens, hidden, .. } = sizes;
        let mut out = vec![0.0; floats(&qkv).len()];
        let size = (tokens * hidden).max(1);
        let rows =
            floats(&qkv).par_chunks(3 * size).zip(floats(&grad).par_chunks(size)).zip(starts);
        out.par_chunks_mut(3 * size).zip(rows).for_each(|(out, ((qkv, grad), start))| {
            if start == tokens {
                return;
            }
            let (sizes, qkv, out) =
                (sizes.from(start), &qkv[3 * start * hidden..], &mut out[3 * start * hidden..]);
            let grad = &grad[start * hidden..];
            vectorised(
                #[inline(always)]
                || {
                    for head in 0..heads {
                        attend_backward(sizes, head, qkv, grad, out);
                    }
                },
            );
        });
        tensor(out, qkv.shape())
    }
}

/// One head of one sequence: `[seq, 3 * hidden]` to its columns of `[seq, hidden]`.
#[inline(always)]
fn attend(sizes: Sizes, head: usize, qkv: &[f32], out: &mut [f32]) {
    let [q, k, v] = [0, 1, 2].map(|part| sizes.rows(qkv, part, 3, head));
    let (q, k, v) = (Left::of(q, sizes.scale()), Right::transposed(k), Right::of(v));
    let mut probabilities = vec![0.0; ROWS * padded(sizes.tokens)];
    for panel in 0..sizes.panels() {
        softmax_panel(sizes, panel, &q, &k, &mut probabilities);
        let seen = sizes.seen(panel);
        let left = Left::of_panel(&probabilities, seen);
        write_panel(
            sizes,
            panel,
            &left,
            &v,
            seen,
            &mut out[head * sizes.head_width()..],
            sizes.hidden,
        );
    }
}

/// The gradient of [`attend`] with respect to its head's columns of `qkv`.
#[inline(always)]
fn attend_backward(sizes: Sizes, head: usize, qkv: &[f32], grad: &[f32], out: &mut [f32]) {
    let (tokens, stride, scale) = (sizes.tokens, padded(sizes.tokens), sizes.scale());
    let [q, k, v] = [0, 1, 2].map(|part| sizes.rows(qkv, part, 3, head));
    let grad = sizes.rows(grad, 0, 1, head);
    let (queries, keys, values) = (Left::of(q, scale), Right::transposed(k), Right::transposed(v));
    let (grads, keys_by_row) = (Left::of(grad, 1.0), Right::of(k));
    let place = |part: usize| part * sizes.hidden + head * sizes.head_width();
    // rows of all panels: probabilities, and gradients of the scores
    let rows = sizes.panels() * ROWS * stride;
    let (mut p, mut ds) = (vec![0.0; rows], vec![0.0; rows]);
    for panel in 0..sizes.panels() {
        let range = panel * ROWS * stride..(panel + 1) * ROWS * stride;
        let (p, ds) = (&mut p[range.clone()], &mut ds[range]);
        softmax_panel(sizes, panel, &queries, &keys, p);
        let seen = sizes.seen(panel);
        score_panel(panel, &grads, &values, seen, ds); // gradients of the probabilities so far
        let width = padded(seen);
        for (p, ds) in p.chunks_exact(stride).zip(ds.chunks_exact_mut(stride)) {
            backward_softmax(&p[..width], &mut ds[..width]);
        }
        let left = Left::of_panel(ds, seen).scaled(scale);
        write_panel(
            sizes,
            panel,
            &left,
            &keys_by_row,
            seen,
            &mut out[place(0)..],
            3 * sizes.hidden,
        );
    }
    // keys and values are seen by the rows from their own on
    let (queries, grads) = (Right::of(q), Right::of(grad));
    for panel in 0..sizes.panels() {
        for (rows, factor, right, part) in [(&ds, scale, &queries, 1), (&p, 1.0, &grads, 2)] {
            let left = Left::of_columns(rows, stride, panel * ROWS, tokens).scaled(factor);
            let first = panel * ROWS;
            for block in 0..right.blocks() {
                let sums = product(left.all(), &right.block(block)[first..]);
                store(sizes, panel, block, &sums, &mut out[place(part)..], 3 * sizes.hidden);
            }
        }
    }
}

/// Tokens, rounded up to whole blocks of columns.
#[inline(always)]
fn padded(tokens: usize) -> usize {
    tokens.next_multiple_of(COLUMNS)
}

/// The products of a panel's rows with the columns that it sees, row after row.
#[inline(always)]
fn score_panel(panel: usize, left: &Left, right: &Right, seen: usize, scores: &mut [f32]) {
    let stride = scores.len() / ROWS;
    for block in 0..seen.div_ceil(COLUMNS) {
        let sums = product(left.panel(panel), right.block(block));
        for (row, sums) in scores.chunks_exact_mut(stride).zip(&sums) {
            row[block * COLUMNS..][..COLUMNS].copy_from_slice(sums);
        }
    }
}

/// The probabilities of a panel's rows; 0 for what a row may not see.
#[inline(always)]
fn softmax_panel(
    sizes: Sizes,
    panel: usize,
    queries: &Left,
    keys: &Right,
    probabilities: &mut [f32],
) {
    let stride = probabilities.len() / ROWS;
    score_panel(panel, queries, keys, sizes.seen(panel), probabilities);
    let width = padded(sizes.seen(panel));
    for (at, row) in probabilities.chunks_exact_mut(stride).enumerate() {
        let token = panel * ROWS + at;
        // rows beyond the last token see nothing
        let seen = if token < sizes.tokens { token + 1 } else { 0 };
        row[seen..].fill(f32::NEG_INFINITY);
        softmax(&mut row[..width]);
        row[seen..].fill(0.0);
    }
}

/// Softmax of whole blocks, in lanes that vectorise. NaN is lost in the maximum and found again in
/// the sum; of nothing but minus infinity, all is NaN.
#[inline(always)]
fn softmax(row: &mut [f32]) {
    let (chunks, _) = row.as_chunks_mut::<COLUMNS>();
    let mut lanes = [f32::NEG_INFINITY; COLUMNS];
    for chunk in chunks.iter() {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = if value > *lane { value } else { *lane };
        }
    }
    // in halves, as sums are
    for half in [8, 4, 2, 1] {
        for lane in 0..half {
            lanes[lane] =
                if lanes[lane + half] > lanes[lane] { lanes[lane + half] } else { lanes[lane] };
        }
    }
    let max = lanes[0];
    let mut sums = [0.0; COLUMNS];
    for chunk in chunks.iter_mut() {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *value = exp(*value - max);
            *sum += *value;
        }
    }
    let factor = total(&sums).recip();
    for value in row {
        *value *= factor;
    }
}

/// From the gradients of probabilities to those of their scores, in whole blocks.
#[inline(always)]
fn backward_softmax(p: &[f32], grads: &mut [f32]) {
    let mut sums = [0.0f32; COLUMNS];
    for (p, grads) in p.as_chunks::<COLUMNS>().0.iter().zip(grads.as_chunks::<COLUMNS>().0) {
        for (sum, (&p, &grad)) in sums.iter_mut().zip(p.iter().zip(grads)) {
            *sum += p * grad;
        }
    }
    let mean = total(&sums);
    for (grad, &p) in grads.iter_mut().zip(p) {
        *grad = p * (*grad - mean);
    }
}

/// Products of a panel of `seen` columns with the rows that they name, into a head's columns.
#[inline(always)]
fn write_panel(
    sizes: Sizes,
    panel: usize,
    left: &Left,
    right: &Right,
    seen: usize,
    out: &mut [f32],
    stride: usize,
) {
    for block in 0..right.blocks() {
        let sums = product(left.all(), &right.block(block)[..seen]);
        store(sizes, panel, block, &sums, out, stride);
    }
}

/// Puts a tile into a head's columns, as far as there are such rows and columns.
#[inline(always)]
fn store(
    sizes: Sizes,
    panel: usize,
    block: usize,
    sums: &[[f32; COLUMNS]; ROWS],
    out: &mut [f32],
    stride: usize,
) {
    let (first, column) = (panel * ROWS, block * COLUMNS);
    let columns = COLUMNS.min(sizes.head_width() - column);
    for (at, sums) in sums.iter().enumerate().take(sizes.tokens - first) {
        out[(first + at) * stride + column..][..columns].copy_from_slice(&sums[..columns]);
    }
}

#[derive(Debug)]
struct AttentionBackward;

impl<B: AttentionOps> Backward<B, 1> for AttentionBackward {
    type State = (B::FloatTensorPrimitive, usize, Vec<usize>);

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let grad = grads.consume::<B>(&ops.node);
        if let [Some(parent)] = ops.parents {
            let (qkv, heads, starts) = ops.state;
            grads.register::<B>(parent.id, B::causal_attention_backward(qkv, heads, starts, grad));
        }
    }
}

impl<B: AttentionOps, C: CheckpointStrategy> AttentionOps for Autodiff<B, C> {
    fn causal_attention(
        qkv: FloatTensor<Self>,
        heads: usize,
        starts: Vec<usize>,
    ) -> FloatTensor<Self> {
        let (qkv, node) = qkv.into_parts();
        match AttentionBackward.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let out = B::causal_attention(qkv.clone(), heads, starts.clone());
                prep.finish((qkv, heads, starts), out)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::causal_attention(qkv, heads, starts)),
        }
    }

    fn causal_attention_backward(
        _: FloatTensor<Self>,
        _: usize,
        _: Vec<usize>,
        _: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        unreachable!("gradients of gradients are never taken")
    }
}

#[cfg(test)]
mod tests;
