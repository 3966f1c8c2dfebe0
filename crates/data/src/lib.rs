//! Prompts and reviews from Parquet, CSV and JSONL.
//!
//! [`imdb`] knows one task's columns and places, [`table`] reads any table of labelled texts, [`Lookup`] says where to look and
//! [`Source`] which place it was. No tokenizer, no tensor.
//!
//! ```
//! use tailguard_data::table::{Columns, read};
//! let dir = tempfile::tempdir().unwrap();
//! let path = dir.path().join("mine.csv");
//! std::fs::write(&path, "text,label\n\"A film, a film!\",1\nDull.,2\n").unwrap();
//! let error = read(&path, &Columns::default()).unwrap_err().to_string();
//! assert!(error.ends_with("column \"label\", row 2: found \"2\", expected 0 or 1"));
//! ```

mod error;
pub mod imdb;
mod record;
mod source;
pub mod table;

pub use error::DataError;
pub use record::{Record, Split, at_least, require, shuffled};
pub use source::{Lookup, Place, Source};
