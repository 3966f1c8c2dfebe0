//! Keys and values of the tokens so far, so that each new token costs one position and not the whole sequence.

use burn::tensor::Device;
use tailguard_kernels::AttentionCache;

use crate::config::Gpt2Config;

/// The key-value cache of a batch that is being continued.
#[derive(Debug)]
pub struct KvCache {
    pub(crate) layers: Vec<AttentionCache>,
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
        let layer = |_| AttentionCache::new(batch, capacity, config.n_embd, device);
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
        for layer in &mut self.layers {
            layer.select(rows);
        }
    }

    /// Position of each row's next token.
    pub(crate) fn next_positions(&self) -> impl Iterator<Item = usize> {
        self.starts.iter().map(|start| self.len - start)
    }
}
