//! What grows, and what was measured of it.

use anyhow::Result;
use serde_json::Value;

use crate::json_line::number;

/// What grows. Everything else is that of the size `xs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Episodes of an iteration.
    Batch,
    /// Tokens of an episode.
    Length,
    /// Width of the residual stream.
    Width,
    /// Entries of the vocabulary.
    Vocabulary,
}

impl Quantity {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Batch, Self::Length, Self::Width, Self::Vocabulary];

    /// As the table calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Batch => "episodes",
            Self::Length => "tokens of an episode",
            Self::Width => "width",
            Self::Vocabulary => "vocabulary",
        }
    }

    /// Its sizes, from small to large; the second is that of `xs`.
    #[must_use]
    pub fn sizes(self) -> [usize; 4] {
        let first = match self {
            Self::Batch => 32,
            Self::Length => 56,
            Self::Width => 64,
            Self::Vocabulary => 2048,
        };
        [1, 2, 4, 8].map(|factor| first * factor)
    }

    /// The flags of `bench iteration` for one of them: a minibatch is the batch, a head 32 wide,
    /// and a prompt four sevenths of an episode.
    #[must_use]
    pub fn flags(self, size: usize) -> Vec<String> {
        let flag = |name: &str, value: usize| [format!("--{name}"), value.to_string()];
        match self {
            Self::Batch => [flag("batch", size), flag("mini-batch", size)].concat(),
            Self::Length => {
                [flag("prompt-len", size / 7 * 4), flag("gen-len", size / 7 * 3)].concat()
            }
            Self::Width => [flag("width", size), flag("heads", size / 32)].concat(),
            Self::Vocabulary => flag("vocab", size).to_vec(),
        }
    }
}

/// Times of one size, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// How large the quantity is.
    pub size: usize,
    /// Of sampling.
    pub generate: f64,
    /// Of the reference's pass.
    pub reference: f64,
    /// Of the update.
    pub update: f64,
    /// Of the whole iteration.
    pub iteration: f64,
    /// Rate of the update's products, in GFLOP/s.
    pub gflops: f64,
}

impl Point {
    /// What the line of `bench iteration` says of a size.
    ///
    /// # Errors
    /// A figure that the line lacks.
    pub fn read(size: usize, line: &Value) -> Result<Self> {
        let figure = |key| number(line, &[key]);
        Ok(Self {
            size,
            generate: figure("generate_s")?,
            reference: figure("reference_s")?,
            update: figure("update_s")?,
            iteration: figure("iteration_s")?,
            gflops: figure("gflops")?,
        })
    }
}

/// A quantity and what was measured of it, from small to large.
pub type Growth = (Quantity, Vec<Point>);
