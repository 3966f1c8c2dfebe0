//! The recipes that settings know by name, each in a file.
//! The recipes of the paper and of its baselines, each in a file.

mod base;
mod best_of_n;
mod dexperts;
mod distill;
mod interpolate;
mod ppo;
mod prompted;
mod quark;
mod sft;

pub(crate) use base::Base;
pub(crate) use best_of_n::BestOfN;
pub(crate) use dexperts::Dexperts;
pub(crate) use distill::Distill;
pub(crate) use interpolate::Interpolate;
pub(crate) use ppo::Ppo;
pub(crate) use prompted::Prompted;
pub(crate) use quark::Quark;
pub(crate) use sft::Sft;
