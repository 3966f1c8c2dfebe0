//! GELU and its gradient, one pass each.

use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use cubecl::prelude::*;

use super::products::factors;
use super::{elem, empty, empty_like, lanes, units};
use crate::gelu::GeluOps;

#[cube]
fn sigmoid_of_argument<N: Size>(x: Vector<f32, N>) -> Vector<f32, N> {
    let one = Vector::new(1.0f32);
    let u = Vector::new(0.797_884_6f32) * (x + Vector::new(0.044_715f32) * x * x * x);
    one / (one + (u * Vector::new(-2.0f32)).exp())
}

#[cube(launch)]
fn gelu<I: Float, O: Float, N: Size>(
    x: &[Vector<I, N>],
    out: &mut [Vector<O, N>],
    count: usize,
    #[define(I, O)] _dtypes: [ElemType; 2],
) {
    if ABSOLUTE_POS < count {
        let value = Vector::<f32, N>::cast_from(x[ABSOLUTE_POS]);
        out[ABSOLUTE_POS] = Vector::cast_from(value * sigmoid_of_argument::<N>(value));
    }
}

#[cube(launch)]
fn gelu_backward<I: Float, G: Float, N: Size>(
    x: &[Vector<I, N>],
    grad: &[Vector<G, N>],
    out: &mut [Vector<I, N>],
    count: usize,
    #[define(I, G)] _dtypes: [ElemType; 2],
) {
    if ABSOLUTE_POS < count {
        let one = Vector::<f32, N>::new(1.0f32);
        let value = Vector::<f32, N>::cast_from(x[ABSOLUTE_POS]);
        let s = sigmoid_of_argument::<N>(value);
        let slope = Vector::new(1.595_769_2f32) * (one + Vector::new(0.134_145f32) * value * value);
        let grad = Vector::<f32, N>::cast_from(grad[ABSOLUTE_POS]);
        out[ABSOLUTE_POS] = Vector::cast_from(grad * (s + value * s * (one - s) * slope));
    }
}

impl GeluOps for CubeBackend {
    fn gelu_new(x: FloatTensor<Self>, factor: bool) -> FloatTensor<Self> {
        let x = into_contiguous(x);
        let out = empty(&x, x.shape(), if factor { factors(&x.client) } else { x.dtype });
        let (client, dtypes) = (x.client.clone(), [elem(x.dtype), elem(out.dtype)]);
        let size = x.shape().num_elements();
        let (lanes, pieces) = (lanes(size), size / lanes(size));
        let (count, dim) = units(&client, pieces);
        gelu::launch(
            &client,
            count,
            dim,
            lanes,
            x.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            pieces,
            dtypes,
        );
        out
    }

    fn gelu_new_backward(x: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        let (x, grad) = (into_contiguous(x), into_contiguous(grad));
        let out = empty_like(&x);
        let (client, dtypes) = (x.client.clone(), [elem(x.dtype), elem(grad.dtype)]);
        let size = x.shape().num_elements();
        let (lanes, pieces) = (lanes(size), size / lanes(size));
        let (count, dim) = units(&client, pieces);
        let (x, grad) = (x.into_buffer_arg(), grad.into_buffer_arg());
        gelu_backward::launch(
            &client,
            count,
            dim,
            lanes,
            x,
            grad,
            out.clone().into_buffer_arg(),
            pieces,
            dtypes,
        );
        out
    }
}
