//! One more token per row: attention over the keys and values so far.

use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData, activation, s};
use rayon::prelude::*;

use crate::exp::exp;
use crate::slices::{contiguous, floats, overwritten, tensor, vectorised};
use crate::sums::sum;

/// Keys and values of the tokens so far, for attention to one more.
#[derive(Clone, Debug)]
pub struct AttentionCache {
    /// `[batch, hidden, capacity]`: a query is compared with all tokens at once, dimension by
    /// dimension.
    keys: Tensor<3>,
    /// `[batch, capacity, hidden]`.
    values: Tensor<3>,
}

impl AttentionCache {
    /// An empty cache for `batch` rows of at most `capacity` tokens each.
    #[must_use]
    pub fn new(batch: usize, capacity: usize, hidden: usize, device: &Device) -> Self {
        let zeros = |shape: [usize; 3]| {
            let zeros = Tensor::zeros(shape, device);
            // of the type that queries, keys and values have there
            if crate::on_gpu(device) { crate::draw::rounded(zeros) } else { zeros }
        };
        Self { keys: zeros([batch, hidden, capacity]), values: zeros([batch, capacity, hidden]) }
    }

    /// Takes the keys and values of whole prompts in, from the first column on.
    ///
    /// # Shapes
    /// `qkv`: `[batch, seq, 3 * hidden]`, queries, keys and values side by side.
    pub fn fill(&mut self, qkv: Tensor<3>) {
        let [_, seq, width] = qkv.dims();
        let hidden = width / 3;
        let keys = qkv.clone().slice(s![.., .., hidden..2 * hidden]).swap_dims(1, 2);
        self.keys.inplace(|cache| cache.slice_assign(s![.., .., 0..seq], keys));
        self.values.inplace(|cache| {
            cache.slice_assign(s![.., 0..seq, ..], qkv.slice(s![.., .., 2 * hidden..]))
        });
    }

    /// Takes the keys and values of one more token per row in and attends to all that is there:
    /// `softmax(q k^T / sqrt(e)) v` for every head. No gradient flows through it.
    ///
    /// # Shapes
    /// - `qkv`: `[batch, 3 * hidden]`, queries, keys and values side by side, each with its `heads`
    ///   side by side
    /// - `at`: the column of the token
    /// - `starts`: the first column of each row that holds a token; those before are padding
    /// - result: `[batch, hidden]`
    ///
    /// # Panics
    /// If the shapes are others, `at` is not below the capacity or before a start, or `heads` does
    /// not divide `hidden`.
    #[must_use]
    pub fn attend(
        &mut self,
        qkv: Tensor<2>,
        at: usize,
        heads: usize,
        starts: &[usize],
    ) -> Tensor<2> {
        let ([batch, width], [rows, capacity, hidden]) = (qkv.dims(), self.values.dims());
        assert!(
            rows == batch
                && starts.len() == batch
                && width == 3 * hidden
                && hidden.is_multiple_of(heads),
            "{batch} tokens of width {width}, {} starts and {heads} heads do not go with a cache \
             of {rows} x {capacity} x {hidden}",
            starts.len()
        );
        assert!(
            at < capacity && starts.iter().all(|&start| start <= at),
            "no token at {at} of {capacity}, starts {starts:?}"
        );
        // the tensors are given away, so that they are overwritten and not copied
        let device = self.keys.device();
        let [keys, values] = [&mut self.keys, &mut self.values]
            .map(|cache| std::mem::replace(cache, Tensor::empty([0; 3], &device)));
        let out;
        (out, self.keys, self.values) = if crate::fused(&device) {
            let (qkv, keys, values) =
                (qkv.into_dispatch(), keys.into_dispatch(), values.into_dispatch());
            let (out, keys, values) =
                <Dispatch as DecodeOps>::attend(qkv, keys, values, at, heads, starts.to_vec());
            (Tensor::from_dispatch(out), Tensor::from_dispatch(keys), Tensor::from_dispatch(values))
        } else {
            plain(qkv, keys, values, at, heads, starts)
        };
        out
    }

    /// Keeps these rows only, in this order.
    pub fn select(&mut self, rows: &[usize]) {
        let ids: Vec<i64> =
            rows.iter().map(|&row| i64::try_from(row).unwrap_or(i64::MAX)).collect();
        let ids =
            Tensor::<1, Int>::from_data(TensorData::new(ids, [rows.len()]), &self.keys.device());
        self.keys.inplace(|cache| cache.select(0, ids.clone()));
        self.values.inplace(|cache| cache.select(0, ids));
    }
}

