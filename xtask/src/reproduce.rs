//! `cargo xtask reproduce TASK`: train the policies of the paper and print its table.

use anyhow::Result;

use crate::args::ReproduceArgs;
use crate::run;

/// Runs the command.
///
/// # Errors
/// As those of [`run::run`].
pub(crate) fn run(args: &ReproduceArgs) -> Result<()> {
    run::run(Some(args.task), args.preset, &args.run)
}
