//! Gradients of a large batch as the sum over shards that are computed side by side.
//!
//! How a batch is cut depends on the batch alone, and the sum is taken in order, so that the result
//! does not depend on the number of threads.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use tailguard_kernels::in_order;

/// Sum over the shards of the gradients of `loss`, and what `loss` returns beside, in order.
///
/// `loss` gives one shard's part of the loss, `[1]`: already weighted, so that the parts add up to
/// the loss of the batch.
///
/// Two traps of Burn's autodiff are avoided here. It holds a lock while it waits for Rayon, and a
/// Rayon thread that waits may take up the next shard, which would wait for that lock for ever: so
/// shards run in pools of their own. And graphs that share a parameter are merged into one, under
/// locks that a backward pass takes in the other order: so each shard gets its own leaves, which
/// share the weights' memory and keep their ids.
///
/// # Errors
/// The error of the first shard that has one.
pub(crate) fn sharded_gradients<M, S, T, E>(
    device: &Device,
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
    let mut total = GradientsParams::new();
    let mut beside = Vec::with_capacity(shards.len());
    let part = |shard: &S| {
        let model = &model.valid().train();
        loss(model, shard)
            .map(|(loss, beside)| (GradientsParams::from_grads(loss.backward(), model), beside))
    };
    in_order(device, shards, part, |part| {
        beside.push(part.map(|(part, beside)| {
            model.visit(&mut Add { total: &mut total, part });
            beside
        }));
    });
    Ok((total, beside.into_iter().collect::<Result<Vec<T>, E>>()?))
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
