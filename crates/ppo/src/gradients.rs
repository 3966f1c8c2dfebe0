//! Gradients of a large batch as the sum over shards that are computed side by side.
//!
//! Much of a training step on a CPU runs on one thread: element-wise operations, reductions, copies. Shards keep every core busy
//! with such steps, and their activations are small enough to stay in the caches. How a batch is cut depends on the batch
//! alone, and the sum is taken in order, so that the result does not depend on the number of threads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

/// Tokens per shard, roughly: a few MB of activations at the sizes that CPUs train.
pub(crate) const SHARD_TOKENS: usize = 1024;

/// Cuts `rows` rows of at most `row_tokens` tokens into even shards: ranges of row indices.
#[must_use]
pub(crate) fn shards(rows: usize, row_tokens: usize) -> Vec<std::ops::Range<usize>> {
    let count = (rows * row_tokens).div_ceil(SHARD_TOKENS).clamp(1, rows.max(1));
    (0..count).map(|shard| shard * rows / count..(shard + 1) * rows / count).collect()
}

/// Sum over the shards of the gradients of `loss`, and what `loss` returns beside, in order.
///
/// `loss` gives one shard's part of the loss, `[1]`: already weighted, so that the parts add up to the loss of the batch.
///
/// Two traps of Burn's autodiff are avoided here. It holds a lock while it waits for Rayon, and a Rayon thread that waits may
/// take up the next shard, which would wait for that lock for ever: so shards run on threads of their own. And graphs that
/// share a parameter are merged into one, under locks that a backward pass takes in the other order: so each shard gets its
/// own leaves, which share the weights' memory and keep their ids.
///
/// # Errors
/// The error of the first shard that has one.
pub(crate) fn sharded_gradients<M, S, T, E>(
    model: &M,
    shards: &[S],
    loss: impl Fn(&M, &S) -> Result<(Tensor<1>, T), E> + Sync,
) -> Result<(GradientsParams, Vec<T>), E>
where
    M: Module + Sync,
    S: Sync,
    T: Send,
    E: Send,
{
    let next = AtomicUsize::new(0);
    let sum = Mutex::new(Sum { model, total: GradientsParams::new(), beside: Vec::new(), waiting: BTreeMap::new() });
    let work = || {
        while let Some((index, shard)) = Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|i| Some((i, shards.get(i)?))) {
            let model = &model.valid().train();
            let part = loss(model, shard).map(|(loss, beside)| (GradientsParams::from_grads(loss.backward(), model), beside));
            sum.lock().unwrap_or_else(PoisonError::into_inner).put(index, part);
        }
    };
    match rayon::current_num_threads().min(shards.len()) {
        0 | 1 => work(),
        threads => std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(work);
            }
        }),
    }
    let sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    let beside = sum.beside.into_iter().collect::<Result<Vec<T>, E>>()?;
    Ok((sum.total, beside))
}

/// The sum so far, and the shards that are done before their turn: as many as there are threads at most.
struct Sum<'a, M, T, E> {
    model: &'a M,
    total: GradientsParams,
    beside: Vec<Result<T, E>>,
    waiting: BTreeMap<usize, Result<(GradientsParams, T), E>>,
}

impl<M: Module, T, E> Sum<'_, M, T, E> {
    fn put(&mut self, index: usize, part: Result<(GradientsParams, T), E>) {
        self.waiting.insert(index, part);
        while let Some(part) = self.waiting.remove(&self.beside.len()) {
            self.beside.push(part.map(|(part, beside)| {
                self.model.visit(&mut Add { total: &mut self.total, part });
                beside
            }));
        }
    }
}

struct Add<'a> {
    total: &'a mut GradientsParams,
    part: GradientsParams,
}

impl ModuleVisitor for Add<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(part) = self.part.remove::<D>(param.id) {
            let sum = match self.total.remove::<D>(param.id) {
                Some(total) => total + part,
                None => part,
            };
            self.total.register(param.id, sum);
        }
    }
}
