//! Rows of an embedding, with a gradient that needs no atomic additions on a GPU.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Int, Tensor, module};

/// The rows of `table` that `ids` name.
///
/// # Shapes
/// `table`: `[rows, width]`; `ids`: `[batch, seq]`, below `rows`; result: `[batch, seq, width]`.
#[must_use]
pub fn embedding(table: Tensor<2>, ids: Tensor<2, Int>) -> Tensor<3> {
    if !crate::on_gpu(&table.device()) {
        return module::embedding(table, ids);
    }
    let ([batch, seq], [_, width]) = (ids.dims(), table.dims());
    let rows = <Dispatch as EmbeddingOps>::embedding(
        table.into_dispatch(),
        ids.reshape([batch * seq]).into_dispatch(),
    );
    Tensor::<2>::from_dispatch(rows).reshape([batch, seq, width])
}

#[backend_extension(Flex, Cube: cfg(any(feature = "wgpu", feature = "cuda")), Autodiff)]
pub(crate) trait EmbeddingOps: Backend {
    /// `[rows, width]` and `[tokens]` to `[tokens, width]`.
    fn embedding(table: FloatTensor<Self>, ids: IntTensor<Self>) -> FloatTensor<Self>;

    /// The gradient with respect to a table of `rows` rows.
    fn embedding_backward(
        grad: FloatTensor<Self>,
        ids: IntTensor<Self>,
        rows: usize,
    ) -> FloatTensor<Self>;
}

impl EmbeddingOps for Flex {
    fn embedding(_table: FloatTensor<Self>, _ids: IntTensor<Self>) -> FloatTensor<Self> {
        unreachable!("the CPU takes Burn's")
    }

    fn embedding_backward(
        _grad: FloatTensor<Self>,
        _ids: IntTensor<Self>,
        _rows: usize,
    ) -> FloatTensor<Self> {
        unreachable!("the CPU takes Burn's")
    }
}

#[derive(Debug)]
struct EmbeddingBackward;

impl<B: EmbeddingOps> Backward<B, 1> for EmbeddingBackward {
    type State = (B::IntTensorPrimitive, usize);

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let grad = grads.consume::<B>(&ops.node);
        if let [Some(parent)] = ops.parents {
            let (ids, rows) = ops.state;
            grads
                .register::<B>(parent.id, <B as EmbeddingOps>::embedding_backward(grad, ids, rows));
        }
    }
}

impl<B: EmbeddingOps, C: CheckpointStrategy> EmbeddingOps for Autodiff<B, C> {
    fn embedding(table: FloatTensor<Self>, ids: IntTensor<Self>) -> FloatTensor<Self> {
        let (table, node) = table.into_parts();
        match EmbeddingBackward.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let rows = table.shape()[0];
                let out = <B as EmbeddingOps>::embedding(table, ids.clone());
                prep.finish((ids, rows), out)
            }
            OpsKind::UnTracked(prep) => prep.finish(<B as EmbeddingOps>::embedding(table, ids)),
        }
    }

    fn embedding_backward(
        _grad: FloatTensor<Self>,
        _ids: IntTensor<Self>,
        _rows: usize,
    ) -> FloatTensor<Self> {
        unreachable!("gradients of gradients are never taken")
    }
}
