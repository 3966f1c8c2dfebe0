//! `tailguard completions` and `tailguard man`: what a shell and `man` read of the command line.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;
use tailguard_files::{create_dirs, write_file};

use crate::failure::{put, say};
use crate::typed;

/// `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell that is to complete commands and flags
    pub(crate) shell: Shell,
}

/// `man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Folder to write a page for each command into [default: the page of the program is printed]
    #[arg(long, value_name = "DIR", value_parser = typed::path())]
    pub(crate) out: Option<PathBuf>,
}

/// Prints the completions of a command line for a shell.
///
/// # Errors
/// Standard output that is gone.
pub(crate) fn completions(args: &CompletionsArgs, mut command: Command) -> Result<()> {
    let mut script = Vec::new();
    let name = command.get_name().to_owned();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    put(String::from_utf8_lossy(&script))?;
    Ok(())
}

/// Prints or writes the pages of a command line.
///
/// # Errors
/// A folder that cannot be written, or standard output that is gone.
pub(crate) fn man(args: &ManArgs, mut command: Command) -> Result<()> {
    command.build();
    let Some(dir) = &args.out else {
        put(page(&command)?)?;
        return Ok(());
    };
    create_dirs(dir)?;
    let mut written = Vec::new();
    write_pages(&command, dir, &mut written)?;
    for path in written {
        say(path.display())?;
    }
    Ok(())
}

fn write_pages(command: &Command, dir: &Path, written: &mut Vec<PathBuf>) -> Result<()> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let path = dir.join(format!("{name}.1"));
    write_file(&path, page(command)?.as_bytes())?;
    written.push(path);
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        write_pages(inner, dir, written)?;
    }
    Ok(())
}

/// A page in the language of `man`.
fn page(command: &Command) -> Result<String> {
    let mut page = Vec::new();
    Man::new(command.clone()).render(&mut page).context("cannot make a page for man")?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::CommandFactory;

    use super::*;
    use crate::args::Cli;

    #[test]
    fn there_is_a_page_for_each_command() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("man");
        man(&ManArgs { out: Some(dir.clone()) }, Cli::command()).unwrap();
        for name in
            ["tailguard", "tailguard-reproduce", "tailguard-evaluate", "tailguard-completions"]
        {
            let page = fs::read_to_string(dir.join(format!("{name}.1"))).unwrap();
            assert!(page.contains(".TH") && page.contains("quiet"), "{name}: {page}");
        }
        assert!(!dir.join("tailguard-help.1").exists());
    }

    #[test]
    fn every_shell_gets_completions() {
        for shell in [Shell::Bash, Shell::Elvish, Shell::Fish, Shell::PowerShell, Shell::Zsh] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "tailguard", &mut script);
            let script = String::from_utf8(script).unwrap();
            assert!(script.contains("reproduce") && script.contains("preset"), "{shell}");
        }
    }
}
