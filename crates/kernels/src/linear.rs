//! A linear layer, and one whose result is added to the residual stream.

use burn::backend::TensorMetadata;
use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::module::{Module, Param};
use burn::tensor::{DType, Tensor};

use crate::packed::PackedMatrix;
use crate::products::{add_product, matrix, onto_bias, onto_residual, write_product};
use crate::slices::{contiguous, floats, tensor, vectorised, width};

/// With more rows than this an ordinary product packs its sides in less time than it saves by that.
const FEW_ROWS: usize = 64;

/// A linear layer, `x weight + bias`.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[in, out]`.
    pub weight: Param<Tensor<2>>,
    /// `[out]`.
    pub bias: Param<Tensor<1>>,
    #[module(skip)]
    packed: Option<PackedMatrix>,
}

impl Linear {
    /// The layer of these parameters.
    ///
    /// # Panics
    /// If the bias is not as wide as the weight.
    #[must_use]
    pub fn new(weight: Tensor<2>, bias: Tensor<1>) -> Self {
        let ([_, out], [width]) = (weight.dims(), bias.dims());
        assert_eq!(out, width, "the bias is not as wide as the weight");
        Self { weight: Param::from_tensor(weight), bias: Param::from_tensor(bias), packed: None }
    }

    /// The same layer, faster with few rows at a time: on the CPU it keeps a copy of its weight in
    /// the order that products read it, on a GPU that rounds the factors of products its weight is
    /// rounded once. Not for training, which would change the weight and not the copy.
    #[must_use]
    pub fn packed(self) -> Self {
        if crate::on_gpu(&self.weight.val().device()) {
            return Self {
                weight: Param::from_tensor(crate::draw::rounded(self.weight.val())),
                ..self
            };
        }
        let packed = PackedMatrix::new(self.weight.val());
        Self { packed, ..self }
    }

    /// `x weight + bias`.
    ///
    /// # Shapes
    /// `[.., in]` to `[.., out]`.
    ///
    /// # Panics
    /// If the width of `x` is another.
    #[must_use]
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        self.apply(x, false)
    }

    /// [`forward`](Self::forward) for a result that need not be exact, such as what GELU or
    /// attention reads: on a GPU it is rounded as [`Precision`](crate::Precision) says.
    ///
    /// # Shapes
    /// `[.., in]` to `[.., out]`.
    ///
    /// # Panics
    /// If the width of `x` is another.
    #[must_use]
    pub fn forward_factor<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        self.apply(x, true)
    }

    fn apply<const D: usize>(&self, x: Tensor<D>, factor: bool) -> Tensor<D> {
        let (weight, bias) = self.parameters(&x);
        if let Some(packed) = self.packed_for(&x) {
            packed.linear(x, bias)
        } else if crate::fused(&x.device()) {
            Tensor::from_dispatch(<Dispatch as LinearOps>::linear(
                x.into_dispatch(),
                weight.into_dispatch(),
                bias.into_dispatch(),
                factor,
            ))
        } else {
            plain(x, weight, bias)
        }
    }

    /// `residual + x weight + bias`.
    ///
    /// # Shapes
    /// `residual`: `[.., out]`, as the result; `x`: `[.., in]`.
    ///
    /// # Panics
    /// If the shapes are others.
    #[must_use]
    pub fn forward_add<const D: usize>(&self, residual: Tensor<D>, x: Tensor<D>) -> Tensor<D> {
        let (weight, bias) = self.parameters(&x);
        let mut shape = x.dims();
        shape[D - 1] = weight.dims()[1];
        assert_eq!(
            residual.dims(),
            shape,
            "the residual is not of the shape of what is added to it"
        );
        if let Some(packed) = self.packed_for(&x) {
            packed.linear_add(residual, x, bias)
        } else if crate::fused(&x.device()) {
            let (residual, x) = (residual.into_dispatch(), x.into_dispatch());
            Tensor::from_dispatch(<Dispatch as LinearOps>::linear_add(
                residual,
                x,
                weight.into_dispatch(),
                bias.into_dispatch(),
            ))
        } else {
            residual + plain(x, weight, bias)
        }
    }

    /// The packed weight, if there is one and the rows are few.
    fn packed_for<const D: usize>(&self, x: &Tensor<D>) -> Option<&PackedMatrix> {
        let rows: usize = x.dims()[..D - 1].iter().product();
        self.packed.as_ref().filter(|_| rows <= FEW_ROWS)
    }

    fn parameters<const D: usize>(&self, x: &Tensor<D>) -> (Tensor<2>, Tensor<1>) {
        let weight = self.weight.val();
        assert_eq!(
            x.dims()[D - 1],
            weight.dims()[0],
            "the width of the input is not that of the layer"
        );
        (weight, self.bias.val())
    }
}