/// The definition, by Burn operations.
fn plain(
    qkv: Tensor<2>,
    keys: Tensor<3>,
    values: Tensor<3>,
    at: usize,
    heads: usize,
    starts: &[usize],
) -> (Tensor<2>, Tensor<3>, Tensor<3>) {
    let [b, width] = qkv.dims();
    let (d, e, t) = (width / 3, width / 3 / heads, at + 1);
    let part = |i: usize| qkv.clone().slice(s![.., i * d..(i + 1) * d]);
    let keys = keys.slice_assign(s![.., .., at..t], part(1).unsqueeze_dim(2));
    let values = values.slice_assign(s![.., at..t, ..], part(2).unsqueeze_dim(1));
    let q = part(0).reshape([b, heads, 1, e]);
    let k = keys.clone().slice(s![.., .., 0..t]).reshape([b, heads, e, t]);
    let v = values.clone().slice(s![.., 0..t, ..]).reshape([b, t, heads, e]).swap_dims(1, 2);
    #[expect(clippy::cast_precision_loss, reason = "a head's width is far below 2^52")]
    let scale = (e as f64).powf(-0.5);
    let mut scores = q.matmul(k) * scale; // [b, h, 1, t]
    if let Some(padding) = padding(starts, t, &scores.device()) {
        // low enough that a padded column's weight is exactly 0, and finite, so that no row can
        // turn into NaN
        scores = scores.mask_fill(padding, -1e9);
    }
    (activation::softmax(scores, 3).matmul(v).reshape([b, d]), keys, values)
}

/// The columns before each row's start, `[batch, 1, 1, seq]`; none if there are none.
pub(crate) fn padding(starts: &[usize], seq: usize, device: &Device) -> Option<Tensor<4, Bool>> {
    let padded: Vec<bool> =
        starts.iter().flat_map(|&start| (0..seq).map(move |column| column < start)).collect();
    padded.contains(&true).then(|| {
        Tensor::from_data(
            TensorData::new(padded, [starts.len(), 1, 1, seq]),
            &device.clone().inner(),
        )
    })
}

