//! `tailguard reproduce TASK`: train the policies of the paper and print its table.

use anyhow::Result;
use clap::Args;
use tailguard_experiment::settings::{Preset, Task};

use crate::program::Program;
use crate::run_args::RunArgs;
use crate::{run, typed};

/// `reproduce`.
#[derive(Debug, Args)]
pub struct ReproduceArgs {
    /// The experiment
    #[arg(value_parser = typed::task())]
    pub(crate) task: &'static Task,
    /// The settings to start from [default: embedded]
    #[arg(long, value_parser = typed::preset())]
    pub(crate) preset: Option<Preset>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// Runs the command.
///
/// # Errors
/// As those of [`run::run`].
pub(crate) fn run(args: &ReproduceArgs, program: &Program) -> Result<()> {
    run::run(Some(args.task), args.preset, &args.run, program)
}
