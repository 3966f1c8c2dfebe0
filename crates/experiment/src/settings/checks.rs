//! Settings that contradict each other, and arms that no experiment can be made of.

use tailguard_ppo::{KlController, PpoConfig};
use tailguard_settings::{Layers, SettingsError};

use super::arms::ArmSettings;
use super::error::ConfigError;
use super::keys::{schema, table};
use super::sections::{PrecisionName, Settings};

impl ArmSettings {
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
        layers.put("the settings", &table(settings)?)?;
        for (key, value) in &self.set {
            layers.put_value(&format!("arm {}", self.key), key, value)?;
        }
        Ok(layers.settings()?)
    }
}

/// Refuses arms that no experiment can be made of.
///
/// # Errors
/// [`ConfigError::Arm`]: a key that is no name of a file or stands twice, an arm that is made from
/// one that is not there or comes later, or compared with one that is not there, settings of its
/// own that are none.
pub(super) fn check_arms(
    settings: &Settings,
    origin: &dyn Fn(&str) -> String,
) -> Result<(), ConfigError> {
    let arms = &settings.arm;
    let keys: Vec<&str> = arms.iter().map(|arm| arm.key.as_str()).collect();
    let named = keys.join(", ");
    for (place, arm) in arms.iter().enumerate() {
        let is_name =
            |sign: char| sign.is_ascii_lowercase() || sign.is_ascii_digit() || sign == '_';
        if arm.key.is_empty() || !arm.key.chars().all(is_name) {
            return Err(
                arm.wrong(format!("key = {:?}, expected small letters, digits and _", arm.key))
            );
        }
        if keys[..place].contains(&arm.key.as_str()) {
            return Err(arm.wrong("its key stands twice"));
        }
        // so no arm is made from itself, by however many others
        let is_later = |(_, key): &(String, &str)| !keys[..place].contains(key);
        if let Some((what, key)) = arm.made_from_by_name().find(is_later) {
            return Err(arm.wrong(format!(
                "{what} = {key:?}, expected an arm that stands before it; the arms are {named}"
            )));
        }
        if let Some(other) = arm
            .compared_with
            .iter()
            .find(|other| !keys.contains(&other.as_str()) || **other == arm.key)
        {
            return Err(arm.wrong(format!(
                "compared_with has {other:?}, expected other arms; the arms are {named}"
            )));
        }
        if arm.set.keys().any(|key| key == "arm" || key.starts_with("run.")) {
            return Err(
                arm.wrong("set is about how the arm is made, expected no keys of run, and no arms")
            );
        }
        arm.objective()?;
        let (own, of_arm) = (arm.over(settings)?, |_: &str| format!("arm {}", arm.key));
        let origin = if arm.set.is_empty() { origin } else { &of_arm };
        suit_each_other(&own, origin)?;
        if arm.keeps_lowest() {
            check_warmup(
                "risk.warmup",
                own.risk.warmup,
                &own,
                "no episode is ever dropped",
                origin,
            )?;
        }
    }
    if arms.is_empty() {
        return Err(ConfigError::NoArms);
    }
    let is_there = |key: &String| keys.contains(&key.as_str());
    if let Some(key) = settings.run.arms.iter().find(|key| !is_there(key)) {
        return Err(ConfigError::UnknownArm {
            origin: origin("run.arms"),
            setting: "run.arms",
            found: key.clone(),
            arms: named,
        });
    }
    if !is_there(&settings.evaluation.reference) {
        let found = settings.evaluation.reference.clone();
        let setting = "evaluation.reference";
        return Err(ConfigError::UnknownArm {
            origin: origin(setting),
            setting,
            found,
            arms: named,
        });
    }
    Ok(())
}

