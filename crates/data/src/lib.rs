#![doc = include_str!("../README.md")]
//!
//! ## What is here
//! A [`Layout`] describes a task. [`load`] reads a split of it, [`Lookup`] says where to look and
//! [`Source`] which files it was; [`table`] reads any one table, and [`read_generations`] what
//! other tools have generated.

mod at;
mod cell;
mod column;
mod csv;
mod error;
mod format;
mod generations;
mod json;
mod jsonl;
mod kind;
mod layout;
mod load;
mod packed;
mod parquet;
mod record;
mod shape;
mod source;
pub mod table;
mod texts;

pub use at::At;
pub use error::DataError;
pub use generations::{
    GenerationColumns, Generations, Scores, read_generations, read_generations_of_each,
};
pub use layout::{Good, GoodPercent, Layout, Words};
pub use load::{Dataset, load};
pub use record::{
    Half, Origin, Record, Split, at_least, duplicates, half, half_by_parity, require, shuffled,
    text_hash, without,
};
pub use source::{Lookup, Place, Source, hugging_face_cache, main_snapshot};
pub use texts::{Labels, Texts};
