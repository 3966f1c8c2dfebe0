//! Memory that is freed stays with the program.
//!
//! By default glibc gives large blocks back to the system as soon as they are freed, and gets the
//! next ones page by page, each cleared by the kernel. A training step allocates gradients and
//! activations anew, so that at the size of GPT-2 a third of an iteration was spent in the kernel:
//! an update of RA-RLHF took 6.3 s, and takes 4.0 s with its memory kept
//! (`bench iteration --size gpt2 --alpha-keep 0.4`, 2 cores of an AMD EPYC, 26 November 2026).
//!
//! glibc reads how it should behave from the environment, before `main`. So the program starts
//! itself again, once, with that said.

/// Another allocator, which keeps to ways of its own.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The variable that glibc reads.
pub const VARIABLE: &str = "GLIBC_TUNABLES";

/// No block of its own for a large allocation, and nothing is given back before the end.
#[cfg(all(target_os = "linux", target_env = "gnu", not(feature = "mimalloc")))]
const SETTINGS: &str = "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=1099511627776";

/// Starts the program again with these settings, unless the variable is set, by an earlier start or
/// by the user. Does nothing without glibc's allocator.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu", not(feature = "mimalloc")))]
    if std::env::var_os(VARIABLE).is_none()
        && let Ok(program) = std::env::current_exe()
    {
        use std::os::unix::process::CommandExt;

        let mut command = std::process::Command::new(program);
        let mut words = std::env::args_os();
        if let Some(name) = words.next() {
            command.arg0(name);
        }
        // this comes back only if it fails, and then the program is slower and nothing else
        let _error = command.args(words).env(VARIABLE, SETTINGS).exec();
    }
}
