//! Settings: a preset, over it a file, over that `KEY=VALUE`s, over that dedicated flags.
//!
//! Every layer is checked key by key, so a message names the layer, the key, the value and what was
//! expected. What comes out are [`Settings`] in which every key has a value in its range.

mod arms;
mod best_of_n;
mod checks;
mod dexperts;
mod distill;
mod error;
mod experiment;
mod interpolate;
mod keys;
mod presets;
mod prompted;
mod sections;

use std::path::{Path, PathBuf};

use tailguard_settings::{Layers, OutOfRange, SettingsError, parse, read};
use toml::{Table, Value};

pub use arms::ArmSettings;
pub use best_of_n::BestOfNSection;
pub use dexperts::DexpertsSection;
pub use distill::DistillSection;
pub use error::ConfigError;
pub use experiment::ExperimentSection;
pub use interpolate::InterpolateSection;
pub(crate) use keys::table;
pub use keys::{json_schema, schema};
pub use presets::{Preset, TASKS, Task};
pub use prompted::PromptedSection;
pub use sections::{
    DataPlace, DataSection, EndToken, EvaluationSection, EvaluationSplit, GoodSide, LabelWords,
    PolicySection, PrecisionName, RiskSection, RunSection, SamplingSection, ScorerSection,
    Settings, SftSection, Side, TextClass,
};

use checks::{check_arms, suit_each_other};

/// What goes over a preset.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// A TOML file of settings.
    pub file: Option<PathBuf>,
    /// `KEY=VALUE` each, as `--set` has it.
    pub assignments: Vec<String>,
    /// Dedicated flags: what each is called, its key, its value.
    pub flags: Vec<(&'static str, &'static str, Value)>,
}

impl Overrides {
    /// Adds a flag whose value is a path.
    ///
    /// # Errors
    /// [`SettingsError::Value`] for a path that is no UTF-8: settings are a text, in which other
    /// bytes would name another place.
    pub fn put_path(
        &mut self,
        flag: &'static str,
        key: &'static str,
        path: &Path,
    ) -> Result<(), ConfigError> {
        let Some(text) = path.to_str() else {
            let expected = "a path of UTF-8, as settings are a text".to_owned();
            let (origin, key) = (flag.to_owned(), key.to_owned());
            return Err(
                SettingsError::Value { origin, key, found: format!("{path:?}"), expected }.into()
            );
        };
        self.flags.push((flag, key, Value::String(text.to_owned())));
        Ok(())
    }
}

/// Resolves what was asked for to the settings of a run.
///
/// `task` is the one that is run by name, if one is; otherwise the file's `preset` says where to
/// start, and the file itself gives the task its name unless a `task` stands in it. `recorded` is
/// the text of the configuration of the run to resume, if there is one: it stands for the preset
/// unless one was named, and settings that differ from it are refused.
///
/// # Errors
/// Unknown keys, wrong types, values out of range, settings that contradict each other, a file that
/// cannot be read.
pub fn resolve(
    task: Option<&'static Task>,
    preset: Option<Preset>,
    overrides: &Overrides,
    recorded: Option<(&Path, &str)>,
) -> Result<Settings, ConfigError> {
    let file = overrides
        .file
        .as_deref()
        .map(|path| Ok::<_, SettingsError>((path.display().to_string(), read(path)?)))
        .transpose()?;
    let schema = schema();
    let mut layers = Layers::new(&schema);
    match (preset, recorded) {
        (None, Some((path, text))) => {
            put_recorded(&mut layers, path, text)?;
        }
        _ => {
            let (base, name) = start(task, preset, file.as_ref())?;
            for (origin, text) in base.preset(name) {
                layers.put(&origin, &parse(&origin, text)?)?;
            }
            // what a file makes of another task's preset is not that task
            if task.is_none()
                && let Some(stem) = overrides.file.as_deref().and_then(Path::file_stem)
            {
                let name = Value::String(stem.to_string_lossy().into_owned());
                layers.put_value("the name of the file of settings", "task", &name)?;
            }
        }
    }
    if let Some((origin, table)) = &file {
        layers.put(origin, table)?;
    }
    for text in &overrides.assignments {
        layers.put_assignment(text)?;
    }
    if let Some(preset) = preset {
        layers.put_value("--preset", "preset", &Value::String(preset.name().to_owned()))?;
    }
    for (flag, key, value) in &overrides.flags {
        layers.put_value(flag, key, value)?;
    }
    let settings = checked(task, &layers)?;
    if let Some((path, text)) = recorded {
        settings.check_recorded(path, text)?;
    }
    Ok(settings)
}

