//! The recipes, each in a file.

mod base;
mod distill;
mod ppo;
mod sft;

pub(crate) use base::Base;
pub(crate) use distill::Distill;
pub(crate) use ppo::Ppo;
pub(crate) use sft::Sft;
