//! GELU and its gradient, one pass each.

use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use cubecl::prelude::*;

use super::{elem, empty, empty_like, factors, units};
use crate::gelu::GeluOps;

#[cube]
fn sigmoid_of_argument(x: f32) -> f32 {
    let u = 0.797_884_6f32 * (x + 0.044_715f32 * x * x * x);
    1.0f32 / (1.0f32 + (u * -2.0f32).exp())
}

#[cube(launch)]
fn gelu<I: Float, O: Float>(x: &[I], out: &mut [O], #[define(I, O)] _dtypes: [ElemType; 2]) {
    if ABSOLUTE_POS < out.len() {
        let value = f32::cast_from(x[ABSOLUTE_POS]);
        out[ABSOLUTE_POS] = O::cast_from(value * sigmoid_of_argument(value));
    }
}

#[cube(launch)]
fn gelu_backward<I: Float, G: Float>(x: &[I], grad: &[G], out: &mut [I], #[define(I, G)] _dtypes: [ElemType; 2]) {
    if ABSOLUTE_POS < out.len() {
        let value = f32::cast_from(x[ABSOLUTE_POS]);
        let s = sigmoid_of_argument(value);
        let slope = 1.595_769_2f32 * (1.0f32 + 0.134_145f32 * value * value);
        out[ABSOLUTE_POS] = I::cast_from(f32::cast_from(grad[ABSOLUTE_POS]) * (s + value * s * (1.0f32 - s) * slope));
    }
}

impl GeluOps for CubeBackend {
    fn gelu_new(x: FloatTensor<Self>, factor: bool) -> FloatTensor<Self> {
        let x = into_contiguous(x);
        let out = empty(&x, x.shape(), if factor { factors(&x.client) } else { x.dtype });
        let (client, dtypes) = (x.client.clone(), [elem(x.dtype), elem(out.dtype)]);
        let (count, dim) = units(&client, x.shape().num_elements());
        gelu::launch(&client, count, dim, x.into_buffer_arg(), out.clone().into_buffer_arg(), dtypes);
        out
    }

    fn gelu_new_backward(x: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        let (x, grad) = (into_contiguous(x), into_contiguous(grad));
        let out = empty_like(&x);
        let (client, dtypes) = (x.client.clone(), [elem(x.dtype), elem(grad.dtype)]);
        let (count, dim) = units(&client, x.shape().num_elements());
        let (x, grad) = (x.into_buffer_arg(), grad.into_buffer_arg());
        gelu_backward::launch(&client, count, dim, x, grad, out.clone().into_buffer_arg(), dtypes);
        out
    }
}
