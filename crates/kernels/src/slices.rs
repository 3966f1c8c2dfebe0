//! Slices under Burn's CPU tensors, and the way a loop over them is threaded and vectorised.

use burn::backend::TensorMetadata;
use burn::backend::flex::FlexTensor;
use burn::tensor::DType;

/// A contiguous tensor with the same values; free when it is contiguous already.
pub(crate) fn contiguous(tensor: &FlexTensor) -> FlexTensor {
    if tensor.is_contiguous() { tensor.clone() } else { tensor.to_contiguous() }
}

/// The values of a contiguous f32 tensor.
pub(crate) fn floats(tensor: &FlexTensor) -> &[f32] {
    tensor
        .as_slice::<f32>()
        .unwrap_or_else(|| unreachable!("the fused kernels get contiguous f32 tensors, found {:?}", tensor.dtype()))
}

/// A new f32 tensor of the shape of `like`.
pub(crate) fn empty_like(like: &FlexTensor) -> FlexTensor {
    FlexTensor::empty(like.shape(), DType::F32)
}

/// Runs a loop with the widest vector instructions of this machine: what is inlined into it is compiled for them. So `body`
/// must be `#[inline(always)]`; a large closure is otherwise called, and compiled for the oldest processor there is.
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
