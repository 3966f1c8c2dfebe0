//! Every key of a configuration, with its type and its range.

use std::fmt;

use toml::Value;

/// What a key holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Any string.
    Text,
    /// A label: a whole number that is not negative, or a string.
    Label,
    /// `true` or `false`.
    Flag,
    /// A whole number of at least this.
    Count(i64),
    /// A whole number between these two.
    CountOf(i64, i64),
    /// A finite number of an interval.
    Number(Interval),
    /// One of these strings.
    Choice(&'static [&'static str]),
    /// A list of some of these strings, at least one.
    Choices(&'static [&'static str]),
    /// A list of at least so many strings.
    Texts(usize),
    /// A string, or a list of at least one: stored as a list.
    TextOrTexts,
    /// A list of strings for each of these names.
    TextsOf(&'static [&'static str]),
    /// A list of finite numbers.
    Numbers,
}

/// Finite numbers between two bounds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interval {
    low: f64,
    low_is_in: bool,
    high: f64,
    high_is_in: bool,
}

const ANY: Interval = Interval { low: f64::NEG_INFINITY, low_is_in: false, high: f64::INFINITY, high_is_in: false };
const POSITIVE: Interval = Interval { low: 0.0, ..ANY };
const NOT_NEGATIVE: Interval = Interval { low: 0.0, low_is_in: true, ..ANY };
const SHARE: Interval = Interval { low: 0.0, low_is_in: true, high: 1.0, high_is_in: true };
const POSITIVE_SHARE: Interval = Interval { low_is_in: false, ..SHARE };
const ABOVE_ONE: Interval = Interval { low: 1.0, ..POSITIVE };
/// Far enough from 0 to be divided by in single precision.
const NOT_TINY: Interval = Interval { low: 1e-6, ..NOT_NEGATIVE };
const BELOW_ONE: Interval = Interval { low: 0.0, low_is_in: false, high: 1.0, high_is_in: false };

