//! Settings that were made by code.

use schemars::JsonSchema;
use serde::Serialize;
use toml::Value;

use crate::schema::Schema;

/// A setting that is out of its range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} is {found}, expected {expected}")]
pub struct OutOfRange {
    /// The setting.
    pub key: String,
    /// Its value.
    pub found: String,
    /// What it may be.
    pub expected: String,
}

/// Checks that every setting of a value is in its range.
///
/// # Errors
/// The first that is not, in the order of their names.
pub fn check<T: Serialize + JsonSchema>(settings: &T) -> Result<(), OutOfRange> {
    let not_settings = |detail: String| OutOfRange {
        key: "settings".to_owned(),
        found: detail,
        expected: "what TOML can hold".to_owned(),
    };
    let table = match Value::try_from(settings) {
        Ok(Value::Table(table)) => table,
        Ok(other) => return Err(not_settings(other.to_string())),
        Err(error) => return Err(not_settings(error.to_string())),
    };
    let schema = Schema::of::<T>();
    for key in schema.keys() {
        let value = match key.name.split_once('.') {
            Some((section, name)) => table.get(section).and_then(|section| section.get(name)),
            None => table.get(&key.name),
        };
        let refused = value.filter(|value| key.kind.admit(value).is_none());
        if let Some(value) = refused {
            let found = match value {
                Value::Float(number) => number.to_string(), // TOML writes nan
                other => other.to_string(),
            };
            return Err(OutOfRange {
                key: key.name.clone(),
                found,
                expected: key.kind.to_string(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, JsonSchema)]
    struct Settings {
        #[schemars(range(min = 1))]
        steps: usize,
        #[schemars(extend("exclusiveMinimum" = 0.0))]
        rate: f64,
    }

    #[test]
    fn the_setting_out_of_its_range_is_named() {
        let message =
            |steps, rate| check(&Settings { steps, rate }).err().map(|refused| refused.to_string());
        assert_eq!(message(1, 0.5), None);
        assert_eq!(message(0, 0.5).unwrap(), "steps is 0, expected a whole number of at least 1");
        assert_eq!(message(1, f64::NAN).unwrap(), "rate is NaN, expected a finite number above 0");
        assert_eq!(message(1, 0.0).unwrap(), "rate is 0, expected a finite number above 0");
        assert!(message(usize::MAX, 0.5).is_some(), "TOML has no such number");
    }
}
