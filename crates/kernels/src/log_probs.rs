//! Log-probabilities of chosen tokens under a linear head, without keeping the `[tokens, vocab]`
//! logits.
//!
//! Rows are taken in chunks: a matrix product gives the chunk's logits, one pass over them gives
//! the log-probability and the entropy, and the next chunk is written over them. The backward pass
//! computes the logits again, which costs one more product and saves writing, keeping and
//! re-reading `[tokens, vocab]` several times.

use burn::backend::TensorMetadata;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{DType, Int, Tensor};
use faer::MatRef;
use rayon::prelude::*;

use crate::exp::{exp, row_stats};
use crate::products::{add_product, matrix, write_product};
use crate::slices::{contiguous, floats, tensor, vectorised};

/// What is known about chosen tokens.
#[derive(Clone, Debug)]
pub struct TokenStats {
    /// `log p(target)` in nats, `[n]`; differentiable with respect to the hidden states and the
    /// head.
    pub log_probs: Tensor<1>,
    /// Entropy of the whole distribution in nats, `[n]`; a constant for autodiff.
    pub entropies: Tensor<1>,
}

/// Log-probabilities of `targets` under `softmax(hidden head^T / temperature)`, with one token's
/// probability set to 0 if asked.
///
/// # Shapes
/// - `hidden`: `[n, d]`
/// - `head`: `[vocab, d]`, the rows of the output embedding
/// - `targets`: `[n]`, ids below `vocab`, none of them `suppress`
/// - both results: `[n]`, NaN where the logits make no distribution
///
/// # Panics
/// If the shapes are others.
#[must_use]
pub fn token_log_probs(
    hidden: Tensor<2>,
    head: Tensor<2>,
    targets: Tensor<1, Int>,
    temperature: f32,
    suppress: Option<u32>,
) -> TokenStats {
    let ([n, width], [_, of_head], [count]) = (hidden.dims(), head.dims(), targets.dims());
    assert!(
        n == count && width == of_head,
        "{n} states of width {width} do not go with {count} targets and a head of width {of_head}"
    );
    if crate::fused(&hidden.device()) {
        // an id outside the vocabulary suppresses nothing
        let suppress = suppress.map_or(usize::MAX, |id| id as usize);
        let (log_probs, entropies) = <Dispatch as LogProbOps>::token_log_probs(
            hidden.into_dispatch(),
            head.into_dispatch(),
            targets.into_dispatch(),
            temperature.recip(),
            suppress,
        );
        TokenStats {
            log_probs: Tensor::from_dispatch(log_probs),
            entropies: Tensor::from_dispatch(entropies),
        }
    } else {
        plain(hidden, head, targets, temperature, suppress)
    }
}

/// The definition, by Burn operations. A suppressed logit is lowered by 1e4, which gives
/// probability 0 in f32 and no NaN.
fn plain(
    hidden: Tensor<2>,
    head: Tensor<2>,
    targets: Tensor<1, Int>,
    temperature: f32,
    suppress: Option<u32>,
) -> TokenStats {
    let mut logits = hidden.matmul(head.transpose()) / temperature;
    if let Some(id) = suppress {
        let [_, vocab] = logits.dims();
        let columns =
            Tensor::<1, Int>::arange(0..i64::try_from(vocab).unwrap_or(i64::MAX), &logits.device());
        logits = logits - columns.equal_elem(i64::from(id)).float().unsqueeze::<2>() * 1e4;
    }
    let max = logits.clone().detach().max_dim(1);
    let log_sum_exp = (logits.clone() - max.clone()).exp().sum_dim(1).log() + max;
    let log_softmax = (logits.clone() - log_sum_exp.clone()).detach();
    let entropies = -(log_softmax.clone().exp() * log_softmax).sum_dim(1).squeeze_dim::<1>(1);
    let log_probs = (logits.gather(1, targets.unsqueeze_dim(1)) - log_sum_exp).squeeze_dim::<1>(1);
    TokenStats { log_probs, entropies }
}

