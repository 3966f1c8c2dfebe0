//! The objectives of a front: those that were named, or those of the settings.

use tailguard_front::Objective;
use toml::{Table, Value};

use crate::error::ExperimentError;
use crate::objective_context::ObjectiveContext;
use crate::observer::{Event, Observer};
use crate::risk_objectives::{NAMES, last_measure};
use crate::settings::Settings;

/// Objectives that every front has, unless others were named.
const USUAL: [&str; 4] = ["mean", "cvar = 0.1", "cvar = 0.2", "cvar = 0.4"];

/// An objective, as it was written.
pub(super) struct Named {
    pub(super) text: String,
    pub(super) objective: Objective,
    pub(super) is_mean: bool,
}

/// The objectives of these texts; without any, those of the settings' arms and the usual ones, each
/// once.
///
/// # Errors
/// What is no objective, or one that maximises no risk measure.
pub(super) fn named(
    settings: &Settings,
    texts: &[String],
    observer: &mut dyn Observer,
) -> Result<Vec<Named>, ExperimentError> {
    if !texts.is_empty() {
        let named = texts.iter().map(|text| {
            let (name, value) = read(text)?;
            made(settings, text, &name, value.as_ref())?.ok_or_else(|| {
                let message = format!("--objective {text}: {name} maximises no risk measure");
                let hint = format!("expected mean, mixture or one of {}", NAMES.join(", "));
                ExperimentError::refused(message).with_hint(hint)
            })
        });
        return named.collect();
    }
    let mut all: Vec<Named> = Vec::new();
    for text in USUAL {
        let (name, value) = read(text)?;
        all.extend(made(settings, text, &name, value.as_ref())?);
    }
    for arm in &settings.arm {
        let Some((name, value)) = arm.objective()? else { continue };
        let text = value.map_or_else(|| name.to_owned(), |value| format!("{name} = {value}"));
        if all.iter().any(|known| known.text == text) {
            continue;
        }
        match made(settings, &text, name, value)? {
            Some(named) => all.push(named),
            None => observer.tell(Event::Info(&format!(
                "no front of {text}, the objective of {}: it maximises no risk measure",
                arm.key
            ))),
        }
    }
    Ok(all)
}

/// The name and the value of a text such as `mean`, `cvar = 0.1` or
/// `worst_of = { k = 4, over = "prompt" }`.
fn read(text: &str) -> Result<(String, Option<Value>), ExperimentError> {
    let is_name = |text: &str| {
        !text.is_empty() && text.chars().all(|sign| sign.is_ascii_lowercase() || sign == '_')
    };
    if is_name(text.trim()) {
        return Ok((text.trim().to_owned(), None));
    }
    let refused = |why: &str| {
        let message = format!("--objective {text}: {why}");
        ExperimentError::refused(message)
            .with_hint("write it as an arm of the settings does: mean, cvar = 0.1")
    };
    let table: Table = text.parse().map_err(|error: toml::de::Error| refused(error.message()))?;
    match table.into_iter().collect::<Vec<_>>().as_slice() {
        [(name, value)] => Ok((name.clone(), Some(value.clone()))),
        _ => Err(refused("expected one objective")),
    }
}

fn made(
    settings: &Settings,
    text: &str,
    name: &str,
    value: Option<&Value>,
) -> Result<Option<Named>, ExperimentError> {
    let wrong = |error| ExperimentError::refused(format!("the objective {text}: {error}"));
    let measure = last_measure(name, ObjectiveContext { value, settings }).map_err(wrong)?;
    Ok(measure.map(|(measure, over)| Named {
        text: text.trim().to_owned(),
        objective: Objective::new(measure, over),
        is_mean: name == "mean",
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Overrides, Preset, Task, resolve};

    fn settings() -> Settings {
        resolve(Task::named("imdb"), Some(Preset::Smoke), &Overrides::default(), None).unwrap()
    }

    fn texts(of: &[&str]) -> Result<Vec<String>, ExperimentError> {
        let texts: Vec<String> = of.iter().map(|&text| text.to_owned()).collect();
        let named = named(&settings(), &texts, &mut ())?;
        Ok(named.into_iter().map(|named| named.text).collect())
    }

    #[test]
    fn objectives_are_written_as_arms_write_them() {
        let all = [
            "mean",
            "cvar = 0.1",
            "cvar = { level = 0.2, over = \"prompt\" }",
            "entropic = 1",
            "spectral = [2, 1]",
            "worst_of = 4",
            "mixture = { mean = 0.5, of = { cvar = 0.2 } }",
        ];
        assert_eq!(texts(&all).unwrap(), all);
        // the arms of the paper add nothing: the mean is there, and keep_lowest is no measure
        assert_eq!(texts(&[]).unwrap(), USUAL);
    }

    #[test]
    fn what_is_no_objective_is_refused_as_it_was_written() {
        let refused = |text: &str| texts(&[text]).unwrap_err().to_string();
        assert_eq!(
            refused("keep_lowest"),
            "--objective keep_lowest: keep_lowest maximises no risk measure"
        );
        assert_eq!(
            refused("mean = 1\ncvar = 0.1"),
            "--objective mean = 1\ncvar = 0.1: expected one objective"
        );
        assert_eq!(
            refused("cvar = 2"),
            "the objective cvar = 2: cvar = 2, expected a number in (0, 1]"
        );
        assert!(refused("mean = 1").contains("expected its name alone"), "{}", refused("mean = 1"));
        assert!(refused("CVaR").starts_with("--objective CVaR: "));
    }
}
