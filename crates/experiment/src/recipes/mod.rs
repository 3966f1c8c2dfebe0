//! The recipes of the paper, each in a file.

mod base;
mod ppo;
mod sft;

pub(crate) use base::Base;
pub(crate) use ppo::Ppo;
pub(crate) use sft::Sft;
