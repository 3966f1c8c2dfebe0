//! Layer norm, a cube per row.

use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use burn::tensor::DType;
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use cubecl::prelude::*;

use super::columns::{column_sums, column_sums_normalised};
use super::products::factors;
use super::{UNITS, cube_sum, cubes, elem, empty, empty_like, has_planes, rows_and_width};
use crate::layer_norm::LayerNormOps;

/// Mean of a row that begins at `first`.
#[cube]
fn mean_of(
    x: &[f32],
    first: usize,
    width: usize,
    shared: &mut Shared<[f32]>,
    #[comptime] planes: bool,
) -> f32 {
    let mut sum = f32::new(0.0);
    let mut at = UNIT_POS as usize;
    while at < width {
        sum += x[first + at];
        at += CUBE_DIM as usize;
    }
    cube_sum(sum, shared, planes) / f32::cast_from(width)
}

/// The reciprocal of its standard deviation.
#[cube]
fn reciprocal_deviation(
    x: &[f32],
    first: usize,
    width: usize,
    mean: f32,
    epsilon: f32,
    shared: &mut Shared<[f32]>,
    #[comptime] planes: bool,
) -> f32 {
    let mut sum = f32::new(0.0);
    let mut at = UNIT_POS as usize;
    while at < width {
        let centred = x[first + at] - mean;
        sum += centred * centred;
        at += CUBE_DIM as usize;
    }
    let variance = cube_sum(sum, shared, planes) / f32::cast_from(width);
    1.0f32 / (variance + epsilon).sqrt()
}

#[cube(launch)]
fn normalise<O: Float>(
    x: &[f32],
    gamma: &[f32],
    beta: &[f32],
    out: &mut [O],
    rows: usize,
    width: usize,
    epsilon: f32,
    #[comptime] planes: bool,
    #[define(O)] _dtype: ElemType,
) {
    let mut shared = Shared::<[f32]>::new_slice(256usize);
    let row = CUBE_POS;
    if row >= rows {
        terminate!();
    }
    let first = row * width;
    let mean = mean_of(x, first, width, &mut shared, planes);
    let factor = reciprocal_deviation(x, first, width, mean, epsilon, &mut shared, planes);
    let mut at = UNIT_POS as usize;
    while at < width {
        out[first + at] = O::cast_from((x[first + at] - mean) * factor * gamma[at] + beta[at]);
        at += CUBE_DIM as usize;
    }
}

/// The gradient with respect to `x`, and the moments of its rows, `[rows, 2]`.
#[cube(launch)]
fn normalise_backward<G: Float>(
    x: &[f32],
    gamma: &[f32],
    grad: &[G],
    out: &mut [f32],
    moments: &mut [f32],
    rows: usize,
    width: usize,
    epsilon: f32,
    #[comptime] planes: bool,
    #[define(G)] _dtype: ElemType,
) {
    let mut shared = Shared::<[f32]>::new_slice(256usize);
    let row = CUBE_POS;
    if row >= rows {
        terminate!();
    }
    let first = row * width;
    let mean = mean_of(x, first, width, &mut shared, planes);
    let factor = reciprocal_deviation(x, first, width, mean, epsilon, &mut shared, planes);
    let mut sum = f32::new(0.0);
    let mut products = f32::new(0.0);
    let mut at = UNIT_POS as usize;
    while at < width {
        let scaled = f32::cast_from(grad[first + at]) * gamma[at];
        sum += scaled;
        products += scaled * (x[first + at] - mean) * factor;
        at += CUBE_DIM as usize;
    }
    let count = f32::cast_from(width);
    let sum = cube_sum(sum, &mut shared, planes) / count;
    let products = cube_sum(products, &mut shared, planes) / count;
    let mut at = UNIT_POS as usize;
    while at < width {
        let normal = (x[first + at] - mean) * factor;
        out[first + at] =
            (f32::cast_from(grad[first + at]) * gamma[at] - sum - normal * products) * factor;
        at += CUBE_DIM as usize;
    }
    if UNIT_POS == 0 {
        moments[2 * row] = mean;
        moments[2 * row + 1] = factor;
    }
}

impl LayerNormOps for CubeBackend {
    fn layer_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f32,
        factor: bool,
    ) -> FloatTensor<Self> {
        let [x, gamma, beta] = [x, gamma, beta].map(into_contiguous);
        let [rows, width] = rows_and_width(&x);
        let out = empty(&x, x.shape(), if factor { factors(&x.client) } else { DType::F32 });
        let client = x.client.clone();
        normalise::launch(
            &client,
            cubes(rows),
            CubeDim::new_1d(UNITS),
            x.into_buffer_arg(),
            gamma.into_buffer_arg(),
            beta.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            rows,
            width,
            epsilon,
            has_planes(&client),
            elem(out.dtype),
        );
        out
    }

    fn layer_norm_backward(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        epsilon: f32,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [x, gamma, grad] = [x, gamma, grad].map(into_contiguous);
        let [rows, width] = rows_and_width(&x);
        let (out, moments) = (empty_like(&x), empty(&x, [rows, 2], DType::F32));
        let client = x.client.clone();
        normalise_backward::launch(
            &client,
            cubes(rows),
            CubeDim::new_1d(UNITS),
            x.clone().into_buffer_arg(),
            gamma.into_buffer_arg(),
            grad.clone().into_buffer_arg(),
            out.clone().into_buffer_arg(),
            moments.clone().into_buffer_arg(),
            rows,
            width,
            epsilon,
            has_planes(&client),
            elem(grad.dtype),
        );
        let grad_beta = column_sums(grad.clone(), [rows, width]);
        (out, column_sums_normalised(x, grad, moments, [rows, width]), grad_beta)
    }
}
