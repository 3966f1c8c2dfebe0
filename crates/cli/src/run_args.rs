//! The flags of a run as they are typed; `tailguard-experiment` turns them into settings.

use std::path::PathBuf;

use clap::Args;
use tailguard_experiment::settings::{ConfigError, Overrides, PrecisionName};
use tailguard_kernels::Precision;
use toml::Value;

use crate::typed;

/// What `reproduce` and `train` share.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct RunArgs {
    /// TOML file with settings that replace the preset's
    #[arg(long, value_name = "FILE", value_parser = typed::path())]
    pub(crate) config: Option<PathBuf>,
    /// One setting that replaces the preset's and the file's, such as ppo.learning_rate=3e-5; may
    /// be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// First seed [run.seed]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Number of seeds: seed, seed + 1, ... [run.seeds]
    #[arg(long, value_name = "N")]
    pub(crate) seeds: Option<u64>,
    /// Threads; 0 takes one per core [run.threads]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<u64>,
    /// `flex` (the CPU), `wgpu[:n]` or `cuda[:n]` [run.device]
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Option<String>,
    /// What factors of products are rounded to on a GPU: f32 (TF32 by tensor cores) or bf16
    /// [run.precision]
    #[arg(long, value_name = "PRECISION", value_parser = typed::precision())]
    pub(crate) precision: Option<PrecisionName>,
    /// Hugging Face directory of the GPT-2 to start from [policy.dir]
    #[arg(long, value_name = "DIR", value_parser = typed::path())]
    pub(crate) policy: Option<PathBuf>,
    /// Hugging Face directory of the classifier that rewards [reward.dir]
    #[arg(long, value_name = "DIR", value_parser = typed::path())]
    pub(crate) reward: Option<PathBuf>,
    /// Directory of the scorer that judges the policies and trains none of them [judge.dir]
    #[arg(long, value_name = "DIR", value_parser = typed::path())]
    pub(crate) judge: Option<PathBuf>,
    /// Directory with the task's data [data.dir]
    #[arg(long, value_name = "DIR", value_parser = typed::path())]
    pub(crate) data_dir: Option<PathBuf>,
    /// The arms to make and compare, by their keys [default: all of the settings] [run.arms]
    #[arg(long, value_name = "KEY", value_delimiter = ',')]
    pub(crate) arms: Vec<String>,
    /// Run directory [default: runs/TASK-PRESET-N in the home]
    #[arg(long, value_name = "DIR", value_parser = typed::path())]
    pub(crate) out: Option<PathBuf>,
    /// Go on with the run in --out
    #[arg(long, requires = "out")]
    pub(crate) resume: bool,
}

impl RunArgs {
    /// What is set by flags and files, over a preset.
    ///
    /// # Errors
    /// A path that is no UTF-8.
    pub(crate) fn overrides(&self) -> Result<Overrides, ConfigError> {
        // a count that TOML cannot hold is out of every range, as a negative one is
        let count = |count: u64| Value::Integer(i64::try_from(count).unwrap_or(-1));
        let values = [
            ("--seed", "run.seed", self.seed.map(count)),
            ("--seeds", "run.seeds", self.seeds.map(count)),
            ("--threads", "run.threads", self.threads.map(count)),
            ("--device", "run.device", self.device.clone().map(Value::String)),
            (
                "--precision",
                "run.precision",
                self.precision.map(|name| Value::String(Precision::from(name).name().to_owned())),
            ),
            (
                "--arms",
                "run.arms",
                (!self.arms.is_empty())
                    .then(|| Value::Array(self.arms.iter().cloned().map(Value::String).collect())),
            ),
        ];
        let paths = [
            ("--policy", "policy.dir", &self.policy),
            ("--reward", "reward.dir", &self.reward),
            ("--judge", "judge.dir", &self.judge),
            ("--data-dir", "data.dir", &self.data_dir),
        ];
        let mut overrides = Overrides {
            file: self.config.clone(),
            assignments: self.set.clone(),
            ..Overrides::default()
        };
        overrides
            .flags
            .extend(values.into_iter().filter_map(|(flag, key, value)| Some((flag, key, value?))));
        for (flag, key, path) in paths {
            if let Some(path) = path {
                overrides.put_path(flag, key, path)?;
            }
        }
        Ok(overrides)
    }
}
