//! Damage to JSON that stays JSON, or nearly: a key dropped or doubled, a value of another type, a
//! number that no reader expects.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

/// Numbers, as text, that few readers expect.
pub(super) const ODD_NUMBERS: &[&str] = &[
    "-1",
    "0",
    "-0.0",
    "1e308",
    "-1e308",
    "1e400",
    "1e-320",
    "0.5",
    "NaN",
    "nan",
    "inf",
    "-inf",
    "null",
    "255",
    "65536",
    "2147483648",
    "4294967296",
    "9007199254740993",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999",
];

/// Stands for what is written in its place as text, since a [`Value`] holds no NaN, no key twice
/// and no number of 30 digits.
const PLACE: &str = "@@place@@";
/// Values of other types.
const OTHERS: &[&str] = &[
    "null",
    "true",
    "false",
    "\"\"",
    "\"x\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "[]",
    "{}",
    "[null]",
    "{\"\":{}}",
    "[[1,2],[3]]",
];
/// Levels of arrays: more than any reader may follow on its stack, and few enough that it may not
/// overflow by the text's length.
const DEEP: [usize; 3] = [100, 130, 100_000];
/// Times that a string or an array is said again.
const AGAIN: usize = 300;

/// A damaged copy of a JSON text; nothing where it is none.
pub(super) fn damage(text: &[u8], rng: &mut ChaCha8Rng) -> Option<Vec<u8>> {
    let mut root: Value = serde_json::from_slice(text).ok()?;
    let nodes = count(&root);
    let node = nth(&mut root, rng.random_range(0..nodes))?;
    let written = replacement(node, rng);
    *node = Value::from(PLACE);
    Some(root.to_string().replacen(&format!("\"{PLACE}\""), &written, 1).into_bytes())
}

/// What is written in the place of a value.
fn replacement(node: &mut Value, rng: &mut ChaCha8Rng) -> String {
    let chosen = rng.random_range(0..10);
    match node {
        Value::Object(map) if !map.is_empty() && chosen < 7 => {
            let keys: Vec<String> = map.keys().cloned().collect();
            let key = &keys[rng.random_range(0..keys.len())];
            let other = &keys[rng.random_range(0..keys.len())];
            match chosen {
                0..3 => drop(map.remove(key)),
                3 => {
                    let value = map.remove(key).unwrap_or_default();
                    map.insert(format!("{key}_"), value);
                }
                4 => {
                    let value = map[other].clone();
                    map.insert(key.clone(), value);
                }
                _ => {
                    // the same key again, with another's value
                    let rest = Value::Object(map.clone()).to_string();
                    return format!(
                        "{{{}:{},{}",
                        Value::from(key.as_str()),
                        map[other],
                        &rest[1..]
                    );
                }
            }
            node.to_string()
        }
        Value::Array(items) if !items.is_empty() && chosen < 6 => {
            let (at, other) = (rng.random_range(0..items.len()), rng.random_range(0..items.len()));
            match chosen {
                0 | 1 => drop(items.remove(at)),
                2 => items.insert(at, items[other].clone()),
                3 => items.swap(at, other),
                4 => items.truncate(at),
                _ => *items = items.iter().cycle().take(AGAIN.max(items.len())).cloned().collect(),
            }
            node.to_string()
        }
        Value::String(text) if chosen < 4 => {
            match chosen {
                0 => *text = text.repeat(AGAIN),
                1 => text.push('\u{fffd}'),
                2 => *text = text.chars().rev().collect(),
                _ => drop(text.pop()),
            }
            node.to_string()
        }
        Value::Number(_) if chosen < 8 => {
            ODD_NUMBERS[rng.random_range(0..ODD_NUMBERS.len())].to_owned()
        }
        _ => match rng.random_range(0..6) {
            0 => {
                let levels = DEEP[rng.random_range(0..DEEP.len())];
                format!("{}{}", "[".repeat(levels), "]".repeat(levels))
            }
            1 => ODD_NUMBERS[rng.random_range(0..ODD_NUMBERS.len())].to_owned(),
            _ => OTHERS[rng.random_range(0..OTHERS.len())].to_owned(),
        },
    }
}

/// A value and all that is in it.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum::<usize>(),
        Value::Object(map) => map.values().map(count).sum(),
        _ => 0,
    }
}

/// The value that comes `index`-th, each before what is in it.
fn nth(value: &mut Value, index: usize) -> Option<&mut Value> {
    if index == 0 {
        return Some(value);
    }
    let mut left = index - 1;
    let inner: Vec<&mut Value> = match value {
        Value::Array(items) => items.iter_mut().collect(),
        Value::Object(map) => map.values_mut().collect(),
        _ => return None,
    };
    for item in inner {
        let within = count(item);
        if left < within {
            return nth(item, left);
        }
        left -= within;
    }
    None
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use serde_json::json;

    use super::*;

    #[test]
    fn every_value_is_reached_once() {
        let mut value = json!({"a": [1, {"b": null}], "c": "d"});
        assert_eq!(count(&value), 6);
        let seen: Vec<String> =
            (0..6).map(|index| nth(&mut value, index).unwrap().to_string()).collect();
        assert_eq!(seen[1..], ["[1,{\"b\":null}]", "1", "{\"b\":null}", "null", "\"d\""]);
        assert!(nth(&mut value, 6).is_none());
    }

    #[test]
    fn keys_are_doubled_and_numbers_are_none() {
        let text = br#"{"a":1,"b":[2.5]}"#;
        let all: Vec<String> = (0..400)
            .map(|seed| {
                String::from_utf8(damage(text, &mut ChaCha8Rng::seed_from_u64(seed)).unwrap())
                    .unwrap()
            })
            .collect();
        for wanted in [
            r#"{"a":[2.5],"a":1,"b":[2.5]}"#,
            r#"{"a":NaN,"b":[2.5]}"#,
            r#"{"b":[2.5]}"#,
            r#"{"a":1,"b":[]}"#,
        ] {
            assert!(all.iter().any(|text| text == wanted), "{wanted}");
        }
        assert!(all.iter().all(|text| !text.contains(PLACE)));
        assert_eq!(damage(b"not json", &mut ChaCha8Rng::seed_from_u64(1)), None);
    }
}
