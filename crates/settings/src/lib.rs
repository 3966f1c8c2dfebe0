//! Settings in layers. A type that derives serde's and schemars' traits says all there is to say about its settings: names and
//! types by its fields, ranges by `#[schemars(...)]`, explanations by the comments of its fields.
//!
//! - [`Schema`] lists the keys of a type: `ppo.clip`, a number in (0, 1), and what it does.
//! - [`Layers`] puts settings over settings - presets, files, `KEY=VALUE`, flags - and knows where each value came from.
//! - [`check`] looks at a value that was made by code.
//!
//! # Example
//! ```
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//! use tailguard_settings::{Layers, Schema};
//!
//! #[derive(Deserialize, Serialize, JsonSchema)]
//! struct Settings {
//!     ppo: Ppo,
//! }
//!
//! #[derive(Deserialize, Serialize, JsonSchema)]
//! struct Ppo {
//!     /// Passes over the episodes.
//!     #[schemars(range(min = 1))]
//!     epochs: usize,
//!     /// Adam's rate.
//!     #[schemars(extend("exclusiveMinimum" = 0.0))]
//!     learning_rate: f64,
//! }
//!
//! let schema = Schema::of::<Settings>();
//! let mut layers = Layers::new(&schema);
//! layers.put("the preset", &"[ppo]\nepochs = 4\nlearning_rate = 1e-5".parse()?)?;
//! layers.put_assignment("ppo.epochs=2")?;
//! let settings: Settings = layers.settings()?;
//! assert_eq!(settings.ppo.epochs, 2);
//!
//! let refused = layers.put_assignment("ppo.lr=0.1").unwrap_err();
//! assert_eq!(refused.to_string(), "--set: unknown key `ppo.lr`; did you mean `ppo.learning_rate`?");
//! let refused = layers.put_assignment("ppo.learning_rate=-1").unwrap_err();
//! assert_eq!(refused.to_string(), "--set: ppo.learning_rate = -1, expected a finite number above 0");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
pub use schema::{Key, Schema};
