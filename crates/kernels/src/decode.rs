//! One more token per row: attention over the keys and values so far, and the logits of what comes next.

use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Bool, Tensor, TensorData, activation, s};
use rayon::prelude::*;

use crate::exp::exp;
use crate::products::{matrix, write_product};
use crate::slices::{contiguous, floats, overwritten, tensor, vectorised};

/// Partial sums of a product of two vectors.
const LANES: usize = 16;

/// Writes the keys and values of one more token per row into the cache and attends to all that is there:
/// `softmax(q k^T / sqrt(e)) v` for every head.
///
/// # Shapes
/// - `qkv`: `[batch, 3 * hidden]`, queries, keys and values side by side, each with its `heads` side by side
/// - `cache`: `[batch, capacity, 2 * hidden]`, keys and values side by side; overwritten in column `at`
/// - `starts`: the first column of each row that holds a token; those before are padding
/// - result: `[batch, hidden]`
///
/// No gradient flows through it.
///
/// # Panics
/// If the shapes are others, `at` is not below the capacity, or `heads` does not divide `hidden`.
#[must_use]
pub fn cached_attention(qkv: Tensor<2>, cache: &mut Tensor<3>, at: usize, heads: usize, starts: &[usize]) -> Tensor<2> {
    let ([batch, width], [rows, capacity, pair]) = (qkv.dims(), cache.dims());
    assert!(
        rows == batch && starts.len() == batch && at < capacity && 2 * width == 3 * pair && (width / 3).is_multiple_of(heads),
        "a cache of {rows} x {capacity} x {pair} and {} starts do not go with {batch} tokens of width {width} at {at}, {heads} heads",
        starts.len()
    );
    let mut attended = None;
    cache.inplace(|cache| {
        let (out, cache) = if crate::on_flex(&qkv.device()) {
            let (qkv, cache) = (qkv.into_dispatch(), cache.into_dispatch());
            let (out, cache) = <Dispatch as DecodeOps>::cached_attention(qkv, cache, at, heads, starts.to_vec());
            (Tensor::from_dispatch(out), Tensor::from_dispatch(cache))
        } else {
            plain(qkv, cache, at, heads, starts)
        };
        attended = Some(out);
        cache
    });
    attended.unwrap_or_else(|| unreachable!("the closure was called"))
}

/// The definition, by Burn operations.
fn plain(qkv: Tensor<2>, cache: Tensor<3>, at: usize, heads: usize, starts: &[usize]) -> (Tensor<2>, Tensor<3>) {
    let [b, width] = qkv.dims();
    let (d, e, t) = (width / 3, width / 3 / heads, at + 1);
    let cache = cache.slice_assign(s![.., at..t, ..], qkv.clone().slice(s![.., d..]).unsqueeze_dim(1));
    let split = |part: Tensor<3>, rows| part.reshape([b, rows, heads, e]).swap_dims(1, 2); // [b, h, rows, e]
    let q = split(qkv.slice(s![.., 0..d]).unsqueeze_dim(1), 1);
    let k = split(cache.clone().slice(s![.., 0..t, 0..d]), t);
    let v = split(cache.clone().slice(s![.., 0..t, d..]), t);
    #[expect(clippy::cast_precision_loss, reason = "a head's width is far below 2^52")]
    let scale = (e as f64).powf(-0.5);
    let mut scores = q.matmul(k.swap_dims(2, 3)) * scale; // [b, h, 1, t]
    if let Some(padding) = padding(starts, t, &scores.device()) {
        // low enough that a padded column's weight is exactly 0, and finite, so that no row can turn into NaN
        scores = scores.mask_fill(padding, -1e9);
    }
    (activation::softmax(scores, 3).matmul(v).reshape([b, d]), cache)
}

/// The columns before each row's start, `[batch, 1, 1, seq]`; none if there are none.
pub(crate) fn padding(starts: &[usize], seq: usize, device: &burn::tensor::Device) -> Option<Tensor<4, Bool>> {
    let padded: Vec<bool> = starts.iter().flat_map(|&start| (0..seq).map(move |column| column < start)).collect();
    padded.contains(&true).then(|| Tensor::from_data(TensorData::new(padded, [starts.len(), 1, 1, seq]), &device.clone().inner()))
}

/// Logits of the next token, `hidden head^T`.
///
/// # Shapes
/// `hidden`: `[n, d]`; `head`: `[vocab, d]`, the rows of the output embedding; result: `[n, vocab]`.
#[must_use]
pub fn logits(hidden: Tensor<2>, head: Tensor<2>) -> Tensor<2> {
    let device = hidden.device();
    if crate::on_flex(&device) && !device.is_autodiff() {
        Tensor::from_dispatch(<Dispatch as DecodeOps>::logits(hidden.into_dispatch(), head.into_dispatch()))
    } else {
        // a transposed view: the product takes it uncopied
        hidden.matmul(head.transpose())
    }
}

