//! A run as one page of HTML: what was run and what came out in plain words, the table, charts, and the texts of the tail side by
//! side; or several runs in one page, a [`Comparison`].
//!
//! A page is one file that needs no other and no network, in light and dark and on paper. This crate opens no files: it is given
//! their texts and rows as [`RunFiles`], and gives the page as a string. Policies go by their names, so that those of other
//! programs can be shown beside those of the paper.
//!
//! - [`run_page`]: the page of one [`Run`].
//! - [`Comparison`]: several of them, refused if they are not on the same prompts.
//!
//! ```
//! use tailguard_page::{Run, RunFiles, run_page};
//!
//! let results = r#"{"task": "mine", "methods": {"dpo": {"reward": {"mean": 1.5, "se": 0.1, "ci95": [1.3, 1.7]}}}}"#;
//! let run = Run::new(RunFiles { name: "runs/dpo".into(), results: results.into(), ..RunFiles::default() })?;
//! assert!(run_page(&run)?.contains("dpo"));
//! # Ok::<(), tailguard_page::PageError>(())
//! ```

mod charts;
mod clean;
mod compare;
mod compare_page;
mod curves;
mod error;
mod figures;
#[cfg(test)]
mod fixtures;
mod gains;
mod page;
mod policies;
mod prompts;
mod run;
mod settings;
mod summary;
mod table;
mod texts;

pub use compare::Comparison;
pub use error::PageError;
pub use page::{GENERATOR, run_page};
pub use run::{Run, RunFiles};
