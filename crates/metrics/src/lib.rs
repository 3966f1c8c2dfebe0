//! How good generated texts are, and how bad they are in the tail.
//!
//! Everything here works on plain slices and strings: rewards and scores as `f64` (higher is better), token negative
//! log-likelihoods as `f32`, texts as anything that is a `str`. There is no tensor library below this crate.
//!
//! - [`mean`], [`std_sample`], [`std_population`], [`paired_differences`]: the basics, refusing what is not a number.
//! - [`tail`], [`tail_by_own_reward`], [`mean_of_lowest`]: how the worst prompts and the worst texts fare.
//! - [`curve`], [`buckets`]: reward against the quantile of the prompt score.
//! - [`distinct`], [`distinct_per_text`], [`distinct_per_word`]: diversity, in the three definitions in use.
//! - [`auc`]: how well scores tell two classes apart.
//! - [`repeating`], [`empty`], [`duplicated`]: degenerate texts, [`Flagged`] one by one.
//! - [`perplexity`]: from token negative log-likelihoods.
//! - [`estimate`]: a figure with its standard error and 95 % interval over prompts and seeds, from the [`Influences`] of prompts;
//!   [`mean_over_seeds`], [`lowest_over_seeds`], [`NumberedNGrams`], [`duplicates`]: which figures have them.
//! - [`Pairs`]: what one method gains over another on the same prompts.
//!
//! Empty input, NaN and infinities are typed errors, never silent numbers.
//!
//! # Example
//!
//! ```
//! use tailguard_metrics::{Scale, distinct, mean, mean_over_seeds, tail};
//!
//! let prompt_scores = [-3.1, 0.4, 1.2, -2.6];
//! let rewards = [-1.5, 1.0, 1.5, -0.5];
//! assert_eq!(mean(&rewards)?, 0.125);
//! let tail = tail(&rewards, &prompt_scores, -2.5)?;
//! assert_eq!((tail.mean, tail.count), (Some(-1.0), 2));
//!
//! let by_prompt = rewards.into_iter().enumerate().collect(); // a prompt each, of one seed
//! let figure = mean_over_seeds(&[by_prompt], Scale::Any)?.unwrap();
//! assert!(figure.ci95.is_some_and(|[low, high]| low < -0.5 && 0.75 < high));
//!
//! assert_eq!(distinct(&["a good film", "a good cast"], 2)?.ratio(), 0.75);
//! # Ok::<(), tailguard_metrics::MetricsError>(())
//! ```

mod auc;
mod curve;
mod degenerate;
mod distinct;
mod error;
mod estimate;
mod influence;
mod moments;
mod ngrams;
mod over_seeds;
mod paired;
mod perplexity;
mod student;
mod tail;
mod words;

pub use auc::auc;
pub use curve::{Bucket, CurvePoint, buckets, curve};
pub use degenerate::{Flagged, duplicated, duplicates, empty, repeating};
pub use distinct::{PerText, distinct, distinct_per_text, distinct_per_word};
pub use error::MetricsError;
pub use estimate::{Estimate, Scale, estimate};
pub use influence::{ByPrompt, Influences};
pub use moments::{mean, paired_differences, std_population, std_sample};
pub use ngrams::{Distinct, NumberedNGrams};
pub use over_seeds::{lowest_over_seeds, mean_over_seeds};
pub use paired::Pairs;
pub use perplexity::{Perplexity, perplexity};
pub use tail::{Tail, at_or_below, mean_of_lowest, tail, tail_by_own_reward};
pub use words::words;
