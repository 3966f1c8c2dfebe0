//! Tells the program which commit it was built from, as `TAILGUARD_COMMIT`: run directories record it.
//!
//! Nothing is told where the source is not itself a git repository, such as an unpacked archive, even if it lies inside of one.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What the program is made of, from the root of the repository. A change elsewhere does not make it another program.
const SOURCES: [&str; 3] = ["Cargo.toml", "Cargo.lock", "crates"];

fn main() {
    let manifest = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let root = manifest.ancestors().nth(2).unwrap_or(&manifest);
    println!("cargo::rerun-if-changed=build.rs");
    for source in SOURCES {
        println!("cargo::rerun-if-changed={}", root.join(source).display());
    }
    if let Some(commit) = commit(root) {
        println!("cargo::rustc-env=TAILGUARD_COMMIT={commit}");
    }
}

/// The commit of the repository whose root this is, with `+` if its sources have changes.
fn commit(root: &Path) -> Option<String> {
    let top = PathBuf::from(git(root, &["rev-parse", "--show-toplevel"])?);
    if top.canonicalize().ok()? != root.canonicalize().ok()? {
        return None;
    }
    // What a new commit changes. A path that is not there would run this script at every build.
    let branch = git(root, &["symbolic-ref", "--quiet", "HEAD"]);
    for name in ["HEAD", "packed-refs"].into_iter().chain(branch.as_deref()) {
        let path = root.join(git(root, &["rev-parse", "--git-path", name])?);
        if path.exists() {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    let commit = git(root, &["rev-parse", "--verify", "HEAD"])?;
    let changes = git(root, &[&["status", "--porcelain", "--untracked-files=no", "--"], &SOURCES[..]].concat())?;
    Some(if changes.is_empty() { commit } else { commit + "+" })
}

/// What git prints when run there, without the variables by which a hook or a shell points it elsewhere.
fn git(root: &Path, words: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    command.arg("-C").arg(root).args(words);
    for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR"] {
        command.env_remove(variable);
    }
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
