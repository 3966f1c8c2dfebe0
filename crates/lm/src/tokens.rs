//! Rows of token ids as the tensors that the model takes.

use std::ops::Range;

use burn::tensor::{Device, Int, Tensor, TensorData, s};

use crate::error::{LmError, check_count};
use crate::sizes::LmSizes;

/// Token ids of several rows, padded to one length.
#[derive(Clone, Debug)]
pub struct TokenBatch {
    /// Token ids, `[batch, seq]`.
    pub input_ids: Tensor<2, Int>,
    /// Position of each token in its own row, `[batch, seq]`: 0 for the first real token, 1 at
    /// padded places, as Hugging Face counts them.
    pub position_ids: Tensor<2, Int>,
    /// Column of each row's first real token; what stands before is padding that attention must not
    /// see.
    pub starts: Vec<usize>,
    /// Tokens of the longest row.
    longest: usize,
    /// The largest token id, padding included, and its row.
    largest: (u32, usize),
}

/// The side on which short rows are filled up.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    Left,
    Right,
}

impl TokenBatch {
    /// Rows that end in the same column, so that all of them can be continued together.
    ///
    /// # Errors
    /// [`LmError::Empty`] without rows or with an empty row.
    pub fn left_padded(rows: &[&[u32]], pad_id: u32, device: &Device) -> Result<Self, LmError> {
        Self::padded(rows, pad_id, Side::Left, device)
    }

    /// Rows that begin in the same column, for scoring whole sequences. No mask is needed: in a
    /// causal model no token sees what stands to its right, and what is computed at the padding
    /// itself is never used.
    ///
    /// # Errors
    /// [`LmError::Empty`] without rows or with an empty row.
    pub fn right_padded(rows: &[&[u32]], pad_id: u32, device: &Device) -> Result<Self, LmError> {
        Self::padded(rows, pad_id, Side::Right, device)
    }

    fn padded(rows: &[&[u32]], pad_id: u32, side: Side, device: &Device) -> Result<Self, LmError> {
        let device = &device.clone().inner();
        if let Some(row) =
            rows.iter().position(|row| row.is_empty()).or(rows.is_empty().then_some(0))
        {
            return Err(LmError::Empty { row, rows: rows.len() });
        }
        let seq = rows.iter().map(|row| row.len()).max().unwrap_or(0);
        let (mut ids, mut positions, mut starts) = (Vec::new(), Vec::new(), Vec::new());
        let mut largest = (0, 0);
        for (index, row) in rows.iter().enumerate() {
            let pad = (row.len() < seq).then_some(pad_id);
            largest = row
                .iter()
                .copied()
                .chain(pad)
                .map(|id| (id, index))
                .fold(largest, |a, b| if b.0 > a.0 { b } else { a });
            let start = if side == Side::Left { seq - row.len() } else { 0 };
            let end = ids.len() + seq;
            ids.extend(std::iter::repeat_n(pad_id, start).chain(row.iter().copied()));
            positions.extend(
                std::iter::repeat_n(1, start)
                    .chain(0..i64::try_from(row.len()).unwrap_or(i64::MAX)),
            );
            ids.resize(end, pad_id);
            positions.resize(end, 1);
            starts.push(start);
        }
        let shape = [rows.len(), seq];
        let ids: Vec<i64> = ids.into_iter().map(i64::from).collect();
        Ok(Self {
            input_ids: Tensor::from_data(TensorData::new(ids, shape), device),
            position_ids: Tensor::from_data(TensorData::new(positions, shape), device),
            starts,
            longest: seq,
            largest,
        })
    }

    /// Refuses rows that a model of these sizes has no positions or no embeddings for.
    ///
    /// # Errors
    /// [`LmError::TooLong`], [`LmError::UnknownToken`].
    pub fn check(&self, sizes: &LmSizes) -> Result<(), LmError> {
        sizes.check_length(self.longest)?;
        let (id, row) = self.largest;
        sizes.check_id(id, row)
    }

    /// Number of rows and their padded length.
    #[must_use]
    pub fn dims(&self) -> [usize; 2] {
        self.input_ids.dims()
    }
}

/// Whole sequences, and those of their tokens that a model shall predict: what losses and
/// log-probabilities are taken from.
#[derive(Clone, Debug)]
pub struct Predictions {
    /// The sequences, padded on the right.
    pub tokens: TokenBatch,
    /// The tokens to predict, row after row, `[n]`.
    pub targets: Tensor<1, Int>,
    /// Columns of the states that predict them, if they are the same in every row.
    columns: Option<Range<usize>>,
    /// Otherwise their places in the flattened batch, `[n]`.
    places: Tensor<1, Int>,
}

impl Predictions {
    /// The tokens of each row from index `first` on; the token before it predicts it, so `first` is
    /// at least 1.
    ///
    /// # Errors
    /// [`LmError::Empty`] for a row that has no token to predict, no token before it, or without
    /// rows; [`LmError::Count`] if there is not one index for each row.
    pub fn new(
        rows: &[&[u32]],
        first: &[usize],
        pad_id: u32,
        device: &Device,
    ) -> Result<Self, LmError> {
        let device = &device.clone().inner();
        check_count("indices of first tokens to predict", first.len(), rows.len())?;
        let tokens = TokenBatch::right_padded(rows, pad_id, device)?;
        let [_, seq] = tokens.dims();
        if let Some(row) =
            rows.iter().zip(first).position(|(row, &first)| first == 0 || first >= row.len())
        {
            return Err(LmError::Empty { row, rows: rows.len() });
        }
        let ranges = || rows.iter().zip(first).map(|(row, &first)| first - 1..row.len() - 1);
        let columns = ranges().next().filter(|columns| ranges().all(|other| other == *columns));
        let targets: Vec<u32> =
            rows.iter().zip(first).flat_map(|(row, &first)| &row[first..]).copied().collect();
        let places = ranges()
            .enumerate()
            .flat_map(|(row, columns)| columns.map(move |column| row * seq + column));
        let places: Vec<i64> =
            places.map(|place| i64::try_from(place).unwrap_or(i64::MAX)).collect();
        let count = places.len();
        let places = Tensor::from_data(TensorData::new(places, [count]), device);
        Ok(Self { tokens, targets: id_tensor(&targets, device), columns, places })
    }

