//! What the value of a flag may be: whatever is typed is a sensible value, or is refused before the
//! command begins.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{
    OsStringValueParser, PossibleValue, PossibleValuesParser, RangedU64ValueParser,
    TypedValueParser,
};
use tailguard_experiment::settings::{PrecisionName, Preset, Side, TASKS, Task};
use tailguard_risk::RiskLevel;

/// A path, which must be UTF-8: settings and `run.json`, which name what was read, are texts, and a
/// run must find its models again.
pub fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().try_map(|typed: OsString| match typed.into_string() {
        Ok(path) if path.is_empty() => Err("a path is missing"),
        Ok(path) => Ok(PathBuf::from(path)),
        Err(_) => Err("the path is not UTF-8, in which run.json and config.toml are written: \
            rename it, or make a link to it"),
    })
}

/// A task, by its name.
pub fn task() -> impl TypedValueParser<Value = &'static Task> {
    let values = TASKS.iter().map(|task| PossibleValue::new(task.name).help(task.about));
    PossibleValuesParser::new(values).try_map(|name| Task::named(&name).ok_or("not a task"))
}

/// A preset, by its name.
pub fn preset() -> impl TypedValueParser<Value = Preset> {
    let about = |preset: Preset| match preset {
        Preset::Embedded => "The models and texts in datasets/: no network, no GPU, some minutes",
        Preset::Smoke => {
            "A run of seconds that shows that everything works; its figures mean nothing"
        }
        Preset::Paper => "The paper's models, data and settings; wants a GPU",
    };
    let values = Preset::ALL.map(|preset| PossibleValue::new(preset.name()).help(about(preset)));
    PossibleValuesParser::new(values).try_map(|name| Preset::named(&name).ok_or("not a preset"))
}

/// The side on which a text that is too long is cut.
pub fn side() -> impl TypedValueParser<Value = Side> {
    let left =
        PossibleValue::new("left").help("The beginning: the end of a response is always read");
    let right = PossibleValue::new("right").help("The end, as by default in transformers");
    PossibleValuesParser::new([left, right])
        .map(|side| if side == "left" { Side::Left } else { Side::Right })
}

/// What factors of products are rounded to.
pub fn precision() -> impl TypedValueParser<Value = PrecisionName> {
    let f32 = PossibleValue::new("f32").help("Not at all, or to TF32 by tensor cores");
    let bf16 = PossibleValue::new("bf16")
        .help("bfloat16; weights, sums and everything else stay in single precision");
    let parser = PossibleValuesParser::new([f32, bf16]);
    parser.map(|name| if name == "bf16" { PrecisionName::Bf16 } else { PrecisionName::F32 })
}

/// A number of things of which there must be one at least.
pub fn count() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..)
}

/// A number that is neither NaN nor infinite.
///
/// # Errors
/// What was expected.
pub fn finite(typed: &str) -> Result<f64, String> {
    number(typed, |number| number.is_finite(), "a finite number")
}

/// A finite number above 0.
///
/// # Errors
/// What was expected.
pub fn positive(typed: &str) -> Result<f64, String> {
    number(typed, |number| number.is_finite() && *number > 0.0, "a finite number above 0")
}

/// A finite number that is not negative.
///
/// # Errors
/// What was expected.
pub fn not_negative(typed: &str) -> Result<f64, String> {
    number(typed, |number| number.is_finite() && *number >= 0.0, "a finite number, 0 or more")
}

/// A share of something: above 0 and at most 1.
///
/// # Errors
/// What was expected.
pub fn share(typed: &str) -> Result<f64, String> {
    number(typed, |share| RiskLevel::new(*share).is_ok(), "a share above 0 and at most 1")
}

fn number(typed: &str, admits: impl Fn(&f64) -> bool, expected: &str) -> Result<f64, String> {
    let number = typed.trim().parse().ok().filter(|number| admits(number));
    number.ok_or_else(|| format!("expected {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_in_their_range_and_never_nan_or_infinite() {
        for parse in [finite, positive, not_negative, share] {
            for typed in ["nan", "inf", "-inf", "1e999", "", "x"] {
                assert!(parse(typed).is_err(), "{typed}");
            }
            assert_eq!(parse("0.5"), Ok(0.5));
        }
        let admitted =
            |typed: &str| [finite, positive, not_negative, share].map(|parse| parse(typed).is_ok());
        assert_eq!(admitted("0"), [true, false, true, false]);
        assert_eq!(admitted("-1"), [true, false, false, false]);
        assert_eq!(admitted("1"), [true; 4]);
        assert_eq!(admitted("1.5"), [true, true, true, false]);
        assert_eq!(share("2"), Err("expected a share above 0 and at most 1".to_owned()));
    }
}
