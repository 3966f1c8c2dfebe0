//! Layers of settings, each over the one before: preset, file, `--set`, flags.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use toml::{Table, Value};

use super::error::ConfigError;
use super::keys::{self, KEYS, Kind};

/// Checked settings and where each came from.
#[derive(Clone, Debug, Default)]
pub(super) struct Layers {
    values: BTreeMap<&'static str, (Value, String)>,
}

impl Layers {
    /// Puts the settings of a table over those that are there.
    pub(super) fn put(&mut self, origin: &str, table: &Table) -> Result<(), ConfigError> {
        for (name, value) in table {
            match value {
                Value::Table(section) if keys::is_section(name) => {
                    for (key, value) in section {
                        self.put_value(origin, &format!("{name}.{key}"), value)?;
                    }
                }
                _ => self.put_value(origin, name, value)?,
            }
        }
        Ok(())
    }

    /// Puts one setting over what is there.
    pub(super) fn put_value(&mut self, origin: &str, key: &str, value: &Value) -> Result<(), ConfigError> {
        let origin = origin.to_owned();
        let Some((known, kind)) = KEYS.iter().find(|(known, _)| *known == key) else {
            let key = key.to_owned();
            if keys::is_section(&key) {
                return Err(ConfigError::Section { origin, key });
            }
            let nearest = keys::nearest(&key);
            return Err(ConfigError::UnknownKey { origin, key, nearest });
        };
        let before = self.values.get(known).map(|(_, origin)| origin).filter(|before| before.starts_with("--"));
        if let Some(before) = before.filter(|_| origin.starts_with("--")) {
            return Err(ConfigError::Twice { key: known, before: before.clone(), origin });
        }
        match kind.admit(value) {
            Some(value) => {
                self.values.insert(known, (value, origin));
                Ok(())
            }
            None => Err(ConfigError::Value { origin, key: key.to_owned(), found: value.to_string(), expected: kind.to_string() }),
        }
    }

    /// Puts one `KEY=VALUE` over what is there.
    pub(super) fn put_assignment(&mut self, text: &str) -> Result<(), ConfigError> {
        let Some((key, value)) = text.split_once('=') else {
            return Err(ConfigError::NotAnAssignment { text: text.to_owned() });
        };
        let (key, value) = (key.trim(), value.trim());
        self.put_value("--set", key, &assigned(value, keys::kind(key)))
    }

    /// Where a setting came from.
    pub(super) fn origin(&self, key: &str) -> String {
        self.values.get(key).map_or_else(|| "the preset".to_owned(), |(_, origin)| origin.clone())
    }

    /// The settings as nested tables.
    pub(super) fn table(&self) -> Table {
        let mut table = Table::new();
        for (key, (value, _)) in &self.values {
            let place = match key.split_once('.') {
                None => table.entry(*key),
                Some((section, key)) => match table.entry(section).or_insert_with(|| Value::Table(Table::new())) {
                    Value::Table(section) => section.entry(key),
                    _ => continue, // no key is both a section and a value: held by a test of `keys`
                },
            };
            place.or_insert_with(|| value.clone());
        }
        table
    }
}

/// A value typed on the command line: TOML, or a bare word where a string is expected.
fn assigned(text: &str, kind: Option<Kind>) -> Value {
    let bare = || Value::String(text.to_owned());
    let parsed = || format!("value = {text}").parse::<Table>().ok().and_then(|mut table| table.remove("value"));
    match kind {
        Some(Kind::Text | Kind::Choice(_)) => parsed().filter(Value::is_str).unwrap_or_else(bare),
        _ => parsed().unwrap_or_else(bare),
    }
}

/// Reads a TOML file.
pub(super) fn read(path: &Path) -> Result<Table, ConfigError> {
    let text = fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    parse(&path.display().to_string(), &text)
}

/// Parses TOML; `origin` names it in messages.
pub(super) fn parse(origin: &str, text: &str) -> Result<Table, ConfigError> {
    text.parse::<Table>().map_err(|error| {
        let line = error.span().map(|span| text.get(..span.start).unwrap_or_default().matches('\n').count() + 1);
        let place = line.map(|line| format!("line {line}: ")).unwrap_or_default();
        ConfigError::Syntax { origin: origin.to_owned(), detail: format!("{place}{}", error.message()) }
    })
}
