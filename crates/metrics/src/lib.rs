#![doc = include_str!("../README.md")]
//!
//! ## What is here
//! Rewards and scores are `f64` (higher is better), token negative log-likelihoods `f32`, texts
//! anything that is a `str`.
//!
//! - [`mean`], [`std_sample`], [`std_population`], [`paired_differences`]: the basics, refusing
//!   what is not a number.
//! - [`tail`], [`tail_by_own_reward`], [`mean_of_lowest`]: how the worst prompts and the worst
//!   texts fare.
//! - [`curve`], [`buckets`]: reward against the quantile of the prompt score.
//! - [`distinct`], [`distinct_per_text`], [`distinct_per_word`]: diversity, in the three
//!   definitions in use.
//! - [`auc`]: how well scores tell two classes apart.
//! - [`repeating`], [`empty`], [`duplicated`]: degenerate texts, [`Flagged`] one by one.
//! - [`perplexity`]: from token negative log-likelihoods.
//! - [`estimate`]: a figure with its standard error and 95 % interval over prompts and seeds, from
//!   the [`Influences`] of prompts; [`mean_over_seeds`], [`lowest_over_seeds`], [`NumberedNGrams`],
//!   [`duplicates`]: which figures have them. [`quantile_over_seeds`] is the end of the tail, as
//!   [`lowest_over_seeds`] is its mean.
//! - [`Pairs`]: what one method gains over another on the same prompts; [`p_value`], [`holm`]:
//!   whether it may be chance, also where many are compared.
//! - [`failure_rate`], [`rate_of_any`]: how often texts fail, with an interval that holds where
//!   they hardly ever do.
//! - [`worst_of`], [`any_of`], [`lowest_by_prompt`]: figures of prompts that have several texts.
//! - [`tail_prompts`]: which prompts make the tail. [`prompts_needed`]: how many of them a wanted
//!   precision needs.
//! - [`forecast_worst`]: how bad the worst of many more texts may be; a [`Forecast`], not a
//!   measurement.

mod auc;
mod beta;
mod curve;
mod degenerate;
mod distinct;
mod error;
mod estimate;
mod failure_rate;
mod forecast;
mod influence;
mod moments;
mod ngrams;
mod over_seeds;
mod p_values;
mod paired;
mod perplexity;
mod precision;
mod prompt_figures;
mod quantile;
mod spread;
mod student;
mod tail;
mod tail_prompts;
mod words;

pub use auc::auc;
pub use curve::{Bucket, CurvePoint, buckets, curve};
pub use degenerate::{Flagged, duplicated, duplicates, empty, repeating};
pub use distinct::{PerText, distinct, distinct_per_text, distinct_per_word};
pub use error::MetricsError;
pub use estimate::{Estimate, Scale, estimate};
pub use failure_rate::{FailureRate, RateInterval, failure_rate, rate_of_any};
pub use forecast::{Forecast, forecast_worst};
pub use influence::{ByPrompt, Influences};
pub use moments::{mean, paired_differences, std_population, std_sample};
pub use ngrams::{Distinct, NumberedNGrams};
pub use over_seeds::{
    influences_over_seeds, lowest_over_seeds, mean_over_seeds, quantile_over_seeds,
};
pub use p_values::{holm, p_value};
pub use paired::Pairs;
pub use perplexity::{Perplexity, perplexity};
pub use precision::{Needed, prompts_needed};
pub use prompt_figures::{any_of, fewest_texts, lowest_by_prompt, worst_of};
pub use tail::{Tail, at_or_below, mean_of_lowest, tail, tail_by_own_reward};
pub use tail_prompts::{TailPrompt, tail_prompts};
pub use words::words;
