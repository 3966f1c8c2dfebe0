//! `tailguard`: the program that `cargo install --path crates/cli` installs.

use std::process::ExitCode;

use tailguard::args::Cli;
use tailguard::{Program, failure, heap, parse};

fn main() -> ExitCode {
    let cli: Cli = parse();
    if cli.command.trains() {
        heap::keep_freed_memory();
    }
    cli.options.init();
    failure::leave_readers_to_their_errors();
    let program = Program::tailguard(cli.options);
    let outcome = cli
        .command
        .check(&program)
        .map_err(anyhow::Error::from)
        .and_then(|()| cli.command.run(&program));
    failure::end(&outcome)
}
