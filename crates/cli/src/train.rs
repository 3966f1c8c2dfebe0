//! `tailguard train --config FILE`: a task of one's own, or any other settings, from one file.

use anyhow::Result;
use clap::Args;

use crate::failure::Failure;
use crate::program::Program;
use crate::run;
use crate::run_args::RunArgs;

/// `train`.
#[derive(Debug, Args)]
pub struct TrainArgs {
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// Runs the command.
///
/// # Errors
/// As those of [`run::run`].
pub(crate) fn run(args: &TrainArgs, program: &Program) -> Result<()> {
    run::run(None, None, &args.run, program)
}

/// Refuses a call without settings.
///
/// # Errors
/// What to pass.
pub(crate) fn check(args: &TrainArgs, program: &Program) -> Result<(), Failure> {
    if args.run.config.is_none() && !args.run.resume {
        let name = program.name();
        let hint = format!(
            "`{name} settings` explains all keys; xtask/examples/own-task.toml of the repository \
             is a file to start from"
        );
        return Err(Failure::usage("train needs --config FILE").hint(hint));
    }
    Ok(())
}
