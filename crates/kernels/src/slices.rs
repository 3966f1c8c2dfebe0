//! Slices under Burn's CPU tensors, and the way a loop over them is threaded and vectorised.

use burn::backend::TensorMetadata;
use burn::backend::flex::FlexTensor;
use burn::tensor::{Shape, TensorData};

/// A contiguous tensor with the same values; free when it is contiguous already.
pub(crate) fn contiguous(tensor: FlexTensor) -> FlexTensor {
    if tensor.is_contiguous() { tensor } else { tensor.to_contiguous() }
}

/// Size of the last dimension.
pub(crate) fn width(tensor: &impl TensorMetadata) -> usize {
    tensor.shape().last().copied().unwrap_or(1)
}

/// The values of a contiguous f32 tensor.
pub(crate) fn floats(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice::<f32>().unwrap_or_else(|| {
        unreachable!("the fused kernels get contiguous f32 tensors, found {:?}", tensor.dtype())
    })
}

/// Values as a tensor, uncopied. (`FlexTensor::empty` clears its bytes and then copies them.)
pub(crate) fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// Lets `body` overwrite the values: the tensor's own if nobody else sees them, those of a copy
/// otherwise.
pub(crate) fn overwritten(values: FlexTensor, body: impl FnOnce(&mut [f32])) -> FlexTensor {
    let mut values = contiguous(values);
    let count = floats(&values).len();
    match values.try_storage_mut::<f32>() {
        // a view of a larger tensor has more behind it
        Some(own) if own.len() == count => body(own),
        _ => {
            let mut copy = floats(&values).to_vec();
            body(&mut copy);
            return tensor(copy, values.shape());
        }
    }
    values
}

/// Runs a loop with the widest vector instructions of this machine: what is inlined into it is
/// compiled for them. So `body` must be `#[inline(always)]`; a large closure is otherwise called,
/// and compiled for the oldest processor there is.
#[inline(always)]
pub(crate) fn vectorised<R>(body: impl FnOnce() -> R) -> R {
    struct Body<F>(F);
    impl<R, F: FnOnce() -> R> pulp::WithSimd for Body<F> {
        type Output = R;
        #[inline(always)]
        fn with_simd<S: pulp::Simd>(self, _simd: S) -> R {
            (self.0)()
        }
    }
    pulp::Arch::new().dispatch(Body(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_else_sees_is_overwritten() {
        let values = tensor(vec![1.0, 2.0, 3.0, 4.0], [2, 2]);
        let shared = values.clone();
        let row = overwritten(values.narrow(0, 1, 1), |row| {
            row.iter_mut().for_each(|value| *value *= 10.0)
        });
        assert_eq!((floats(&row), floats(&shared)), (&[30.0, 40.0][..], &[1.0, 2.0, 3.0, 4.0][..]));
        drop(values);
        // a view that nobody shares still has the rest of the tensor behind it
        let row = overwritten(shared.narrow(0, 1, 1), |row| row.fill(0.0));
        drop(shared);
        let row = overwritten(row, |row| row.fill(5.0));
        assert_eq!(floats(&row), [5.0, 5.0]);
    }
}
