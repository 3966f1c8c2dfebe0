//! The keys of all settings, and settings by their keys.

use tailguard_settings::Schema;
use toml::Table;

use super::error::ConfigError;
use super::sections::Settings;

/// The keys of all settings.
#[must_use]
pub fn schema() -> Schema {
    Schema::of::<Settings>()
}

/// A JSON schema of a file of settings, for editors. No key is required, as a file goes over a
/// preset.
#[must_use]
pub fn json_schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(Settings).to_value();
    drop_required(&mut schema);
    schema
}

fn drop_required(node: &mut serde_json::Value) {
    match node {
        serde_json::Value::Object(object) => {
            if object.contains_key("properties") {
                object.remove("required");
            }
            object.values_mut().for_each(drop_required);
        }
        serde_json::Value::Array(list) => list.iter_mut().for_each(drop_required),
        _ => {}
    }
}

/// Settings as a table.
pub(crate) fn table(settings: &Settings) -> Result<Table, ConfigError> {
    Table::try_from(settings).map_err(|error| ConfigError::Unwritable(error.to_string()))
}
