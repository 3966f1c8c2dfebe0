//! Which device, by its name.

use burn::tensor::Device;
use thiserror::Error;

/// Why a name gives no device.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DeviceError {
    /// No name of a device.
    #[error("{name}: expected flex (the CPU), wgpu, wgpu:N, cuda or cuda:N, where N counts from 0")]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// The crate was compiled without the feature of that name.
    #[error("{name}: this build has no {backend}")]
    NotCompiledIn {
        /// What was asked for.
        name: String,
        /// The backend, which is also the name of the feature.
        backend: &'static str,
    },
    /// There is no such card, or its driver is missing.
    #[error("{name}: not present; found {found}")]
    NotPresent {
        /// What was asked for.
        name: String,
        /// The devices of that kind that are present.
        found: String,
        /// What the backend needs.
        need: &'static str,
    },
    /// The device cannot round to bfloat16.
    #[error("{device} has no bfloat16: precision bf16 is for GPUs that have it")]
    NoBfloat16 {
        /// The device.
        device: String,
    },
}

/// The device of a name: `flex` (the CPU), `wgpu[:n]` or `cuda[:n]`; the last two if the crate has
/// the feature of that name.
///
/// It is always named: `Device::default()` takes the best backend that was compiled in whether or
/// not its hardware is present, and obeys a variable of its own.
///
/// # Errors
/// A name that is none of these, a backend that was not compiled in, a device that is not present.
///
/// ```
/// assert!(tailguard_kernels::device("flex").is_ok());
/// let error = tailguard_kernels::device("gpu").unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "gpu: expected flex (the CPU), wgpu, wgpu:N, cuda or cuda:N, where N counts from 0"
/// );
/// ```
pub fn device(name: &str) -> Result<Device, DeviceError> {
    let unknown = || DeviceError::Unknown { name: name.to_owned() };
    let (backend, index) = match name.split_once(':') {
        Some((backend, index)) => (backend, Some(index.parse::<usize>().map_err(|_| unknown())?)),
        None => (name, None),
    };
    match (backend, index) {
        ("flex", None) => Ok(Device::flex()),
        ("wgpu", index) => wgpu(name, index.unwrap_or(0)),
        ("cuda", index) => cuda(name, index.unwrap_or(0)),
        _ => Err(unknown()),
    }
}

#[cfg(not(feature = "wgpu"))]
fn wgpu(name: &str, _index: usize) -> Result<Device, DeviceError> {
    Err(DeviceError::NotCompiledIn { name: name.to_owned(), backend: "wgpu" })
}

#[cfg(not(feature = "cuda"))]
fn cuda(name: &str, _index: usize) -> Result<Device, DeviceError> {
    Err(DeviceError::NotCompiledIn { name: name.to_owned(), backend: "cuda" })
}

#[cfg(feature = "wgpu")]
fn wgpu(name: &str, index: usize) -> Result<Device, DeviceError> {
    nth(name, "a GPU with a Vulkan, Metal or DirectX driver", burn::tensor::DeviceType::Wgpu, index)
}

#[cfg(feature = "cuda")]
fn cuda(name: &str, index: usize) -> Result<Device, DeviceError> {
    nth(
        name,
        "an NVIDIA card, its driver (libcuda) and NVRTC",
        burn::tensor::DeviceType::Cuda,
        index,
    )
}

#[cfg(any(feature = "wgpu", feature = "cuda"))]
fn nth(
    name: &str,
    need: &'static str,
    kind: burn::tensor::DeviceType,
    index: usize,
) -> Result<Device, DeviceError> {
    let present = Device::enumerate(kind);
    present.get(index).cloned().ok_or_else(|| {
        let devices: Vec<_> = present.iter().map(|device| format!("{device:?}")).collect();
        let found = if devices.is_empty() { "none".to_owned() } else { devices.join(", ") };
        DeviceError::NotPresent { name: name.to_owned(), found, need }
    })
}

/// Whether tensors of this device are computed by Burn's CPU backend, for which the fused kernels
/// are written.
#[must_use]
pub fn on_flex(device: &Device) -> bool {
    device.clone().inner() == Device::flex()
}

/// Whether this crate has kernels of its own for tensors of this device.
pub(crate) fn fused(device: &Device) -> bool {
    on_flex(device) || on_gpu(device)
}

/// Whether the kernels for GPUs run on this device.
#[cfg(any(feature = "wgpu", feature = "cuda"))]
#[must_use]
pub fn on_gpu(device: &Device) -> bool {
    crate::gpu::ready(device)
}

/// Whether the kernels for GPUs run on this device: there are none in this build.
#[cfg(not(any(feature = "wgpu", feature = "cuda")))]
#[must_use]
pub fn on_gpu(_device: &Device) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flex_is_always_there() {
        assert_eq!(device("flex"), Ok(Device::flex()));
        assert!(on_flex(&Device::flex()) && on_flex(&Device::flex().autodiff()));
    }

    #[test]
    fn what_is_no_device_is_refused_with_the_choices() {
        for name in ["", "gpu", "cuda:", "cuda:x", "flex:1", "wgpu:-1", "CUDA"] {
            assert_eq!(device(name), Err(DeviceError::Unknown { name: name.to_owned() }));
        }
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_backend_that_was_not_compiled_in_is_named() {
        assert_eq!(device("cuda:1").unwrap_err().to_string(), "cuda:1: this build has no cuda");
    }
}
