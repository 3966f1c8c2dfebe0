//! What a key may hold.

use std::fmt;

use toml::Value;

use crate::schema::Schema;

/// What a key may hold.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Any string.
    Text,
    /// `true` or `false`.
    Flag,
    /// A whole number between these two.
    Count {
        /// The least.
        least: i64,
        /// The most.
        most: i64,
    },
    /// A finite number of an interval.
    Number(Interval),
    /// One of these strings.
    Choice(Vec<String>),
    /// A list of at least so many values of a kind.
    List {
        /// Of each value.
        of: Box<Kind>,
        /// How many at least.
        least: usize,
    },
    /// A value of a kind, or a list of at least one: stored as a list.
    OneOrMore(Box<Kind>),
    /// A value of any of these kinds.
    Either(Vec<Kind>),
    /// Tables, each with these keys.
    Tables(Schema),
    /// A table with these keys, as one value.
    Table(Schema),
    /// A table with any keys.
    FreeTable,
    /// Whatever its reader makes of it.
    Any,
}

/// Finite numbers between two bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower bound; an infinity where there is none.
    pub low: f64,
    /// Whether it belongs to the interval.
    pub low_is_in: bool,
    /// Upper bound; an infinity where there is none.
    pub high: f64,
    /// Whether it belongs to the interval.
    pub high_is_in: bool,
}

impl Interval {
    /// Whether a number is finite and in the interval.
    #[must_use]
    pub fn contains(self, number: f64) -> bool {
        let above = number > self.low || (self.low_is_in && number >= self.low);
        let below = number < self.high || (self.high_is_in && number <= self.high);
        number.is_finite() && above && below
    }
}

impl fmt::Display for Interval {
    /// `a finite number above 0`, `a number in (0, 1]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { low, low_is_in, high, high_is_in } = *self;
        match (low.is_finite(), high.is_finite()) {
            (false, false) => write!(f, "a finite number"),
            (false, true) if high_is_in => write!(f, "a finite number of at most {}", shown(high)),
            (false, true) => write!(f, "a finite number below {}", shown(high)),
            (true, false) if low_is_in => write!(f, "a finite number of at least {}", shown(low)),
            (true, false) => write!(f, "a finite number above {}", shown(low)),
            (true, true) => {
                let (open, close) =
                    (if low_is_in { '[' } else { '(' }, if high_is_in { ']' } else { ')' });
                write!(f, "a number in {open}{}, {}{close}", shown(low), shown(high))
            }
        }
    }
}

/// A bound without a row of zeros.
fn shown(bound: f64) -> String {
    if bound.abs() >= 1e15 { format!("{bound:e}") } else { bound.to_string() }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => write!(f, "a string"),
            Self::Flag => write!(f, "true or false"),
            Self::Count { least, most: i64::MAX } => {
                write!(f, "a whole number of at least {least}")
            }
            Self::Count { least, most } => write!(f, "a whole number of {least} to {most}"),
            Self::Number(interval) => interval.fmt(f),
            Self::Choice(choices) => write!(f, "one of {}", quoted(choices)),
            Self::List { of, least } => match &**of {
                Self::Choice(choices) => write!(f, "a list of some of {}", quoted(choices)),
                of if *least == 0 => write!(f, "a list of {}", of.plural()),
                of if *least == 1 => write!(f, "a list of at least 1 {}", of.noun()),
                of => write!(f, "a list of at least {least} {}", of.plural()),
            },
            Self::OneOrMore(of) => write!(f, "{of} or a list of at least 1 {}", of.noun()),
            Self::Either(kinds) => {
                let kinds: Vec<String> = kinds.iter().map(ToString::to_string).collect();
                f.write_str(&kinds.join(", or "))
            }
            Self::Tables(schema) => {
                write!(f, "a list of tables with the keys {}", schema.names().join(", "))
            }
            Self::Table(schema) => {
                let keys: Vec<_> = schema
                    .keys()
                    .iter()
                    .map(|key| format!("{} = {}", key.name, key.kind.form()))
                    .collect();
                write!(f, "{{ {} }}", keys.join(", "))
            }
            Self::FreeTable => write!(f, "a table"),
            Self::Any => write!(f, "a value"),
        }
    }
}

fn quoted(choices: &[String]) -> String {
    choices.iter().map(|choice| format!("{choice:?}")).collect::<Vec<_>>().join(", ")
}