/// The definition, by Burn operations.
fn plain<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<D> {
    x.matmul(weight.unsqueeze()) + bias.unsqueeze()
}

#[backend_extension(Flex, Cube: cfg(any(feature = "wgpu", feature = "cuda")), Autodiff)]
pub(crate) trait LinearOps: Backend {
    /// `factor`: whether the result need not be exact.
    fn linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        factor: bool,
    ) -> FloatTensor<Self>;

    fn linear_add(
        residual: FloatTensor<Self>,
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// What several products take as a factor, rounded once for all of them.
    fn rounded(tensor: FloatTensor<Self>) -> FloatTensor<Self> {
        tensor
    }

    /// Gradient with respect to an `x` of this type.
    fn linear_backward_input(
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        of: DType,
    ) -> FloatTensor<Self>;

    /// Gradient with respect to `weight`.
    fn linear_backward_weight(x: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self>;

    /// Gradient with respect to `bias`.
    fn linear_backward_bias(grad: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl LinearOps for Flex {
    fn linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        _factor: bool,
    ) -> FloatTensor<Self> {
        let (x, weight) = (contiguous(x), contiguous(weight));
        let depth = width(&x);
        onto_bias(x, bias, |out, x| {
            add_product(out, matrix(x, depth), matrix(floats(&weight), width(&weight)))
        })
    }

    fn linear_add(
        residual: FloatTensor<Self>,
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let (x, weight) = (contiguous(x), contiguous(weight));
        let depth = width(&x);
        onto_residual(residual, x, bias, |out, x| {
            add_product(out, matrix(x, depth), matrix(floats(&weight), width(&weight)))
        })
    }

    fn linear_backward_input(
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        _of: DType,
    ) -> FloatTensor<Self> {
        let (weight, grad) = (contiguous(weight), contiguous(grad));
        let (left, right) = (
            matrix(floats(&grad), width(&grad)),
            matrix(floats(&weight), width(&weight)).transpose(),
        );
        let mut out = vec![0.0; left.nrows() * right.ncols()];
        write_product(&mut out, left, right);
        let mut shape = grad.shape();
        *shape.last_mut().unwrap_or(&mut 0) = right.ncols();
        tensor(out, shape)
    }

    fn linear_backward_weight(x: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        let (x, grad) = (contiguous(x), contiguous(grad));
        let (left, right) =
            (matrix(floats(&x), width(&x)).transpose(), matrix(floats(&grad), width(&grad)));
        let mut out = vec![0.0; left.nrows() * right.ncols()];
        write_product(&mut out, left, right);
        tensor(out, [left.nrows(), right.ncols()])
    }

    fn linear_backward_bias(grad: FloatTensor<Self>) -> FloatTensor<Self> {
        let grad = contiguous(grad);
        let mut out = vec![0.0f32; width(&grad)];
        vectorised(
            #[inline(always)]
            || {
                for row in floats(&grad).chunks_exact(out.len().max(1)) {
                    for (sum, &value) in out.iter_mut().zip(row) {
                        *sum += value;
                    }
                }
            },
        );
        let width = out.len();
        tensor(out, [width])
    }
}

/// What the backward pass needs: `x` and `weight`.
type Saved<B> = (FloatTensor<B>, FloatTensor<B>);

/// Gives `x`, `weight` and `bias` their gradients, as far as they want one.
fn register<B: LinearOps>(
    parents: [Option<NodeId>; 3],
    (x, weight): Saved<B>,
    grad: FloatTensor<B>,
    grads: &mut Gradients,
) {
    let [x_id, weight_id, bias_id] = parents;
    if let Some(id) = bias_id {
        grads.register::<B>(id, B::linear_backward_bias(grad.clone()));
    }
    let (grad, of) = (B::rounded(grad), x.dtype());
    if let Some(id) = weight_id {
        grads.register::<B>(id, B::linear_backward_weight(x, grad.clone()));
    }
    if let Some(id) = x_id {
        grads.register::<B>(id, B::linear_backward_input(weight, grad, of));
    }
}

#[derive(Debug)]
struct LinearBackward;

impl<B: LinearOps> Backward<B, 3> for LinearBackward {
    type State = Saved<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let grad = grads.consume::<B>(&ops.node);
        register::<B>(
            ops.parents.map(|parent| parent.map(|parent| parent.id)),
            ops.state,
            grad,
            grads,
        );
    }
}

#[derive(Debug)]
struct LinearAddBackward;

impl<B: LinearOps> Backward<B, 4> for LinearAddBackward {
    type State = Saved<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 4>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let grad = grads.consume::<B>(&ops.node);
        let [residual, x, weight, bias] = ops.parents.map(|parent| parent.map(|parent| parent.id));
        register::<B>([x, weight, bias], ops.state, grad.clone(), grads);
        if let Some(id) = residual {
            grads.register::<B>(id, grad);
        }
    }
}

