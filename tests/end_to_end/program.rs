//! The program under test.

use std::path::Path;
use std::process::{Command, Output};

/// What a call came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_xtask");

/// Runs `cargo xtask WORDS` in a folder, with no data and no models but the embedded ones in sight.
pub(crate) fn run(folder: &Path, words: &[&str]) -> Outcome {
    outcome(command(folder).args(words))
}

/// The program, about to be run in a folder.
pub(crate) fn command(folder: &Path) -> Command {
    in_folder(Command::new(PROGRAM), folder)
}

/// The program, about to be run in a folder of a disk that has no room for a file of more than some
/// KiB.
pub(crate) fn cramped(folder: &Path, kib: usize) -> Command {
    let mut command = Command::new("bash");
    // the signal of this limit ends a program that does not ignore it; without it, a write fails as
    // on a full disk
    command.args(["-c", &format!("trap '' XFSZ; ulimit -f {kib}; exec \"$0\" \"$@\""), PROGRAM]);
    in_folder(command, folder)
}

fn in_folder(mut command: Command, folder: &Path) -> Command {
    command
        .current_dir(folder)
        .env_remove("TAILGUARD_DATA")
        .env_remove("TAILGUARD_HOME")
        .env_remove("HF_HUB_CACHE")
        .env_remove("RUST_LOG");
    command.env("HF_HOME", folder.join("no-hugging-face-cache"));
    command
}

/// Runs a command to its end.
pub(crate) fn outcome(command: &mut Command) -> Outcome {
    let Output { status, stdout, stderr } = command.output().expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is UTF-8");
    Outcome { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

impl Outcome {
    /// Asserts an exit code, one `error:` line that names all of `words`, and no panic.
    #[track_caller]
    pub(crate) fn refused(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        let errors = self.stderr.lines().filter(|line| line.starts_with("error:")).count();
        assert_eq!(errors, 1, "{}", self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "no {word:?} in: {}", self.stderr);
        }
    }
}