impl Settings {
    /// Settings from a text of TOML, which names the preset that it starts from, such as
    /// `preset = "imdb-smoke"`.
    ///
    /// # Errors
    /// As [`resolve`].
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        let origin = "the settings";
        let file = (origin.to_owned(), parse(origin, text)?);
        let (base, name) = start(None, None, Some(&file))?;
        let schema = schema();
        let mut layers = Layers::new(&schema);
        for (origin, text) in base.preset(name) {
            layers.put(&origin, &parse(&origin, text)?)?;
        }
        layers.put(origin, &file.1)?;
        checked(None, &layers)
    }

    /// The same with other values, as they are typed; `origin` names who has typed them.
    ///
    /// # Errors
    /// As [`resolve`].
    pub(crate) fn with(
        &self,
        origin: &str,
        values: &[(String, String)],
    ) -> Result<Self, ConfigError> {
        let schema = schema();
        let mut layers = Layers::new(&schema);
        layers.put("the settings", &table(self)?)?;
        for (key, text) in values {
            layers.put_typed(origin, key, text)?;
        }
        let settings: Self = layers.settings()?;
        let origin = |key: &str| layers.origin(key).unwrap_or("the settings").to_owned();
        suit_each_other(&settings, &origin)?;
        check_arms(&settings, &origin)?;
        Ok(settings)
    }

    /// The value of a key, such as `ppo.clip`.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<Value> {
        let table = table(self).ok()?;
        match key.split_once('.') {
            Some((section, key)) => table.get(section)?.get(key).cloned(),
            None => table.get(key).cloned(),
        }
    }

    /// Checks settings that were made or changed by code: their ranges, and whether they suit each
    /// other. What was resolved from layers was checked there.
    ///
    /// # Errors
    /// As [`resolve`].
    pub fn validate(&self) -> Result<(), ConfigError> {
        let origin = |_: &str| "the settings".to_owned();
        tailguard_settings::check(self).map_err(|OutOfRange { key, found, expected }| {
            SettingsError::Value { origin: origin(&key), key, found, expected }
        })?;
        suit_each_other(self, &origin)?;
        check_arms(self, &origin)
    }

    /// Refuses to go on with a run that was begun with other settings; the number of threads may
    /// differ, as it changes no result. `recorded` is the text of the run's settings.
    ///
    /// # Errors
    /// [`ConfigError::Differs`] with what differs.
    pub fn check_recorded(&self, path: &Path, recorded: &str) -> Result<(), ConfigError> {
        let differences = differences(&read_back(path, recorded)?, self)?;
        if differences.is_empty() {
            Ok(())
        } else {
            Err(ConfigError::Differs { path: path.to_owned(), differences })
        }
    }

    /// The text of a file that reads back to the same settings.
    ///
    /// # Errors
    /// [`ConfigError::Unwritable`].
    pub fn to_toml(&self) -> Result<String, ConfigError> {
        toml::to_string(self).map_err(|error| ConfigError::Unwritable(error.to_string()))
    }
}

/// The task and the preset whose settings a run starts from: those of the command, or else those
/// that the file names.
fn start(
    task: Option<&'static Task>,
    preset: Option<Preset>,
    file: Option<&(String, Table)>,
) -> Result<(&'static Task, Preset), ConfigError> {
    let text = |key: &str| file.and_then(|(_, table)| table.get(key)).and_then(Value::as_str);
    // a name that is none is refused by `checked`, which knows where it came from
    let named = text("preset").and_then(preset_named);
    let found = text("preset").filter(|_| named.is_none()).map(str::to_owned);
    let (of_preset, in_file) = named.unzip();
    let name = preset.or(in_file).unwrap_or(Preset::Embedded);
    match task.or(of_preset.flatten()).or_else(|| Task::named(text("task")?)) {
        Some(task) => Ok((task, name)),
        None => {
            Err(ConfigError::NoStart { found, tasks: TASKS.iter().map(|task| task.name).collect() })
        }
    }
}

