//! JSON values as Python's programs write them, and the values that paths lead to in them.

use std::borrow::Cow;

use serde::de::DeserializeSeed;
use serde_json::{Deserializer, Map, Value};

use crate::cell::Cell;
use crate::shape::{Shape, TURN, index, splits};

/// Begins the texts that stand for numbers that JSON has not.
const NOT_FINITE: char = '\0';
/// What stands between the contents of a conversation.
const BETWEEN_TURNS: &str = "\n";

/// Reads a value. It may hold NaN and infinities, and halves of characters that are written in two;
/// of the latter, how many there were.
pub(crate) fn parse(text: &str) -> serde_json::Result<(Value, usize)> {
    repaired(text, |text| serde_json::from_str(text))
}

/// Adds the paths of a value.
pub(crate) fn add_shape(text: &str, shape: &mut Shape) -> serde_json::Result<()> {
    let add = |text: &str| {
        let mut value = Deserializer::from_str(text);
        (&mut *shape).deserialize(&mut value)?;
        value.end()
    };
    repaired(text, add).map(|_| ())
}

/// Reads a text, or else what it says in plain JSON. An error is that of the text.
fn repaired<T>(
    text: &str,
    mut read: impl FnMut(&str) -> serde_json::Result<T>,
) -> serde_json::Result<(T, usize)> {
    read(text).map(|value| (value, 0)).or_else(|error| {
        let (plain, halves) = plain(text);
        read(&plain).map(|value| (value, halves)).map_err(|_| error)
    })
}

/// The text with NaN and infinities as texts that [`leaf`] knows, and U+FFFD for each `\ud83d`
/// whose other half is not there; and how many of these there were.
fn plain(text: &str) -> (String, usize) {
    let (mut plain, mut halves, mut rest, mut in_text) =
        (String::with_capacity(text.len() + 16), 0, text, false);
    while let Some(character) = rest.chars().next() {
        let (mut taken, mut written) = (character.len_utf8(), None);
        if in_text && character == '\\' {
            let pair = surrogate(rest).map(|is_first| (is_first, surrogate(&rest[6..])));
            (taken, written) = match pair {
                Some((true, Some(false))) => (12, None),
                Some(_) => (6, Some(Cow::Borrowed("\\ufffd"))),
                // also of "\\", whose second half begins nothing
                None => (1 + rest[1..].chars().next().map_or(0, char::len_utf8), None),
            };
            halves += usize::from(written.is_some());
        } else if character == '"' {
            in_text = !in_text;
        } else if !in_text {
            let words = [("-Infinity", "-inf"), ("Infinity", "inf"), ("NaN", "nan")];
            if let Some((word, number)) = words.iter().find(|(word, _)| rest.starts_with(word)) {
                (taken, written) = (word.len(), Some(Cow::Owned(format!("\"\\u0000{number}\""))));
            }
        }
        plain.push_str(written.as_deref().unwrap_or(&rest[..taken]));
        rest = &rest[taken..];
    }
    (plain, halves)
}

/// Whether the text begins with the escaped half of a character, and which: true for the first.
fn surrogate(text: &str) -> Option<bool> {
    let code = u32::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok()?;
    (0xd800..0xe000).contains(&code).then_some(code < 0xdc00)
}

/// A number that JSON may not have, as a value that [`cell`] knows.
pub(crate) fn number(number: f64) -> Value {
    serde_json::Number::from_f64(number)
        .map_or_else(|| Value::String(format!("{NOT_FINITE}{number}")), Value::Number)
}

/// What a path of columns and fields leads to in a row.
pub(crate) fn cell(row: &Map<String, Value>, path: &str) -> Cell {
    let inner = |(name, rest): (&str, Option<&str>)| row.get(name).map(|value| reach(value, rest));
    splits(path)
        .filter_map(inner)
        .find(|cell| !matches!(cell, Cell::Missing))
        .unwrap_or(Cell::Missing)
}

/// What a path leads to in a value: to an entry where a list is met with a number, and to one value
/// for each entry without.
pub(crate) fn reach(value: &Value, path: Option<&str>) -> Cell {
    match (value, path) {
        (value, None) => leaf(value),
        (Value::Object(fields), Some(path)) => cell(fields, path),
        (Value::Array(entries), Some(path)) => match index(path) {
            Some((place, rest)) => {
                entries.get(place).map_or(Cell::Missing, |entry| reach(entry, rest))
            }
            None => list(entries.iter().map(|entry| reach(entry, Some(path)))),
        },
        _ => Cell::Missing,
    }
}

/// Entries of lists within lists are entries, too; a list of nothing is nothing.
fn list(entries: impl Iterator<Item = Cell>) -> Cell {
    let flat = entries.flat_map(|entry| match entry {
        Cell::List(inner) => inner,
        other => vec![other],
    });
    Some(flat.collect::<Vec<_>>()).filter(|flat| !flat.is_empty()).map_or(Cell::Null, Cell::List)
}