#[backend_extension(Flex, Cube: cfg(any(feature = "wgpu", feature = "cuda")), Autodiff)]
pub(crate) trait LogProbOps: Backend {
    fn token_log_probs(
        hidden: FloatTensor<Self>,
        head: FloatTensor<Self>,
        targets: IntTensor<Self>,
        scale: f32,
        suppress: usize,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// Gradients with respect to `hidden` and `head`.
    fn token_log_probs_backward(
        hidden: FloatTensor<Self>,
        head: FloatTensor<Self>,
        targets: IntTensor<Self>,
        scale: f32,
        suppress: usize,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

/// Rows of a chunk of logits: few enough that small vocabularies stay in the caches and large ones
/// take little memory (19 MB for GPT-2's), enough that the head is not read too often.
const CHUNK_ROWS: usize = 96;

/// Token ids on the host.
fn ids(targets: FlexTensor) -> Vec<usize> {
    let targets = contiguous(targets);
    let found = match targets.dtype() {
        DType::I32 => targets
            .as_slice::<i32>()
            .map(|s| s.iter().map(|&id| usize::try_from(id)).collect::<Result<_, _>>()),
        DType::I64 => {
            targets.as_slice::<i64>().map(|s| s.iter().map(|&id| usize::try_from(id)).collect())
        }
        _ => None,
    };
    match found {
        Some(Ok(ids)) => ids,
        _ => unreachable!("token ids are non-negative i32 or i64"),
    }
}

/// Room for the logits of a chunk, of which the last may need less.
fn room(rows: usize, vocab: usize) -> Vec<f32> {
    vec![0.0; rows.min(CHUNK_ROWS) * vocab]
}

/// The logits of a chunk's hidden states, `[rows, vocab]`.
fn logits<'a>(
    room: &'a mut [f32],
    hidden: MatRef<'_, f32>,
    head: MatRef<'_, f32>,
) -> &'a mut [f32] {
    let logits = &mut room[..hidden.nrows() * head.nrows()];
    write_product(logits, hidden, head.transpose());
    logits
}

/// Scales a row in place and removes the suppressed token.
#[inline(always)]
fn prepare_row(row: &mut [f32], scale: f32, suppress: usize) {
    if (scale - 1.0).abs() > f32::EPSILON {
        for value in row.iter_mut() {
            *value *= scale;
        }
    }
    if let Some(value) = row.get_mut(suppress) {
        *value = f32::NEG_INFINITY;
    }
}

impl LogProbOps for Flex {
    fn token_log_probs(
        hidden: FloatTensor<Self>,
        head: FloatTensor<Self>,
        targets: IntTensor<Self>,
        scale: f32,
        suppress: usize,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let ([n, d], [vocab, _]) = (dims(&hidden), dims(&head));
        let (hidden, head, targets) = (contiguous(hidden), contiguous(head), ids(targets));
        let (mut log_probs, mut entropies) = (vec![0.0; n], vec![0.0; n]);
        let mut room = room(n, vocab);
        let outputs = log_probs.chunks_mut(CHUNK_ROWS).zip(entropies.chunks_mut(CHUNK_ROWS));
        let inputs = floats(&hidden).chunks(CHUNK_ROWS * d).zip(targets.chunks(CHUNK_ROWS));
        for ((log_probs, entropies), (hidden, targets)) in outputs.zip(inputs) {
            let logits = logits(&mut room, matrix(hidden, d), matrix(floats(&head), d));
            let outputs = log_probs.par_iter_mut().zip(entropies);
            let inputs = logits.par_chunks_mut(vocab).zip(targets);
            outputs.zip(inputs).for_each(|((log_prob, entropy), (row, &target))| {
                vectorised(
                    #[inline(always)]
                    || {
                        prepare_row(row, scale, suppress);
                        let stats = row_stats(row);
                        *log_prob = row[target] - stats.log_sum_exp;
                        *entropy = stats.entropy;
                    },
                );
            });
        }
        (tensor(log_probs, [n]), tensor(entropies, [n]))
    }

