//! `[[arm]]`: the policies of an experiment as settings describe them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tailguard_report::Arm;
use toml::Value;

use super::error::ConfigError;
use super::{Settings, schema};
use tailguard_settings::Layers;

/// A policy that an experiment makes and compares with others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArmSettings {
    /// What files and columns call it: small letters, digits and `_`.
    pub key: String,
    /// What tables and charts call it; without one, its key.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// How it is made: `base`, `sft`, `ppo`, or a recipe that a program has added.
    pub recipe: String,
    /// The arm that it is made from, one that stands before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What training maximises, where the recipe has an objective: a name, or a name with what it needs to know, as in
    /// `{ keep_lowest = 0.4 }`.
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
            _ => self.objective().is_ok_and(|objective| objective.is_some_and(|(found, _)| found == name)),
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
            Some(other) => {
                Err(self
                    .wrong(format!("objective = {other}, expected a name, or one with its value, as in {{ keep_lowest = 0.4 }}")))
            }
        }
    }

    /// Whether its objective is that of RA-RLHF.
    pub(super) fn keeps_lowest(&self) -> bool {
        matches!(self.objective(), Ok(Some(("keep_lowest", _))))
    }

    /// The settings of the experiment with those of the arm over them.
    ///
    /// # Errors
    /// [`ConfigError::Arm`] for a key that is none, or a value out of its range.
    pub fn over(&self, settings: &Settings) -> Result<Settings, ConfigError> {
        if self.set.is_empty() {
            return Ok(settings.clone());
        }
        let schema = schema();
        let mut layers = Layers::new(&schema);
        layers.put("the settings", &super::table(settings)?)?;
        for (key, value) in &self.set {
            layers.put_value(&format!("arm {}", self.key), key, value)?;
        }
        Ok(layers.settings()?)
    }

    /// Something that is wrong with the arm.
    pub(crate) fn wrong(&self, detail: impl Into<String>) -> ConfigError {
        ConfigError::Arm { key: self.key.clone(), detail: detail.into() }
    }
}

/// Refuses arms that no experiment can be made of.
///
/// # Errors
/// [`ConfigError::Arm`]: a key that is no name of a file or stands twice, an arm that is made from or compared with one that is not there
/// or comes later, settings of its own that are none.
pub(super) fn check(settings: &Settings, origin: &dyn Fn(&str) -> String) -> Result<(), ConfigError> {
    let arms = &settings.arm;
    let keys: Vec<&str> = arms.iter().map(|arm| arm.key.as_str()).collect();
    let named = keys.join(", ");
    for (place, arm) in arms.iter().enumerate() {
        let is_name = |sign: char| sign.is_ascii_lowercase() || sign.is_ascii_digit() || sign == '_';
        if arm.key.is_empty() || !arm.key.chars().all(is_name) {
            return Err(arm.wrong(format!("key = {:?}, expected small letters, digits and _", arm.key)));
        }
        if keys[..place].contains(&arm.key.as_str()) {
            return Err(arm.wrong("its key stands twice"));
        }
        if let Some(from) = arm.from.as_deref().filter(|from| !keys[..place].contains(from)) {
            return Err(arm.wrong(format!("from = {from:?}, expected an arm that stands before it; the arms are {named}")));
        }
        if let Some(other) = arm.compared_with.iter().find(|other| !keys.contains(&other.as_str()) || **other == arm.key) {
            return Err(arm.wrong(format!("compared_with has {other:?}, expected other arms; the arms are {named}")));
        }
        if arm.set.keys().any(|key| key == "arm" || key.starts_with("run.")) {
            return Err(arm.wrong("set is about how the arm is made, expected no keys of run, and no arms"));
        }
        arm.objective()?;
        let (own, of_arm) = (arm.over(settings)?, |_: &str| format!("arm {}", arm.key));
        let origin = if arm.set.is_empty() { origin } else { &of_arm };
        super::suit_each_other(&own, origin)?;
        if arm.keeps_lowest() {
            super::check_warmup("risk.warmup", own.risk.warmup, &own, "no episode is ever dropped", origin)?;
        }
    }
    if arms.is_empty() {
        return Err(ConfigError::NoArms);
    }
    let is_there = |key: &String| keys.contains(&key.as_str());
    if let Some(key) = settings.run.arms.iter().find(|key| !is_there(key)) {
        return Err(ConfigError::UnknownArm { origin: origin("run.arms"), setting: "run.arms", found: key.clone(), arms: named });
    }
    if !is_there(&settings.evaluation.reference) {
        let found = settings.evaluation.reference.clone();
        let setting = "evaluation.reference";
        return Err(ConfigError::UnknownArm { origin: origin(setting), setting, found, arms: named });
    }
    Ok(())
}
