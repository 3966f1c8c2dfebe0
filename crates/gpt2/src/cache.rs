//! Keys and values of the tokens so far, so that each new token costs one position and not the whole sequence.

use burn::tensor::{Device, Int, Tensor, TensorData, s};

use crate::config::Gpt2Config;

/// One layer's keys and values, each `[batch, heads, length, head_width]`, allocated once.
#[derive(Debug)]
pub(crate) struct LayerCache {
    keys: Tensor<4>,
    values: Tensor<4>,
}

impl LayerCache {
    /// Writes keys and values from column `at` on and returns views of everything up to there.
    pub(crate) fn extend(&mut self, at: usize, keys: Tensor<4>, values: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
        let end = at + keys.dims()[2];
        // In place as long as no view is alive: the returned views must be dropped before the next step.
        self.keys.inplace(|cache| cache.slice_assign(s![.., .., at..end, ..], keys));
        self.values.inplace(|cache| cache.slice_assign(s![.., .., at..end, ..], values));
        (self.keys.clone().slice(s![.., .., 0..end, ..]), self.values.clone().slice(s![.., .., 0..end, ..]))
    }
}

/// The key-value cache of a batch that is being continued.
#[derive(Debug)]
pub struct KvCache {
    pub(crate) layers: Vec<LayerCache>,
    /// Columns written so far.
    pub(crate) len: usize,
    /// Columns allocated.
    pub(crate) capacity: usize,
    /// Position of each row's next token, `[batch]`.
    pub(crate) next_position: Tensor<1, Int>,
    /// Added to attention scores, `[batch, 1, 1, capacity]`: minus infinity, nearly, at padded columns. None without padding.
    pub(crate) bias: Option<Tensor<4>>,
}

/// Low enough that a padded column's weight is exactly 0, and finite, so that no row can turn into NaN.
const MASKED: f32 = -1e9;

impl KvCache {
    /// An empty cache for `batch` rows of at most `capacity` tokens each.
    #[must_use]
    pub fn new(config: &Gpt2Config, batch: usize, capacity: usize, device: &Device) -> Self {
        let device = &device.clone().inner();
        let zeros = || Tensor::<4>::zeros([batch, config.n_head, capacity, config.head_width()], device);
        Self {
            layers: (0..config.n_layer).map(|_| LayerCache { keys: zeros(), values: zeros() }).collect(),
            len: 0,
            capacity,
            next_position: Tensor::zeros([batch], device),
            bias: None,
        }
    }

    /// Number of tokens per row so far, padding included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was written yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Keeps these rows only, in this order: what has ended stops costing.
    pub fn select(&mut self, rows: &[usize]) {
        let device = self.next_position.device();
        let rows: Vec<i64> = rows.iter().map(|&row| i64::try_from(row).unwrap_or(i64::MAX)).collect();
        let count = rows.len();
        let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [count]), &device);
        for layer in &mut self.layers {
            layer.keys.inplace(|cache| cache.select(0, rows.clone()));
            layer.values.inplace(|cache| cache.select(0, rows.clone()));
        }
        self.next_position.inplace(|positions| positions.select(0, rows.clone()));
        self.bias = self.bias.take().map(|bias| bias.select(0, rows));
    }

    /// Notes the padding of the prompts, `[batch, seq]`, true where padded.
    pub(crate) fn mask(&mut self, padding: Tensor<2, burn::tensor::Bool>) {
        let [batch, seq] = padding.dims();
        let bias = Tensor::<2>::zeros([batch, self.capacity], &padding.device());
        let bias = bias.slice_assign(s![.., 0..seq], padding.float() * MASKED);
        self.bias = Some(bias.reshape([batch, 1, 1, self.capacity]));
    }
}
