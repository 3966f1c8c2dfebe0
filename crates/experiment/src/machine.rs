//! What a run notes of machine and process, from Linux' `/proc`; elsewhere it is unknown.

use std::fs;

/// Name of the CPU.
#[must_use]
pub fn cpu() -> Option<String> {
    cpu_name(&fs::read_to_string("/proc/cpuinfo").ok()?)
}

/// The most memory that this process has had, in MiB.
#[must_use]
pub fn peak_mib() -> Option<f64> {
    peak_of(&fs::read_to_string("/proc/self/status").ok()?)
}

/// The peak in a process' `status`.
fn peak_of(text: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<f64>().ok()? / 1024.0)
}

fn cpu_name(text: &str) -> Option<String> {
    let (_, name) = text.lines().find(|line| line.starts_with("model name"))?.split_once(':')?;
    Some(name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peak_memory_and_cpu_are_read() {
        assert_eq!(peak_of("Name:\tx\nVmHWM:\t    2048 kB\n").map(f64::round), Some(2.0));
        assert_eq!(peak_of("Name:\tx\n"), None);
        assert_eq!(cpu_name("processor: 0\nmodel name\t: A: B 9\nmodel name\t: C\n").as_deref(), Some("A: B 9"));
    }
}
