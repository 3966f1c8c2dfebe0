//! The recipes of the paper and of its baselines, each in a file.

mod base;
mod ppo;
mod quark;
mod sft;

pub(crate) use base::Base;
pub(crate) use ppo::Ppo;
pub(crate) use quark::Quark;
pub(crate) use sft::Sft;
