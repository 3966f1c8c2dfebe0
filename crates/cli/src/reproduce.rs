//! `tailguard reproduce TASK`: train the policies of the paper and print its table.

use anyhow::Result;

use crate::args::ReproduceArgs;
use crate::program::Program;
use crate::run;

/// Runs the command.
///
/// # Errors
/// As those of [`run::run`].
pub(crate) fn run(args: &ReproduceArgs, program: &Program) -> Result<()> {
    run::run(Some(args.task), args.preset, &args.run, program)
}
