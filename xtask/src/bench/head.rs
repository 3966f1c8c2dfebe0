//! The one line of JSON that a benchmark prints. Its names are those of the peers' lines where both
//! measure the same.

use anyhow::{Result, bail};
use serde_json::{Map, Value, json};
use tailguard_benchmarks::json_line::rounded;
use tailguard_experiment::settings::PrecisionName;
use tailguard_kernels::Precision;

use super::args::SizeName;
use super::machine::{machine, versions};
use super::sizes::Sizes;

/// What every line says.
pub(crate) struct Head<'a> {
    /// The name of the benchmark.
    pub(crate) benchmark: &'static str,
    /// The preset that was asked for.
    pub(crate) size: SizeName,
    pub(crate) sizes: &'a Sizes,
    /// Of model and value head.
    pub(crate) parameters: usize,
    /// As it was asked for.
    pub(crate) device: &'a str,
    /// What factors of products are rounded to there.
    pub(crate) precision: PrecisionName,
    /// The most cores that other processes took.
    pub(crate) others: Option<f64>,
}

impl Head<'_> {
    /// The whole line: this and what was `measured`, an object.
    ///
    /// # Errors
    /// A measurement that is not a number.
    pub(crate) fn line(&self, measured: Value) -> Result<String> {
        let head = json!({
            "benchmark": self.benchmark,
            "size": self.sizes.name(self.size),
            "config": self.sizes,
            "parameters": self.parameters,
            "threads": rayon::current_num_threads(),
            "device": self.device,
            "precision": Precision::from(self.precision).name(),
            "machine": machine(),
            "versions": versions(),
            "peak_rss_mib": tailguard_experiment::machine::peak_mib(),
            "other_processes_cores": self.others,
        });
        let mut line = Map::new();
        for part in [head, measured] {
            let Value::Object(part) = part else { bail!("a line of JSON is made of objects") };
            line.extend(part);
        }
        Ok(rounded(Value::Object(line)).to_string())
    }
}
