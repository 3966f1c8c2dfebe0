//! Keys and values of the tokens so far, so that each new token costs one position and not the whole sequence.

use burn::tensor::{Device, Int, Tensor, TensorData, s};
use tailguard_kernels::cached_attention;

use crate::config::Gpt2Config;

/// One layer's keys and values, side by side: `[batch, capacity, 2 * hidden]`, allocated once.
#[derive(Debug)]
pub(crate) struct LayerCache(Tensor<3>);

impl LayerCache {
    /// Takes the keys and values of whole prompts, `[batch, seq, 3 * hidden]` with the queries, into the empty cache.
    pub(crate) fn fill(&mut self, qkv: Tensor<3>) {
        let [_, seq, width] = qkv.dims();
        let keys_values = qkv.slice(s![.., .., width / 3..]);
        self.0.inplace(|cache| cache.slice_assign(s![.., 0..seq, ..], keys_values));
    }

    /// Takes one more token per row, `[batch, 3 * hidden]`, in at column `at`; what it attends to, `[batch, hidden]`.
    pub(crate) fn attend(&mut self, qkv: Tensor<2>, at: usize, heads: usize, starts: &[usize]) -> Tensor<2> {
        cached_attention(qkv, &mut self.0, at, heads, starts)
    }
}

/// The key-value cache of a batch that is being continued.
#[derive(Debug)]
pub struct KvCache {
    pub(crate) layers: Vec<LayerCache>,
    /// Columns written so far.
    pub(crate) len: usize,
    /// First column of each row that holds a token; those before are padding.
    pub(crate) starts: Vec<usize>,
}

impl KvCache {
    /// An empty cache for `batch` rows of at most `capacity` tokens each.
    #[must_use]
    pub fn new(config: &Gpt2Config, batch: usize, capacity: usize, device: &Device) -> Self {
        let device = &device.clone().inner();
        let layer = |_| LayerCache(Tensor::zeros([batch, capacity, 2 * config.n_embd], device));
        Self { layers: (0..config.n_layer).map(layer).collect(), len: 0, starts: vec![0; batch] }
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
        self.starts = rows.iter().map(|&row| self.starts[row]).collect();
        let ids: Vec<i64> = rows.iter().map(|&row| i64::try_from(row).unwrap_or(i64::MAX)).collect();
        for LayerCache(layer) in &mut self.layers {
            let rows = Tensor::<1, Int>::from_data(TensorData::new(ids.clone(), [ids.len()]), &layer.device());
            layer.inplace(|cache| cache.select(0, rows));
        }
    }

    /// Position of each row's next token.
    pub(crate) fn next_positions(&self) -> impl Iterator<Item = usize> {
        self.starts.iter().map(|start| self.len - start)
    }
}
