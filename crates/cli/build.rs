//! Tells the program which commit it was built from, as `TAILGUARD_COMMIT`, which run directories
//! record; and gives it the models and texts of `datasets/`, to travel inside it.
//!
//! No commit is told where the source is not itself a git repository, such as an unpacked archive,
//! even if it lies inside of one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the program is made of, from the root of the repository. A change elsewhere does not make
/// it another program.
const SOURCES: [&str; 4] = ["Cargo.toml", "Cargo.lock", "crates", DATASETS];
/// Models and texts.
const DATASETS: &str = "datasets";

fn main() -> io::Result<()> {
    let manifest = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let root = manifest.ancestors().nth(2).unwrap_or(&manifest);
    println!("cargo::rerun-if-changed=build.rs");
    // of the last, file by file; what is not there would run this script at every build
    for source in SOURCES.iter().filter(|source| **source != DATASETS && root.join(source).exists())
    {
        println!("cargo::rerun-if-changed={}", root.join(source).display());
    }
    if let Some(commit) = commit(root) {
        println!("cargo::rustc-env=TAILGUARD_COMMIT={commit}");
    }
    embed(&root.join(DATASETS))
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
    let changes = git(
        root,
        &[&["status", "--porcelain", "--untracked-files=no", "--"], &SOURCES[..]].concat(),
    )?;
    Some(if changes.is_empty() { commit } else { commit + "+" })
}

/// What git prints when run there, without the variables by which a hook or a shell points it
/// elsewhere.
fn git(root: &Path, words: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    command.arg("-C").arg(root).args(words);
    for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR"] {
        command.env_remove(variable);
    }
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Writes `embedded.rs`: the models and texts of the checkout, each by its path, with a digest of
/// them all. There are none where this crate is built from a package of its own.
fn embed(datasets: &Path) -> io::Result<()> {
    let mut files = Vec::new();
    if datasets.is_dir() {
        collect(datasets, "", &mut files)?;
    }
    files.sort();
    let (mut digest, mut lines) = (Digest::default(), String::new());
    for name in &files {
        let path = datasets.join(name).canonicalize()?;
        println!("cargo::rerun-if-changed={}", path.display());
        digest.add(name.as_bytes());
        digest.add(&fs::read(&path)?);
        lines += &format!("    ({name:?}, include_bytes!({:?})),\n", path.display().to_string());
    }
    let text = format!(
        "/// Of their names and contents.\nconst DIGEST: &str = \"{:016x}\";\n/// By their paths.\n\
         static FILES: &[(&str, &[u8])] = &[\n{lines}];\n",
        digest.0
    );
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default()).join("embedded.rs");
    fs::write(out, text)
}

/// Adds what travels: what git keeps of a folder but the programs that have made it. Licences go
/// with their texts.
fn collect(folder: &Path, inner: &str, files: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if inner.is_empty() { name.clone() } else { format!("{inner}/{name}") };
        let is_kept = !name.starts_with('.')
            && !["checkpoint", "__pycache__"].contains(&name.as_str())
            && !name.ends_with(".py");
        if !is_kept {
            continue;
        }
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// FNV-1a of 64 bits: it tells copies of different versions apart, and guards against nobody.
struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    /// Adds a piece, with its length, so that pieces do not run into each other.
    fn add(&mut self, piece: &[u8]) {
        let length = u64::try_from(piece.len()).unwrap_or(u64::MAX).to_le_bytes();
        for &byte in length.iter().chain(piece) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
