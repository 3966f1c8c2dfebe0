//! Settings: a preset, over it `--config FILE`, over that `--set KEY=VALUE`, over that the dedicated flags.
//!
//! Every layer is checked key by key, so a message names the layer, the key, the value and what was expected. What comes
//! out is a [`RunConfig`] in which every key has a value in its range.

mod error;
mod keys;
mod layers;
mod sections;

use std::path::Path;

use tailguard_kernels::Precision;
use tailguard_ppo::KlController;
use toml::Value;

pub(crate) use error::ConfigError;
pub(crate) use sections::{DataPlace, EndToken, EvaluationSplit, GoodSide, RunConfig, ScorerSection, Side};

use crate::args::{PresetName, RunArgs};
use crate::task::{TASKS, Task};
use layers::Layers;

/// Resolves what was typed to the settings of a run.
///
/// `task` is the one that the command names, if it names one; otherwise the file's `preset` says where to start, and the file itself
/// gives the task its name unless a `task` stands in it. `recorded` is
/// the text of the configuration of the run to resume, if there is one: it stands for the preset unless one was named, and
/// settings that differ from it are refused.
///
/// # Errors
/// Unknown keys, wrong types, values out of range, settings that contradict each other, a file that cannot be read.
pub(crate) fn resolve(
    task: Option<&'static Task>,
    preset: Option<PresetName>,
    args: &RunArgs,
    recorded: Option<(&Path, &str)>,
) -> Result<RunConfig, ConfigError> {
    let file = args.config.as_deref().map(|path| Ok((path.display().to_string(), layers::read(path)?))).transpose()?;
    let mut layers = Layers::default();
    match (preset, recorded) {
        (None, Some((path, text))) => {
            layers.put(&path.display().to_string(), &layers::parse(&path.display().to_string(), text)?)?
        }
        _ => {
            let (base, name) = start(task, preset, file.as_ref())?;
            for (origin, text) in base.preset(name) {
                layers.put(&origin, &layers::parse(&origin, text)?)?;
            }
            // what a file makes of another task's preset is not that task
            if task.is_none()
                && let Some(stem) = args.config.as_deref().and_then(Path::file_stem)
            {
                let name = Value::String(stem.to_string_lossy().into_owned());
                layers.put_value("the name of the file of settings", "task", &name)?;
            }
        }
    }
    if let Some((origin, table)) = &file {
        layers.put(origin, table)?;
    }
    for text in &args.set {
        layers.put_assignment(text)?;
    }
    if let Some(preset) = preset {
        layers.put_value("--preset", "preset", &Value::String(preset.name().to_owned()))?;
    }
    put_flags(&mut layers, args)?;
    let config = checked(task, &layers)?;
    if let Some((path, text)) = recorded {
        let differences = differences(&read_back(path, text)?, &config)?;
        if !differences.is_empty() {
            return Err(ConfigError::Differs { path: path.to_owned(), differences });
        }
    }
    Ok(config)
}

/// The task and the preset whose settings a run starts from: those of the command, or else those that the file names.
fn start(
    task: Option<&'static Task>,
    preset: Option<PresetName>,
    file: Option<&(String, toml::Table)>,
) -> Result<(&'static Task, PresetName), ConfigError> {
    let text = |key: &str| file.and_then(|(_, table)| table.get(key)).and_then(Value::as_str);
    // a name that is none is refused by `checked`, which knows where it came from
    let named = text("preset").and_then(preset_named);
    let found = text("preset").filter(|_| named.is_none()).map(str::to_owned);
    let (of_preset, in_file) = named.unzip();
    let name = preset.or(in_file).unwrap_or(PresetName::Embedded);
    match task.or(of_preset.flatten()).or_else(|| Task::named(text("task")?)) {
        Some(task) => Ok((task, name)),
        None => Err(ConfigError::NoStart { found, tasks: TASKS.iter().map(|task| task.name).collect() }),
    }
}

/// Reads `smoke`, or `imdb-smoke` where the task that is run has a name of its own.
fn preset_named(text: &str) -> Option<(Option<&'static Task>, PresetName)> {
    match text.rsplit_once('-') {
        None => Some((None, PresetName::named(text)?)),
        Some((task, name)) => Some((Some(Task::named(task)?), PresetName::named(name)?)),
    }
}

/// The text of a configuration file that reads back to the same settings.
pub(crate) fn to_toml(config: &RunConfig) -> Result<String, ConfigError> {
    toml::to_string(config).map_err(|error| ConfigError::Incomplete(error.to_string()))
}

/// Reads what [`to_toml`] wrote.
pub(crate) fn read_back(path: &Path, text: &str) -> Result<RunConfig, ConfigError> {
    let origin = path.display().to_string();
    toml::from_str(text).map_err(|error| ConfigError::Syntax { origin, detail: error.message().to_owned() })
}

