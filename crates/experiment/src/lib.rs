//! Experiments as data: which policies are made, from what, by which recipe, and how they are compared.
//!
//! An [`Experiment`] is [`Settings`], from a preset, a file or a text of TOML, and what a program adds to it: recipes, objectives, a
//! reward model of its own. It leaves everything in a run directory, goes on where it was stopped, prints nothing and ends no process:
//! an [`Observer`] is told what happens, and asked whether to go on.
//!
//! ```no_run
//! use std::path::Path;
//! use tailguard_experiment::{Experiment, Home, Out, Settings};
//!
//! let settings = Settings::from_toml(
//!     r#"
//!     preset = "imdb-smoke"
//!     [ppo]
//!     iterations = 20
//!     [[arm]]
//!     key = "base"
//!     recipe = "base"
//!     [[arm]]
//!     key = "half"
//!     title = "RA-RLHF, the worst half"
//!     recipe = "ppo"
//!     from = "base"
//!     objective = { keep_lowest = 0.5 }
//!     compared_with = ["base"]
//!     [evaluation]
//!     reference = "base"
//!     "#,
//! )?;
//! let run = Experiment::new(settings).prepare(&Home::at("datasets"), Out::New(Path::new("runs/half")))?.run(&mut ())?;
//! println!("{}", run.results.methods["half"].tail.mean);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod arms;
mod digests;
mod error;
mod evaluate_model;
mod experiment;
mod figures;
mod inputs;
pub mod machine;
mod objectives;
mod observer;
mod places;
mod protocol;
mod recipe;
mod recipes;
mod record;
mod run;
mod scorer;
pub mod settings;
mod summary;

pub use digests::{of_bytes, of_file, of_model};
pub use error::ExperimentError;
pub use evaluate_model::{BaseModel, EvaluatedModel, evaluate_model};
pub use experiment::{Experiment, Finished, Out, Prepared};
pub use inputs::Inputs;
pub use objectives::{ObjectiveContext, Objectives};
pub use observer::{Event, Observer};
pub use places::{Home, ModelDirs, ModelPlace, checkpoint, directory, locate};
pub use protocol::{Perplexities, Samples, sample};
pub use recipe::{Answers, Made, Recipe, Recipes, Work};
pub use run::{Origin, about, check_context};
pub use scorer::{label, score_settings};
pub use settings::{ConfigError, Settings};
pub use summary::TailSample;
pub use tailguard_judging::Scorer;
