//! `cargo xtask reproduce TASK`: train the policies of the paper and print its table.

use anyhow::Result;

use crate::args::ReproduceArgs;
use crate::{experiment, run};

/// Runs the command.
///
/// # Errors
/// What `run::prepare` refuses, and whatever goes wrong on the way.
pub(crate) fn run(args: &ReproduceArgs) -> Result<()> {
    experiment::run(run::prepare(Some(args.task), args.preset, &args.run)?)
}
