//! Rows of like length into batches, so that little is padded.

use burn::tensor::Device;
use tailguard_kernels::{on_flex, pieces};

/// Rows of a piece that is sampled: with more, two cores would share a piece and wait for each
/// other at every operation; with fewer, each would read all weights for little work.
const SAMPLED_ROWS: usize = 16;

/// Batches to sample from prompts of these lengths; on the CPU, each a piece of work for one core.
pub(crate) fn sampled_batches(
    lengths: &[usize],
    batch_size: usize,
    device: &Device,
) -> Vec<Vec<usize>> {
    buckets(lengths, if on_flex(device) { batch_size.min(SAMPLED_ROWS) } else { batch_size })
}

/// Batches to score sequences of these lengths, each a piece of work for one core or for another
/// device.
pub(crate) fn scored_batches(
    lengths: &[usize],
    batch_size: usize,
    device: &Device,
) -> Vec<Vec<usize>> {
    let cut = |bucket: Vec<usize>| {
        let longest = bucket.iter().map(|&row| lengths[row]).max().unwrap_or(0);
        pieces(device, bucket.len(), longest)
            .into_iter()
            .map(|piece| bucket[piece].to_vec())
            .collect::<Vec<_>>()
    };
    buckets(lengths, batch_size).into_iter().flat_map(cut).collect()
}

/// Splits rows into batches of at most `batch_size`, each given by the indices of its rows.
///
/// Rows of one length fill whole batches without padding, and what is left of a length makes a
/// batch of its own if that is at least half full. The rest is batched by length, shortest first,
/// and padded.
fn buckets(lengths: &[usize], batch_size: usize) -> Vec<Vec<usize>> {
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
        fn every_row_is_in_exactly_one_batch(
            lengths in prop::collection::vec(1usize..6, 0..60),
            batch_size in 1usize..9,
        ) {
            let batches = buckets(&lengths, batch_size);
            prop_assert!(
                batches.iter().all(|batch| !batch.is_empty() && batch.len() <= batch_size)
            );
            let mut rows: Vec<usize> = batches.concat();
            rows.sort_unstable();
            prop_assert_eq!(rows, (0..lengths.len()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn batches_are_cut_into_pieces_by_their_own_longest_row() {
        let lengths = [vec![100; 24], vec![600; 4]].concat();
        let scored: Vec<usize> =
            scored_batches(&lengths, 24, &Device::flex()).iter().map(Vec::len).collect();
        assert_eq!(scored, [6, 6, 6, 6, 1, 1, 1, 1]);
        let sampled: Vec<usize> =
            sampled_batches(&[5; 80], 64, &Device::flex()).iter().map(Vec::len).collect();
        assert_eq!(sampled, [16; 5]);
    }

    #[test]
    fn large_groups_are_not_padded_and_small_ones_share_a_batch() {
        let lengths = [5, 5, 3, 5, 4, 5, 5];
        assert_eq!(buckets(&lengths, 4), [vec![0, 1, 3, 5], vec![2, 4, 6]]);
    }
}
