//! Colours: whether there are any on the streams, by `--color`, by `NO_COLOR`, and by what the
//! streams are.

use std::env;
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{ColorChoice, ValueEnum};

static ON_STDOUT: AtomicBool = AtomicBool::new(false);
static ON_STDERR: AtomicBool = AtomicBool::new(false);

/// Red, bold.
pub(crate) const ERROR: &str = "\u{1b}[1;31m";
/// Yellow.
pub(crate) const WARNING: &str = "\u{1b}[33m";
/// Cyan.
pub(crate) const HINT: &str = "\u{1b}[36m";
/// Less than what stands around it.
pub(crate) const DIM: &str = "\u{1b}[2m";
/// As before.
pub(crate) const PLAIN: &str = "\u{1b}[0m";

/// Takes a choice for the rest of the process.
pub(crate) fn choose(choice: ColorChoice) {
    let plain = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || env::var_os("TERM").is_some_and(|term| term == "dumb");
    let has = |is_terminal: bool| match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => is_terminal && !plain,
    };
    ON_STDOUT.store(has(io::stdout().is_terminal()), Ordering::Relaxed);
    ON_STDERR.store(has(io::stderr().is_terminal()), Ordering::Relaxed);
}

/// Whether results may have colours.
pub(crate) fn on_stdout() -> bool {
    ON_STDOUT.load(Ordering::Relaxed)
}

/// Whether messages may have colours.
pub(crate) fn on_stderr() -> bool {
    ON_STDERR.load(Ordering::Relaxed)
}

/// The choice of a command line that may not be one: help and mistakes have colours, too.
pub(crate) fn choice_in(words: &[OsString]) -> ColorChoice {
    let words: Vec<_> =
        words.iter().map(|word| word.to_string_lossy()).take_while(|word| word != "--").collect();
    let behind = words.windows(2).filter(|pair| pair[0] == "--color").map(|pair| &*pair[1]);
    let within = words.iter().filter_map(|word| word.strip_prefix("--color="));
    let choice =
        behind.chain(within).next().and_then(|name| ColorChoice::from_str(name, false).ok());
    choice.unwrap_or(ColorChoice::Auto)
}

/// A message whose first words say what each of its lines is, in colours if there are any.
pub(crate) fn painted(message: &str) -> String {
    if !on_stderr() {
        return message.to_owned();
    }
    let paint = |line: &str| {
        for (word, colour) in [("error:", ERROR), ("  hint:", HINT)] {
            if let Some(rest) = line.strip_prefix(word) {
                return format!("{colour}{word}{PLAIN}{rest}");
            }
        }
        line.to_owned()
    };
    message.split_inclusive('\n').map(paint).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_choice_is_found_in_any_command_line() {
        let choice =
            |words: &[&str]| choice_in(&words.iter().map(OsString::from).collect::<Vec<_>>());
        assert_eq!(choice(&["tailguard", "--color", "never", "--nonsense"]), ColorChoice::Never);
        assert_eq!(choice(&["tailguard", "report", "--color=always"]), ColorChoice::Always);
        assert_eq!(choice(&["tailguard", "--color"]), ColorChoice::Auto);
        assert_eq!(choice(&["tailguard", "--color", "pink"]), ColorChoice::Auto);
        assert_eq!(choice(&["tailguard", "--", "--color=always"]), ColorChoice::Auto);
    }
}
