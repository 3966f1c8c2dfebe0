//! Which of a classifier's labels its score is.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::error::RewardError;

/// The label whose logit is the score, as it is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Label {
    /// The only one of a model with one label. Of two, the one that the other's name is the
    /// opposite of, as in `POSITIVE` and `NEGATIVE` or `toxic` and `non-toxic`, and label 1 where
    /// the names do not say. With more labels there is none.
    #[default]
    Unnamed,
    /// By its number.
    Number(usize),
    /// By its name in `id2label`: exactly, or in other capitals if that is still one label.
    Name(String),
}

impl From<usize> for Label {
    fn from(number: usize) -> Self {
        Self::Number(number)
    }
}

impl FromStr for Label {
    type Err = Infallible;

    /// Nothing, a number, or a name.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match (text, text.parse()) {
            ("", _) => Self::Unnamed,
            (_, Ok(number)) => Self::Number(number),
            (name, Err(_)) => Self::Name(name.to_owned()),
        })
    }
}

/// A label of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChosenLabel {
    /// Its number.
    pub number: usize,
    /// Its name.
    pub name: String,
}

impl fmt::Display for ChosenLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.number, self.name)
    }
}

/// Finds the label that is asked for among those of a model.
///
/// # Errors
/// A number or name that no label has, a name that several have, or no choice where there are more
/// than two: with what there is.
pub(crate) fn choose(
    dir: &Path,
    labels: &BTreeMap<usize, String>,
    asked: &Label,
) -> Result<ChosenLabel, RewardError> {
    let chosen =
        |number: usize| labels.get(&number).map(|name| ChosenLabel { number, name: name.clone() });
    let found = match asked {
        Label::Number(number) => chosen(*number),
        Label::Name(name) => named(labels, name).and_then(chosen),
        Label::Unnamed => match labels.values().collect::<Vec<_>>()[..] {
            [_] => labels.keys().next().copied().and_then(chosen),
            [first, second] => {
                let affirmed = labels.keys().nth(if affirms(first, second) { 0 } else { 1 });
                affirmed.copied().and_then(chosen)
            }
            _ => {
                return Err(RewardError::UnnamedLabel {
                    path: dir.to_owned(),
                    labels: listed(labels),
                });
            }
        },
    };
    found.ok_or_else(|| {
        let found = match asked {
            Label::Name(name) => format!("{name:?}"),
            Label::Number(number) => number.to_string(),
            Label::Unnamed => String::new(),
        };
        RewardError::UnknownLabel { path: dir.to_owned(), found, labels: listed(labels) }
    })
}

/// The only label of a name.
fn named(labels: &BTreeMap<usize, String>, name: &str) -> Option<usize> {
    let only = |fits: &dyn Fn(&str) -> bool| {
        let mut found = labels.iter().filter(|(_, label)| fits(label)).map(|(number, _)| *number);
        found.next().filter(|_| found.next().is_none())
    };
    only(&|label| label == name)
        .or_else(|| only(&|label| label.to_lowercase() == name.to_lowercase()))
}

/// Names that are the opposite of others.
const OPPOSITES: &[(&str, &str)] = &[("positive", "negative"), ("pos", "neg"), ("good", "bad")];
/// What makes a name the opposite of the rest of it.
const NEGATIONS: &[&str] = &["non", "not", "no"];

/// Whether the second name is the opposite of the first.
fn affirms(first: &str, second: &str) -> bool {
    let words = |name: &str| -> Vec<String> {
        let words =
            name.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
        words.map(str::to_lowercase).collect()
    };
    let (first, second) = (words(first), words(second));
    let opposite = |(yes, no): &(&str, &str)| first == [*yes] && second == [*no];
    // "non-toxic", and "nontoxic" in one word
    let negated = |negation: &&str| {
        let whole = first.join("");
        !whole.is_empty()
            && (second.split_first().is_some_and(|(word, rest)| word == negation && rest == first)
                || second.iter().map(String::as_str).eq([format!("{negation}{whole}").as_str()]))
    };
    OPPOSITES.iter().any(opposite) || NEGATIONS.iter().any(negated)
}

/// `0 (toxicity), 1 (threat)`; the first ones where there are many.
fn listed(labels: &BTreeMap<usize, String>) -> String {
    const SHOWN: usize = 20;
    let shown: Vec<String> =
        labels.iter().take(SHOWN).map(|(number, name)| format!("{number} ({name})")).collect();
    match labels.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(names: &[&str], asked: &str) -> Result<usize, String> {
        let labels = names.iter().map(|name| (*name).to_owned()).enumerate().collect();
        let Ok(label) = asked.parse();
        choose(Path::new("m"), &labels, &label)
            .map(|label| label.number)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_label_that_nobody_names_is_the_only_one_or_the_affirmed_one_or_label_1() {
        let cases: [(&[&str], usize); 14] = [
            (&["LABEL_0"], 0),
            (&["LABEL_0", "LABEL_1"], 1),
            (&["NEGATIVE", "POSITIVE"], 1),
            (&["POSITIVE", "NEGATIVE"], 0),
            (&["pos", "neg"], 0),
            (&["toxic", "non-toxic"], 0),
            (&["NON-TOXIC", "TOXIC"], 1),
            (&["hate_speech", "not hate speech"], 0),
            (&["toxic", "nontoxic"], 0),
            (&["spam", "no_spam"], 0),
            // no opposites that names alone make certain
            (&["toxic", "neutral"], 1),
            (&["neutral", "toxic"], 1),
            (&["POSITIVE", "POSITIVE"], 1),
            (&["", "non"], 1),
        ];
        for (names, expected) in cases {
            assert_eq!(chosen(names, ""), Ok(expected), "{names:?}");
        }
    }

    #[test]
    fn of_more_than_two_labels_one_must_be_named() {
        let names = ["toxicity", "threat", "Threat", "insult"];
        let message = chosen(&names, "").unwrap_err();
        assert!(
            message.contains("m: ")
                && message.contains("0 (toxicity), 1 (threat), 2 (Threat), 3 (insult)"),
            "{message}"
        );
        assert_eq!(chosen(&names, "insult"), Ok(3));
        assert_eq!(chosen(&names, "INSULT"), Ok(3));
        assert_eq!(chosen(&names, "Threat"), Ok(2), "exactly");
        assert_eq!(chosen(&names, "3"), Ok(3));
    }

    #[test]
    fn a_label_that_is_none_is_answered_with_those_there() {
        let many: Vec<String> = (0..30).map(|label| format!("L{label}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let cases: [(&[&str], &str, &[&str]); 4] = [
            (&["a", "b"], "2", &["no label 2", "0 (a), 1 (b)"]),
            (&["a"], "1", &["no label 1", "0 (a)"]),
            (&["a", "b"], "c", &["no label \"c\"", "0 (a), 1 (b)"]),
            (&many, "x", &["19 (L19) and 10 more"]),
        ];
        for (names, asked, words) in cases {
            let message = chosen(names, asked).unwrap_err();
            assert!(words.iter().all(|word| message.contains(word)), "{message}");
        }
        assert!(chosen(&["Threat", "threat"], "THREAT").is_err(), "two labels in other capitals");
    }
}
