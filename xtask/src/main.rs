//! What developers of tailguard run: `cargo xtask reproduce imdb`, which is the program from this checkout, `cargo xtask ci` and its
//! siblings.
//!
//! Results go to standard output, progress and logs to standard error. Exit code 0: done; 1: failed; 2: called wrongly; 130: stopped by
//! Ctrl-C.

mod args;
mod bench;
mod ci;
#[cfg(test)]
mod flags;
mod fuzz;
mod pretrain;
mod soak;
mod tidy;

use std::path::Path;
use std::process::ExitCode;

use tailguard::{Options, Program, device, failure, heap, init_logging, parse, report, typed};

use args::Cli;

fn main() -> ExitCode {
    let cli: Cli = parse();
    if cli.command.trains() {
        heap::keep_freed_memory();
    }
    init_logging(&cli.options);
    failure::leave_readers_to_their_errors();
    let program = program(cli.options);
    let outcome = cli.command.check(&program).map_err(anyhow::Error::from).and_then(|()| cli.command.run(&program));
    failure::end(&outcome)
}

/// The program of this checkout.
fn program(options: Options) -> Program {
    Program::xtask(workspace(), options)
}

/// The root of the repository that this program was built from.
fn workspace() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest)
}