    fn token_log_probs_backward(
        hidden: FloatTensor<Self>,
        head: FloatTensor<Self>,
        targets: IntTensor<Self>,
        scale: f32,
        suppress: usize,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let ([n, d], [vocab, _]) = (dims(&hidden), dims(&head));
        let (hidden, head, targets, grad) =
            (contiguous(hidden), contiguous(head), ids(targets), contiguous(grad));
        let head = matrix(floats(&head), d);
        let (mut grad_hidden, mut grad_head) = (vec![0.0; n * d], vec![0.0; vocab * d]);
        let mut room = room(n, vocab);
        let states =
            floats(&hidden).chunks(CHUNK_ROWS * d).zip(grad_hidden.chunks_mut(CHUNK_ROWS * d));
        let inputs = floats(&grad).chunks(CHUNK_ROWS).zip(targets.chunks(CHUNK_ROWS));
        for ((hidden, grad_hidden), (grad, targets)) in states.zip(inputs) {
            let hidden = matrix(hidden, d);
            let chunk = logits(&mut room, hidden, head);
            let inputs = grad.par_iter().zip(targets);
            chunk.par_chunks_mut(vocab).zip(inputs).for_each(|(row, (&grad, &target))| {
                vectorised(
                    #[inline(always)]
                    || logit_gradient(row, target, grad, scale, suppress),
                );
            });
            let chunk = matrix(chunk, vocab);
            write_product(grad_hidden, chunk, head);
            add_product(&mut grad_head, chunk.transpose(), hidden);
        }
        (tensor(grad_hidden, [n, d]), tensor(grad_head, [vocab, d]))
    }
}

/// Turns a row of logits into the gradient of `grad * log p(target)` with respect to them:
/// `grad (1[target] - p) / T`.
#[inline(always)]
fn logit_gradient(row: &mut [f32], target: usize, grad: f32, scale: f32, suppress: usize) {
    prepare_row(row, scale, suppress);
    let log_sum_exp = row_stats(row).log_sum_exp;
    let factor = -grad * scale;
    for value in row.iter_mut() {
        *value = factor * exp(*value - log_sum_exp);
    }
    row[target] += grad * scale;
    if let Some(value) = row.get_mut(suppress) {
        *value = 0.0;
    }
}

fn dims(tensor: &FlexTensor) -> [usize; 2] {
    let shape = tensor.shape();
    [shape[0], shape[1]]
}

/// What the backward pass computes the logits from again.
#[derive(Clone, Debug)]
struct Inputs<B: Backend> {
    hidden: B::FloatTensorPrimitive,
    head: B::FloatTensorPrimitive,
    targets: B::IntTensorPrimitive,
    scale: f32,
    suppress: usize,
}

#[derive(Debug)]
struct LogProbsBackward;

impl<B: LogProbOps> Backward<B, 2> for LogProbsBackward {
    type State = Inputs<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let grad = grads.consume::<B>(&ops.node);
        let Inputs { hidden, head, targets, scale, suppress } = ops.state;
        let (grad_hidden, grad_head) =
            B::token_log_probs_backward(hidden, head, targets, scale, suppress, grad);
        let [hidden, head] = ops.parents;
        if let Some(parent) = hidden {
            grads.register::<B>(parent.id, grad_hidden);
        }
        if let Some(parent) = head {
            grads.register::<B>(parent.id, grad_head);
        }
    }
}

