#![doc = include_str!("../README.md")]
//!
//! ## What is here
//! An [`Experiment`] is [`Settings`] and what a program adds to it; an [`Observer`] is told what
//! happens.

mod arms;
mod cost;
mod digests;
mod equal_kl;
mod error;
mod evaluate_model;
mod experiment;
mod figures;
mod front;
mod inputs;
pub mod machine;
mod made;
mod objective_context;
mod objective_value;
mod objectives;
mod observer;
mod phases;
mod places;
mod protocol;
mod recipe;
mod recipes;
mod record;
mod risk_objectives;
mod rounds;
mod run;
mod samples;
mod scorer;
pub mod settings;
mod shared;
mod summary;
mod sweep;
mod texts;

pub use burn;
pub use cost::Cost;
pub use digests::{of_bytes, of_file, of_model};
pub use error::ExperimentError;
pub use evaluate_model::{BaseModel, EvaluatedModel, evaluate_model};
pub use experiment::{Experiment, Finished, Out, Prepared};
pub use front::{FrontOptions, front};
pub use inputs::Inputs;
pub use made::{Answer, Answers, Asked, Made};
pub use objective_context::ObjectiveContext;
pub use objectives::Objectives;
pub use observer::{Event, Observer};
pub use places::{Home, ModelDirs, ModelPlace, checkpoint, directory, locate};
pub use protocol::{Perplexities, Samples, sample};
pub use recipe::{Recipe, Recipes, Work};
pub use run::{Origin, about, check_context};
pub use samples::{Sample, SampleSet, Sampler};
pub use scorer::{label, score_settings};
pub use settings::{ConfigError, Settings};
pub use summary::TailSample;
pub use sweep::{Sweep, SweepPoint, SweptKey, check_swept};
pub use tailguard_judging::Scorer;