fn leaf(value: &Value) -> Cell {
    match value {
        Value::Null => Cell::Null,
        Value::Bool(value) => Cell::Number(f64::from(u8::from(*value))),
        Value::String(text) => {
            match text.strip_prefix(NOT_FINITE).and_then(|number| number.parse::<f64>().ok()) {
                Some(number) if !number.is_finite() => Cell::Number(number),
                _ => Cell::Text(text.clone()),
            }
        }
        Value::Number(number) => {
            let integer = number
                .as_i64()
                .map(i128::from)
                .or_else(|| number.as_u64().map(i128::from))
                .map(Cell::Integer);
            integer
                .or_else(|| number.as_f64().map(Cell::Number))
                .unwrap_or_else(|| Cell::Other(number.to_string()))
        }
        Value::Array(entries) => {
            conversation(entries).unwrap_or_else(|| list(entries.iter().map(leaf)))
        }
        Value::Object(_) => Cell::Other(value.to_string()),
    }
}

/// The contents of what was said, in order, if the entries are that.
fn conversation(entries: &[Value]) -> Option<Cell> {
    let content = |entry: &Value| {
        let [role, content] = TURN.map(|name| entry.get(name));
        role?.as_str()?;
        match content? {
            // what calls a tool says nothing
            Value::Null => Some(None),
            Value::String(text) => Some(Some(text.clone())),
            _ => None,
        }
    };
    let contents: Vec<_> = entries.iter().map(content).collect::<Option<_>>()?;
    let said: Vec<String> = contents.into_iter().flatten().collect();
    (!entries.is_empty()).then(|| Cell::Conversation(said.join(BETWEEN_TURNS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a path leads to, in short.
    fn at(row: &str, path: &str) -> String {
        let (Value::Object(row), _) = parse(row).unwrap() else { panic!("no object") };
        cell(&row, path).shown()
    }

    #[test]
    fn paths_reach_into_objects_and_lists() {
        let row = r#"{"a": {"b": [{"c": "x"}, {"c": "y"}, {}]}, "a.b": {"d": 1},
            "e": [["z"]], "f": [[1], [2, 3], []], "n": null}"#;
        for (path, found) in [
            ("a.b.0.c", "\"x\""),
            ("a.b.2.c", "nothing"),
            ("a.b.9.c", "nothing"),
            ("a.b.c", "a list of 3 (\"x\", \"y\", nothing)"),
            ("a.b.d", "1"),
            ("e", "a list of 1 (\"z\")"),
            ("e.0.0", "\"z\""),
            ("f", "a list of 4 (1, 2, 3, ...)"),
            ("n", "nothing"),
            ("n.x", "nothing"),
        ] {
            assert_eq!(at(row, path), found, "{path}");
        }
        assert!(at(row, "a").starts_with("{\"b\":[{\"c\":"));
    }

    #[test]
    fn what_was_said_is_read_in_order() {
        let row = r#"{"c": [{"role": "user", "content": "Hi"},
            {"role": "a", "content": null}, {"role": "a", "content": "Ho"}]}"#;
        assert_eq!(at(row, "c"), "\"Hi\\nHo\"");
        assert_eq!(at(row, "c.0.content"), "\"Hi\"");
        assert_eq!(at(r#"{"c": [{"role": "user"}]}"#, "c"), "a list of 1 ({\"role\":\"user\"})");
    }

    #[test]
    fn halves_of_characters_are_replaced_and_counted_and_whole_ones_kept() {
        for (text, found, halves) in [
            (r#"["\ud83d\ude00"]"#, "😀", 0),
            (r#"["a\ud83d", NaN]"#, "a\u{fffd}", 1),
            (r#"["\ude00\ud83d\ud83d\ude00\\ud83d\""]"#, "\u{fffd}\u{fffd}😀\\ud83d\"", 2),
        ] {
            let (value, count) = parse(text).unwrap();
            assert_eq!((value[0].as_str(), count), (Some(found), halves), "{text}");
        }
        assert!(
            parse(r#"["\ud83"]"#).is_err() && parse(r#"["\"#).is_err() && parse("[\"\\é").is_err()
        );
    }

    #[test]
    fn only_what_stands_outside_of_texts_is_a_number() {
        let (value, _) =
            parse(r#"{"NaN": "NaN \" NaN", "x": -Infinity, "y": [NaN, Infinity]}"#).unwrap();
        let Value::Object(row) = value else { panic!("no object") };
        assert_eq!(
            ["NaN", "x", "y.0", "y.1"].map(|path| cell(&row, path).shown()),
            ["\"NaN \\\" NaN\"", "-inf", "NaN", "inf"]
        );
    }
}
