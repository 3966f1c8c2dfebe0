//! `cargo xtask bench scaling`: how the time of an iteration grows with batch, length, width and
//! vocabulary, each by itself.

use anyhow::Result;
use serde_json::Value;
use tailguard::failure::say;
use tailguard_benchmarks::scaling::{Growth, Point, Quantity, markdown, svg};
use tailguard_files::{AppendFile, create_dirs, write_file};

use super::args::ScalingArgs;
use super::child;

/// The raw lines, and what is made of them.
const RAW: &str = "scaling.jsonl";
const TABLE: &str = "scaling.md";
const PLOT: &str = "scaling.svg";

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
            let line =
                child::ours("iteration", common.iter().cloned().chain(quantity.flags(size)))?;
            raw.append(format!("{line}\n").as_bytes())?;
            points.push(Point::read(size, &line)?);
            lines.push(line);
        }
        growths.push((quantity, points));
    }
    let table = markdown(&growths, &lines);
    for (name, text) in [(TABLE, table.clone()), (PLOT, svg(&growths)?)] {
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
            let flags: Vec<&str> =
                ["--size", "xs"].into_iter().chain(flags.iter().map(String::as_str)).collect();
            Sizes::resolve(&SizeArgs::of(&flags)).unwrap_or_else(|error| panic!("{error}"))
        };
        let base = resolve(Vec::new());
        for quantity in Quantity::ALL {
            for (at, size) in quantity.sizes().into_iter().enumerate() {
                let sizes = resolve(quantity.flags(size));
                assert_eq!(sizes == base, at == 1, "{quantity:?} {size}");
                assert_eq!(sizes.width / sizes.heads, 32);
                let found = [sizes.batch, sizes.episode_tokens(), sizes.width, sizes.vocab]
                    [quantity as usize];
                assert_eq!(found, size, "{quantity:?}");
            }
        }
    }
}
