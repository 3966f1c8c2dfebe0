//! Rows of like length into batches, so that little is padded.

use burn::tensor::Device;
use tailguard_kernels::PIECE_TOKENS;

/// Rows that are sampled side by side on a CPU: fewer would leave the products of a step too small.
const SAMPLED_ROWS: usize = 32;

/// Rows of a batch that is scored: on a CPU, few enough that a batch is a piece of work for one core.
pub(crate) fn scored_rows(longest: usize, batch_size: usize, device: &Device) -> usize {
    if *device == Device::flex() { batch_size.min((PIECE_TOKENS / longest.max(1)).max(1)) } else { batch_size }
}

/// Rows of a batch that is sampled: on a CPU, few enough that a batch is a piece of work for one core.
pub(crate) fn sampled_rows(batch_size: usize, device: &Device) -> usize {
    if *device == Device::flex() { batch_size.min(SAMPLED_ROWS) } else { batch_size }
}

/// Splits rows into batches of at most `batch_size`, each given by the indices of its rows.
///
/// Rows of one length fill whole batches without padding, and what is left of a length makes a batch of its own if that is
/// at least half full. The rest is batched by length, shortest first, and padded.
pub(crate) fn buckets(lengths: &[usize], batch_size: usize) -> Vec<Vec<usize>> {
    let batch_size = batch_size.max(1);
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&row| lengths[row]); // stable: rows of one length stay in order
    let (mut batches, mut mixed) = (Vec::new(), Vec::new());
    for group in order.chunk_by(|&a, &b| lengths[a] == lengths[b]) {
        for batch in group.chunks(batch_size) {
            if 2 * batch.len() >= batch_size {
                batches.push(batch.to_vec());
            } else {
                mixed.extend_from_slice(batch);
            }
        }
    }
    batches.extend(mixed.chunks(batch_size).map(<[usize]>::to_vec));
    batches
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_row_is_in_exactly_one_batch(lengths in prop::collection::vec(1usize..6, 0..60), batch_size in 1usize..9) {
            let batches = buckets(&lengths, batch_size);
            prop_assert!(batches.iter().all(|batch| !batch.is_empty() && batch.len() <= batch_size));
            let mut rows: Vec<usize> = batches.concat();
            rows.sort_unstable();
            prop_assert_eq!(rows, (0..lengths.len()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn large_groups_are_not_padded_and_small_ones_share_a_batch() {
        let lengths = [5, 5, 3, 5, 4, 5, 5];
        assert_eq!(buckets(&lengths, 4), [vec![0, 1, 3, 5], vec![2, 4, 6]]);
    }
}
