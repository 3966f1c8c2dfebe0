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
//! - [`NumberedNGrams`]: distinct-n with its spread over texts.
//! - [`over_seeds`], [`bootstrap`], [`bootstrap_by`], [`clustered`]: a [`Summary`] with a 95 % interval.
//! - [`paired_bootstrap`]: what one method gains over another on the same prompts.
//!
//! Empty input, NaN and infinities are typed errors, never silent numbers.
//!
//! # Example
//!
//! ```
//! use tailguard_metrics::{Bootstrap, bootstrap, distinct, mean, over_seeds, tail};
//!
//! let prompt_scores = [-3.1, 0.4, 1.2, -2.6];
//! let rewards = [-1.5, 1.0, 1.5, -0.5];
//! assert_eq!(mean(&rewards)?, 0.125);
//! let tail = tail(&rewards, &prompt_scores, -2.5)?;
//! assert_eq!((tail.mean, tail.count), (Some(-1.0), 2));
//!
//! let interval = bootstrap(&rewards, Bootstrap { resamples: 1000, seed: 7 })?.ci95;
//! assert!(interval[0] < 0.125 && 0.125 < interval[1]);
//! let seeds = over_seeds(&[1.26, 1.24, 1.28])?;
//! assert!((seeds.std - 0.02).abs() < 1e-12);
//!
//! assert_eq!(distinct(&["a good film", "a good cast"], 2)?.ratio(), 0.75);
//! # Ok::<(), tailguard_metrics::MetricsError>(())
//! ```

mod auc;
mod curve;
mod degenerate;
mod distinct;
mod error;
mod moments;
mod ngrams;
mod paired;
mod perplexity;
mod seeds;
mod tail;
mod words;

pub use auc::auc;
pub use curve::{Bucket, CurvePoint, buckets, curve};
pub use degenerate::{Flagged, duplicated, empty, repeating};
pub use distinct::{Distinct, PerText, distinct, distinct_per_text, distinct_per_word};
pub use error::MetricsError;
pub use moments::{mean, paired_differences, std_population, std_sample};
pub use ngrams::NumberedNGrams;
pub use paired::{Gain, paired_bootstrap};
pub use perplexity::{Perplexity, perplexity};
pub use seeds::{Bootstrap, MANY, Summary, bootstrap, bootstrap_by, clustered, over_seeds};
pub use tail::{Tail, at_or_below, mean_of_lowest, tail, tail_by_own_reward};
pub use words::words;
