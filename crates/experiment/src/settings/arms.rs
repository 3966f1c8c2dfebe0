//! `[[arm]]`: the policies of an experiment as settings describe them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tailguard_report::Arm;
use toml::Value;

use super::error::ConfigError;

/// A policy that an experiment makes and compares with others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArmSettings {
    /// What files and columns call it: small letters, digits and `_`.
    pub key: String,
    /// What tables and charts call it; without one, its key.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// How it is made: `base`, `sft`, `ppo`, `quark`, or a recipe that a program has added.
    pub recipe: String,
    /// The arm that it is made from, one that stands before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What training maximises, where the recipe has an objective: a name, or a name with what it
    /// needs to know, as in `{ keep_lowest = 0.4 }`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "serde_json::Value")]
    pub objective: Option<Value>,
    /// The arms over which its gains are told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub compared_with: Vec<String>,
    /// Settings of its own, by their dotted keys, as in `{ "ppo.kl_coef" = 0.1 }`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub set: BTreeMap<String, Value>,
}

impl ArmSettings {
    /// As results name it.
    #[must_use]
    pub fn arm(&self) -> Arm {
        let title = if self.title.is_empty() { &self.key } else { &self.title };
        Arm { key: self.key.clone(), title: title.clone(), from: self.from.clone() }
    }

    /// Whether its recipe, or its objective, has this name.
    pub(crate) fn names(&self, kind: &str, name: &str) -> bool {
        match kind {
            "recipe" => self.recipe == name,
            _ => self
                .objective()
                .is_ok_and(|objective| objective.is_some_and(|(found, _)| found == name)),
        }
    }

    /// The name of its objective, and what stands with it; nothing where none is named.
    ///
    /// # Errors
    /// [`ConfigError::Arm`] for what is neither a name nor a table with one.
    pub fn objective(&self) -> Result<Option<(&str, Option<&Value>)>, ConfigError> {
        match &self.objective {
            None => Ok(None),
            Some(Value::String(name)) => Ok(Some((name, None))),
            Some(Value::Table(table)) if table.len() == 1 => {
                Ok(table.iter().next().map(|(name, value)| (name.as_str(), Some(value))))
            }
            Some(other) => Err(self.wrong(format!(
                "objective = {other}, expected a name, or one with its value, as in \
                 {{ keep_lowest = 0.4 }}"
            ))),
        }
    }

    /// Whether its objective is that of RA-RLHF.
    pub(super) fn keeps_lowest(&self) -> bool {
        matches!(self.objective(), Ok(Some(("keep_lowest", _))))
    }

    /// Something that is wrong with the arm.
    pub(crate) fn wrong(&self, detail: impl Into<String>) -> ConfigError {
        ConfigError::Arm { key: self.key.clone(), detail: detail.into() }
    }
}
