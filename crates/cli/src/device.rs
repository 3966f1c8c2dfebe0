//! The device that tensors live on, and the number of threads.

use burn::tensor::Device;
use tailguard_experiment::settings::PrecisionName;
use tailguard_kernels::{DeviceError, Precision};

use crate::failure::Failure;
use crate::program::Program;

/// The device that a specification names: `flex`, `wgpu[:n]` or `cuda[:n]`.
///
/// # Errors
/// A specification that is none of these, a backend that was not compiled in, a device that is not
/// present; each says what to do.
pub fn select(spec: &str, program: &Program) -> Result<Device, Failure> {
    tailguard_kernels::device(spec).map_err(|error| {
        let message = format!("--device {error}");
        match error {
            DeviceError::Unknown { .. } => Failure::usage(message),
            DeviceError::NotCompiledIn { backend, .. } => Failure::usage(message).hint(format!(
                "build it in: {}; or take --device flex",
                program.with_feature(backend)
            )),
            DeviceError::NotPresent { need, .. } => Failure::new(message)
                .hint(format!("it needs {need}; --device flex runs on any CPU")),
            DeviceError::NoBfloat16 { .. } => Failure::usage(message),
        }
    })
}

/// The device that a specification names, and what factors of products are rounded to on it.
///
/// # Errors
/// As [`select`]; bf16 on a CPU, or on a GPU that has no bfloat16.
pub fn select_with(
    spec: &str,
    precision: PrecisionName,
    program: &Program,
) -> Result<Device, Failure> {
    // before a GPU is looked for
    if precision == PrecisionName::Bf16 && spec.starts_with("flex") {
        return Err(Failure::usage("--precision bf16 is for GPUs, and --device is flex"));
    }
    let device = select(spec, program)?;
    tailguard_kernels::set_precision(precision.into(), &device).map_err(|error| {
        let name = Precision::from(precision).name();
        Failure::usage(format!("--device {spec}, --precision {name}: {error}"))
            .hint("--precision f32 runs on any device")
    })?;
    Ok(device)
}

/// More threads than this are a slip of the finger, and starting them would take minutes.
const MOST_THREADS: usize = 1024;

/// Fixes the number of threads, before anything else uses the pool; 0 takes one per core.
///
/// # Errors
/// A number that no machine has, or when the system gives no threads.
pub fn set_threads(threads: usize) -> Result<(), Failure> {
    if threads > MOST_THREADS {
        return Err(Failure::usage(format!(
            "{threads} threads: expected at most {MOST_THREADS}, or 0 for one per core"
        )));
    }
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()
        .map_err(|error| Failure::new(format!("cannot start {threads} threads: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;

    #[test]
    fn what_is_no_device_is_refused_with_the_choices() {
        for spec in ["", "gpu", "cuda:", "cuda:x", "flex:1", "wgpu:-1", "CUDA"] {
            let message =
                select(spec, &Program::tailguard(Options::default())).unwrap_err().to_string();
            assert!(message.contains("expected flex (the CPU), wgpu"), "{spec}: {message}");
        }
    }

    #[test]
    fn bf16_on_a_cpu_is_refused() {
        let program = Program::tailguard(Options::default());
        let refused = select_with("flex", PrecisionName::Bf16, &program).unwrap_err().to_string();
        assert!(refused.contains("bf16 is for GPUs"), "{refused}");
    }

    #[test]
    fn more_threads_than_any_machine_has_are_refused_at_once() {
        let message = set_threads(5_000_000).unwrap_err().to_string();
        assert!(message.contains("expected at most 1024"), "{message}");
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_backend_that_was_not_compiled_in_says_how_to() {
        let message = crate::failure::message(
            &select("cuda:1", &Program::tailguard(Options::default())).unwrap_err().into(),
        );
        assert!(message.contains("no cuda") && message.contains("--features cuda"), "{message}");
    }
}