impl Kind {
    /// One of them, without an article.
    fn noun(&self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Count { .. } => "whole number",
            Self::Number(_) => "finite number",
            _ => "value",
        }
    }

    /// Several of them.
    fn plural(&self) -> &'static str {
        match self {
            Self::Text => "strings",
            Self::Count { .. } => "whole numbers",
            Self::Number(_) => "finite numbers",
            _ => "values",
        }
    }

    /// In a table.
    fn form(&self) -> String {
        match self {
            Self::List { of, .. } => format!("[{}]", of.plural()),
            other => other.to_string(),
        }
    }

    /// Whether a word without quotes is meant as a string.
    pub(crate) fn is_textual(&self) -> bool {
        matches!(self, Self::Text | Self::Choice(_))
    }

    /// The value in the form that is stored (a whole number for a number becomes a float, one value
    /// a list where a list may stand), or nothing if it is of another kind or out of range.
    #[must_use]
    pub fn admit(&self, value: &Value) -> Option<Value> {
        let admitted = match (self, value) {
            (Self::Any, _)
            | (Self::Text, Value::String(_))
            | (Self::Flag, Value::Boolean(_))
            | (Self::FreeTable, Value::Table(_)) => true,
            (Self::Count { least, most }, Value::Integer(count)) => (least..=most).contains(&count),
            (Self::Number(interval), Value::Float(number)) => interval.contains(*number),
            (Self::Number(interval), Value::Integer(whole)) => {
                let number = *whole as f64;
                return interval.contains(number).then_some(Value::Float(number));
            }
            (Self::Choice(choices), Value::String(choice)) => choices.contains(choice),
            (Self::List { of, least }, Value::Array(list)) => {
                let list: Option<Vec<Value>> = list.iter().map(|value| of.admit(value)).collect();
                return list.filter(|list| list.len() >= *least).map(Value::Array);
            }
            (Self::OneOrMore(of), Value::Array(_)) => {
                return Self::List { of: of.clone(), least: 1 }.admit(value);
            }
            (Self::OneOrMore(of), value) => {
                return of.admit(value).map(|value| Value::Array(vec![value]));
            }
            (Self::Either(kinds), value) => return kinds.iter().find_map(|kind| kind.admit(value)),
            (Self::Tables(schema), Value::Array(list)) => {
                return list
                    .iter()
                    .map(|table| Self::Table(schema.clone()).admit(table))
                    .collect::<Option<_>>()
                    .map(Value::Array);
            }
            (Self::Table(schema), Value::Table(table)) => {
                let admit = |(name, value): (&String, &Value)| {
                    Some((name.clone(), schema.key(name)?.kind.admit(value)?))
                };
                let is_whole = schema
                    .keys()
                    .iter()
                    .all(|key| !key.is_required || table.contains_key(&key.name));
                let table: Option<toml::Table> = table.iter().map(admit).collect();
                return table.filter(|_| is_whole).map(Value::Table);
            }
            _ => false,
        };
        admitted.then(|| value.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: Interval = Interval {
        low: f64::NEG_INFINITY,
        low_is_in: false,
        high: f64::INFINITY,
        high_is_in: false,
    };

    #[test]
    fn intervals_say_what_they_contain() {
        let positive = Interval { low: 0.0, ..ANY };
        let share = Interval { low: 0.0, low_is_in: true, high: 1.0, high_is_in: true };
        let positive_share = Interval { low_is_in: false, ..share };
        assert_eq!(positive_share.to_string(), "a number in (0, 1]");
        assert!(
            !positive_share.contains(0.0)
                && positive_share.contains(1.0)
                && !positive_share.contains(1.1)
        );
        assert_eq!(share.to_string(), "a number in [0, 1]");
        assert!(share.contains(0.0));
        assert_eq!(positive.to_string(), "a finite number above 0");
        assert_eq!(
            Interval { low_is_in: true, ..positive }.to_string(),
            "a finite number of at least 0"
        );
        assert_eq!(Interval { high: 3.5, ..ANY }.to_string(), "a finite number below 3.5");
        assert_eq!(
            Interval { high: 1e30, high_is_in: true, ..positive }.to_string(),
            "a number in (0, 1e30]"
        );
        assert_eq!(ANY.to_string(), "a finite number");
        for interval in [ANY, positive, share, positive_share] {
            assert!(!interval.contains(f64::NAN) && !interval.contains(f64::INFINITY));
        }
    }

    #[test]
    fn what_is_admitted_has_one_form() {
        let number = Kind::Number(ANY);
        assert_eq!(number.admit(&Value::Integer(2)), Some(Value::Float(2.0)));
        assert_eq!(number.admit(&Value::Float(f64::NAN)), None);
        let texts = Kind::OneOrMore(Box::new(Kind::Text));
        let one = Value::Array(vec![Value::String("a".into())]);
        assert_eq!(
            (texts.admit(&Value::String("a".into())), texts.admit(&one)),
            (Some(one.clone()), Some(one))
        );
        assert_eq!(texts.admit(&Value::Array(vec![])), None);
        let list = Kind::List { of: Box::new(number), least: 0 };
        assert_eq!(
            list.admit(&Value::Array(vec![Value::Integer(1)])),
            Some(Value::Array(vec![Value::Float(1.0)]))
        );
        assert_eq!(list.admit(&Value::Integer(1)), None);
        assert_eq!(Kind::Count { least: 1, most: 3 }.admit(&Value::Integer(4)), None);
        let label = Kind::Either(vec![Kind::Count { least: 0, most: i64::MAX }, Kind::Text]);
        assert!(
            label.admit(&Value::Integer(0)).is_some() && label.admit(&Value::Integer(-1)).is_none()
        );
        assert_eq!(label.to_string(), "a whole number of at least 0, or a string");
    }
}
