//! What developers of tailguard run: `cargo xtask reproduce imdb`, which is the program from this
//! checkout, `cargo xtask ci` and its siblings.
//!
//! Results go to standard output, progress and logs to standard error. Exit code 0: done; 1:
//! failed; 2: called wrongly; 130: stopped by Ctrl-C.

mod args;
mod bench;
mod checkout;
mod ci;
#[cfg(test)]
mod flags;
mod fuzz;
mod pretrain;
mod soak;
mod tidy;

use std::process::ExitCode;

use tailguard::{Options, Program, failure, heap, parse};

use args::Cli;
use checkout::workspace;

fn main() -> ExitCode {
    let cli: Cli = parse();
    if cli.command.trains() {
        heap::keep_freed_memory();
    }
    cli.options.init();
    failure::leave_readers_to_their_errors();
    let program = program(cli.options);
    let outcome = cli
        .command
        .check(&program)
        .map_err(anyhow::Error::from)
        .and_then(|()| cli.command.run(&program));
    failure::end(&outcome)
}

/// The program of this checkout.
fn program(options: Options) -> Program {
    Program::xtask(workspace(), options)
}
