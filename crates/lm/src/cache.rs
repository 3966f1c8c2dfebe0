//! Keys and values of the tokens so far, so that each new token costs one position and not the
//! whole sequence.

use burn::tensor::{Device, Tensor};
use tailguard_kernels::AttentionCache;

use crate::error::{LmError, check_count};

/// The key-value cache of a batch that is being continued. A [`Decoder`](crate::Decoder) makes and
/// fills it; whoever samples drops rows from it.
#[derive(Debug)]
pub struct KvCache {
    layers: Vec<AttentionCache>,
    /// Columns written so far.
    len: usize,
    /// Columns that there is room for.
    capacity: usize,
    /// First column of each row that holds a token; those before are padding.
    starts: Vec<usize>,
    /// The caches of the models that go side by side; none of a single model.
    parts: Vec<KvCache>,
}

impl KvCache {
    /// An empty cache of `layers` layers whose keys are `hidden` wide, for `rows` rows of at most
    /// `capacity` tokens each.
    #[must_use]
    pub fn new(
        layers: usize,
        hidden: usize,
        rows: usize,
        capacity: usize,
        device: &Device,
    ) -> Self {
        let device = &device.clone().inner();
        let layer = |_| AttentionCache::new(rows, capacity, hidden, device);
        let layers = (0..layers).map(layer).collect();
        Self { layers, len: 0, capacity, starts: vec![0; rows], parts: Vec::new() }
    }

    /// An empty cache of several models that read the same rows of at most `capacity` tokens each,
    /// from the empty cache of each model.
    #[must_use]
    pub fn side_by_side(parts: Vec<Self>, rows: usize, capacity: usize) -> Self {
        Self { layers: Vec::new(), len: 0, capacity, starts: vec![0; rows], parts }
    }

    /// The caches of the models that go side by side, in their order; none of a single model.
    pub fn parts(&mut self) -> &mut [Self] {
        &mut self.parts
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

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.starts.len()
    }

    /// Keeps these rows only, in this order: what has ended stops costing.
    ///
    /// # Errors
    /// [`LmError::NoRow`]; the cache is then as it was.
    pub fn select(&mut self, rows: &[usize]) -> Result<(), LmError> {
        let start = |&row: &usize| {
            self.starts.get(row).copied().ok_or(LmError::NoRow { row, rows: self.starts.len() })
        };
        self.starts = rows.iter().map(start).collect::<Result<_, _>>()?;
        for layer in &mut self.layers {
            layer.select(rows);
        }
        self.parts.iter_mut().try_for_each(|part| part.select(rows))
    }

    /// Refuses to take `columns` columns in all, of `rows` rows, from a model of `layers` layers.
    ///
    /// # Errors
    /// [`LmError::Count`] for other rows or layers than the cache was made for,
    /// [`LmError::TooLong`] for more columns than it holds.
    pub fn check(&self, rows: usize, layers: usize, columns: usize) -> Result<(), LmError> {
        check_count("rows of tokens for the rows of the cache", rows, self.starts.len())?;
        check_count("layers in the cache", self.layers.len(), layers)?;
        let limit = self.capacity;
        if columns > limit { Err(LmError::TooLong { found: columns, limit }) } else { Ok(()) }
    }

    /// Begins with prompts of `len` columns, whose rows start at these; the keys and values of each
    /// layer follow by [`fill`](Self::fill).
    pub fn begin(&mut self, len: usize, starts: &[usize]) {
        self.len = len;
        self.starts = starts.to_vec();
    }

    /// Takes in a layer's keys and values of whole prompts, `[batch, seq, 3 * hidden]`.
    ///
    /// # Panics
    /// If there is no such layer: [`check`](Self::check) tells.
    pub fn fill(&mut self, layer: usize, qkv: Tensor<3>) {
        self.layers[layer].fill(qkv);
    }

    /// Takes in a layer's keys and values of the next token of each row and attends to all that is
    /// there, `[batch, 3 * hidden]` to `[batch, hidden]`.
    ///
    /// # Panics
    /// If there is no such layer or no room: [`check`](Self::check) tells.
    pub fn attend(&mut self, layer: usize, qkv: Tensor<2>, heads: usize) -> Tensor<2> {
        self.layers[layer].attend(qkv, self.len, heads, &self.starts)
    }

    /// One more column is written in every layer.
    pub fn advance(&mut self) {
        self.len += 1;
    }

    /// Position of each row's next token.
    pub fn next_positions(&self) -> impl Iterator<Item = usize> {
        self.starts.iter().map(|start| self.len - start)
    }
}
