//! Keys and values of the tokens so far, so that each new token costs one position and not the whole sequence.

use burn::tensor::Device;
use tailguard_kernels::AttentionCache;

use crate::config::Gpt2Config;
use crate::error::Gpt2Error;

/// The key-value cache of a batch that is being continued.
#[derive(Debug)]
pub struct KvCache {
    pub(crate) layers: Vec<AttentionCache>,
    /// Columns written so far.
    pub(crate) len: usize,
    /// Columns that there is room for.
    capacity: usize,
    /// First column of each row that holds a token; those before are padding.
    pub(crate) starts: Vec<usize>,
}

impl KvCache {
    /// An empty cache for `batch` rows of at most `capacity` tokens each.
    #[must_use]
    pub fn new(config: &Gpt2Config, batch: usize, capacity: usize, device: &Device) -> Self {
        let device = &device.clone().inner();
        let layer = |_| AttentionCache::new(batch, capacity, config.n_embd, device);
        Self { layers: (0..config.n_layer).map(layer).collect(), len: 0, capacity, starts: vec![0; batch] }
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
    ///
    /// # Errors
    /// [`Gpt2Error::NoRow`]; the cache is then as it was.
    pub fn select(&mut self, rows: &[usize]) -> Result<(), Gpt2Error> {
        let start = |&row: &usize| self.starts.get(row).copied().ok_or(Gpt2Error::NoRow { row, rows: self.starts.len() });
        self.starts = rows.iter().map(start).collect::<Result<_, _>>()?;
        for layer in &mut self.layers {
            layer.select(rows);
        }
        Ok(())
    }

    /// Refuses more columns than there is room for.
    pub(crate) fn check_room(&self, columns: usize) -> Result<(), Gpt2Error> {
        let limit = self.capacity;
        if columns > limit { Err(Gpt2Error::TooLong { found: columns, limit }) } else { Ok(()) }
    }

    /// Position of each row's next token.
    pub(crate) fn next_positions(&self) -> impl Iterator<Item = usize> {
        self.starts.iter().map(|start| self.len - start)
    }
}