#[backend_extension(Flex)]
trait DecodeOps: Backend {
    fn cached_attention(
        qkv: FloatTensor<Self>,
        cache: FloatTensor<Self>,
        at: usize,
        heads: usize,
        starts: Vec<usize>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    fn logits(hidden: FloatTensor<Self>, head: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl DecodeOps for Flex {
    fn cached_attention(
        qkv: FloatTensor<Self>,
        cache: FloatTensor<Self>,
        at: usize,
        heads: usize,
        starts: Vec<usize>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let (qkv, shape) = (contiguous(qkv), cache.shape());
        let (batch, capacity, hidden) = (shape[0], shape[1], shape[2] / 2);
        let mut out = vec![0.0; batch * hidden];
        let cache = overwritten(cache, |cache| {
            let rows = cache.par_chunks_mut(capacity * 2 * hidden).zip(floats(&qkv).par_chunks(3 * hidden)).zip(starts);
            out.par_chunks_mut(hidden).zip(rows).for_each(|(out, ((cache, qkv), start))| {
                vectorised(
                    #[inline(always)]
                    || attend_row(qkv, cache, start, at, heads, out),
                );
            });
        });
        (tensor(out, [batch, hidden]), cache)
    }

    fn logits(hidden: FloatTensor<Self>, head: FloatTensor<Self>) -> FloatTensor<Self> {
        let (hidden, head) = (contiguous(hidden), contiguous(head));
        let d = head.shape()[1];
        let (left, right) = (matrix(floats(&hidden), d), matrix(floats(&head), d));
        let mut out = vec![0.0; left.nrows() * right.nrows()];
        write_product(&mut out, left, right.transpose());
        tensor(out, [left.nrows(), right.nrows()])
    }
}

/// One row: `qkv` `[3 * hidden]`, `cache` `[capacity, 2 * hidden]`, `out` `[hidden]` of zeros.
#[inline(always)]
fn attend_row(qkv: &[f32], cache: &mut [f32], start: usize, at: usize, heads: usize, out: &mut [f32]) {
    let hidden = out.len();
    let width = hidden / heads;
    cache[at * 2 * hidden..][..2 * hidden].copy_from_slice(&qkv[hidden..]);
    let tokens = &cache[start * 2 * hidden..(at + 1) * 2 * hidden];
    #[expect(clippy::cast_precision_loss, reason = "a head's width is far below 2^24")]
    let scale = (width as f32).sqrt().recip();
    let mut weights = vec![0.0; at + 1 - start];
    for (head, out) in out.chunks_exact_mut(width).enumerate() {
        let query = &qkv[head * width..][..width];
        let mut max = f32::MIN;
        for (weight, token) in weights.iter_mut().zip(tokens.chunks_exact(2 * hidden)) {
            *weight = scale * dot(query, &token[head * width..][..width]);
            max = max.max(*weight);
        }
        let mut sum = 0.0;
        for weight in &mut weights {
            *weight = exp(*weight - max);
            sum += *weight;
        }
        for (&weight, token) in weights.iter().zip(tokens.chunks_exact(2 * hidden)) {
            for (out, &value) in out.iter_mut().zip(&token[hidden + head * width..][..width]) {
                *out = weight.mul_add(value, *out);
            }
        }
        let factor = 1.0 / sum;
        for out in out {
            *out *= factor;
        }
    }
}

#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut lanes = [0.0f32; LANES];
    for (a, b) in a.iter().zip(b) {
        for (lane, (&a, &b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane = a.mul_add(b, *lane);
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    lanes.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution};

    #[test]
    fn tokens_and_the_cache_match_the_plain_composition() {
        let device = Device::flex();
        device.seed(5);
        for (batch, heads, width, capacity) in [(1, 1, 4, 3), (3, 2, 16, 9), (2, 3, 21, 40)] {
            let hidden = heads * width;
            let random = |shape: [usize; 3]| Tensor::<3>::random(shape, Distribution::Normal(0.0, 1.5), &device);
            let filled = random([batch, capacity, 2 * hidden]);
            for at in [0, capacity / 2, capacity - 1] {
                let starts: Vec<usize> = (0..batch).map(|row| row.min(at)).collect();
                let qkv = random([batch, 1, 3 * hidden]).reshape([batch, 3 * hidden]);
                let (expected, expected_cache) = plain(qkv.clone(), filled.clone(), at, heads, &starts);
                let mut cache = filled.clone();
                let found = cached_attention(qkv, &mut cache, at, heads, &starts);
                let worst = (found - expected).abs().max().into_scalar::<f32>();
                assert!(worst < 1e-5, "{worst} at {at}");
                assert_eq!(cache.into_data(), expected_cache.into_data());
            }
        }
    }

    #[test]
    fn logits_are_products_with_the_rows_of_the_head() {
        let device = Device::flex();
        let hidden = Tensor::<2>::from_floats([[1.0, 2.0], [0.5, -1.0]], &device);
        let head = Tensor::<2>::from_floats([[1.0, 0.0], [0.0, 1.0], [3.0, 1.0]], &device);
        for head in [head.clone(), head.clone().transpose().clone().transpose()] {
            let found = logits(hidden.clone(), head).into_data().try_to_vec::<f32>().unwrap();
            assert_eq!(found, [1.0, 2.0, 5.0, 0.5, -1.0, 0.5]);
        }
    }

    #[test]
    fn a_cache_that_does_not_fit_is_refused() {
        let refused = |batch, at, heads| {
            let mut cache = Tensor::<3>::zeros([2, 4, 8], &Device::flex());
            let qkv = Tensor::<2>::zeros([batch, 12], &Device::flex());
            let run = std::panic::AssertUnwindSafe(|| cached_attention(qkv, &mut cache, at, heads, &vec![0; batch]));
            std::panic::catch_unwind(run).is_err()
        };
        assert!(refused(3, 0, 1) && refused(2, 4, 1) && refused(2, 0, 3));
        assert!(!refused(2, 3, 2));
    }
}
