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
use super::products::{Parts, factor, factors, in_parts, product, product_as, transposed};
use super::{elem, empty, lanes, rows_and_width, shaped, units};
use crate::linear::LinearOps;

/// `across`: pieces of a row, as in all kernels here.
#[cube(launch)]
fn add_bias<F: Float, N: Size>(
    out: &mut [Vector<F, N>],
    bias: &[Vector<f32, N>],
    count: usize,
    across: usize,
    #[define(F)] _dtype: ElemType,
) {
    if ABSOLUTE_POS < count {
        let sum = Vector::<f32, N>::cast_from(out[ABSOLUTE_POS]) + bias[ABSOLUTE_POS % across];
        out[ABSOLUTE_POS] = Vector::cast_from(sum);
    }
}

#[cube(launch)]
fn add_bias_and_residual<N: Size>(
    out: &mut [Vector<f32, N>],
    bias: &[Vector<f32, N>],
    residual: &[Vector<f32, N>],
    count: usize,
    across: usize,
) {
    if ABSOLUTE_POS < count {
        out[ABSOLUTE_POS] += bias[ABSOLUTE_POS % across] + residual[ABSOLUTE_POS];
    }
}

/// The same for a product in parts.
#[cube(launch)]
fn add_parts_and_bias<F: Float, N: Size>(
    parts: &[Vector<f32, N>],
    bias: &[Vector<f32, N>],
    out: &mut [Vector<F, N>],
    count: usize,
    across: usize,
    #[comptime] several: usize,
    #[define(F)] _dtype: ElemType,
) {
    if ABSOLUTE_POS < count {
        let mut sum = bias[ABSOLUTE_POS % across];
        #[unroll]
        for part in 0..several {
            sum += parts[part * count + ABSOLUTE_POS];
        }
        out[ABSOLUTE_POS] = Vector::cast_from(sum);
    }
}

#[cube(launch)]
fn add_parts_bias_and_residual<N: Size>(
    parts: &[Vector<f32, N>],
    bias: &[Vector<f32, N>],
    residual: &[Vector<f32, N>],
    out: &mut [Vector<f32, N>],
    count: usize,
    across: usize,
    #[comptime] several: usize,
) {
    if ABSOLUTE_POS < count {
        let mut sum = bias[ABSOLUTE_POS % across] + residual[ABSOLUTE_POS];
        #[unroll]
        for part in 0..several {
            sum += parts[part * count + ABSOLUTE_POS];
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
        let lanes = lanes(width);
        let (pieces, across) = (rows * width / lanes, width / lanes);
        let (count, dim) = units(&client, pieces);
        let out = match in_parts(rows_of(x.clone()), weight, dtype) {
            Parts::Whole(out) => {
                let (output, bias) = (out.clone().into_buffer_arg(), bias.into_buffer_arg());
                add_bias::launch(
                    &client,
                    count,
                    dim,
                    lanes,
                    output,
                    bias,
                    pieces,
                    across,
                    elem(dtype),
                );
                out
            }
            Parts::Several(parts) => {
                let (out, several) = (empty(&x, [rows, width], dtype), parts.shape()[0]);
                let (parts, bias, output) = (
                    parts.into_buffer_arg(),
                    bias.into_buffer_arg(),
                    out.clone().into_buffer_arg(),
                );
                add_parts_and_bias::launch(
                    &client,
                    count,
                    dim,
                    lanes,
                    parts,
                    bias,
                    output,
                    pieces,
                    across,
                    several,
                    elem(dtype),
                );
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
        let (weight, bias, residual) =
            (factor(weight), into_contiguous(bias), into_contiguous(residual));
        let ([rows, _], [_, width]) = (rows_and_width(&x), rows_and_width(&weight));
        let client = x.client.clone();
        let lanes = lanes(width);
        let (pieces, across) = (rows * width / lanes, width / lanes);
        let (count, dim) = units(&client, pieces);
        let (bias, residual) = (bias.into_buffer_arg(), residual.into_buffer_arg());
        let out = match in_parts(rows_of(x.clone()), weight, DType::F32) {
            Parts::Whole(out) => {
                let output = out.clone().into_buffer_arg();
                add_bias_and_residual::launch(
                    &client, count, dim, lanes, output, bias, residual, pieces, across,
                );
                out
            }
            Parts::Several(parts) => {
                let (out, several) = (empty(&x, [rows, width], DType::F32), parts.shape()[0]);
                let (parts, output) = (parts.into_buffer_arg(), out.clone().into_buffer_arg());
                add_parts_bias_and_residual::launch(
                    &client, count, dim, lanes, parts, bias, residual, output, pieces, across,
                    several,
                );
                out
            }
        };
        like(out, &x)
    }

    fn rounded(tensor: FloatTensor<Self>) -> FloatTensor<Self> {
        factor(tensor)
    }

    fn linear_backward_input(
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        of: DType,
    ) -> FloatTensor<Self> {
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
