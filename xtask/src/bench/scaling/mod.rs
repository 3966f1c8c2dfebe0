//! `cargo xtask bench scaling`: how the time of an iteration grows with batch, length, width and vocabulary, each by itself.

mod plot;
mod table;

use anyhow::Result;
use serde_json::Value;
use tailguard_files::{AppendFile, create_dirs, write_file};

use super::args::ScalingArgs;
use super::child;
use super::json_line::number;
use crate::failure::say;

/// The raw lines, and what is made of them.
const RAW: &str = "scaling.jsonl";
const TABLE: &str = "scaling.md";
const PLOT: &str = "scaling.svg";

/// What grows. Everything else is that of the size `xs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantity {
    Batch,
    Length,
    Width,
    Vocabulary,
}

impl Quantity {
    const ALL: [Self; 4] = [Self::Batch, Self::Length, Self::Width, Self::Vocabulary];

    /// As the table calls it.
    fn name(self) -> &'static str {
        match self {
            Self::Batch => "episodes",
            Self::Length => "tokens of an episode",
            Self::Width => "width",
            Self::Vocabulary => "vocabulary",
        }
    }

    /// Its sizes, from small to large; the second is that of `xs`.
    fn sizes(self) -> [usize; 4] {
        let first = match self {
            Self::Batch => 32,
            Self::Length => 56,
            Self::Width => 64,
            Self::Vocabulary => 2048,
        };
        [1, 2, 4, 8].map(|factor| first * factor)
    }

    /// The flags of `bench iteration` for one of them: a minibatch is the batch, a head 32 wide, and a prompt four sevenths of an episode.
    fn flags(self, size: usize) -> Vec<String> {
        let flag = |name: &str, value: usize| [format!("--{name}"), value.to_string()];
        match self {
            Self::Batch => [flag("batch", size), flag("mini-batch", size)].concat(),
            Self::Length => [flag("prompt-len", size / 7 * 4), flag("gen-len", size / 7 * 3)].concat(),
            Self::Width => [flag("width", size), flag("heads", size / 32)].concat(),
            Self::Vocabulary => flag("vocab", size).to_vec(),
        }
    }
}

/// Times of one size, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    size: usize,
    generate: f64,
    reference: f64,
    update: f64,
    iteration: f64,
    /// Rate of the update's products, in GFLOP/s.
    gflops: f64,
}

impl Point {
    fn read(size: usize, line: &Value) -> Result<Self> {
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
type Growth = (Quantity, Vec<Point>);

/// Runs the command.
///
/// # Errors
/// Flags that make no sense, a size that fails, files that cannot be written.
pub(crate) fn run(args: &ScalingArgs) -> Result<()> {
    create_dirs(&args.out)?;
    let common = [
        ["--size".to_owned(), "xs".to_owned()],
        ["--alpha-keep".to_owned(), args.timing.alpha_keep.to_string()],
        ["--iters".to_owned(), args.timing.iters.to_string()],
        ["--threads".to_owned(), args.timing.threads.to_string()],
    ]
    .concat();
    // what was measured stays, whatever becomes of the rest
    let path = args.out.join(RAW);
    let mut raw = AppendFile::begin(&path, b"")?;
    let (mut growths, mut lines): (Vec<Growth>, Vec<Value>) = (Vec::new(), Vec::new());
    for quantity in Quantity::ALL {
        let mut points = Vec::new();
        for size in quantity.sizes() {
            tracing::info!("{} {size}", quantity.name());
            let line = child::ours("iteration", common.iter().cloned().chain(quantity.flags(size)))?;
            raw.append(format!("{line}\n").as_bytes())?;
            points.push(Point::read(size, &line)?);
            lines.push(line);
        }
        growths.push((quantity, points));
    }
    let table = table::markdown(&growths, &lines);
    for (name, text) in [(TABLE, table.clone()), (PLOT, plot::svg(&growths)?)] {
        let path = args.out.join(name);
        write_file(&path, text.as_bytes())?;
    }
    say(table.trim_end())?;
    tracing::info!("table, plot and raw lines: {}", args.out.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::args::SizeArgs;
    use super::super::sizes::Sizes;
    use super::*;

    #[test]
    fn every_size_is_one_that_can_be_run_and_the_second_is_xs() {
        let resolve = |flags: Vec<String>| {
            let flags: Vec<&str> = ["--size", "xs"].into_iter().chain(flags.iter().map(String::as_str)).collect();
            Sizes::resolve(&SizeArgs::of(&flags)).unwrap_or_else(|error| panic!("{error}"))
        };
        let base = resolve(Vec::new());
        for quantity in Quantity::ALL {
            for (at, size) in quantity.sizes().into_iter().enumerate() {
                let sizes = resolve(quantity.flags(size));
                assert_eq!(sizes == base, at == 1, "{quantity:?} {size}");
                assert_eq!(sizes.width / sizes.heads, 32);
                let found = [sizes.batch, sizes.episode_tokens(), sizes.width, sizes.vocab][quantity as usize];
                assert_eq!(found, size, "{quantity:?}");
            }
        }
    }
}
