//! Labelled texts from Parquet, CSV and JSON, packed or not.
//!
//! A [`Layout`] describes a task: its columns, its places and what makes a text good. [`load`] reads a split of it, [`Lookup`] says
//! where to look and [`Source`] which files it was; [`table`] reads any one table, and [`read_generations`] what other tools have
//! generated. No tokenizer, no tensor.
//!
//! ```
//! use tailguard_data::{Good, Layout, table::read};
//! let dir = tempfile::tempdir().unwrap();
//! let path = dir.path().join("mine.csv");
//! let layout = Layout { text: "comment".into(), score: vec!["toxic".into()], good: Good::Low, ..Layout::default() };
//! std::fs::write(&path, "comment,toxic\n\"A film, a film!\",0.1\nDull.,0.9\n").unwrap();
//! assert_eq!(read(&path, &layout).unwrap().iter().map(|record| record.label).collect::<Vec<_>>(), [1, 0]);
//! std::fs::write(&path, "comment,toxic\nDull.,2\n").unwrap();
//! let error = read(&path, &layout).unwrap_err().to_string();
//! assert!(error.ends_with("column \"toxic\", row 1: found \"2\", expected a number from 0 to 1"));
//! ```

mod cell;
mod error;
mod format;
mod generations;
mod json;
mod layout;
mod lines;
mod load;
mod packed;
mod parquet;
mod record;
mod rows;
mod shape;
mod source;
pub mod table;
mod texts;

pub use cell::At;
pub use error::DataError;
pub use generations::{GenerationColumns, Generations, Scores, read_generations, read_generations_of_each};
pub use layout::{Good, GoodPercent, Layout, Words};
pub use load::{Dataset, load};
pub use record::{
    Half, Origin, Record, Split, at_least, duplicates, half, half_by_parity, require, shuffled, text_hash, without,
};
pub use source::{Lookup, Place, Source, hugging_face_cache};
pub use texts::{Labels, Texts};
