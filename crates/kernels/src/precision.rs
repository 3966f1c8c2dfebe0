//! What the factors of products are rounded to on GPUs.

use std::sync::atomic::{AtomicBool, Ordering};

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

/// Sets the precision of products on GPUs, for the whole process. The CPU always computes in single
/// precision, and so does a GPU without bfloat16.
pub fn set_precision(precision: Precision) {
    HALF.store(precision == Precision::Bf16, Ordering::Relaxed);
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
