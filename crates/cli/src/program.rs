//! The program as it was called: what its hints name, where its models, texts and runs are, what a
//! run notes of it.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tailguard_experiment::settings::DataPlace;
use tailguard_experiment::{Home, ModelPlace, Origin, Settings, directory};

use crate::failure::Failure;
use crate::options::Options;
use crate::{embedded, home};

/// Models and texts in a home that has them.
const DATASETS: &str = "datasets";
/// Where runs go when `--out` is not given.
const RUNS: &str = "runs";

/// A program that has these commands.
#[derive(Clone, Debug)]
pub struct Program {
    name: &'static str,
    /// What builds it, to which the flags of cargo are added.
    build: &'static str,
    /// The checkout that it belongs to, wherever it is started.
    checkout: Option<PathBuf>,
    options: Options,
}

impl Program {
    /// `tailguard`.
    #[must_use]
    pub fn tailguard(options: Options) -> Self {
        Self {
            name: "tailguard",
            build: "cargo install --path crates/cli",
            checkout: None,
            options,
        }
    }

    /// `cargo xtask`, of this checkout.
    #[must_use]
    pub fn xtask(checkout: &Path, options: Options) -> Self {
        let build = "cargo run --release --package xtask";
        Self { name: "cargo xtask", build, checkout: Some(checkout.to_owned()), options }
    }

    /// What is typed to call it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name
    }

    /// Its version, and the words that it was called with.
    pub(crate) fn called(&self) -> String {
        let Origin { version, command, .. } = self.origin();
        format!("tailguard {version}: {} {}", self.name, command.join(" "))
    }

    /// What was asked for before and behind the command.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Whether results go to standard output as JSON, in the place of tables.
    #[must_use]
    pub fn json(&self) -> bool {
        self.options.json
    }

    /// What builds it with a feature of cargo.
    #[must_use]
    pub fn with_feature(&self, feature: &str) -> String {
        format!("{} --features {feature}", self.build)
    }

    /// The models and texts that come with it: those of the home, or else those inside the program,
    /// which are written into the home. A program without any has a home that lacks them.
    ///
    /// # Errors
    /// No folder for them, or one that cannot be written.
    pub fn home(&self) -> Result<Home> {
        let folder = self.folder()?;
        tracing::debug!("the home is {}", folder.display());
        let datasets = folder.join(DATASETS);
        if datasets.is_dir() || !embedded::is_there() {
            return Ok(Home::at(datasets));
        }
        let hint = "pass --home DIR, a folder that can be written";
        let unpacked = embedded::unpacked(&folder).with_context(|| {
            Failure::new("the models and texts of this program cannot be unpacked").hint(hint)
        })?;
        Ok(Home::at(unpacked))
    }

    /// [`home`](Self::home), for a run with these settings.
    ///
    /// # Errors
    /// The settings need what comes with the program, and it is not there.
    pub fn home_for(&self, settings: &Settings) -> Result<Home> {
        let models = [&settings.policy.dir, &settings.reward.dir, &settings.judge.dir];
        if models.into_iter().any(|dir| matches!(ModelPlace::parse(dir), ModelPlace::Embedded(_))) {
            return self.home_with_models();
        }
        // what nobody reads is not written, either
        if settings.data.places.contains(&DataPlace::Embedded) {
            self.home()
        } else {
            Ok(Home::at(self.folder()?.join(DATASETS)))
        }
    }

    /// The directory of a model, named as in a setting; `flag` says who named it. Only for what
    /// comes with the program a home is needed.
    ///
    /// # Errors
    /// A model that is not there: where it was looked for, how to get it.
    pub fn directory(&self, setting: &str, flag: &str) -> Result<PathBuf> {
        let home = match ModelPlace::parse(setting) {
            ModelPlace::Embedded(_) => self.home_with_models()?,
            ModelPlace::Cache(_) | ModelPlace::Directory(_) => Home::at(""),
        };
        let found = directory(setting, flag, &home)?;
        tracing::debug!("{setting:?} ({flag}) is {}", found.display());
        Ok(found)
    }

    /// [`home`](Self::home), which must have models.
    fn home_with_models(&self) -> Result<Home> {
        let home = self.home()?;
        if !home.datasets().is_dir() {
            let message = format!(
                "this program has no models and texts inside it, and there are none in {}",
                home.datasets().display()
            );
            let hint = "--home DIR, or TAILGUARD_HOME, names a checkout of tailguard, which has \
                them in datasets/; --policy, --reward and --judge name other models";
            return Err(Failure::new(message).hint(hint).into());
        }
        Ok(home)
    }

    /// Where runs go when `--out` is not given.
    ///
    /// # Errors
    /// No folder for them.
    pub(crate) fn runs(&self) -> Result<PathBuf> {
        match (&self.checkout, home::named(self.options.home.as_deref())) {
            // as ever, from where it was started
            (Some(_), None) => Ok(PathBuf::from(RUNS)),
            _ => Ok(home::from_here(self.folder()?.join(RUNS))),
        }
    }

    /// The home.
    fn folder(&self) -> Result<PathBuf, Failure> {
        let asked = self.options.home.as_deref();
        match &self.checkout {
            Some(checkout) => Ok(home::named(asked).unwrap_or_else(|| checkout.clone())),
            None => home::find(asked),
        }
    }

    /// What `run.json` says of it.
    #[must_use]
    pub fn origin(&self) -> Origin {
        Origin {
            program: self.name.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            // `build.rs` finds it; none outside git
            commit: option_env!("TAILGUARD_COMMIT").map(str::to_owned),
            command: env::args_os()
                .skip(1)
                .map(|word| word.to_string_lossy().into_owned())
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(home: &Path) -> Program {
        Program::tailguard(Options { home: Some(home.to_owned()), ..Options::default() })
    }

    #[test]
    fn a_home_with_models_is_taken_as_it_is_and_has_the_runs() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(DATASETS)).unwrap();
        assert_eq!(at(folder.path()).home().unwrap().datasets(), folder.path().join(DATASETS));
        assert_eq!(at(folder.path()).runs().unwrap(), folder.path().join(RUNS));
    }

    #[test]
    fn an_empty_home_gets_the_models_of_the_program_when_one_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let program = at(folder.path());
        assert!(program.directory("no/such/model", "--model").is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let model = program.directory("embedded:judge-sentiment", "--judge").unwrap();
        assert!(
            model.starts_with(folder.path().join("embedded"))
                && model.join("config.json").is_file()
        );
    }

    #[test]
    fn xtask_has_the_models_of_its_checkout_and_the_runs_of_where_it_is_started() {
        let program = Program::xtask(Path::new("checkout"), Options::default());
        assert_eq!(program.folder().unwrap(), Path::new("checkout"));
        assert_eq!(program.runs().unwrap(), Path::new(RUNS));
    }
}