impl Interval {
    fn contains(self, number: f64) -> bool {
        let above = number > self.low || (self.low_is_in && number >= self.low);
        let below = number < self.high || (self.high_is_in && number <= self.high);
        number.is_finite() && above && below
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.low.is_finite(), self.high.is_finite()) {
            (false, _) => write!(f, "a finite number"),
            (true, false) if self.low_is_in => write!(f, "a finite number of at least {}", self.low),
            (true, false) => write!(f, "a finite number above {}", self.low),
            (true, true) => {
                let (open, close) = (if self.low_is_in { '[' } else { '(' }, if self.high_is_in { ']' } else { ')' });
                write!(f, "a number in {open}{}, {}{close}", self.low, self.high)
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |choices: &[&str]| choices.iter().map(|choice| format!("\"{choice}\"")).collect::<Vec<_>>().join(", ");
        match self {
            Self::Text => write!(f, "a string"),
            Self::Label => write!(f, "the number or the name of a label"),
            Self::Flag => write!(f, "true or false"),
            Self::Count(least) => write!(f, "a whole number of at least {least}"),
            Self::CountOf(least, most) => write!(f, "a whole number of {least} to {most}"),
            Self::Number(interval) => interval.fmt(f),
            Self::Choice(choices) => write!(f, "one of {}", quoted(choices)),
            Self::Choices(choices) => write!(f, "a list of some of {}", quoted(choices)),
            Self::Texts(0) => write!(f, "a list of strings"),
            Self::Texts(least) => write!(f, "a list of at least {least} string"),
            Self::TextOrTexts => write!(f, "a string or a list of at least 1 string"),
            Self::TextsOf(names) => {
                write!(f, "{{ {} }}", names.iter().map(|name| format!("{name} = [strings]")).collect::<Vec<_>>().join(", "))
            }
            Self::Numbers => write!(f, "a list of finite numbers"),
        }
    }
}

impl Kind {
    /// The value in the form that is stored (a whole number for a `Number` becomes a float), or nothing if it is of another
    /// type or out of range.
    pub(super) fn admit(self, value: &Value) -> Option<Value> {
        let admitted = match (self, value) {
            (Self::Text | Self::Label, Value::String(_)) | (Self::Flag, Value::Boolean(_)) => true,
            (Self::Label, Value::Integer(number)) => *number >= 0,
            (Self::Count(least), Value::Integer(count)) => *count >= least,
            (Self::CountOf(least, most), Value::Integer(count)) => (least..=most).contains(count),
            (Self::Number(interval), Value::Float(number)) => interval.contains(*number),
            (Self::Number(interval), Value::Integer(whole)) => {
                let number = *whole as f64;
                return interval.contains(number).then_some(Value::Float(number));
            }
            (Self::Choice(choices), Value::String(choice)) => choices.contains(&choice.as_str()),
            (Self::Choices(choices), Value::Array(list)) => {
                !list.is_empty() && list.iter().all(|entry| entry.as_str().is_some_and(|entry| choices.contains(&entry)))
            }
            (Self::Texts(least), Value::Array(list)) => list.len() >= least && list.iter().all(Value::is_str),
            (Self::TextOrTexts, Value::String(_)) => return Some(Value::Array(vec![value.clone()])),
            (Self::TextOrTexts, list) => return Self::Texts(1).admit(list),
            (Self::TextsOf(names), Value::Table(lists)) => {
                let is_list = |name: &&str| lists.get(*name).is_some_and(|list| Self::Texts(0).admit(list).is_some());
                lists.len() == names.len() && names.iter().all(is_list)
            }
            (Self::Numbers, Value::Array(list)) => {
                return list.iter().map(|entry| Self::Number(ANY).admit(entry)).collect::<Option<_>>().map(Value::Array);
            }
            _ => false,
        };
        admitted.then(|| value.clone())
    }
}

/// The kind of a key, or nothing if there is no such key.
pub(super) fn kind(key: &str) -> Option<Kind> {
    KEYS.iter().find(|(name, _)| *name == key).map(|(_, kind)| *kind)
}

/// Whether keys of this section exist.
pub(super) fn is_section(name: &str) -> bool {
    KEYS.iter().any(|(key, _)| key.split_once('.').is_some_and(|(section, _)| section == name))
}

/// The known keys that a mistyped one may have meant: those of its section that it abbreviates or is a word of, or else those of the same
/// name in another section, or that it abbreviates there, or else the one that is spelt most alike, if any is.
pub(super) fn nearest(key: &str) -> Vec<&'static str> {
    let last = |key: &str| key.rsplit('.').next().unwrap_or(key).to_owned();
    let in_section = |name: &str| key.rsplit_once('.').is_some_and(|(section, _)| name.starts_with(&format!("{section}.")));
    let typed = last(key);
    let anywhere = |fits: &dyn Fn(&str) -> bool| KEYS.iter().map(|(name, _)| *name).filter(|name| fits(name)).collect::<Vec<_>>();
    let is_word =
        |name: &str| last(name).split('_').any(|word| word == typed) || (typed.len() > 2 && last(name).starts_with(&typed));
    let abbreviated = |name: &str| abbreviates(&typed.replace('_', ""), &last(name).split('_').collect::<Vec<_>>());
    for fits in [
        &|name: &str| in_section(name) && abbreviated(name),
        &|name: &str| in_section(name) && is_word(name),
        &|name: &str| last(name) == typed,
        &|name: &str| typed.len() > 1 && abbreviated(name),
    ] as [&dyn Fn(&str) -> bool; 4]
    {
        let found = anywhere(fits);
        if (1..=MOST_MEANT).contains(&found.len()) {
            return found;
        }
    }
    let likeness = |name: &str| {
        let whole = strsim::jaro_winkler(name, key);
        if key.contains('.') { whole } else { whole.max(strsim::jaro_winkler(&last(name), key)) }
    };
    let best = KEYS.iter().map(|(name, _)| (likeness(name), *name)).max_by(|a, b| a.0.total_cmp(&b.0));
    best.filter(|(likeness, _)| *likeness > 0.8).map(|(_, name)| name).into_iter().collect()
}

