//! Facts about the machine and the process, from Linux' `/proc`; elsewhere they are unknown.

use std::fs;
use std::time::Instant;

use serde_json::{Value, json};
use tailguard_experiment::machine::{cpu, cpu_seconds};

/// Ticks per second in `/proc`, on every Linux.
const TICKS: f64 = 100.0;
/// Shortest time over which CPU seconds are compared: ticks make shorter ones inexact.
const LEAST_S: f64 = 1.0;

/// CPU, cores.
pub(crate) fn machine() -> Value {
    json!({"cpu": cpu(), "cores": std::thread::available_parallelism().ok()})
}

/// Of this program and of what does its arithmetic.
pub(crate) fn versions() -> Value {
    json!({
        "tailguard": env!("CARGO_PKG_VERSION"),
        "burn": burn_version(include_str!("../../../Cargo.toml")),
    })
}

/// The most cores that other processes took in any part of a measurement.
pub(crate) struct OtherProcesses {
    since: Option<Reading>,
    most: Option<f64>,
}

/// CPU seconds until a moment.
struct Reading {
    at: Instant,
    /// Of all processes.
    busy: f64,
    /// Of this one.
    own: f64,
}

impl Reading {
    fn take() -> Option<Self> {
        let busy = busy_seconds(&fs::read_to_string("/proc/stat").ok()?)?;
        let own = cpu_seconds(std::process::id())?;
        Some(Self { at: Instant::now(), busy, own })
    }

    /// Cores that others took from `self` to `end`.
    fn others(&self, end: &Self) -> f64 {
        let seconds = (end.at - self.at).as_secs_f64().max(1.0 / TICKS);
        ((end.busy - self.busy) - (end.own - self.own)).max(0.0) / seconds
    }
}

impl OtherProcesses {
    /// Begins to measure.
    pub(crate) fn watch() -> Self {
        Self { since: Reading::take(), most: None }
    }

    /// Ends a part; one that was too short goes on.
    pub(crate) fn lap(&mut self) {
        if self.since.as_ref().is_some_and(|since| since.at.elapsed().as_secs_f64() >= LEAST_S) {
            self.end_part();
        }
    }

    /// Cores taken in the part that was disturbed most; unknown outside Linux.
    pub(crate) fn most(mut self) -> Option<f64> {
        if self.most.is_none() {
            self.end_part();
        }
        self.most
    }

    fn end_part(&mut self) {
        let now = Reading::take();
        if let (Some(since), Some(now)) = (&self.since, &now) {
            let others = since.others(now);
            self.most = Some(self.most.map_or(others, |most| most.max(others)));
        }
        self.since = now;
    }
}

/// CPU seconds of all processes since the machine booted, from `/proc/stat`.
fn busy_seconds(text: &str) -> Option<f64> {
    let line = text.lines().next()?.strip_prefix("cpu ")?;
    let ticks =
        line.split_whitespace().map(|word| word.parse::<f64>().ok()).collect::<Option<Vec<_>>>()?;
    // user, nice, system, (idle, iowait,) irq, softirq, steal; guests are within user
    [0, 1, 2, 5, 6, 7]
        .into_iter()
        .map(|at| ticks.get(at))
        .sum::<Option<f64>>()
        .map(|ticks| ticks / TICKS)
}

/// The version of Burn that the workspace pins.
fn burn_version(workspace: &str) -> Option<String> {
    let workspace: toml::Table = toml::from_str(workspace).ok()?;
    let version =
        workspace.get("workspace")?.get("dependencies")?.get("burn")?.get("version")?.as_str()?;
    Some(version.trim_start_matches('=').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_seconds_leave_idling_out() {
        let stat = "cpu  100 20 30 5000 700 1 2 3 40 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n";
        assert_eq!(busy_seconds(stat).map(|seconds| (seconds * 100.0).round()), Some(156.0));
        assert_eq!(busy_seconds("intr 5"), None);
        assert_eq!(busy_seconds("cpu 1 2 x"), None);
    }

    #[test]
    fn the_version_is_that_of_the_workspace() {
        let version = versions()["burn"].as_str().unwrap().to_owned();
        assert!(version.starts_with(|first: char| first.is_ascii_digit()), "{version}");
        assert_eq!(burn_version("[workspace]\n"), None);
    }

    #[test]
    fn only_what_others_used_counts() {
        let at = Instant::now();
        let begin = Reading { at, busy: 10.0, own: 4.0 };
        let end = Reading { at: at + std::time::Duration::from_secs(2), busy: 15.0, own: 8.0 };
        assert!((begin.others(&end) - 0.5).abs() < 1e-9);
        let alone = Reading { busy: 13.9, ..end };
        assert!(begin.others(&alone).abs() < 1e-9, "rounding of ticks is not counted");
    }
}
