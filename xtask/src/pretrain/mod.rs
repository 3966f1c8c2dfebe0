//! `cargo xtask pretrain lm|tokenizer|classifier`: the models that are embedded in `datasets/`.

use anyhow::Result;

use crate::args::PretrainCommand;
use crate::{device, failure::Failure};

/// Runs the command.
///
/// # Errors
/// A device that is not there, texts that cannot be read, whatever goes wrong in training.
pub(crate) fn run(command: &PretrainCommand) -> Result<()> {
    let common = match command {
        PretrainCommand::Tokenizer(args) => &args.common,
        PretrainCommand::Lm(args) => &args.common,
        PretrainCommand::Classifier(args) => &args.common,
    };
    device::set_threads(common.threads)?;
    let _device = device::select(&common.device)?;
    Err(Failure::new("pretrain is being written").into())
}