/// Keys that a mistyped one may have meant: of more it is unclear.
const MOST_MEANT: usize = 4;

/// Whether letters are made of the beginnings of all these words, in their order: "lr" and "learnrate" of "learning", "rate".
fn abbreviates(letters: &str, words: &[&str]) -> bool {
    let [word, others @ ..] = words else { return letters.is_empty() };
    let common = letters.bytes().zip(word.bytes()).take_while(|(letter, of_word)| letter == of_word).count();
    (1..=common).any(|length| letters.get(length..).is_some_and(|rest| abbreviates(rest, others)))
}

/// The keys in the order of the sections.
pub(super) const KEYS: &[(&str, Kind)] = &[
    ("task", Kind::Text),
    ("preset", Kind::Text),
    ("run.seed", Kind::Count(0)),
    ("run.seeds", Kind::CountOf(1, 1_000)),
    ("run.threads", Kind::Count(0)),
    ("run.device", Kind::Text),
    ("run.precision", Kind::Choice(&["f32", "bf16"])),
    ("data.dir", Kind::Text),
    ("data.places", Kind::Choices(&["data-dir", "env", "cache", "embedded"])),
    ("data.folder", Kind::Text),
    ("data.hub", Kind::Texts(0)),
    ("data.whole_tables", Kind::Texts(0)),
    ("data.text_column", Kind::TextOrTexts),
    ("data.continuation_column", Kind::Text),
    ("data.score_columns", Kind::Texts(1)),
    ("data.labels", Kind::TextsOf(&["good", "bad"])),
    ("data.good", Kind::Choice(&["high", "low"])),
    ("data.threshold", Kind::Number(SHARE)),
    ("data.good_percent_train", Kind::CountOf(0, 99)),
    ("data.good_percent_test", Kind::CountOf(0, 99)),
    ("data.embedded_notice", Kind::Text),
    ("data.min_chars", Kind::Count(0)),
    ("data.prompt_tokens", Kind::Count(1)),
    ("policy.dir", Kind::Text),
    ("reward.dir", Kind::Text),
    ("reward.label", Kind::Label),
    ("reward.negate", Kind::Flag),
    ("reward.max_length", Kind::Count(3)),
    ("reward.truncation_side", Kind::Choice(&["left", "right"])),
    ("reward.batch_tokens", Kind::Count(1)),
    ("judge.dir", Kind::Text),
    ("judge.label", Kind::Label),
    ("judge.negate", Kind::Flag),
    ("judge.max_length", Kind::Count(3)),
    ("judge.truncation_side", Kind::Choice(&["left", "right"])),
    ("judge.batch_tokens", Kind::Count(1)),
    ("sampling.temperature", Kind::Number(NOT_TINY)),
    ("sampling.top_k", Kind::Count(0)),
    ("sampling.top_p", Kind::Number(Interval { high: 1.0, high_is_in: true, ..NOT_TINY })),
    ("sampling.max_new_tokens", Kind::Count(1)),
    ("sampling.min_new_tokens", Kind::Count(0)),
    ("sampling.end_of_text", Kind::Choice(&["stop", "mask"])),
    ("sampling.batch_size", Kind::Count(1)),
    ("sft.steps", Kind::Count(0)),
    ("sft.batch_size", Kind::Count(1)),
    ("sft.learning_rate", Kind::Number(POSITIVE)),
    ("sft.weight_decay", Kind::Number(NOT_NEGATIVE)),
    ("sft.text_tokens", Kind::Count(2)),
    ("sft.end_token", Kind::Flag),
    ("ppo.iterations", Kind::Count(1)),
    ("ppo.batch_size", Kind::Count(1)),
    ("ppo.minibatch_size", Kind::Count(1)),
    ("ppo.epochs", Kind::Count(1)),
    ("ppo.learning_rate", Kind::Number(POSITIVE)),
    ("ppo.value_learning_rate", Kind::Number(POSITIVE)),
    ("ppo.gamma", Kind::Number(SHARE)),
    ("ppo.lambda", Kind::Number(SHARE)),
    ("ppo.clip", Kind::Number(BELOW_ONE)),
    ("ppo.value_clip", Kind::Number(POSITIVE)),
    ("ppo.value_coef", Kind::Number(NOT_NEGATIVE)),
    ("ppo.kl_coef", Kind::Number(NOT_NEGATIVE)),
    ("ppo.kl_target", Kind::Number(POSITIVE)),
    ("ppo.kl_horizon", Kind::Number(NOT_NEGATIVE)),
    ("ppo.ratio_threshold", Kind::Number(ABOVE_ONE)),
    ("ppo.value_warmup", Kind::Count(0)),
    ("risk.alpha", Kind::Number(POSITIVE_SHARE)),
    ("risk.warmup", Kind::Count(0)),
    ("risk.rho", Kind::Number(POSITIVE_SHARE)),
    ("evaluation.split", Kind::Choice(&["test", "validation"])),
    ("evaluation.prompts", Kind::Count(1)),
    ("evaluation.tail_threshold", Kind::Number(ANY)),
    ("evaluation.other_tails", Kind::Numbers),
    ("evaluation.perplexity_texts", Kind::Count(1)),
    ("evaluation.perplexity_chars", Kind::Count(1)),
    ("evaluation.batch_size", Kind::Count(1)),
    ("evaluation.shown_samples", Kind::Count(0)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_say_what_they_contain() {
        assert_eq!(POSITIVE_SHARE.to_string(), "a number in (0, 1]");
        assert!(!POSITIVE_SHARE.contains(0.0) && POSITIVE_SHARE.contains(1.0) && !POSITIVE_SHARE.contains(1.1));
        assert_eq!(SHARE.to_string(), "a number in [0, 1]");
        assert!(SHARE.contains(0.0));
        assert_eq!(POSITIVE.to_string(), "a finite number above 0");
        assert_eq!(NOT_NEGATIVE.to_string(), "a finite number of at least 0");
        assert_eq!(ANY.to_string(), "a finite number");
        for interval in [ANY, POSITIVE, NOT_NEGATIVE, SHARE, POSITIVE_SHARE, BELOW_ONE] {
            assert!(!interval.contains(f64::NAN) && !interval.contains(f64::INFINITY));
        }
    }

    #[test]
    fn a_mistyped_key_finds_its_neighbour() {
        assert_eq!(nearest("ppo.learnin_rate"), ["ppo.learning_rate"]);
        assert_eq!(nearest("ppo.alpha"), ["risk.alpha"]);
        assert_eq!(nearest("learning_rate"), ["sft.learning_rate", "ppo.learning_rate"]);
        assert_eq!(nearest("alhpa"), ["risk.alpha"]);
        assert_eq!(nearest("zzzzzz"), Vec::<&str>::new());
    }

    #[test]
    fn an_abbreviated_key_is_understood() {
        assert_eq!(nearest("ppo.lr"), ["ppo.learning_rate"]);
        assert_eq!(nearest("ppo.value_lr"), ["ppo.value_learning_rate"]);
        assert_eq!(nearest("lr"), ["sft.learning_rate", "ppo.learning_rate"]);
        assert_eq!(nearest("ppo.bs"), ["ppo.batch_size"]);
        assert_eq!(nearest("ppo.kl"), ["ppo.kl_coef", "ppo.kl_target", "ppo.kl_horizon"]);
        assert_eq!(nearest("sampling.temp"), ["sampling.temperature"]);
        assert_eq!(nearest("evaluation.threshold"), ["evaluation.tail_threshold"]);
        assert!(abbreviates("learnrate", &["learning", "rate"]) && !abbreviates("rl", &["learning", "rate"]));
    }
}
