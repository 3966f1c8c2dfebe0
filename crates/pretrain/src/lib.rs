#![doc = include_str!("../README.md")]
//!
//! ## What is here
//! [`train_lm`] makes a small GPT-2 and, where there is none, its tokenizer, [`train_classifier`] a
//! small DistilBERT or BERT with another kind of tokenizer, [`train_judge`] a linear model over
//! hashed n-grams, and [`draw_prompts`] tables of texts that a language model has written. Each
//! takes its options and something that is told every [`Event`]. The first two leave a checkpoint,
//! and a call with the same options goes on from it.

mod classifier;
mod error;
mod event;
mod going_on;
mod judge;
mod lm;
mod prompts;
mod tokenizer;
mod word_piece;

pub use burn;
pub use classifier::{Architecture, ClassifierOptions, train_classifier};
pub use error::{NotFinite, PretrainError};
pub use event::Event;
pub use judge::{JudgeOptions, Quality, train_judge};
pub use lm::{LmOptions, train_lm};
pub use prompts::{Columns, PromptOptions, draw_prompts};
pub use tokenizer::{END_OF_TEXT, train_tokenizer};