impl<B: LogProbOps, C: CheckpointStrategy> LogProbOps for Autodiff<B, C> {
    fn token_log_probs(
        hidden: FloatTensor<Self>,
        head: FloatTensor<Self>,
        targets: IntTensor<Self>,
        scale: f32,
        suppress: usize,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let ((hidden, hidden_node), (head, head_node)) = (hidden.into_parts(), head.into_parts());
        let (log_probs, entropies) =
            B::token_log_probs(hidden.clone(), head.clone(), targets.clone(), scale, suppress);
        let log_probs = match LogProbsBackward
            .prepare::<C>([hidden_node, head_node])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => {
                prep.finish(Inputs { hidden, head, targets, scale, suppress }, log_probs)
            }
            OpsKind::UnTracked(prep) => prep.finish(log_probs),
        };
        (log_probs, <Self as burn::backend::AutodiffBackend>::from_inner(entropies))
    }

    fn token_log_probs_backward(
        _hidden: FloatTensor<Self>,
        _head: FloatTensor<Self>,
        _targets: IntTensor<Self>,
        _scale: f32,
        _suppress: usize,
        _grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("gradients of gradients are never taken")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution};

    /// Values and both gradients of the fused and the plain version agree.
    fn check(n: usize, d: usize, vocab: usize, temperature: f32, suppress: Option<u32>) {
        let device = Device::flex().autodiff();
        device.seed(7);
        let normal = |shape: [usize; 2], std| {
            Tensor::<2>::random(shape, Distribution::Normal(0.0, std), &device).require_grad()
        };
        let (hidden, head) = (normal([n, d], 1.0), normal([vocab, d], 0.7));
        let targets: Vec<i32> =
            (0..n).map(|i| i32::try_from((i * 13 + 1) % (vocab - 1)).unwrap()).collect();
        let targets = Tensor::<1, Int>::from_ints(targets.as_slice(), &device.clone().inner());
        let weights = Tensor::<1>::random([n], Distribution::Normal(0.0, 1.0), &device);
        let run = |out: TokenStats| {
            let grads = (out.log_probs.clone() * weights.clone()).sum().backward();
            let grad = |t: &Tensor<2>| t.grad(&grads).expect("both inputs require gradients");
            (out.log_probs.inner(), out.entropies.inner(), grad(&hidden), grad(&head))
        };
        let fused = run(token_log_probs(
            hidden.clone(),
            head.clone(),
            targets.clone(),
            temperature,
            suppress,
        ));
        let plain = run(plain(hidden.clone(), head.clone(), targets, temperature, suppress));
        let near = |a: f32, what: &str| assert!(a < 2e-5, "{what} differs by {a}");
        near((fused.0 - plain.0).abs().max().into_scalar::<f32>(), "log-probability");
        near((fused.1 - plain.1).abs().max().into_scalar::<f32>(), "entropy");
        near((fused.2 - plain.2).abs().max().into_scalar::<f32>(), "gradient of hidden");
        near((fused.3 - plain.3).abs().max().into_scalar::<f32>(), "gradient of head");
    }

    #[test]
    fn values_and_gradients_match_the_plain_composition() {
        check(5, 8, 19, 1.0, None);
        check(33, 16, 211, 0.7, None);
    }

    #[test]
    fn a_suppressed_token_has_no_probability_and_no_gradient() {
        check(9, 8, 40, 1.0, Some(39));
    }

    #[test]
    fn logits_that_are_no_numbers_give_none() {
        let device = Device::flex();
        let hidden = Tensor::<2>::ones([3, 4], &device);
        for (row, bad) in [(0, f32::NAN), (17, f32::NAN), (39, f32::INFINITY)] {
            // the logits of one token that is not the target
            let head = Tensor::<2>::ones([40, 4], &device);
            let head = head.slice_assign([row..row + 1, 0..1], Tensor::full([1, 1], bad, &device));
            let targets = Tensor::<1, Int>::from_ints([5, 6, 7], &device);
            let stats = token_log_probs(hidden.clone(), head, targets, 1.0, None);
            for values in [stats.log_probs, stats.entropies] {
                let values = values.into_data().try_to_vec::<f32>().unwrap();
                assert!(
                    values.iter().all(|value| value.is_nan()),
                    "{bad} for token {row}: {values:?}"
                );
            }
        }
    }

    #[test]
    fn as_many_targets_as_states_are_needed() {
        let device = Device::flex();
        let run = |n: usize, d: usize| {
            let (hidden, head) =
                (Tensor::<2>::ones([n, d], &device), Tensor::ones([9, 4], &device));
            let targets = Tensor::<1, Int>::from_ints([5, 6], &device);
            let run =
                std::panic::AssertUnwindSafe(|| token_log_probs(hidden, head, targets, 1.0, None));
            std::panic::catch_unwind(run).is_ok()
        };
        assert!(run(2, 4) && !run(3, 4) && !run(1, 4) && !run(2, 3));
    }

    #[test]
    fn several_chunks_give_what_one_gives() {
        check(2 * CHUNK_ROWS + 5, 4, 5_003, 1.0, None);
    }
}