/// The dedicated flags, each of which is a key.
fn put_flags(layers: &mut Layers, args: &RunArgs) -> Result<(), ConfigError> {
    // a count that TOML cannot hold is out of every range, as a negative one is
    let count = |count: u64| Value::Integer(i64::try_from(count).unwrap_or(-1));
    let flags = [
        ("--seed", "run.seed", args.seed.map(count)),
        ("--seeds", "run.seeds", args.seeds.map(count)),
        ("--threads", "run.threads", args.threads.map(count)),
        ("--device", "run.device", args.device.clone().map(Value::String)),
        ("--precision", "run.precision", args.precision.map(|name| Value::String(Precision::from(name).name().to_owned()))),
        ("--policy", "policy.dir", utf8("--policy", "policy.dir", args.policy.as_deref())?),
        ("--reward", "reward.dir", utf8("--reward", "reward.dir", args.reward.as_deref())?),
        ("--judge", "judge.dir", utf8("--judge", "judge.dir", args.judge.as_deref())?),
        ("--data-dir", "data.dir", utf8("--data-dir", "data.dir", args.data_dir.as_deref())?),
    ];
    for (flag, key, value) in flags {
        if let Some(value) = value {
            layers.put_value(flag, key, &value)?;
        }
    }
    Ok(())
}

/// A path as a setting. Settings are a text, in which other bytes would name another place.
fn utf8(flag: &str, key: &str, path: Option<&Path>) -> Result<Option<Value>, ConfigError> {
    let Some(path) = path else { return Ok(None) };
    let refused = || {
        let expected = "a path of UTF-8, as settings are a text".to_owned();
        ConfigError::Value { origin: flag.to_owned(), key: key.to_owned(), found: format!("{path:?}"), expected }
    };
    path.to_str().map(|path| Some(Value::String(path.to_owned()))).ok_or_else(refused)
}

/// The settings, if they suit each other.
fn checked(task: Option<&Task>, layers: &Layers) -> Result<RunConfig, ConfigError> {
    let config: RunConfig =
        layers.table().try_into().map_err(|error: toml::de::Error| ConfigError::Incomplete(error.message().to_owned()))?;
    if let Some(task) = task.filter(|task| config.task != task.name) {
        let (origin, found) = (layers.origin("task"), config.task);
        return Err(ConfigError::OtherRun { origin, key: "task", found, expected: format!("{:?}", task.name) });
    }
    let Some((of_preset, _)) = preset_named(&config.preset) else {
        let (origin, found) = (layers.origin("preset"), format!("{:?}", config.preset));
        let expected = "\"embedded\", \"smoke\" or \"paper\", or one with its task, as in \"imdb-embedded\"".to_owned();
        return Err(ConfigError::Value { origin, key: "preset".to_owned(), found, expected });
    };
    if let (Some(task), Some(of_preset)) = (task, of_preset)
        && task != of_preset
    {
        let (origin, found) = (layers.origin("preset"), config.preset);
        return Err(ConfigError::OtherRun { origin, key: "preset", found, expected: format!("{:?}", task.name) });
    }
    let (ppo, sampling) = (&config.ppo, &config.sampling);
    let at_most = [
        ("ppo.minibatch_size", ppo.minibatch_size, "ppo.batch_size", ppo.batch_size),
        ("sampling.min_new_tokens", sampling.min_new_tokens, "sampling.max_new_tokens", sampling.max_new_tokens),
        ("evaluation.shown_samples", config.evaluation.shown_samples, "evaluation.prompts", config.evaluation.prompts),
    ];
    for (key, found, other, most) in at_most {
        if found > most {
            let detail = format!("{other} is {most}: expected at most that");
            return Err(ConfigError::Conflict { origin: layers.origin(key), key, found, detail });
        }
    }
    if KlController::gain(ppo.batch_size, ppo.kl_horizon) >= KlController::GAIN_LIMIT {
        let (key, found) = ("ppo.kl_horizon", ppo.kl_horizon.to_string());
        let expected = format!(
            "0, or more than a fifth of ppo.batch_size, which is {}: or the KL coefficient turns negative",
            ppo.batch_size
        );
        return Err(ConfigError::Value { origin: layers.origin(key), key: key.to_owned(), found, expected });
    }
    let warmups = [
        ("risk.warmup", config.risk.warmup, "no episode is ever dropped"),
        ("ppo.value_warmup", ppo.value_warmup, "the policy never learns"),
    ];
    for (key, found, otherwise) in warmups {
        if found >= ppo.iterations {
            let detail = format!("ppo.iterations is {}: expected less, or {otherwise}", ppo.iterations);
            return Err(ConfigError::Conflict { origin: layers.origin(key), key, found, detail });
        }
    }
    Ok(config)
}

/// The settings that a resumed run may not change, one line each; the number of threads changes no result.
fn differences(recorded: &RunConfig, asked: &RunConfig) -> Result<Vec<String>, ConfigError> {
    let values = |config: &RunConfig| {
        let mut config = config.clone();
        config.run.threads = 0;
        let mut layers = Layers::default();
        let text = to_toml(&config)?;
        layers.put("", &layers::parse("", &text)?)?;
        Ok(layers.table())
    };
    let (recorded, asked): (toml::Table, toml::Table) = (values(recorded)?, values(asked)?);
    let shown = |table: &toml::Table, key: &str| match key.split_once('.') {
        Some((section, key)) => table.get(section).and_then(|section| section.get(key)).map(ToString::to_string),
        None => table.get(key).map(ToString::to_string),
    };
    let differs = |key: &str| {
        let (old, new) = (shown(&recorded, key)?, shown(&asked, key)?);
        (old != new).then(|| format!("  {key} is {old} there, {new} was asked for"))
    };
    Ok(keys::KEYS.iter().filter_map(|(key, _)| differs(key)).collect())
}

#[cfg(test)]
mod tests;
