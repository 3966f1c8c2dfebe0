//! The program as it was called: what its hints name, where its models and texts are, what a run notes of it.

use std::env;
use std::path::PathBuf;

use anyhow::Result;
use tailguard_experiment::{Home, ModelPlace, Origin, Settings, directory};

/// A program that has these commands.
#[derive(Clone, Debug)]
pub struct Program {
    name: &'static str,
    /// What builds it, to which the flags of cargo are added.
    build: &'static str,
    datasets: PathBuf,
    json: bool,
}

impl Default for Program {
    /// `tailguard`.
    fn default() -> Self {
        Self { name: "tailguard", build: "cargo install --path crates/cli", datasets: PathBuf::from("datasets"), json: false }
    }
}

impl Program {
    /// `cargo xtask`, from the checkout whose models and texts are in this directory.
    #[must_use]
    pub fn xtask(datasets: PathBuf) -> Self {
        Self { name: "cargo xtask", build: "cargo run --release --package xtask", datasets, json: false }
    }

    /// What is typed to call it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name
    }

    /// Whether results go to standard output as JSON, in the place of tables.
    #[must_use]
    pub fn json(&self) -> bool {
        self.json
    }

    /// What builds it with a feature of cargo.
    #[must_use]
    pub fn with_feature(&self, feature: &str) -> String {
        format!("{} --features {feature}", self.build)
    }

    /// The models and texts that come with it.
    ///
    /// # Errors
    /// None are there.
    pub fn home(&self) -> Result<Home> {
        Ok(Home::at(&self.datasets))
    }

    /// [`home`](Self::home), for a run with these settings.
    ///
    /// # Errors
    /// The settings need what comes with the program, and it is not there.
    pub fn home_for(&self, _settings: &Settings) -> Result<Home> {
        self.home()
    }

    /// The directory of a model, named as in a setting; `flag` says who named it. Only for what comes with the program a home is needed.
    ///
    /// # Errors
    /// A model that is not there: where it was looked for, how to get it.
    pub fn directory(&self, setting: &str, flag: &str) -> Result<PathBuf> {
        let home = match ModelPlace::parse(setting) {
            ModelPlace::Embedded(_) => self.home()?,
            ModelPlace::Cache(_) | ModelPlace::Directory(_) => Home::at(""),
        };
        Ok(directory(setting, flag, &home)?)
    }

    /// What `run.json` says of it.
    #[must_use]
    pub fn origin(&self) -> Origin {
        Origin {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            // `build.rs` finds it; none outside git
            commit: option_env!("TAILGUARD_COMMIT").map(str::to_owned),
            command: env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect(),
        }
    }
}
