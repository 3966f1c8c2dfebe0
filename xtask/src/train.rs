//! `cargo xtask train --config FILE`: train with the settings of one file.

use anyhow::Result;

use crate::args::TrainArgs;
use crate::failure::Failure;
use crate::task::Task;
use crate::{experiment, run};

/// Runs the command.
///
/// # Errors
/// What `run::prepare` refuses, and whatever goes wrong on the way.
pub(crate) fn run(args: &TrainArgs) -> Result<()> {
    if args.run.config.is_none() {
        return Err(Failure::usage("train needs --config FILE").hint("a preset of xtask/presets is a file to start from").into());
    }
    experiment::run(&run::prepare(Task::Imdb, None, &args.run)?.open()?)
}
