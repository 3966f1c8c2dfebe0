//! The command line of `cargo xtask bench`. The flags of sizes are those of the peers' scripts.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use tailguard::typed;
use tailguard_experiment::settings::PrecisionName;

/// `bench`.
#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Time PPO iterations of a randomly initialised GPT-2
    Iteration(SizeArgs),
    /// Time what an iteration is made of: passes, a training step, generation, bare matrix products
    Gpt2(Gpt2Args),
    /// Run these two and the benchmarks of PyTorch and TRL in turn, and write a table of ratios
    Compare(CompareArgs),
    /// Time iterations of growing batch, length, width and vocabulary, and write a table and a plot
    Scaling(ScalingArgs),
}

/// Names of the sizes; models, batches and lengths are the same as the peers'.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SizeName {
    /// 4 layers, width 128, vocabulary 4,096, 64 episodes
    Xs,
    /// 4 layers, width 256, vocabulary 8,192, 32 episodes
    S,
    /// 12 layers, width 768, vocabulary 50,257, 4 episodes
    Gpt2,
}

impl SizeName {
    /// As it is typed.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Xs => "xs",
            Self::S => "s",
            Self::Gpt2 => "gpt2",
        }
    }
}

/// How iterations are timed.
#[derive(Clone, Debug, Args)]
pub(crate) struct TimingArgs {
    /// Share of the episodes that update the policy: 1 is RLHF, 0.4 the late phase of RA-RLHF with
    /// alpha 0.4
    #[arg(long, value_name = "SHARE", default_value_t = 1.0, value_parser = typed::share)]
    pub(crate) alpha_keep: f64,
    /// Measured iterations of a size, after one to warm up
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = typed::count())]
    pub(crate) iters: usize,
    /// Threads
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = typed::count())]
    pub(crate) threads: usize,
}

/// What is measured.
#[derive(Clone, Debug, Args)]
pub(crate) struct SizeArgs {
    /// Layers, width, heads, vocabulary, batch and minibatch, one by one replaced by the flags
    /// below
    #[arg(long, value_name = "SIZE", default_value = "s")]
    pub(crate) size: SizeName,
    /// Blocks
    #[arg(long, value_name = "N", value_parser = typed::count())]
    pub(crate) layers: Option<usize>,
    /// Width of the residual stream
    #[arg(long, value_name = "N", value_parser = typed::count())]
    pub(crate) width: Option<usize>,
    /// Attention heads; must divide the width
    #[arg(long, value_name = "N", value_parser = typed::count())]
    pub(crate) heads: Option<usize>,
    /// Entries of the vocabulary
    #[arg(long, value_name = "N", value_parser = typed::count())]
    pub(crate) vocab: Option<usize>,
    /// Episodes of an iteration, sampled side by side
    #[arg(long, value_name = "N", value_parser = typed::count())]
    pub(crate) batch: Option<usize>,
    /// Episodes of an optimizer step when all are kept
    #[arg(long, value_name = "N", value_parser = typed::count())]
    pub(crate) mini_batch: Option<usize>,
    /// Tokens of a prompt
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = typed::count())]
    pub(crate) prompt_len: usize,
    /// New tokens of an episode, never fewer
    #[arg(long, value_name = "N", default_value_t = 48, value_parser = typed::count())]
    pub(crate) gen_len: usize,
    /// Passes over the kept episodes
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = typed::count())]
    pub(crate) ppo_epochs: usize,
    #[command(flatten)]
    pub(crate) timing: TimingArgs,
    /// Decides weights, prompts and draws
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// `flex`, `wgpu[:n]` or `cuda[:n]`
    #[arg(long, value_name = "DEVICE", default_value = "flex")]
    pub(crate) device: String,
    /// What factors of products are rounded to on a GPU
    #[arg(long, value_name = "PRECISION", default_value = "f32", value_parser = typed::precision())]
    pub(crate) precision: PrecisionName,
}

/// `bench gpt2`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Gpt2Args {
    #[command(flatten)]
    pub(crate) size: SizeArgs,
    /// Seconds that each matrix product is repeated for
    #[arg(long, value_name = "SECONDS", default_value_t = 0.5, value_parser = typed::not_negative)]
    pub(crate) product_seconds: f64,
}

/// `bench compare`.
#[derive(Clone, Debug, Args)]
pub(crate) struct CompareArgs {
    /// Sizes
    #[arg(long, value_name = "SIZE", value_delimiter = ',', default_values = ["xs", "s", "gpt2"])]
    pub(crate) size: Vec<SizeName>,
    /// Shares of the episodes that update the policy
    #[arg(
        long,
        value_name = "SHARE",
        value_delimiter = ',',
        default_values_t = [1.0, 0.4],
        value_parser = typed::share
    )]
    pub(crate) alpha_keep: Vec<f64>,
    /// How often everything is run
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = typed::count())]
    pub(crate) rounds: usize,
    /// How often a pair is run again that other processes disturbed
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) repeats: usize,
    /// Folder with the benchmarks of PyTorch and TRL
    #[arg(long, value_name = "DIR", value_parser = typed::path())]
    pub(crate) peers: Option<PathBuf>,
    /// Python environment for them; without it, one is made by their setup.sh in a temporary
    /// directory
    #[arg(long, value_name = "DIR", value_parser = typed::path(), requires = "peers")]
    pub(crate) python_env: Option<PathBuf>,
    /// Folder for the table and the raw lines
    #[arg(long, value_name = "DIR", default_value = "runs/bench", value_parser = typed::path())]
    pub(crate) out: PathBuf,
    /// Flags that all programs of both sides are given, such as `-- --gen-len 24`
    #[arg(last = true, value_name = "FLAGS")]
    pub(crate) flags: Vec<OsString>,
}

/// `bench scaling`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ScalingArgs {
    #[command(flatten)]
    pub(crate) timing: TimingArgs,
    /// Folder for the table, the plot and the raw lines
    #[arg(long, value_name = "DIR", default_value = "runs/scaling", value_parser = typed::path())]
    pub(crate) out: PathBuf,
}

#[cfg(test)]
impl SizeArgs {
    /// What the flags after `bench iteration` say.
    ///
    /// # Panics
    /// If they are wrong.
    pub(crate) fn of(flags: &[&str]) -> Self {
        use clap::Parser;

        #[derive(Parser)]
        struct Flags {
            #[command(flatten)]
            size: SizeArgs,
        }
        Flags::try_parse_from([&["bench"], flags].concat())
            .unwrap_or_else(|error| panic!("{error}"))
            .size
    }
}
