#![doc = include_str!("../README.md")]
//!
//! ## What is here
//! - [`Schema`] lists the keys of a type: `ppo.clip`, a number in (0, 1), and what it does.
//! - [`Layers`] puts settings over settings and knows where each value came from.
//! - [`check()`] looks at a value that was made by code; [`nearest()`] says what a mistyped name
//!   may have meant.

mod check;
mod error;
mod kind;
mod layers;
mod nearest;
mod schema;

pub use check::{OutOfRange, check};
pub use error::SettingsError;
pub use kind::{Interval, Kind};
pub use layers::{Layers, parse, read};
pub use nearest::nearest;
pub use schema::{Key, Schema};
