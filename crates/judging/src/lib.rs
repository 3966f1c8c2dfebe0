//! The figures of generated texts, whatever tool they are of.
//!
//! [`judge`] reads a file, lets models score what has no scores, puts the rows of a method and a seed together, and finds rewards, their
//! tail, CVaR, distinct-n, lengths and the like, each with its interval; methods are compared prompt by prompt. What comes out is a
//! [`Judged`]: the figures, what must be said with them, and the rows. [`judge_texts`] does the same for texts in memory.
//!
//! ```
//! use std::io::Write;
//! use tailguard_judging::{Columns, Options, Scorers, judge};
//!
//! # let mut file = tempfile::Builder::new().suffix(".csv").tempfile()?;
//! // prompts, and scores that some classifier gave: of the prompts alone, and of prompt and response
//! writeln!(file, "prompt,response,score,prompt score,model")?;
//! for (prompt, alone, before, after) in [("A dull", -2.0, -1.5, -0.5), ("A fine", 1.0, 1.5, 1.6), ("An odd", 0.0, 0.5, 0.5)] {
//!     writeln!(file, "{prompt}, film,{before},{alone},before")?;
//!     writeln!(file, "{prompt}, and kind film,{after},{alone},after")?;
//! }
//! let columns = Columns {
//!     score: Some("score".into()),
//!     prompt_score: Some("prompt score".into()),
//!     group_by: vec!["model".into()],
//!     ..Columns::default()
//! };
//! let options = Options { columns, tail_threshold: Some(0.0), baseline: Some("before".into()), ..Options::default() };
//! let judged = judge(file.path(), &options, &Scorers::default(), &mut |_| {})?;
//!
//! let after = &judged.evaluation.methods["after"];
//! assert_eq!(after.tail.map(|figure| figure.mean), Some(0.0)); // the mean of -0.5 and 0.5
//! assert_eq!(after.length.map(|figure| figure.mean), Some(3.0)); // words
//! let gain = &judged.evaluation.comparisons[0];
//! assert_eq!((gain.method.as_str(), gain.prompts), ("after", 3));
//! assert!((gain.reward.mean - 1.1 / 3.0).abs() < 1e-12);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Nothing is printed, no process ends, and no option is read from a command line; `tailguard evaluate` is this crate's command.

mod comparisons;
mod error;
mod figures;
mod file;
mod groups;
mod judged;
mod notes;
mod options;
mod reading;
mod rows;
mod scorer;
mod scoring;
mod sentences;
mod tail;
mod wide;

pub use error::JudgingError;
pub use figures::Wanted;
pub use file::{Scorers, judge};
pub use groups::Group;
pub use judged::{Judged, judge_texts};
pub use options::{Columns, Options};
pub use scorer::Scorer;
pub use scoring::Scoring;
pub use wide::MethodColumns;
