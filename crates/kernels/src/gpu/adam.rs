//! A step of Adam, one pass over parameters, gradients and moments.

use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use cubecl::prelude::*;

use super::{owned, units};
use crate::adam::{AdamOps, Factors};

#[cube(launch)]
fn step(
    parameter: &mut [f32],
    grad: &[f32],
    first: &mut [f32],
    second: &mut [f32],
    keep: f32,
    rate: f32,
    beta_1: f32,
    beta_2: f32,
    correction: f32,
    epsilon: f32,
) {
    if ABSOLUTE_POS < parameter.len() {
        let gradient = grad[ABSOLUTE_POS];
        let mean = first[ABSOLUTE_POS] * beta_1 + gradient * (1.0f32 - beta_1);
        let square = second[ABSOLUTE_POS] * beta_2 + gradient * gradient * (1.0f32 - beta_2);
        first[ABSOLUTE_POS] = mean;
        second[ABSOLUTE_POS] = square;
        parameter[ABSOLUTE_POS] = parameter[ABSOLUTE_POS] * keep - mean * correction / (square.sqrt() + epsilon) * rate;
    }
}

impl AdamOps for CubeBackend {
    fn adam_step(
        parameter: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        factors: Factors,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [parameter, first, second] = [parameter, first, second].map(owned);
        let client = parameter.client.clone();
        let (count, dim) = units(&client, parameter.shape().num_elements());
        step::launch(
            &client,
            count,
            dim,
            parameter.clone().into_buffer_arg(),
            into_contiguous(grad).into_buffer_arg(),
            first.clone().into_buffer_arg(),
            second.clone().into_buffer_arg(),
            factors.keep,
            factors.rate,
            factors.beta_1,
            factors.beta_2,
            factors.correction,
            factors.epsilon,
        );
        (parameter, first, second)
    }
}
