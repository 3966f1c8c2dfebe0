//! The invariants of ARCHITECTURE.md, held over `cargo metadata` and the text of every source file.

mod circles;
mod dependencies;
mod sources;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};

use circles::{Exception, Source, circles};
use dependencies::check_dependencies;
use sources::check_source;

/// Bytes of any file.
const MOST_BYTES: u64 = 25 * 1024 * 1024;

/// Imports between the files of a crate that may close a circle, by the folder of the crate.
const ONE_THING: &[(&str, &[Exception])] = &[(
    "crates/settings",
    &[("kind.rs", "schema.rs", "a kind may be a table, whose keys have kinds")],
)];

/// Checks everything.
///
/// # Errors
/// One line for each thing that is not as it should be.
pub(crate) fn check(root: &Path) -> Result<()> {
    let mut problems = check_dependencies(root)?;
    let files = tracked(root)?;
    for file in &files {
        problems.extend(check_file(root, file)?);
    }
    problems.extend(circles_of_crates(root, &files)?);
    if problems.is_empty() { Ok(()) } else { bail!("{}", problems.join("\n")) }
}

/// The files of the repository: what git tracks, or, without git, what is not hidden or built.
fn tracked(root: &Path) -> Result<Vec<PathBuf>> {
    let git = Command::new("git").arg("-C").arg(root).args(["ls-files", "-z"]).output();
    if let Some(output) = git.ok().filter(|output| output.status.success()) {
        let names = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
        let files = names.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from);
        return Ok(files.filter(|file| root.join(file).is_file()).collect());
    }
    let (mut files, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in
            fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?
        {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && name != "target" && name != "runs" {
                folders.push(path);
            } else if path.is_file() {
                files.push(path.strip_prefix(root).unwrap_or(&path).to_owned());
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Imports in a circle among the files of each crate.
fn circles_of_crates(root: &Path, files: &[PathBuf]) -> Result<Vec<String>> {
    let mut crates: BTreeMap<&str, Vec<Source>> = BTreeMap::new();
    for file in
        files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs"))
    {
        let Some((folder, below)) = file.to_str().and_then(|path| path.split_once("/src/")) else {
            continue;
        };
        let text = fs::read_to_string(root.join(file))
            .with_context(|| format!("cannot read {}", file.display()))?;
        crates.entry(folder).or_default().push(Source { file: below.to_owned(), text });
    }
    let mut problems = Vec::new();
    for (folder, sources) in crates {
        let exceptions = ONE_THING
            .iter()
            .find(|(of, _)| *of == folder)
            .map_or(&[][..], |(_, exceptions)| exceptions);
        let found = circles(&sources, exceptions).map_err(|error| anyhow!("{folder}: {error}"))?;
        problems.extend(
            found.into_iter().map(|circle| format!("{folder}: files import each other: {circle}")),
        );
    }
    Ok(problems)
}

fn check_file(root: &Path, file: &Path) -> Result<Vec<String>> {
    let (path, shown) = (root.join(file), file.display().to_string());
    let bytes = path.metadata().with_context(|| format!("cannot read {shown}"))?.len();
    let mut problems = Vec::new();
    if bytes > MOST_BYTES {
        problems.push(format!("{shown}: {bytes} bytes, at most {MOST_BYTES}"));
    }
    if file.extension().is_some_and(|extension| extension == "rs") {
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {shown}"))?;
        problems.extend(check_source(&shown, &text));
    }
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkout::workspace;

    #[test]
    fn the_repository_is_tidy() {
        check(workspace()).unwrap();
    }
}