impl<B: LinearOps, C: CheckpointStrategy> LinearOps for Autodiff<B, C> {
    fn linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        factor: bool,
    ) -> FloatTensor<Self> {
        let ((x, x_node), (weight, weight_node), (bias, bias_node)) =
            (x.into_parts(), weight.into_parts(), bias.into_parts());
        match LinearBackward
            .prepare::<C>([x_node, weight_node, bias_node])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => {
                let out = <B as LinearOps>::linear(x.clone(), weight.clone(), bias, factor);
                prep.finish((x, weight), out)
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(<B as LinearOps>::linear(x, weight, bias, factor))
            }
        }
    }

    fn linear_add(
        residual: FloatTensor<Self>,
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let ((residual, residual_node), (x, x_node)) = (residual.into_parts(), x.into_parts());
        let ((weight, weight_node), (bias, bias_node)) = (weight.into_parts(), bias.into_parts());
        match LinearAddBackward
            .prepare::<C>([residual_node, x_node, weight_node, bias_node])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => {
                let out = B::linear_add(residual, x.clone(), weight.clone(), bias);
                prep.finish((x, weight), out)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::linear_add(residual, x, weight, bias)),
        }
    }

    fn linear_backward_input(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: DType,
    ) -> FloatTensor<Self> {
        unreachable!("gradients of gradients are never taken")
    }

    fn linear_backward_weight(_: FloatTensor<Self>, _: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("gradients of gradients are never taken")
    }

    fn linear_backward_bias(_: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("gradients of gradients are never taken")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution};

    #[test]
    fn values_and_gradients_match_the_plain_composition() {
        let device = Device::flex().autodiff();
        device.seed(3);
        let random =
            |shape: [usize; 3]| Tensor::<3>::random(shape, Distribution::Normal(0.0, 1.0), &device);
        for (batch, tokens, rows, columns) in
            [(1, 1, 1, 1), (2, 5, 7, 3), (3, 33, 64, 192), (2, 0, 4, 5)]
        {
            let x = random([batch, tokens, rows]).require_grad();
            let residual = random([batch, tokens, columns]).require_grad();
            let weight = random([1, rows, columns]).reshape([rows, columns]).require_grad();
            let bias = random([1, 1, columns]).reshape([columns]).require_grad();
            let weights = random([batch, tokens, columns]);
            let run = |y: Tensor<3>| {
                let grads = (y.clone() * weights.clone()).sum().backward();
                let flat = |grad: Option<Tensor<1>>| {
                    grad.unwrap_or_else(|| Tensor::zeros([1], &Device::flex()))
                };
                [
                    y.inner().flatten(0, 2),
                    flat(x.grad(&grads).map(|grad| grad.flatten(0, 2))),
                    flat(residual.grad(&grads).map(|grad| grad.flatten(0, 2))),
                    flat(weight.grad(&grads).map(|grad| grad.flatten(0, 1))),
                    flat(bias.grad(&grads)),
                ]
            };
            let (x, weight, bias, residual) =
                (|| x.clone(), || weight.clone(), || bias.clone(), || residual.clone());
            let layer = Linear {
                weight: Param::from_tensor(weight()),
                bias: Param::from_tensor(bias()),
                packed: None,
            };
            let pairs = [
                (layer.forward(x()), plain(x(), weight(), bias())),
                (layer.forward_add(residual(), x()), residual() + plain(x(), weight(), bias())),
            ];
            for (fused, plain) in pairs {
                for (part, (a, b)) in run(fused).into_iter().zip(run(plain)).enumerate() {
                    assert_eq!(a.dims(), b.dims(), "part {part}");
                    let (a, b) = (a.into_data(), b.into_data());
                    a.assert_approx_eq::<f32>(&b, burn::tensor::Tolerance::absolute(3e-4));
                }
            }
        }
    }

    #[test]
    fn a_packed_layer_gives_the_same_for_few_rows_and_for_many() {
        let device = Device::flex();
        device.seed(4);
        let random =
            |shape: [usize; 2]| Tensor::<2>::random(shape, Distribution::Normal(0.0, 1.0), &device);
        let layer = Linear::new(random([20, 33]), random([1, 33]).reshape([33]));
        let packed = layer.clone().packed();
        for rows in [1, 6, FEW_ROWS, FEW_ROWS + 1] {
            let (x, residual) = (random([rows, 20]), random([rows, 33]));
            assert_eq!(packed.packed_for(&x).is_some(), rows <= FEW_ROWS);
            let close = |a: Tensor<2>, b: Tensor<2>| {
                assert!((a - b).abs().max().into_scalar::<f32>() < 1e-4, "{rows} rows")
            };
            close(packed.forward(x.clone()), layer.forward(x.clone()));
            close(packed.forward_add(residual.clone(), x.clone()), layer.forward_add(residual, x));
        }
    }

    #[test]
    fn frozen_parameters_get_no_gradient() {
        let device = Device::flex().autodiff();
        let x = Tensor::<2>::ones([3, 2], &device).require_grad();
        let layer =
            Linear::new(Tensor::ones([2, 4], &device), Tensor::ones([4], &device)).no_grad();
        let grads = layer.forward(x.clone()).sum().backward();
        assert_eq!(x.grad(&grads).unwrap().into_data().try_to_vec::<f32>().unwrap(), [4.0; 6]);
        assert!(
            layer.weight.val().grad(&grads).is_none() && layer.bias.val().grad(&grads).is_none()
        );
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused() {
        let zeros = |shape: [usize; 2]| Tensor::<2>::zeros(shape, &Device::flex());
        let layer =
            |bias: usize| Linear::new(zeros([2, 4]), Tensor::zeros([bias], &Device::flex()));
        let refused = |run: &dyn Fn() -> Tensor<2>| {
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err()
        };
        assert!(refused(&|| layer(3).forward(zeros([1, 2]))));
        assert!(refused(&|| layer(4).forward(zeros([1, 3]))));
        assert!(refused(&|| layer(4).forward_add(zeros([2, 4]), zeros([1, 2]))));
        assert!(!refused(&|| layer(4).forward_add(zeros([1, 4]), zeros([1, 2]))));
    }
}
