//! What stands with the name of an objective in settings: one value, or a table of keys.

use std::error::Error;

use tailguard_risk::Over;
use tailguard_settings::nearest;
use toml::Value;

/// Why an objective cannot be made.
pub(crate) type Wrong = Box<dyn Error + Send + Sync>;

/// The keys of an objective. A value alone, as in `{ cvar = 0.4 }`, is that of the first key:
/// `{ cvar = { level = 0.4 } }`.
pub(crate) struct Keys<'a> {
    name: &'a str,
    /// Each with its value, and with what messages call it.
    given: Vec<(&'a str, String, &'a Value)>,
}

impl<'a> Keys<'a> {
    /// Reads what stands with a name; `known` are its keys.
    ///
    /// # Errors
    /// A key that is none of them, with the nearest one.
    pub(crate) fn read(
        name: &'a str,
        value: Option<&'a Value>,
        known: &[&'a str],
    ) -> Result<Self, Wrong> {
        let given = match value {
            None => Vec::new(),
            Some(Value::Table(table)) => {
                if let Some(key) = table.keys().find(|key| !known.contains(&key.as_str())) {
                    let meant = nearest(key, known)
                        .first()
                        .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
                    return Err(format!(
                        "{name} has the key `{key}`, expected {}{meant}",
                        known.join(", ")
                    )
                    .into());
                }
                table
                    .iter()
                    .map(|(key, value)| (key.as_str(), format!("{name}.{key}"), value))
                    .collect()
            }
            Some(value) => {
                known.first().map(|first| (*first, name.to_owned(), value)).into_iter().collect()
            }
        };
        Ok(Self { name, given })
    }

    /// The value of a key, and what messages call it.
    pub(crate) fn get(&self, key: &str) -> Option<(&str, &'a Value)> {
        self.given
            .iter()
            .find(|(given, ..)| *given == key)
            .map(|(_, shown, value)| (shown.as_str(), *value))
    }

    /// The value of a key that must be there.
    pub(crate) fn needed(&self, key: &str, example: &str) -> Result<(&str, &'a Value), Wrong> {
        self.get(key).ok_or_else(|| {
            format!("{} lacks {key}, expected it as in {{ {} = {example} }}", self.name, self.name)
                .into()
        })
    }

    /// What `parse` makes of the value of a key, if there is one.
    pub(crate) fn parsed<T>(
        &self,
        key: &str,
        expected: &str,
        parse: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, Wrong> {
        self.get(key).map(|of_key| parsed(of_key, expected, parse)).transpose()
    }

    /// Of which episodes the tail is: the batch's, unless it is said.
    pub(crate) fn over(&self) -> Result<Over, Wrong> {
        let parse = |value: &Value| {
            [Over::Batch, Over::Prompt].into_iter().find(|over| value.as_str() == Some(over.name()))
        };
        Ok(self.parsed("over", "\"batch\" or \"prompt\"", parse)?.unwrap_or_default())
    }
}

/// What `parse` makes of the value of a key.
///
/// # Errors
/// What is expected, where it makes nothing of it.
pub(crate) fn parsed<T>(
    (shown, value): (&str, &Value),
    expected: &str,
    parse: impl Fn(&Value) -> Option<T>,
) -> Result<T, Wrong> {
    parse(value).ok_or_else(|| format!("{shown} = {value}, expected {expected}").into())
}

/// A number, with or without a point.
pub(crate) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Float(number) => Some(*number),
        // exact up to 2^53, and settings have no larger ones
        Value::Integer(number) => Some(*number as f64),
        _ => None,
    }
}

/// A number in (0, 1].
pub(crate) fn fraction(value: &Value) -> Option<f64> {
    number(value).filter(|number| *number > 0.0 && *number <= 1.0)
}

/// A whole number that is not negative.
pub(crate) fn count(value: &Value) -> Option<usize> {
    value.as_integer().and_then(|number| usize::try_from(number).ok())
}

/// Numbers in a list.
pub(crate) fn numbers(value: &Value) -> Option<Vec<f64>> {
    value.as_array()?.iter().map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        format!("it = {text}").parse::<toml::Table>().unwrap().remove("it").unwrap()
    }

    #[test]
    fn a_value_alone_is_that_of_the_first_key() {
        let (alone, table) = (value("0.4"), value("{ level = 0.4, over = \"prompt\" }"));
        let known = ["level", "over"];
        let level = |given| {
            Keys::read("cvar", Some(given), &known)
                .unwrap()
                .parsed("level", "a number", number)
                .unwrap()
        };
        assert_eq!((level(&alone), level(&table)), (Some(0.4), Some(0.4)));
        let over = |given| Keys::read("cvar", given, &known).unwrap().over().unwrap();
        assert_eq!(
            [over(None), over(Some(&alone)), over(Some(&table))],
            [Over::Batch, Over::Batch, Over::Prompt]
        );
    }

    #[test]
    fn what_is_wrong_is_named_as_it_was_written() {
        let refused = |text: &str| {
            let given = value(text);
            let keys = Keys::read("cvar", Some(&given), &["level", "over", "warmup"])?;
            keys.over()?;
            keys.parsed("level", "a number in (0, 1]", fraction)?;
            keys.parsed("warmup", "a whole number", count).map(|_| ())
        };
        let message = |text| refused(text).unwrap_err().to_string();
        assert_eq!(
            message("{ warmpu = 3 }"),
            "cvar has the key `warmpu`, expected level, over, warmup; did you mean `warmup`?"
        );
        assert_eq!(message("{ zzz = 3 }"), "cvar has the key `zzz`, expected level, over, warmup");
        assert_eq!(
            message("{ over = \"all\" }"),
            "cvar.over = \"all\", expected \"batch\" or \"prompt\""
        );
        assert_eq!(message("1.5"), "cvar = 1.5, expected a number in (0, 1]");
        assert_eq!(message("{ level = 0 }"), "cvar.level = 0, expected a number in (0, 1]");
        assert_eq!(message("{ warmup = -1 }"), "cvar.warmup = -1, expected a whole number");
        assert!(refused("1").is_ok());
    }
}