/// Refuses settings that contradict each other; `origin` says where one came from.
pub(super) fn suit_each_other(
    settings: &Settings,
    origin: &dyn Fn(&str) -> String,
) -> Result<(), ConfigError> {
    let (ppo, sampling, quark) = (&settings.ppo, &settings.sampling, &settings.quark);
    let explored = if quark.prompts == 0 { usize::MAX } else { quark.prompts };
    let at_most = [
        ("quark.batch_size", quark.batch_size, "quark.prompts", explored),
        ("ppo.minibatch_size", ppo.minibatch_size, "ppo.batch_size", ppo.batch_size),
        (
            "sampling.min_new_tokens",
            sampling.min_new_tokens,
            "sampling.max_new_tokens",
            sampling.max_new_tokens,
        ),
        (
            "evaluation.shown_samples",
            settings.evaluation.shown_samples,
            "evaluation.prompts",
            settings.evaluation.prompts,
        ),
    ];
    for (key, found, other, most) in at_most {
        if found > most {
            let detail = format!("{other} is {most}: expected at most that");
            return Err(ConfigError::Conflict { origin: origin(key), key, found, detail });
        }
    }
    if quark.warmup >= quark.steps {
        let (key, found) = ("quark.warmup", quark.warmup);
        let detail = format!("quark.steps is {}: expected less", quark.steps);
        return Err(ConfigError::Conflict { origin: origin(key), key, found, detail });
    }
    if settings.run.precision == PrecisionName::Bf16 && settings.run.device.starts_with("flex") {
        let (key, expected) = (
            "run.precision",
            format!("\"f32\", as run.device is {:?}: bf16 is for GPUs", settings.run.device),
        );
        return Err(SettingsError::Value {
            origin: origin(key),
            key: key.to_owned(),
            found: "\"bf16\"".to_owned(),
            expected,
        }
        .into());
    }
    check_equal_kl(settings, origin)?;
    if KlController::gain(ppo.batch_size, ppo.kl_horizon) >= KlController::GAIN_LIMIT {
        let (key, found) = ("ppo.kl_horizon", ppo.kl_horizon.to_string());
        let expected = format!(
            "0, or more than a fifth of ppo.batch_size, which is {}: or the KL coefficient turns \
             negative",
            ppo.batch_size
        );
        return Err(SettingsError::Value {
            origin: origin(key),
            key: key.to_owned(),
            found,
            expected,
        }
        .into());
    }
    suits_responses(&settings.ppo, origin)?;
    let (warmup, never) = (ppo.rate_warmup, "the learning rate never gets there");
    check_warmup("ppo.rate_warmup", warmup, settings, never, origin)?;
    check_warmup("ppo.value_warmup", ppo.value_warmup, settings, "the policy never learns", origin)
}

/// Refuses a number of responses that does not divide the batch, and what leave-one-out advantages
/// cannot work with.
fn suits_responses(ppo: &PpoConfig, origin: &dyn Fn(&str) -> String) -> Result<(), ConfigError> {
    if !ppo.batch_size.is_multiple_of(ppo.responses) {
        let (key, found) = ("ppo.responses", ppo.responses);
        let detail = format!("ppo.batch_size is {}: expected a divisor of that", ppo.batch_size);
        return Err(ConfigError::Conflict { origin: origin(key), key, found, detail });
    }
    match ppo.against_rloo() {
        Some((key, found, expected)) => {
            let key = format!("ppo.{key}");
            let (origin, expected) = (origin(&key), format!("{expected} (ppo.advantages)"));
            Err(SettingsError::Value { origin, key, found, expected }.into())
        }
        None => Ok(()),
    }
}

/// Refuses a KL to hold beside what would set another one, as far as somebody has typed that: a
/// preset and a file have all keys.
fn check_equal_kl(settings: &Settings, origin: &dyn Fn(&str) -> String) -> Result<(), ConfigError> {
    let Some(kl) = settings.experiment.held_kl() else { return Ok(()) };
    let ppo = &settings.ppo;
    let typed = |key: &&(&str, f64)| origin(key.0).starts_with("--");
    let refused = |key: &str, found: f64, expected: String| {
        let (origin, key, found) = (origin(key), key.to_owned(), found.to_string());
        Err(SettingsError::Value { origin, key, found, expected }.into())
    };
    let others = [("ppo.kl_target", ppo.kl_target), ("ppo.kl_horizon", ppo.kl_horizon)];
    if let Some((key, found)) = others.iter().find(typed) {
        let expected = format!("none, as experiment.equal_kl = {kl} takes the place of both");
        return refused(key, *found, expected);
    }
    // what is multiplied with anything would stay 0
    if ppo.kl_coef <= 0.0 {
        let expected = format!("a number above 0, as experiment.equal_kl is {kl}");
        return refused("ppo.kl_coef", ppo.kl_coef, expected);
    }
    Ok(())
}

/// Refuses a warm-up that leaves no iteration after it.
fn check_warmup(
    key: &'static str,
    found: usize,
    settings: &Settings,
    otherwise: &str,
    origin: &dyn Fn(&str) -> String,
) -> Result<(), ConfigError> {
    let iterations = settings.ppo.iterations;
    if found < iterations {
        return Ok(());
    }
    let detail = format!("ppo.iterations is {iterations}: expected less, or {otherwise}");
    Err(ConfigError::Conflict { origin: origin(key), key, found, detail })
}
