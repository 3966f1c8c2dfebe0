//! Linear layers: cubek's product, then bias and residual in one pass over it.

use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use burn::tensor::DType;
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::reshape;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::columns::column_sums;
use super::products::{Parts, in_parts, product_as};
use super::{elem, empty, factor, factors, product, rows_and_width, shaped, transposed, units};
use crate::linear::LinearOps;

#[cube(launch)]
fn add_bias<F: Float>(out: &mut [F], bias: &[f32], #[define(F)] _dtype: ElemType) {
    if ABSOLUTE_POS < out.len() {
        out[ABSOLUTE_POS] = F::cast_from(f32::cast_from(out[ABSOLUTE_POS]) + bias[ABSOLUTE_POS % bias.len()]);
    }
}

#[cube(launch)]
fn add_bias_and_residual(out: &mut [f32], bias: &[f32], residual: &[f32]) {
    if ABSOLUTE_POS < out.len() {
        out[ABSOLUTE_POS] += bias[ABSOLUTE_POS % bias.len()] + residual[ABSOLUTE_POS];
    }
}

/// The same for a product in parts.
#[cube(launch)]
fn add_parts_and_bias<F: Float>(
    parts: &[f32],
    bias: &[f32],
    out: &mut [F],
    #[comptime] count: usize,
    #[define(F)] _dtype: ElemType,
) {
    if ABSOLUTE_POS < out.len() {
        let mut sum = bias[ABSOLUTE_POS % bias.len()];
        #[unroll]
        for part in 0..count {
            sum += parts[part * out.len() + ABSOLUTE_POS];
        }
        out[ABSOLUTE_POS] = F::cast_from(sum);
    }
}

#[cube(launch)]
fn add_parts_bias_and_residual(parts: &[f32], bias: &[f32], residual: &[f32], out: &mut [f32], #[comptime] count: usize) {
    if ABSOLUTE_POS < out.len() {
        let mut sum = bias[ABSOLUTE_POS % bias.len()] + residual[ABSOLUTE_POS];
        #[unroll]
        for part in 0..count {
            sum += parts[part * out.len() + ABSOLUTE_POS];
        }
        out[ABSOLUTE_POS] = sum;
    }
}

/// All rows of `x`, `[.., in]`, as a factor `[rows, in]`.
fn rows_of(x: CubeTensor) -> CubeTensor {
    let [rows, width] = rows_and_width(&x);
    factor(shaped(x, [rows, width]))
}

/// The rows in the shape of `like` but for the last dimension.
fn like(rows: CubeTensor, like: &CubeTensor) -> CubeTensor {
    let mut shape = like.shape();
    let (rank, [_, width]) = (like.rank(), rows_and_width(&rows));
    shape[rank - 1] = width;
    reshape(rows, shape)
}

impl LinearOps for CubeBackend {
    fn linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        as_factor: bool,
    ) -> FloatTensor<Self> {
        let (weight, bias) = (factor(weight), into_contiguous(bias));
        let dtype = if as_factor { factors(&x.client) } else { DType::F32 };
        let ([rows, _], [_, width]) = (rows_and_width(&x), rows_and_width(&weight));
        let client = x.client.clone();
        let (count, dim) = units(&client, rows * width);
        let out = match in_parts(rows_of(x.clone()), weight, dtype) {
            Parts::Whole(out) => {
                add_bias::launch(&client, count, dim, out.clone().into_buffer_arg(), bias.into_buffer_arg(), elem(dtype));
                out
            }
            Parts::Several(parts) => {
                let (out, several) = (empty(&x, [rows, width], dtype), parts.shape()[0]);
                let (parts, bias, output) = (parts.into_buffer_arg(), bias.into_buffer_arg(), out.clone().into_buffer_arg());
                add_parts_and_bias::launch(&client, count, dim, parts, bias, output, several, elem(dtype));
                out
            }
        };
        like(out, &x)
    }

    fn linear_add(
        residual: FloatTensor<Self>,
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let (weight, bias, residual) = (factor(weight), into_contiguous(bias), into_contiguous(residual));
        let ([rows, _], [_, width]) = (rows_and_width(&x), rows_and_width(&weight));
        let client = x.client.clone();
        let (count, dim) = units(&client, rows * width);
        let (bias, residual) = (bias.into_buffer_arg(), residual.into_buffer_arg());
        let out = match in_parts(rows_of(x.clone()), weight, DType::F32) {
            Parts::Whole(out) => {
                add_bias_and_residual::launch(&client, count, dim, out.clone().into_buffer_arg(), bias, residual);
                out
            }
            Parts::Several(parts) => {
                let (out, several) = (empty(&x, [rows, width], DType::F32), parts.shape()[0]);
                let (parts, output) = (parts.into_buffer_arg(), out.clone().into_buffer_arg());
                add_parts_bias_and_residual::launch(&client, count, dim, parts, bias, residual, output, several);
                out
            }
        };
        like(out, &x)
    }

    fn rounded(tensor: FloatTensor<Self>) -> FloatTensor<Self> {
        factor(tensor)
    }

    fn linear_backward_input(weight: FloatTensor<Self>, grad: FloatTensor<Self>, of: DType) -> FloatTensor<Self> {
        like(product_as(rows_of(grad.clone()), transposed(factor(weight)), of), &grad)
    }

    fn linear_backward_weight(x: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        product(transposed(rows_of(x)), rows_of(grad))
    }

    fn linear_backward_bias(grad: FloatTensor<Self>) -> FloatTensor<Self> {
        let sizes = rows_and_width(&grad);
        column_sums(into_contiguous(grad), sizes)
    }
}
