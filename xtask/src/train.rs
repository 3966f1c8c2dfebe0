//! `cargo xtask train --config FILE`: train with the settings of one file.

use anyhow::Result;

use crate::args::TrainArgs;
use crate::failure::Failure;
use crate::run;
use crate::task::Task;

/// Runs the command.
///
/// # Errors
/// What `run::prepare` refuses, and whatever goes wrong on the way.
pub(crate) fn run(args: &TrainArgs) -> Result<()> {
    if args.run.config.is_none() {
        return Err(Failure::usage("train needs --config FILE").hint("a preset of xtask/presets is a file to start from").into());
    }
    let _run = run::prepare(Task::Imdb, None, &args.run)?.open()?;
    Err(Failure::new("train is being written").into())
}
