//! Which values the rows of a table have, and by which paths they are reached.
//!
//! A path is names between dots: `prompt.text` is the field `text` of the column `prompt`,
//! `choices.0.text` that of the first entry of a list, and `choices.text` that of each entry. A
//! column or field whose own name has dots goes before what its parts would lead to.

use std::collections::HashMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// Roles and contents: what the entries of a conversation have.
pub(crate) const TURN: [&str; 2] = ["role", "content"];

/// What stands at a place in some row: a value, fields, entries of a list, or several of these in
/// different rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shape {
    is_value: bool,
    /// In the order in which they were met.
    fields: Vec<(String, Shape)>,
    places: HashMap<String, usize>,
    entries: Option<Box<Shape>>,
}

impl Shape {
    pub(crate) fn value() -> Self {
        Self { is_value: true, ..Self::default() }
    }

    /// A list of such entries.
    pub(crate) fn list(entries: Self) -> Self {
        Self { entries: Some(Box::new(entries)), ..Self::default() }
    }

    /// Of these columns or fields.
    pub(crate) fn of(fields: impl IntoIterator<Item = (String, Self)>) -> Self {
        let mut shape = Self::default();
        for (name, field) in fields {
            let place = shape.place(&name);
            shape.fields[place].1 = field;
        }
        shape
    }

    /// The number of a field, which is added if it is new.
    fn place(&mut self, name: &str) -> usize {
        if let Some(&place) = self.places.get(name) {
            return place;
        }
        self.fields.push((name.to_owned(), Self::default()));
        self.places.insert(name.to_owned(), self.fields.len() - 1);
        self.fields.len() - 1
    }

    /// Whether a path leads to values, or to lists of them, in some row.
    pub(crate) fn has(&self, path: &str) -> bool {
        let inner = |name: &str, rest: Option<&str>| {
            self.places.get(name).is_some_and(|&place| {
                let field = &self.fields[place].1;
                rest.map_or_else(|| field.holds_values(), |rest| field.has(rest))
            })
        };
        let in_fields = splits(path).any(|(name, rest)| inner(name, rest));
        in_fields
            || self.entries.as_ref().is_some_and(|entries| match index(path) {
                Some((_, None)) => entries.holds_values(),
                Some((_, Some(rest))) => entries.has(rest),
                None => entries.has(path),
            })
    }

    fn holds_values(&self) -> bool {
        self.is_value
            || self
                .entries
                .as_ref()
                .is_some_and(|entries| entries.is_turn() || entries.holds_values())
    }

    fn is_turn(&self) -> bool {
        TURN.iter().all(|name| self.places.contains_key(*name))
    }

    /// The paths of all values. Of a list, what its entries have; a conversation is one value.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.add_paths("", &mut paths);
        paths
    }

    fn add_paths(&self, path: &str, paths: &mut Vec<String>) {
        let is_new = |paths: &Vec<String>| paths.last().is_none_or(|last| last != path);
        if !path.is_empty() && self.holds_values() && is_new(paths) {
            paths.push(path.to_owned());
        }
        for (name, field) in &self.fields {
            field.add_paths(
                &if path.is_empty() { name.clone() } else { format!("{path}.{name}") },
                paths,
            );
        }
        if let Some(entries) = self.entries.as_ref().filter(|entries| !entries.is_turn()) {
            entries.add_paths(path, paths);
        }
    }
}

/// The ways to part a path into a name and the rest of the path, the longest name first.
pub(crate) fn splits(path: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let parted = path.rmatch_indices('.').map(|(dot, _)| (&path[..dot], Some(&path[dot + 1..])));
    std::iter::once((path, None)).chain(parted)
}

/// The number of an entry that a path begins with, and the rest of the path.
pub(crate) fn index(path: &str) -> Option<(usize, Option<&str>)> {
    let (first, rest) =
        path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    Some((first.parse().ok()?, rest))
}

/// Adds what a JSON value has, without keeping the value.
impl<'de> DeserializeSeed<'de> for &mut Shape {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Shape {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.is_value |= self.fields.is_empty() && self.entries.is_none();
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.is_value = true;
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.is_value = true;
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.is_value = true;
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.is_value = true;
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        self.is_value = true;
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let entries = self.entries.get_or_insert_default();
        while list.next_element_seed(&mut **entries)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        while let Some(place) = object.next_key_seed(Key(self))? {
            object.next_value_seed(&mut self.fields[place].1)?;
        }
        Ok(())
    }
}

/// The name of a field, as its number.
struct Key<'s>(&'s mut Shape);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, name: D) -> Result<usize, D::Error> {
        name.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E>(self, name: &str) -> Result<usize, E> {
        Ok(self.0.place(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(rows: &[&str]) -> Shape {
        let mut shape = Shape::default();
        for row in rows {
            (&mut shape).deserialize(&mut serde_json::Deserializer::from_str(row)).unwrap();
        }
        shape
    }

    #[test]
    fn every_path_that_any_row_has_is_known() {
        let all = shape(&[
            r#"{"b": null, "a": 1, "list": [["x"]], "chat": null}"#,
            r#"{"a": 2, "p": {"text": "x", "deep.er": {"q": 1}},
                "g": [{"t": "x"}, {"s": 1}], "empty": []}"#,
            r#"{"chat": [{"role": "user", "content": "x"}], "b": {"c": 1}}"#,
        ]);
        assert_eq!(
            all.paths(),
            ["b", "b.c", "a", "list", "chat", "p.text", "p.deep.er.q", "g.t", "g.s"]
        );
        for path in [
            "a",
            "p.text",
            "p.deep.er.q",
            "list",
            "list.0",
            "list.3.0",
            "g.t",
            "g.0.t",
            "chat",
            "chat.0.content",
            "chat.role",
        ] {
            assert!(all.has(path), "{path}");
        }
        for path in ["", "p", "g", "g.0", "p.0", "a.0", "x", "p.text.x", "g.x", "deep.er", "empty"]
        {
            assert!(!all.has(path), "{path}");
        }
    }
}
