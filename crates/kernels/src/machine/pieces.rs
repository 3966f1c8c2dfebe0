//! Pieces of a computation side by side, each on cores of its own.
//!
//! Much of a pass on a CPU runs on one thread - element-wise operations, small products, copies -
//! and what is handed to several threads often costs more to hand over than it saves. So a batch is
//! cut into pieces that need nothing of each other, and a piece runs from its first operation to
//! its last on its own share of the cores. How a batch is cut depends on the batch alone, so that
//! the number of threads changes no result.
//!
//! On other devices one piece runs after another: such a device is busy with one, and several would
//! need the memory of several.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::tensor::Device;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::on_flex;

/// Tokens per piece on the CPU, roughly: a few MB of activations at the sizes that CPUs train, so
/// that they stay in the caches.
const PIECE_TOKENS: usize = 1024;

/// Tokens per piece on other devices: enough to keep one busy; at GPT-2's size 10 GB of
/// activations.
const LARGE_PIECE_TOKENS: usize = 16_384;

/// Cuts `rows` rows of at most `row_tokens` tokens into even pieces: ranges of row indices. A piece
/// has about 1,024 tokens on the CPU and 16,384 on other devices.
#[must_use]
pub fn pieces(device: &Device, rows: usize, row_tokens: usize) -> Vec<Range<usize>> {
    let tokens = rows * row_tokens;
    let count = match tokens.div_ceil(PIECE_TOKENS) {
        _ if !on_flex(device) => tokens.div_ceil(LARGE_PIECE_TOKENS),
        0 | 1 => 1,
        // an even number, or two cores would wait for the last piece
        several => several.next_multiple_of(2),
    };
    let count = count.clamp(1, rows.max(1));
    (0..count).map(|piece| piece * rows / count..(piece + 1) * rows / count).collect()
}

/// What `work` makes of each item, in the order of the items.
pub fn side_by_side<I: Sync, T: Send>(
    device: &Device,
    items: &[I],
    work: impl Fn(&I) -> T + Sync,
) -> Vec<T> {
    let mut results = Vec::with_capacity(items.len());
    in_order(device, items, work, |result| results.push(result));
    results
}

/// Gives `take` what `work` makes of each item, in the order of the items, each as soon as it is
/// its turn.
///
/// On the CPU as many items at a time as the current Rayon pool has threads, each in a pool of its
/// own share of these. A thread of such a pool that waits finds no work but that of its own item,
/// so `work` may hold a lock while it waits for Rayon. What is done before its turn waits: with
/// items of like size, about as many results as items at a time.
///
/// # Panics
/// If `work` or `take` does, when the other items are done.
pub fn in_order<I: Sync, T: Send>(
    device: &Device,
    items: &[I],
    work: impl Fn(&I) -> T + Sync,
    mut take: impl FnMut(T) + Send,
) {
    let threads = if on_flex(device) { rayon::current_num_threads() } else { 1 };
    let lanes = threads.min(items.len());
    if lanes <= 1 {
        items.iter().map(work).for_each(take);
        return;
    }
    let next = AtomicUsize::new(0);
    let turns = Mutex::new(Turns { taken: 0, waiting: BTreeMap::new() });
    let take = Mutex::new(&mut take);
    let lane = || {
        while let Some((index, item)) =
            Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, items.get(at)?)))
        {
            let result = work(item);
            let mut turns = lock(&turns);
            turns.waiting.insert(index, result);
            while let Some(result) = turns.next() {
                lock(&take)(result);
            }
        }
    };
    std::thread::scope(|scope| {
        for at in 0..lanes {
            // the first lanes get what is left over
            let share = threads / lanes + usize::from(at < threads % lanes);
            scope.spawn(move || with_pool(share, lane));
        }
    });
}

/// Results that are there before their turn.
struct Turns<T> {
    taken: usize,
    waiting: BTreeMap<usize, T>,
}

impl<T> Turns<T> {
    fn next(&mut self) -> Option<T> {
        let result = self.waiting.remove(&self.taken)?;
        self.taken += 1;
        Some(result)
    }
}

/// Pools that no lane runs in at the moment: threads, and the buffers that belong to them, are kept
/// from call to call.
static IDLE: Mutex<Vec<ThreadPool>> = Mutex::new(Vec::new());

/// Runs `work` in a pool of `threads` threads; in the current one if the system gives no more.
fn with_pool(threads: usize, work: impl FnOnce() + Send) {
    let idle = {
        let mut pools = lock(&IDLE);
        let at = pools.iter().position(|pool| pool.current_num_threads() == threads);
        at.map(|at| pools.swap_remove(at))
    };
    match idle.map_or_else(|| ThreadPoolBuilder::new().num_threads(threads).build(), Ok) {
        Ok(pool) => {
            pool.install(work);
            lock(&IDLE).push(pool);
        }
        Err(_) => work(),
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pool(threads: usize) -> ThreadPool {
        ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
    }

    proptest! {
        #[test]
        fn pieces_cover_all_rows_in_order(rows in 0usize..300, row_tokens in 1usize..2000) {
            let pieces = pieces(&Device::flex(), rows, row_tokens);
            prop_assert_eq!(
                pieces.iter().cloned().flatten().collect::<Vec<_>>(),
                (0..rows).collect::<Vec<_>>()
            );
            prop_assert!(rows == 0 || pieces.iter().all(|piece| !piece.is_empty()));
            let largest = pieces.iter().map(Range::len).max().unwrap_or(0);
            prop_assert!(largest <= 1 || largest * row_tokens < 2 * PIECE_TOKENS);
        }

        #[test]
        fn results_come_in_the_order_of_the_items(
            items in prop::collection::vec(0u64..400, 0..30),
            threads in 1usize..6,
        ) {
            // later items are done sooner
            let work = |&item: &u64| {
                std::thread::sleep(std::time::Duration::from_micros(400 - item));
                item
            };
            prop_assert_eq!(
                pool(threads).install(|| side_by_side(&Device::flex(), &items, work)),
                items
            );
        }
    }

    #[test]
    fn cores_are_shared_out() {
        let shares = |threads: usize, items: usize| {
            let mut shares = pool(threads).install(|| {
                side_by_side(&Device::flex(), &vec![(); items], |()| rayon::current_num_threads())
            });
            shares.sort_unstable();
            shares
        };
        assert_eq!(shares(5, 1), [5]);
        assert_eq!(shares(1, 3), [1, 1, 1]);
        assert!(shares(5, 2).iter().all(|&share| share == 2 || share == 3));
        assert_eq!(shares(2, 4), [1; 4]);
    }

    #[test]
    fn a_panic_reaches_the_caller() {
        let caught = std::panic::catch_unwind(|| {
            side_by_side(&Device::flex(), &[1, 2, 3], |&item| assert_ne!(item, 2))
        });
        assert!(caught.is_err());
    }
}
