//! What the factors of products are rounded to on GPUs.

use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::Device;

use crate::machine::DeviceError;

/// Whether they are rounded to bf16.
static HALF: AtomicBool = AtomicBool::new(false);

/// What the factors of a product are rounded to on a GPU. Weights, sums and all other numbers stay
/// in single precision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Not at all; to TF32, which has 10 bits behind the point, where the device has tensor cores.
    #[default]
    F32,
    /// bfloat16: 7 bits behind the point.
    Bf16,
}

impl Precision {
    /// As it is typed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }
}

/// Sets the precision of products on GPUs, for the whole process, which is to compute on this
/// device.
///
/// # Errors
/// [`DeviceError::NoBfloat16`] for bf16 on a device without it, as the CPU is: it would go on in
/// single precision without a word.
///
/// ```
/// use burn::tensor::Device;
/// use tailguard_kernels::{Precision, precision, set_precision};
/// assert!(set_precision(Precision::Bf16, &Device::flex()).is_err());
/// assert_eq!(precision(), Precision::F32);
/// ```
pub fn set_precision(precision: Precision, device: &Device) -> Result<(), DeviceError> {
    if precision == Precision::Bf16 && !has_bfloat16(device) {
        return Err(DeviceError::NoBfloat16 { device: format!("{device:?}") });
    }
    HALF.store(precision == Precision::Bf16, Ordering::Relaxed);
    Ok(())
}

/// Whether products on this device can take factors in bfloat16.
#[cfg(any(feature = "wgpu", feature = "cuda"))]
fn has_bfloat16(device: &Device) -> bool {
    crate::gpu::has_bfloat16(device)
}

/// Whether products on this device can take factors in bfloat16: there are no GPUs in this build.
#[cfg(not(any(feature = "wgpu", feature = "cuda")))]
fn has_bfloat16(_device: &Device) -> bool {
    false
}

/// The precision of products on GPUs.
#[must_use]
pub fn precision() -> Precision {
    if HALF.load(Ordering::Relaxed) { Precision::Bf16 } else { Precision::F32 }
}

/// Whether factors are rounded to bf16.
#[cfg(any(feature = "wgpu", feature = "cuda"))]
pub(crate) fn is_half() -> bool {
    HALF.load(Ordering::Relaxed)
}
