//! The device that tensors live on, and the number of threads.
//!
//! The device is always named: nothing here or below calls `Device::default()`, which takes the best backend that was
//! compiled in whether or not its hardware is present, and obeys a variable of its own.

use burn::tensor::Device;

use crate::failure::Failure;

/// The device that a specification names: `flex`, `wgpu[:n]` or `cuda[:n]`.
///
/// # Errors
/// A specification that is none of these, a backend that was not compiled in, a device that is not present; each says what
/// to do.
pub(crate) fn select(spec: &str) -> Result<Device, Failure> {
    let (backend, index) = match spec.split_once(':') {
        Some((backend, index)) => {
            let index = index.parse::<usize>().map_err(|_| unknown(spec))?;
            (backend, Some(index))
        }
        None => (spec, None),
    };
    match (backend, index) {
        ("flex", None) => Ok(Device::flex()),
        ("wgpu", index) => wgpu(spec, index.unwrap_or(0)),
        ("cuda", index) => cuda(spec, index.unwrap_or(0)),
        _ => Err(unknown(spec)),
    }
}

fn unknown(spec: &str) -> Failure {
    Failure::usage(format!("--device {spec}: expected flex (the CPU), wgpu, wgpu:N, cuda or cuda:N, where N counts from 0"))
}

/// More threads than this are a slip of the finger, and starting them would take minutes.
const MOST_THREADS: usize = 1024;

/// Fixes the number of threads, before anything else uses the pool; 0 takes one per core.
///
/// # Errors
/// A number that no machine has, or when the system gives no threads.
pub(crate) fn set_threads(threads: usize) -> Result<(), Failure> {
    if threads > MOST_THREADS {
        return Err(Failure::usage(format!("{threads} threads: expected at most {MOST_THREADS}, or 0 for one per core")));
    }
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()
        .map_err(|error| Failure::new(format!("cannot start {threads} threads: {error}")))
}

#[cfg(any(not(feature = "wgpu"), not(feature = "cuda")))]
fn not_compiled_in(spec: &str, backend: &str) -> Failure {
    Failure::usage(format!("--device {spec}: this build has no {backend}")).hint(format!(
        "build it in: cargo run --release --package xtask --features {backend} -- reproduce imdb --device {spec}; or take --device flex"
    ))
}

#[cfg(not(feature = "wgpu"))]
fn wgpu(spec: &str, _index: usize) -> Result<Device, Failure> {
    Err(not_compiled_in(spec, "wgpu"))
}

#[cfg(not(feature = "cuda"))]
fn cuda(spec: &str, _index: usize) -> Result<Device, Failure> {
    Err(not_compiled_in(spec, "cuda"))
}

#[cfg(feature = "wgpu")]
fn wgpu(spec: &str, index: usize) -> Result<Device, Failure> {
    let found = Device::enumerate(burn::tensor::DeviceType::Wgpu);
    nth(spec, "a GPU with a Vulkan, Metal or DirectX driver", &found, index)
}

#[cfg(feature = "cuda")]
fn cuda(spec: &str, index: usize) -> Result<Device, Failure> {
    let found = Device::enumerate(burn::tensor::DeviceType::Cuda);
    nth(spec, "an NVIDIA card with its driver (libcuda)", &found, index)
}

#[cfg(any(feature = "wgpu", feature = "cuda"))]
fn nth(spec: &str, need: &str, found: &[Device], index: usize) -> Result<Device, Failure> {
    found.get(index).cloned().ok_or_else(|| {
        let devices: Vec<_> = found.iter().map(|device| format!("{device:?}")).collect();
        let present = if devices.is_empty() { "none".to_owned() } else { devices.join(", ") };
        Failure::new(format!("--device {spec}: not present; found {present}"))
            .hint(format!("it needs {need}; --device flex runs on any CPU"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flex_is_always_there() {
        assert_eq!(select("flex").unwrap(), Device::flex());
    }

    #[test]
    fn what_is_no_device_is_refused_with_the_choices() {
        for spec in ["", "gpu", "cuda:", "cuda:x", "flex:1", "wgpu:-1", "CUDA"] {
            let message = select(spec).unwrap_err().to_string();
            assert!(message.contains("expected flex (the CPU), wgpu"), "{spec}: {message}");
        }
    }

    #[test]
    fn more_threads_than_any_machine_has_are_refused_at_once() {
        let message = set_threads(5_000_000).unwrap_err().to_string();
        assert!(message.contains("expected at most 1024"), "{message}");
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_backend_that_was_not_compiled_in_says_how_to() {
        let message = crate::failure::message(&select("cuda:1").unwrap_err().into());
        assert!(message.contains("no cuda") && message.contains("--features cuda"), "{message}");
    }
}
