//! Tokens drawn where the logits are: nothing is read back for it.

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Int, Tensor, activation, s};

/// What is drawn from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Masks {
    /// Size of the vocabulary; logits beyond it are padding.
    pub vocab: usize,
    /// What logits are multiplied by: the reciprocal of the temperature.
    pub scale: f32,
    /// A token whose probability is 0 in the draw and in what is said about it.
    pub suppress: Option<u32>,
    /// A token that is not drawn, and counts in what is said about the others.
    pub forbidden: Option<u32>,
}

/// One token per row.
#[derive(Clone, Debug)]
pub struct Drawn {
    /// Token ids, `[n]`.
    pub ids: Tensor<1, Int>,
    /// Log-probability of each and entropy of the distribution, in nats, `[n, 2]`; NaN where the
    /// logits make none.
    pub stats: Tensor<2>,
}

/// Draws a token for each row of hidden states: the first at which the running sum of the
/// probabilities exceeds the row's uniform number. No gradient flows through it.
///
/// # Shapes
/// - `hidden`: `[n, d]`
/// - `head`: `[vocab or more, d]`, as [`drawing_head`] gives it
/// - `uniforms`: `[n]`, in [0, 1)
///
/// # Panics
/// If the shapes are others.
#[must_use]
pub fn draw(hidden: Tensor<2>, head: Tensor<2>, uniforms: Tensor<1>, masks: Masks) -> Drawn {
    let ([n, width], [rows, of_head], [count]) = (hidden.dims(), head.dims(), uniforms.dims());
    assert!(
        n == count && width == of_head && masks.vocab <= rows,
        "{n} states of width {width} do not go with {count} uniform numbers and a head of {rows} \
         x {of_head}"
    );
    if crate::on_gpu(&hidden.device()) {
        let (hidden, head) = (hidden.into_dispatch(), head.into_dispatch());
        let (ids, stats) =
            <Dispatch as DrawOps>::draw(hidden, head, uniforms.into_dispatch(), masks);
        Drawn { ids: Tensor::from_dispatch(ids), stats: Tensor::from_dispatch(stats) }
    } else {
        let logits = hidden.matmul(head.transpose()).slice(s![.., 0..masks.vocab]);
        draw_logits(logits, uniforms, masks)
    }
}

/// An output head `[vocab, d]` as [`draw`] takes it: on a GPU its rows are padded to whole vectors
/// and rounded as factors of products are.
#[must_use]
pub fn drawing_head(head: Tensor<2>) -> Tensor<2> {
    if crate::on_gpu(&head.device()) {
        Tensor::from_dispatch(<Dispatch as DrawOps>::drawing_head(head.into_dispatch()))
    } else {
        head
    }
}

/// A tensor as a factor of products on a GPU.
pub(crate) fn rounded<const D: usize>(matrix: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(<Dispatch as DrawOps>::rounded(matrix.into_dispatch()))
}

/// [`draw`] from logits that are there already: the definition, by Burn operations.
///
/// # Shapes
/// `logits`: `[n, vocab]`; `uniforms`: `[n]`, in [0, 1)
#[must_use]
pub fn draw_logits(logits: Tensor<2>, uniforms: Tensor<1>, masks: Masks) -> Drawn {
    let logits = logits * masks.scale;
    // low enough for a probability of 0
    let without = |logits: Tensor<2>, id: Option<u32>| match id {
        Some(id) => {
            let columns = Tensor::<1, Int>::arange(
                0..i64::try_from(masks.vocab).unwrap_or(i64::MAX),
                &logits.device(),
            );
            logits - columns.equal_elem(i64::from(id)).float().unsqueeze::<2>() * 1e4
        }
        None => logits,
    };
    let logits = without(logits, masks.suppress);
    let log_probs = activation::log_softmax(logits.clone(), 1);
    let entropies = -(log_probs.clone().exp() * log_probs.clone()).sum_dim(1);
    let sums = activation::softmax(without(logits, masks.forbidden), 1).cumsum(1); // [n, vocab]
    let all = sums.clone().slice(s![.., -1..]);
    let target = all * uniforms.unsqueeze_dim(1);
    let ids = sums
        .lower_equal(target)
        .int()
        .sum_dim(1)
        .clamp_max(i64::try_from(masks.vocab - 1).unwrap_or(i64::MAX)); // [n, 1]
    let chosen = log_probs.gather(1, ids.clone());
    Drawn { ids: ids.squeeze_dim(1), stats: Tensor::cat(vec![chosen, entropies], 1) }
}

#[backend_extension(Flex, Cube: cfg(any(feature = "wgpu", feature = "cuda")))]
pub(crate) trait DrawOps: Backend {
    fn drawing_head(head: FloatTensor<Self>) -> FloatTensor<Self>;

    fn rounded(matrix: FloatTensor<Self>) -> FloatTensor<Self>;

    fn draw(
        hidden: FloatTensor<Self>,
        head: FloatTensor<Self>,
        uniforms: FloatTensor<Self>,
        masks: Masks,
    ) -> (IntTensor<Self>, FloatTensor<Self>);
}

impl DrawOps for Flex {
    fn drawing_head(_head: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("the CPU takes the plain composition")
    }

    fn rounded(matrix: FloatTensor<Self>) -> FloatTensor<Self> {
        matrix
    }

    fn draw(
        _hidden: FloatTensor<Self>,
        _head: FloatTensor<Self>,
        _uniforms: FloatTensor<Self>,
        _masks: Masks,
    ) -> (IntTensor<Self>, FloatTensor<Self>) {
        unreachable!("the CPU takes the plain composition")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn the_plain_draw_inverts_the_cumulative_distribution() {
        let device = Device::flex();
        // probabilities 0.5, 0.3, 0.2
        let head = Tensor::<2>::from_floats([[0.5f32.ln()], [0.3f32.ln()], [0.2f32.ln()]], &device);
        let masks = Masks { vocab: 3, scale: 1.0, suppress: None, forbidden: None };
        let uniforms = Tensor::<1>::from_floats([0.0, 0.49, 0.51, 0.79, 0.81, 0.999], &device);
        let run =
            |masks| draw(Tensor::ones([6, 1], &device), head.clone(), uniforms.clone(), masks);
        let ids = |drawn: Drawn| drawn.ids.into_data().iter::<i64>().collect::<Vec<_>>();
        assert_eq!(ids(run(masks)), [0, 0, 1, 1, 2, 2]);
        assert_eq!(ids(run(Masks { forbidden: Some(0), ..masks })), [1, 1, 1, 2, 2, 2]);
        let stats = run(Masks { suppress: Some(2), ..masks })
            .stats
            .into_data()
            .iter::<f32>()
            .collect::<Vec<_>>();
        assert!((stats[0] - 0.625f32.ln()).abs() < 1e-5, "{stats:?}");
    }
}
