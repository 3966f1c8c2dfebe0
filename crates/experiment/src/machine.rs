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

/// Ticks per second in `/proc`, on every Linux.
const TICKS: f64 = 100.0;

/// CPU seconds of a process so far; unknown once it is gone.
#[must_use]
pub fn cpu_seconds(process: u32) -> Option<f64> {
    seconds_of(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
}

/// CPU seconds of a process, from its `stat`.
fn seconds_of(text: &str) -> Option<f64> {
    // the name, in brackets, may hold anything; user and system time are the 12th and 13th fields
    // after it
    let (_, fields) = text.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS)
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
        assert_eq!(
            cpu_name("processor: 0\nmodel name\t: A: B 9\nmodel name\t: C\n").as_deref(),
            Some("A: B 9")
        );
    }

    #[test]
    fn the_time_of_a_process_is_found_behind_any_name() {
        let stat = "42 (a (b) c) R 1 2 3 4 5 6 7 8 9 10 250 150 0 0 20 0 3 0 100";
        assert_eq!(seconds_of(stat).map(|seconds| (seconds * 100.0).round()), Some(400.0));
        assert_eq!(seconds_of("42"), None);
    }
}
