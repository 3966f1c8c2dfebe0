//! The keys of a type, from its JSON schema.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value as Json;

use crate::kind::{Interval, Kind};
use crate::nearest;

/// All keys of the settings that a type holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Schema {
    keys: Vec<Key>,
}

/// One key.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// With its section, as in `ppo.clip`.
    pub name: String,
    /// What it may hold.
    pub kind: Kind,
    /// The comment of its field.
    pub doc: String,
    /// Whether the type has no value of its own for it.
    pub is_required: bool,
}

impl Schema {
    /// The keys of a type: of its fields, and of the fields of those that are structs (its
    /// sections).
    #[must_use]
    pub fn of<T: JsonSchema>() -> Self {
        let settings = SchemaSettings::default().with(|settings| settings.inline_subschemas = true);
        Self::read(settings.into_generator().into_root_schema_for::<T>().as_value(), true)
    }

    /// The keys of an object; with `sections`, those of the objects in it beside its own.
    fn read(object: &Json, sections: bool) -> Self {
        let mut keys = Vec::new();
        let required: Vec<&str> =
            object["required"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
        for (name, node) in object["properties"].as_object().into_iter().flatten() {
            let is_required = required.contains(&name.as_str());
            if sections && node["properties"].is_object() && node["x-table"].is_null() {
                let inner = Self::read(node, false).keys.into_iter();
                keys.extend(inner.map(|key| Key {
                    name: format!("{name}.{}", key.name),
                    is_required: is_required && key.is_required,
                    ..key
                }));
            } else {
                let doc = paragraphs(node["description"].as_str().unwrap_or_default());
                keys.push(Key { name: name.clone(), kind: kind(node), doc, is_required });
            }
        }
        Self { keys }
    }

    /// All keys: those without a section first come by their names, those of a section together.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// The key of a name.
    #[must_use]
    pub fn key(&self, name: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// Whether there are keys of this section.
    #[must_use]
    pub fn is_section(&self, name: &str) -> bool {
        self.keys
            .iter()
            .any(|key| key.name.split_once('.').is_some_and(|(section, _)| section == name))
    }

    /// The names of all keys.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.keys.iter().map(|key| key.name.as_str()).collect()
    }

    /// The keys that a mistyped one may have meant: those of its section that it abbreviates or is
    /// a word of, or else those of the same name in another section, or that it abbreviates there,
    /// or else the one that is spelt most alike, if any is.
    #[must_use]
    pub fn nearest(&self, key: &str) -> Vec<&str> {
        nearest(key, &self.names())
    }
}

/// What a node of a JSON schema admits.
fn kind(node: &Json) -> Kind {
    let number = |key: &str| node[key].as_f64();
    // what may be missing is of a type, or null
    let may_be_null = node["type"]
        .as_array()
        .into_iter()
        .flatten()
        .find_map(|name| name.as_str().filter(|name| *name != "null"));
    match node["type"].as_str().or(may_be_null) {
        Some("boolean") => Kind::Flag,
        Some("string") => match (choices(node), &node["const"]) {
            (Some(choices), _) => Kind::Choice(choices),
            (None, Json::String(only)) => Kind::Choice(vec![only.clone()]),
            _ => Kind::Text,
        },
        Some("integer") => {
            let bound = |key: &str| node[key].as_i64();
            // TOML has no larger whole numbers
            Kind::Count {
                least: bound("minimum").unwrap_or(i64::MIN),
                most: bound("maximum").unwrap_or(i64::MAX),
            }
        }
        Some("number") => {
            let (low, above) = (number("minimum"), number("exclusiveMinimum"));
            let (high, below) = (number("maximum"), number("exclusiveMaximum"));
            Kind::Number(Interval {
                low: above.or(low).unwrap_or(f64::NEG_INFINITY),
                low_is_in: above.is_none() && low.is_some(),
                high: below.or(high).unwrap_or(f64::INFINITY),
                high_is_in: below.is_none() && high.is_some(),
            })
        }
        Some("array") => {
            let least = node["minItems"]
                .as_u64()
                .and_then(|least| usize::try_from(least).ok())
                .unwrap_or(0);
            match kind(&node["items"]) {
                Kind::Table(schema) => Kind::Tables(schema),
                of => Kind::List { of: Box::new(of), least },
            }
        }
        Some("object") if node["properties"].is_object() => Kind::Table(Schema::read(node, false)),
        Some("object") => Kind::FreeTable,
        _ => of_several(node),
    }
}

/// The strings of an `enum`.
fn choices(node: &Json) -> Option<Vec<String>> {
    Some(node["enum"].as_array()?.iter().filter_map(Json::as_str).map(str::to_owned).collect())
}

/// What a node admits that lists other ones.
fn of_several(node: &Json) -> Kind {
    let Some(nodes) = node["oneOf"].as_array().or(node["anyOf"].as_array()) else {
        return Kind::Any;
    };
    let kinds: Vec<Kind> = nodes.iter().map(kind).collect();
    // an enumeration whose variants are explained
    let all = kinds
        .iter()
        .map(|kind| if let Kind::Choice(choices) = kind { Some(choices.clone()) } else { None });
    if let Some(choices) = all.collect::<Option<Vec<_>>>() {
        return Kind::Choice(choices.concat());
    }
    match kinds.as_slice() {
        [one, Kind::List { of, .. }] if *one == **of => Kind::OneOrMore(of.clone()),
        _ => Kind::Either(kinds),
    }
}

/// A comment with a line for each paragraph, however its source was wrapped.
fn paragraphs(comment: &str) -> String {
    let lines = |paragraph: &str| paragraph.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    comment.split("\n\n").map(lines).collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Deserialize, Serialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    enum Plain {
        One,
        Two,
    }

    #[derive(Deserialize, Serialize, JsonSchema)]
    #[serde(rename_all = "kebab-case")]
    enum Explained {
        /// The first.
        FirstOne,
        /// The second.
        Second,
    }

    #[derive(Deserialize, Serialize, JsonSchema)]
    #[serde(untagged)]
    enum Texts {
        One(String),
        More(Vec<String>),
    }

    #[derive(Deserialize, Serialize, JsonSchema)]
    struct Words {
        good: Vec<String>,
        bad: Vec<String>,
    }

    #[derive(Deserialize, Serialize, JsonSchema)]
    struct Shared {
        #[schemars(range(min = 1))]
        steps: usize,
    }

    #[derive(Deserialize, Serialize, JsonSchema)]
    struct Section {
        #[serde(flatten)]
        shared: Shared,
        /// How
        /// many.
        ///
        /// More of it.
        #[schemars(range(min = 1, max = 9))]
        count: u64,
        #[schemars(extend("exclusiveMinimum" = 0.0, "maximum" = 1.0))]
        share: f64,
        any: f64,
        plain: Plain,
        explained: Explained,
        #[schemars(length(min = 1))]
        some: Vec<Explained>,
        texts: Texts,
        #[schemars(extend("x-table" = true))]
        words: Words,
        #[serde(default)]
        flag: bool,
    }

    #[derive(Deserialize, Serialize, JsonSchema)]
    struct All {
        name: String,
        section: Section,
        list: Vec<Words>,
        maybe: Option<String>,
        free: std::collections::BTreeMap<String, f64>,
    }

    #[test]
    fn every_field_is_a_key_of_its_kind() {
        let schema = Schema::of::<All>();
        let kind = |name: &str| {
            schema.key(name).unwrap_or_else(|| panic!("{:?}", schema.names())).kind.to_string()
        };
        assert_eq!(kind("name"), "a string");
        assert_eq!(kind("section.steps"), "a whole number of at least 1");
        assert_eq!(kind("section.count"), "a whole number of 1 to 9");
        assert_eq!(kind("section.share"), "a number in (0, 1]");
        assert_eq!(kind("section.any"), "a finite number");
        assert_eq!(kind("section.plain"), "one of \"one\", \"two\"");
        assert_eq!(kind("section.explained"), "one of \"first-one\", \"second\"");
        assert_eq!(kind("section.some"), "a list of some of \"first-one\", \"second\"");
        assert_eq!(kind("section.texts"), "a string or a list of at least 1 string");
        assert_eq!(kind("section.words"), "{ bad = [strings], good = [strings] }");
        assert_eq!(kind("section.flag"), "true or false");
        assert_eq!(kind("maybe"), "a string");
        assert_eq!(kind("free"), "a table");
        assert!(matches!(schema.key("list").unwrap().kind, Kind::Tables(_)));
        assert_eq!(schema.key("section.count").unwrap().doc, "How many.\n\nMore of it.");
        assert!(
            schema.key("section.count").unwrap().is_required
                && !schema.key("section.flag").unwrap().is_required
        );
        assert!(
            schema.is_section("section")
                && !schema.is_section("name")
                && !schema.is_section("list")
        );
    }
}