#[backend_extension(Flex, Cube: cfg(any(feature = "wgpu", feature = "cuda")))]
pub(crate) trait DecodeOps: Backend {
    fn attend(
        qkv: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        at: usize,
        heads: usize,
        starts: Vec<usize>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

impl DecodeOps for Flex {
    fn attend(
        qkv: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        at: usize,
        heads: usize,
        starts: Vec<usize>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let (qkv, shape) = (contiguous(qkv), values.shape());
        let (batch, hidden, size) = (shape[0], shape[2], shape[1] * shape[2]);
        let mut out = vec![0.0; batch * hidden];
        let (mut values, mut attended) = (Some(values), None);
        let keys = overwritten(keys, |keys| {
            attended = values.take().map(|values| {
                overwritten(values, |values| {
                    let rows =
                        keys.par_chunks_mut(size).zip(values.par_chunks_mut(size)).zip(starts);
                    let tokens =
                        out.par_chunks_mut(hidden).zip(floats(&qkv).par_chunks(3 * hidden));
                    tokens.zip(rows).for_each(|((out, qkv), ((keys, values), start))| {
                        vectorised(
                            #[inline(always)]
                            || attend_row(qkv, keys, values, start, at, heads, out),
                        );
                    });
                })
            });
        });
        let values = attended.unwrap_or_else(|| unreachable!("the closure was called"));
        (tensor(out, [batch, hidden]), keys, values)
    }
}

/// One row: `qkv` `[3 * hidden]`, `keys` `[hidden, capacity]`, `values` `[capacity, hidden]`, `out`
/// `[hidden]` of zeros.
#[inline(always)]
fn attend_row(
    qkv: &[f32],
    keys: &mut [f32],
    values: &mut [f32],
    start: usize,
    at: usize,
    heads: usize,
    out: &mut [f32],
) {
    let hidden = out.len();
    let (width, capacity) = (hidden / heads, keys.len() / hidden);
    for (keys, &key) in keys.chunks_exact_mut(capacity).zip(&qkv[hidden..2 * hidden]) {
        keys[at] = key;
    }
    values[at * hidden..][..hidden].copy_from_slice(&qkv[2 * hidden..]);
    #[expect(clippy::cast_precision_loss, reason = "a head's width is far below 2^24")]
    let scale = (width as f32).sqrt().recip();
    // the weights of a head stand together
    let count = at + 1 - start;
    let mut weights = vec![0.0f32; heads * count];
    let rows = qkv[..hidden].chunks_exact(width).zip(keys.chunks_exact(width * capacity));
    for (weights, (query, keys)) in weights.chunks_exact_mut(count).zip(rows) {
        for (&query, keys) in query.iter().zip(keys.chunks_exact(capacity)) {
            let query = query * scale;
            for (weight, &key) in weights.iter_mut().zip(&keys[start..=at]) {
                *weight = query.mul_add(key, *weight);
            }
        }
        // NaN is lost in the maximum and found again in the sum; of nothing but minus infinity, all
        // weights are NaN
        let max = weights.iter().fold(f32::NEG_INFINITY, |max, &weight| max.max(weight));
        for weight in weights.iter_mut() {
            *weight = exp(*weight - max);
        }
        let factor = 1.0 / sum(weights, |weight| weight);
        for weight in weights {
            *weight *= factor;
        }
    }
    for (token, values) in
        values[start * hidden..(at + 1) * hidden].chunks_exact(hidden).enumerate()
    {
        for (head, (out, values)) in
            out.chunks_exact_mut(width).zip(values.chunks_exact(width)).enumerate()
        {
            let weight = weights[head * count + token];
            for (out, &value) in out.iter_mut().zip(values) {
                *out = weight.mul_add(value, *out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Distribution;

    #[test]
    fn tokens_and_the_cache_match_the_plain_composition() {
        let device = Device::flex();
        device.seed(5);
        for (batch, heads, width, capacity) in [(1, 1, 4, 3), (3, 2, 16, 9), (2, 3, 21, 40)] {
            let hidden = heads * width;
            let random = |shape: [usize; 3]| {
                Tensor::<3>::random(shape, Distribution::Normal(0.0, 1.5), &device)
            };
            let prompts = random([batch, capacity, 3 * hidden]);
            for at in [0, capacity / 2, capacity - 1] {
                let starts: Vec<usize> = (0..batch).map(|row| row.min(at)).collect();
                let qkv = random([batch, 1, 3 * hidden]).reshape([batch, 3 * hidden]);
                let mut cache = AttentionCache::new(batch, capacity, hidden, &device);
                cache.fill(prompts.clone());
                let before = cache.clone();
                let (expected, keys, values) = plain(
                    qkv.clone(),
                    cache.keys.clone(),
                    cache.values.clone(),
                    at,
                    heads,
                    &starts,
                );
                let worst = (cache.attend(qkv, at, heads, &starts) - expected)
                    .abs()
                    .max()
                    .into_scalar::<f32>();
                assert!(worst < 1e-5, "{worst} at {at}");
                assert_eq!(
                    (cache.keys.into_data(), cache.values.into_data()),
                    (keys.into_data(), values.into_data())
                );
                assert_eq!(
                    before.values.into_data(),
                    prompts.clone().slice(s![.., .., 2 * hidden..]).into_data(),
                    "a clone is its own"
                );
            }
        }
    }

    #[test]
    fn one_token_after_another_is_attention_of_the_whole() {
        let device = Device::flex();
        device.seed(6);
        let (tokens, heads, hidden) = (11, 2, 24);
        let qkv =
            Tensor::<3>::random([3, tokens, 3 * hidden], Distribution::Normal(0.0, 1.5), &device);
        let starts = [0, 2, 4];
        let whole = crate::causal_attention(qkv.clone(), heads, &starts);
        let mut cache = AttentionCache::new(3, tokens, hidden, &device);
        cache.fill(qkv.clone().slice(s![.., 0..5, ..]));
        for at in 5..tokens {
            if at == 8 {
                cache.select(&[2, 0, 1]);
            }
            let order = if at < 8 { [0, 1, 2] } else { [2, 0, 1] };
            let rows = Tensor::<1, Int>::from_ints(order, &device);
            let pick = |of: &Tensor<3>| {
                of.clone().slice(s![.., at..=at, ..]).select(0, rows.clone()).squeeze_dim::<2>(1)
            };
            let found = cache.attend(
                pick(&qkv),
                at,
                heads,
                &order.map(|row: i32| starts[usize::try_from(row).unwrap()]),
            );
            let worst = (found - pick(&whole)).abs().max().into_scalar::<f32>();
            assert!(worst < 1e-5, "{worst} at {at}");
        }
    }

    #[test]
    fn a_query_that_is_no_number_gives_none() {
        let mut cache = AttentionCache::new(1, 3, 8, &Device::flex());
        cache.fill(Tensor::ones([1, 2, 24], &Device::flex()));
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            // the first of two heads of width 4
            let qkv = Tensor::<2>::ones([1, 24], &Device::flex())
                .slice_assign(s![.., 1..2], Tensor::full([1, 1], bad, &Device::flex()));
            let out = cache.attend(qkv, 2, 2, &[0]).into_data().try_to_vec::<f32>().unwrap();
            assert!(
                out[..4].iter().all(|value| value.is_nan())
                    && out[4..].iter().all(|value| value.is_finite()),
                "{bad}: {out:?}"
            );
        }
    }

    #[test]
    fn tokens_that_do_not_fit_the_cache_are_refused() {
        let refused = |batch, at, heads, start| {
            let mut cache = AttentionCache::new(2, 4, 4, &Device::flex());
            let qkv = Tensor::<2>::zeros([batch, 12], &Device::flex());
            let run =
                std::panic::AssertUnwindSafe(|| cache.attend(qkv, at, heads, &vec![start; batch]));
            std::panic::catch_unwind(run).is_err()
        };
        assert!(
            refused(3, 0, 1, 0)
                && refused(2, 4, 1, 0)
                && refused(2, 0, 3, 0)
                && refused(2, 1, 2, 2)
        );
        assert!(!refused(2, 3, 2, 3));
    }
}