    /// The states that predict the targets.
    ///
    /// # Shapes
    /// `[batch, seq, hidden]` to `[n, hidden]`, in the order of `targets`.
    #[must_use]
    pub fn states(&self, hidden: Tensor<3>) -> Tensor<2> {
        let [batch, seq, width] = hidden.dims();
        match &self.columns {
            Some(columns) => {
                hidden.slice(s![.., columns.clone(), ..]).reshape([batch * columns.len(), width])
            }
            None => hidden.reshape([batch * seq, width]).select(0, self.places.clone()),
        }
    }
}

/// Token ids `[n]` as a tensor.
#[must_use]
pub fn id_tensor(ids: &[u32], device: &Device) -> Tensor<1, Int> {
    let ids: Vec<i64> = ids.iter().copied().map(i64::from).collect();
    let count = ids.len();
    Tensor::from_data(TensorData::new(ids, [count]), &device.clone().inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ints(tensor: Tensor<2, Int>) -> Vec<i64> {
        tensor.try_into_vec_as::<i64>().unwrap()
    }

    #[test]
    fn padding_goes_to_the_side_asked_for_and_positions_count_real_tokens() {
        let rows: [&[u32]; 2] = [&[5, 6, 7], &[8]];
        let left = TokenBatch::left_padded(&rows, 9, &Device::flex()).unwrap();
        assert_eq!(ints(left.input_ids), [5, 6, 7, 9, 9, 8]);
        assert_eq!(ints(left.position_ids), [0, 1, 2, 1, 1, 0]);
        let right = TokenBatch::right_padded(&rows, 9, &Device::flex()).unwrap();
        assert_eq!(ints(right.input_ids), [5, 6, 7, 8, 9, 9]);
        assert_eq!(ints(right.position_ids), [0, 1, 2, 0, 1, 1]);
        assert_eq!((left.starts, right.starts), (vec![0, 2], vec![0, 0]));
    }

    #[test]
    fn empty_batches_and_rows_are_refused() {
        let rows: [&[u32]; 2] = [&[5], &[]];
        assert!(matches!(
            TokenBatch::right_padded(&rows, 0, &Device::flex()),
            Err(LmError::Empty { row: 1, rows: 2 })
        ));
        assert!(matches!(
            TokenBatch::left_padded(&[], 0, &Device::flex()),
            Err(LmError::Empty { row: 0, rows: 0 })
        ));
    }

    #[test]
    fn predictions_pick_the_state_before_each_target() {
        let states = |rows: &[&[u32]], first: &[usize]| {
            let batch = Predictions::new(rows, first, 0, &Device::flex()).unwrap();
            let [b, s] = batch.tokens.dims();
            // a state that is its own place in the batch
            let places =
                Tensor::<1, Int>::arange(0..i64::try_from(b * s).unwrap(), &Device::flex())
                    .float()
                    .reshape([b, s, 1]);
            let picked = batch.states(places).into_data().try_to_vec::<f32>().unwrap();
            (picked, batch.targets.try_into_vec_as::<i64>().unwrap())
        };
        assert_eq!(
            states(&[&[1, 2, 3], &[4, 5, 6]], &[1, 1]),
            (vec![0.0, 1.0, 3.0, 4.0], vec![2, 3, 5, 6])
        );
        assert_eq!(states(&[&[1, 2, 3], &[4, 5]], &[2, 1]), (vec![1.0, 3.0], vec![3, 5]));
        assert!(Predictions::new(&[&[1, 2]], &[2], 0, &Device::flex()).is_err());
        assert!(Predictions::new(&[&[1, 2]], &[0], 0, &Device::flex()).is_err());
    }

    #[test]
    fn as_many_first_tokens_as_rows_are_needed() {
        let rows: [&[u32]; 2] = [&[1, 2], &[3, 4]];
        for first in [&[1][..], &[1, 1, 1], &[]] {
            let error = Predictions::new(&rows, first, 0, &Device::flex()).unwrap_err();
            let found = first.len();
            assert!(
                matches!(error, LmError::Count { found: f, expected: 2, .. } if f == found),
                "{error}"
            );
        }
    }

    #[test]
    fn the_largest_id_counts_padding_where_there_is_some() {
        let sizes = LmSizes { vocab_size: 10, context: 4, hidden: 4 };
        let check = |rows: &[&[u32]], pad| {
            TokenBatch::left_padded(rows, pad, &Device::flex()).unwrap().check(&sizes)
        };
        assert!(check(&[&[9, 0], &[3, 1]], 10).is_ok() && check(&[&[9, 0], &[3]], 9).is_ok());
        let unknown = |rows: &[&[u32]], pad| match check(rows, pad) {
            Err(LmError::UnknownToken { id, row, vocab_size: 10 }) => (id, row),
            other => panic!("{other:?}"),
        };
        assert_eq!(unknown(&[&[9, 0], &[3]], 10), (10, 1));
        assert_eq!(unknown(&[&[1, 0], &[3, 77]], 0), (77, 1));
        assert!(matches!(check(&[&[1; 5]], 0), Err(LmError::TooLong { found: 5, limit: 4 })));
    }
}
