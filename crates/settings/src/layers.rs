//! Layers of settings, each over the one before: preset, file, `--set`, flags.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use crate::error::SettingsError;
use crate::kind::Kind;
use crate::schema::Schema;

/// Checked settings and where each came from.
#[derive(Clone, Debug)]
pub struct Layers<'s> {
    schema: &'s Schema,
    values: BTreeMap<&'s str, (Value, String)>,
}

impl<'s> Layers<'s> {
    /// No settings yet.
    #[must_use]
    pub fn new(schema: &'s Schema) -> Self {
        Self { schema, values: BTreeMap::new() }
    }

    /// Puts the settings of a table over those that are there; `origin` names it in messages.
    ///
    /// # Errors
    /// Unknown keys, and values of another kind or out of range.
    pub fn put(&mut self, origin: &str, table: &Table) -> Result<(), SettingsError> {
        for (name, value) in table {
            match value {
                Value::Table(section) if self.schema.is_section(name) => {
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
    ///
    /// # Errors
    /// As [`put`](Self::put); [`SettingsError::Twice`] where two flags (origins that begin with
    /// `--`) say the same key.
    pub fn put_value(
        &mut self,
        origin: &str,
        key: &str,
        value: &Value,
    ) -> Result<(), SettingsError> {
        let origin = origin.to_owned();
        let Some(known) = self.schema.key(key) else {
            let key = key.to_owned();
            if self.schema.is_section(&key) {
                return Err(SettingsError::Section { origin, key });
            }
            let nearest = self.schema.nearest(&key).into_iter().map(str::to_owned).collect();
            return Err(SettingsError::UnknownKey { origin, key, nearest });
        };
        let before = self
            .values
            .get(key)
            .map(|(_, origin)| origin)
            .filter(|before| before.starts_with("--"));
        if let Some(before) = before.filter(|_| origin.starts_with("--")) {
            return Err(SettingsError::Twice {
                key: key.to_owned(),
                before: before.clone(),
                origin,
            });
        }
        if let (Kind::Tables(schema), Value::Array(list)) = (&known.kind, value) {
            for table in list.iter().filter_map(Value::as_table) {
                check_table(&origin, key, schema, table)?;
            }
        }
        let Some(value) = known.kind.admit(value) else {
            let (found, expected) = (value.to_string(), known.kind.to_string());
            return Err(SettingsError::Value { origin, key: key.to_owned(), found, expected });
        };
        self.values.insert(&known.name, (value, origin));
        Ok(())
    }

    /// Puts one `KEY=VALUE` over what is there.
    ///
    /// # Errors
    /// [`SettingsError::NotAnAssignment`], or as [`put_value`](Self::put_value).
    pub fn put_assignment(&mut self, text: &str) -> Result<(), SettingsError> {
        let Some((key, value)) = text.split_once('=') else {
            return Err(SettingsError::NotAnAssignment { text: text.to_owned() });
        };
        self.put_typed("--set", key.trim(), value.trim())
    }

    /// Puts one setting, whose value is as it was typed, over what is there: TOML, or a bare word
    /// where a string is expected.
    ///
    /// # Errors
    /// As [`put_value`](Self::put_value).
    pub fn put_typed(&mut self, origin: &str, key: &str, text: &str) -> Result<(), SettingsError> {
        self.put_value(origin, key, &assigned(text, self.schema.key(key).map(|key| &key.kind)))
    }

    /// The value of a setting, if there is one.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.values.get(key).map(|(value, _)| value)
    }

    /// Where a setting came from; nothing if it has no value.
    #[must_use]
    pub fn origin(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(|(_, origin)| origin.as_str())
    }

    /// The settings as nested tables.
    #[must_use]
    pub fn table(&self) -> Table {
        let mut table = Table::new();
        for (key, (value, _)) in &self.values {
            let place = match key.split_once('.') {
                None => table.entry(*key),
                Some((section, key)) => {
                    match table.entry(section).or_insert_with(|| Value::Table(Table::new())) {
                        Value::Table(section) => section.entry(key),
                        _ => continue, // no key is both a section and a value
                    }
                }
            };
            place.or_insert_with(|| value.clone());
        }
        table
    }

    /// Checks that every key has a value, also one for which the type has a value of its own.
    ///
    /// # Errors
    /// [`SettingsError::Incomplete`] names the first that has none.
    pub fn complete(&self) -> Result<(), SettingsError> {
        match self.schema.keys().iter().find(|key| !self.values.contains_key(key.name.as_str())) {
            Some(key) => Err(SettingsError::Incomplete(format!("`{}`", key.name))),
            None => Ok(()),
        }
    }

    /// The settings as the type that holds them.
    ///
    /// # Errors
    /// [`SettingsError::Incomplete`] where one has no value, and the type none for it.
    pub fn settings<T: DeserializeOwned>(&self) -> Result<T, SettingsError> {
        self.table()
            .try_into()
            .map_err(|error: toml::de::Error| SettingsError::Incomplete(error.message().to_owned()))
    }
}

/// Checks a table of a list of tables key by key, so that a message names the key.
fn check_table(
    origin: &str,
    name: &str,
    schema: &Schema,
    table: &Table,
) -> Result<(), SettingsError> {
    let origin = || origin.to_owned();
    for (key, value) in table {
        let Some(known) = schema.key(key) else {
            let nearest =
                schema.nearest(key).into_iter().map(|near| format!("{name}.{near}")).collect();
            return Err(SettingsError::UnknownKey {
                origin: origin(),
                key: format!("{name}.{key}"),
                nearest,
            });
        };
        if known.kind.admit(value).is_none() {
            let (found, expected) = (value.to_string(), known.kind.to_string());
            return Err(SettingsError::Value {
                origin: origin(),
                key: format!("{name}.{key}"),
                found,
                expected,
            });
        }
    }
    match schema.keys().iter().find(|key| key.is_required && !table.contains_key(&key.name)) {
        Some(key) => {
            Err(SettingsError::Incomplete(format!("{name}.{} is missing ({})", key.name, origin())))
        }
        None => Ok(()),
    }
}

/// A value typed on the command line: TOML, or a bare word where a string is expected.
fn assigned(text: &str, kind: Option<&Kind>) -> Value {
    let bare = || Value::String(text.to_owned());
    let parsed = || {
        format!("value = {text}").parse::<Table>().ok().and_then(|mut table| table.remove("value"))
    };
    if kind.is_some_and(Kind::is_textual) {
        parsed().filter(Value::is_str).unwrap_or_else(bare)
    } else {
        parsed().unwrap_or_else(bare)
    }
}

/// Reads a TOML file.
///
/// # Errors
/// [`SettingsError::Read`] and [`SettingsError::Syntax`].
pub fn read(path: &Path) -> Result<Table, SettingsError> {
    let text = fs::read_to_string(path)
        .map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
    parse(&path.display().to_string(), &text)
}

/// Parses TOML; `origin` names it in messages.
///
/// # Errors
/// [`SettingsError::Syntax`] with the line.
pub fn parse(origin: &str, text: &str) -> Result<Table, SettingsError> {
    text.parse::<Table>().map_err(|error| {
        let line = error
            .span()
            .map(|span| text.get(..span.start).unwrap_or_default().matches('\n').count() + 1);
        let place = line.map(|line| format!("line {line}: ")).unwrap_or_default();
        SettingsError::Syntax {
            origin: origin.to_owned(),
            detail: format!("{place}{}", error.message()),
        }
    })
}
