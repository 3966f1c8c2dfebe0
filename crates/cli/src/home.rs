//! The home: where models, texts and runs are unless something else is said.
//!
//! It is, in this order: the folder that `--home` names, the one that the variable `TAILGUARD_HOME`
//! names, the checkout of tailguard that the program was started in, the platform's folder for the
//! data of programs.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;

use crate::failure::Failure;

/// The variable that names it.
const VARIABLE: &str = "TAILGUARD_HOME";
/// Its name in the platform's folder.
const NAME: &str = "tailguard";
/// What a checkout is known by: a model that comes with it.
const OF_A_CHECKOUT: &str = "datasets/gpt2-reviews";

/// The home of a program that was started here.
///
/// # Errors
/// A path that is not UTF-8, or a platform that names no folder.
pub(crate) fn find(asked: Option<&Path>) -> Result<PathBuf, Failure> {
    let current = env::current_dir().ok();
    let platform = || Some(etcetera::choose_base_strategy().ok()?.data_dir().join(NAME));
    let home = choose(named(asked), current.as_deref(), platform).ok_or_else(|| {
        Failure::new("there is no folder for models and runs: this user has none")
            .hint("pass --home DIR")
    })?;
    if home.to_str().is_none() {
        let message = format!(
            "{} is not UTF-8, in which run.json and config.toml are written",
            home.display()
        );
        return Err(Failure::usage(message).hint("pass --home DIR, with another path"));
    }
    Ok(home)
}

/// The one that `--home` or the variable names, if any does.
pub(crate) fn named(asked: Option<&Path>) -> Option<PathBuf> {
    let variable = || env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
    asked.map(Path::to_owned).or_else(variable)
}

fn choose(
    named: Option<PathBuf>,
    current: Option<&Path>,
    platform: impl FnOnce() -> Option<PathBuf>,
) -> Option<PathBuf> {
    let checkout = || {
        current
            .and_then(|current| current.ancestors().find(|folder| is_checkout(folder)))
            .map(Path::to_owned)
    };
    named.or_else(checkout).or_else(platform)
}

/// Whether this is the root of a checkout of tailguard.
fn is_checkout(folder: &Path) -> bool {
    let has_workspace = || {
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
        manifest.lines().any(|line| line.trim() == "[workspace]")
    };
    folder.join(OF_A_CHECKOUT).is_dir() && has_workspace()
}

/// A path as it is shown and used: from the current folder on, where it is in that.
pub(crate) fn from_here(path: PathBuf) -> PathBuf {
    let here = env::current_dir().ok();
    match here.and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned)) {
        Some(inner) if !inner.as_os_str().is_empty() => inner,
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_comes_before_the_checkout_and_that_before_the_platform() {
        let folder = tempfile::tempdir().unwrap();
        let checkout = folder.path().join("checkout");
        let inner = checkout.join("crates/cli");
        fs::create_dir_all(&inner).unwrap();
        let platform = || Some(PathBuf::from("platform"));
        let chosen =
            |named: Option<&str>| choose(named.map(PathBuf::from), Some(&inner), platform).unwrap();
        assert_eq!(chosen(None), Path::new("platform"), "a folder is no checkout");
        fs::create_dir_all(checkout.join(OF_A_CHECKOUT)).unwrap();
        assert_eq!(chosen(None), Path::new("platform"), "a checkout has a workspace");
        fs::write(checkout.join("Cargo.toml"), "[workspace]\nmembers = []\n").unwrap();
        assert_eq!(chosen(None), checkout);
        assert_eq!(chosen(Some("named")), Path::new("named"));
        assert_eq!(choose(None, None, || None), None);
    }

    #[test]
    fn the_flag_comes_before_the_variable() {
        assert_eq!(named(Some(Path::new("asked"))), Some(PathBuf::from("asked")));
    }

    #[test]
    fn a_path_is_shown_from_here_on() {
        let here = env::current_dir().unwrap();
        assert_eq!(from_here(here.join("runs")), Path::new("runs"));
        assert_eq!(from_here(here.clone()), here);
        assert_eq!(from_here(PathBuf::from("/elsewhere")), Path::new("/elsewhere"));
    }
}
