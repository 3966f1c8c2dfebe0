//! A step of Adam, one pass over parameters, gradients and moments.

use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use cubecl::prelude::*;

use super::{lanes, owned, units};
use crate::adam::{AdamOps, Factors};

#[cube(launch)]
fn step<N: Size>(
    parameter: &mut [Vector<f32, N>],
    grad: &[Vector<f32, N>],
    first: &mut [Vector<f32, N>],
    second: &mut [Vector<f32, N>],
    keep: f32,
    rate: f32,
    beta_1: f32,
    beta_2: f32,
    correction: f32,
    epsilon: f32,
    count: usize,
) {
    if ABSOLUTE_POS < count {
        let gradient = grad[ABSOLUTE_POS];
        let mean =
            first[ABSOLUTE_POS] * Vector::new(beta_1) + gradient * Vector::new(1.0f32 - beta_1);
        let square = second[ABSOLUTE_POS] * Vector::new(beta_2)
            + gradient * gradient * Vector::new(1.0f32 - beta_2);
        first[ABSOLUTE_POS] = mean;
        second[ABSOLUTE_POS] = square;
        let delta = mean * Vector::new(correction) / (square.sqrt() + Vector::new(epsilon))
            * Vector::new(rate);
        parameter[ABSOLUTE_POS] = parameter[ABSOLUTE_POS] * Vector::new(keep) - delta;
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
        let size = parameter.shape().num_elements();
        let (lanes, pieces) = (lanes(size), size / lanes(size));
        let (count, dim) = units(&client, pieces);
        step::launch(
            &client,
            count,
            dim,
            lanes,
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
            pieces,
        );
        (parameter, first, second)
    }
}
