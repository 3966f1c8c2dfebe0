#![doc = include_str!("../README.md")]
//!
//! ## What is here
//! - [`Sample`]: the scores of K responses to each of N prompts.
//! - [`optimum`]: the policy that maximises a risk measure less beta times its KL, as weights of
//!   the responses ([`Policy`]); [`best_of`]: the best of n responses.
//! - [`Figures`]: mean reward, tail, CVaR and KL of a policy, with what each prompt does to them.
//! - [`line()`]: one objective at several coefficients, and what it gains over the mean at equal
//!   KL; [`most_kl`] says which of them are refused, and why.

mod best_of;
mod error;
mod figures;
mod line;
mod optimum;
mod policy;
mod sample;

pub use best_of::{best_of, best_of_kl};
pub use error::FrontError;
pub use figures::{Figures, Gains};
pub use line::{Betas, Line, Point, Refused, best_of_point, line, most_kl, trained_point};
pub use optimum::{Objective, Optimum, optimum};
pub use policy::Policy;
pub use sample::Sample;