/// Reads `smoke`, or `imdb-smoke` where the task that is run has a name of its own.
fn preset_named(text: &str) -> Option<(Option<&'static Task>, Preset)> {
    match text.rsplit_once('-') {
        None => Some((None, Preset::named(text)?)),
        Some((task, name)) => Some((Some(Task::named(task)?), Preset::named(name)?)),
    }
}

/// Reads what [`Settings::to_toml`] wrote.
pub(crate) fn read_back(path: &Path, text: &str) -> Result<Settings, ConfigError> {
    let schema = schema();
    let mut layers = Layers::new(&schema);
    put_recorded(&mut layers, path, text)?;
    layers.complete()?;
    Ok(layers.settings()?)
}

/// What runs of versions did that had no keys for it.
const EARLIER: &str = "run.precision = \"f32\"
ppo = { responses = 1, rate_warmup = 0, rate_end = 1.0, average = 0.0, advantages = \"gae\" }
evaluation = { responses = 1, failure_thresholds = [0.0] }";

/// Puts the settings of a run. One of an earlier version does not say what it had no keys for: it
/// has the arms of the paper, does as [`EARLIER`] says, and knows no other recipes.
fn put_recorded(layers: &mut Layers<'_>, path: &Path, text: &str) -> Result<(), ConfigError> {
    for (origin, text) in presets::SHARED {
        layers.put(origin, &parse(origin, text)?)?;
    }
    layers.put("an earlier version", &parse("an earlier version", EARLIER)?)?;
    let origin = path.display().to_string();
    let recorded = (origin.clone(), parse(&origin, text)?);
    // of what each task says for itself, an earlier version did not know these sections
    if let Ok((task, preset)) = start(None, None, Some(&recorded)) {
        for (origin, text) in task.preset(preset) {
            let mut unknown = parse(&origin, text)?;
            let of_new_recipes = ["dexperts", "distill", "prompted", "quark"];
            unknown.retain(|section, _| of_new_recipes.contains(&section));
            layers.put(&origin, &unknown)?;
        }
    }
    Ok(layers.put(&origin, &recorded.1)?)
}

/// The settings, if they suit each other.
fn checked(task: Option<&Task>, layers: &Layers<'_>) -> Result<Settings, ConfigError> {
    let origin = |key: &str| layers.origin(key).unwrap_or("the preset").to_owned();
    layers.complete()?;
    let settings: Settings = layers.settings()?;
    if let Some(task) = task.filter(|task| settings.task != task.name) {
        let (origin, found) = (origin("task"), settings.task);
        return Err(ConfigError::OtherRun {
            origin,
            key: "task",
            found,
            expected: format!("{:?}", task.name),
        });
    }
    let Some((of_preset, _)) = preset_named(&settings.preset) else {
        let (origin, found) = (origin("preset"), format!("{:?}", settings.preset));
        let expected =
            "\"embedded\", \"smoke\" or \"paper\", or one with its task, as in \"imdb-embedded\""
                .to_owned();
        return Err(
            SettingsError::Value { origin, key: "preset".to_owned(), found, expected }.into()
        );
    };
    if let (Some(task), Some(of_preset)) = (task, of_preset)
        && task != of_preset
    {
        let (origin, found) = (origin("preset"), settings.preset);
        return Err(ConfigError::OtherRun {
            origin,
            key: "preset",
            found,
            expected: format!("{:?}", task.name),
        });
    }
    suit_each_other(&settings, &origin)?;
    check_arms(&settings, &origin)?;
    Ok(settings)
}

/// The settings that a resumed run may not change, one line each; the number of threads changes no
/// result.
fn differences(recorded: &Settings, asked: &Settings) -> Result<Vec<String>, ConfigError> {
    let values = |settings: &Settings| {
        let mut settings = settings.clone();
        settings.run.threads = 0;
        table(&settings)
    };
    let (recorded, asked) = (values(recorded)?, values(asked)?);
    let shown = |table: &Table, key: &str| match key.split_once('.') {
        Some((section, key)) => {
            table.get(section).and_then(|section| section.get(key)).map(ToString::to_string)
        }
        None => table.get(key).map(ToString::to_string),
    };
    let differs = |key: &str| {
        let (old, new) = (shown(&recorded, key)?, shown(&asked, key)?);
        (old != new).then(|| format!("  {key} is {old} there, {new} was asked for"))
    };
    Ok(schema().names().into_iter().filter_map(differs).collect())
}

#[cfg(test)]
mod tests;
