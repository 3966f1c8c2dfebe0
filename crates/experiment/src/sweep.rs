//! A sweep: a run for each point of a grid over settings. What does not depend on the keys that
//! differ is made once: see `shared`.

use std::collections::BTreeSet;

use tailguard_settings::SettingsError;

use crate::arms::Plan;
use crate::error::ExperimentError;
use crate::objectives::Objectives;
use crate::recipe::Recipes;
use crate::settings::{ArmSettings, ConfigError, Settings};
use crate::shared::{chain, is_common};

/// What messages call the flag that names keys and their values.
const OVER: &str = "--over";

/// The runs of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    over: Vec<SweptKey>,
    points: Vec<SweepPoint>,
    /// Of each arm that is compared the keys that concern it, in the order of the grid.
    concerned: Vec<(String, Vec<String>)>,
}

/// A key of the settings, and the values that it takes one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweptKey {
    /// Such as `ppo.kl_coef`.
    pub key: String,
    /// As they were typed.
    pub values: Vec<String>,
}

/// A point of the grid, and so a run.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepPoint {
    /// What its directory is called: `point-1`, `point-2`, ...
    pub name: String,
    /// Keys and values, in the order of the grid.
    pub values: Vec<(String, String)>,
    /// All settings of the run.
    pub settings: Settings,
}

impl Sweep {
    /// The grid over these keys and values, `KEY=VALUE,VALUE...` each, on top of settings: the last
    /// key changes first.
    ///
    /// Every run is checked, so that none is begun if another cannot be.
    ///
    /// # Errors
    /// What is no key with values, a key or a value that stands twice, that is none or is out of
    /// range; a key that says nothing of how arms are made or measured, or that concerns none of
    /// them; settings that contradict each other at some point.
    pub fn new(
        base: &Settings,
        over: &[String],
        recipes: &Recipes,
        objectives: &Objectives,
    ) -> Result<Self, ExperimentError> {
        let over = over.iter().map(|text| swept(text)).collect::<Result<Vec<_>, _>>()?;
        if over.is_empty() {
            return Err(ExperimentError::refused("a sweep needs a key and its values")
                .with_hint("such as --over ppo.kl_coef=0.05,0.1,0.2"));
        }
        for (place, SweptKey { key, .. }) in over.iter().enumerate() {
            if over[..place].iter().any(|other| other.key == *key) {
                return Err(refused(key, "stands twice"));
            }
            if ["task", "preset", "arm"].contains(&key.as_str()) || key.starts_with("run.") {
                let detail = "is about the run, expected a key of how arms are made or measured";
                return Err(refused(key, detail));
            }
        }
        let points = points(base, &over)?;
        for point in &points {
            Plan::of(&point.settings, recipes, objectives)?;
        }
        // which arms there are is no key of the grid: all points have the same
        let plan = Plan::of(&points[0].settings, recipes, objectives)?;
        let keys_of = |arm: &ArmSettings| {
            let concerns = |key: &&SweptKey| concerns(&key.key, arm, base, recipes);
            over.iter().filter(concerns).map(|key| key.key.clone()).collect::<Vec<_>>()
        };
        let concerned: Vec<(String, Vec<String>)> = plan
            .compared()
            .map(|planned| (planned.arm.key.clone(), keys_of(planned.arm)))
            .collect();
        if let Some(SweptKey { key, .. }) =
            over.iter().find(|key| concerned.iter().all(|(_, keys)| !keys.contains(&key.key)))
        {
            return Err(refused(key, "concerns none of the arms that are compared (run.arms)"));
        }
        Ok(Self { over, points, concerned })
    }

    /// The keys and their values.
    #[must_use]
    pub fn over(&self) -> &[SweptKey] {
        &self.over
    }

    /// The runs, in the order in which they are made.
    #[must_use]
    pub fn points(&self) -> &[SweepPoint] {
        &self.points
    }

    /// The arms that are compared, in their order, each with the keys of the grid that concern it:
    /// that its recipe reads, or that of what it is made from, or of what its KL is measured to, or
    /// that hold for all arms. Of another key an arm has one policy, whatever its value.
    #[must_use]
    pub fn concerned(&self) -> &[(String, Vec<String>)] {
        &self.concerned
    }
}

/// Whether a key says how an arm is made or measured.
fn concerns(key: &str, arm: &ArmSettings, settings: &Settings, recipes: &Recipes) -> bool {
    let reads = |arm: &ArmSettings| {
        // what it sets for itself is the same at every point
        !arm.set.contains_key(key) && recipes.get(&arm.recipe).is_some_and(|found| found.reads(key))
    };
    is_common(key, recipes)
        || chain(&arm.key, settings).any(reads)
        || chain(&settings.evaluation.reference, settings).any(reads)
}

fn refused(key: &str, detail: &str) -> ExperimentError {
    ExperimentError::refused(format!("{OVER} {key}: it {detail}"))
}

/// Reads `KEY=VALUE,VALUE...`.
fn swept(text: &str) -> Result<SweptKey, ExperimentError> {
    let example = "--over ppo.kl_coef=0.05,0.1,0.2";
    let Some((key, values)) = text.split_once('=') else {
        let message = format!("{OVER} {text}: expected a key and its values, as in {example}");
        return Err(ExperimentError::refused(message));
    };
    let key = key.trim().to_owned();
    let values: Vec<String> =
        split(values).into_iter().map(|value| value.trim().to_owned()).collect();
    if values.iter().any(String::is_empty) {
        return Err(refused(&key, &format!("has an empty value in {text:?}, as in no {example}")));
    }
    let known: BTreeSet<&String> = values.iter().collect();
    if known.len() < values.len() {
        return Err(refused(&key, &format!("has a value twice in {text:?}")));
    }
    Ok(SweptKey { key, values })
}

/// Cuts at commas that stand in no brackets, braces or quotation marks.
fn split(values: &str) -> Vec<&str> {
    let (mut parts, mut begin, mut depth, mut quote) = (Vec::new(), 0, 0_usize, None);
    for (place, sign) in values.char_indices() {
        match (quote, sign) {
            (Some(open), sign) if sign == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(sign),
            (None, '[' | '{') => depth += 1,
            (None, ']' | '}') => depth = depth.saturating_sub(1),
            (None, ',') if depth == 0 => {
                parts.push(&values[begin..place]);
                begin = place + 1;
            }
            _ => {}
        }
    }
    parts.push(&values[begin..]);
    parts
}

/// All points of the grid, each with its settings.
fn points(base: &Settings, over: &[SweptKey]) -> Result<Vec<SweepPoint>, ExperimentError> {
    let mut grid: Vec<Vec<(String, String)>> = vec![Vec::new()];
    for SweptKey { key, values } in over {
        let with = |point: &Vec<(String, String)>, value: &String| {
            [point.as_slice(), &[(key.clone(), value.clone())]].concat()
        };
        grid = grid
            .iter()
            .flat_map(|point| values.iter().map(|value| with(point, value)).collect::<Vec<_>>())
            .collect();
    }
    let mut points: Vec<SweepPoint> = Vec::new();
    for (values, number) in grid.into_iter().zip(1..) {
        let settings = base.with(OVER, &values)?;
        // 0.1 and 0.10 are typed otherwise and are the same
        if let Some(same) = points.iter().find(|point| point.settings == settings) {
            let words = values.iter().map(|(key, value)| format!("{key}={value}"));
            return Err(ExperimentError::refused(format!(
                "{OVER}: {} is the same as {}",
                words.collect::<Vec<_>>().join(" "),
                same.name
            )));
        }
        points.push(SweepPoint { name: format!("point-{number}"), values, settings });
    }
    Ok(points)
}

/// Refuses a key that is both set, by a flag, and swept.
///
/// # Errors
/// The key and the flag.
pub fn check_swept(over: &[String], set: &[(&str, &str)]) -> Result<(), ExperimentError> {
    let swept: Vec<&str> =
        over.iter().filter_map(|text| Some(text.split_once('=')?.0.trim())).collect();
    let Some((flag, key)) = set.iter().find(|(_, key)| swept.contains(key)) else { return Ok(()) };
    let (key, before, origin) = ((*key).to_owned(), (*flag).to_owned(), OVER.to_owned());
    Err(ConfigError::from(SettingsError::Twice { key, before, origin }).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sweep(more: &str, over: &[&str]) -> Result<Sweep, String> {
        let base = Settings::from_toml(&format!("preset = \"imdb-smoke\"\n{more}")).unwrap();
        let over: Vec<String> = over.iter().map(ToString::to_string).collect();
        Sweep::new(&base, &over, &Recipes::default(), &Objectives::default())
            .map_err(|error| error.to_string())
    }

    fn keys(sweep: &Sweep, arm: &str) -> Vec<String> {
        sweep.concerned().iter().find(|(key, _)| key == arm).unwrap().1.clone()
    }

    #[test]
    fn there_is_a_run_for_each_point_and_the_last_key_changes_first() {
        let sweep = sweep("", &["ppo.kl_coef=0.1,0.2", "risk.alpha = 0.4, 0.5"]).unwrap();
        let values: Vec<(f64, f64)> = sweep
            .points()
            .iter()
            .map(|point| (point.settings.ppo.kl_coef, point.settings.risk.alpha))
            .collect();
        assert_eq!(values, [(0.1, 0.4), (0.1, 0.5), (0.2, 0.4), (0.2, 0.5)]);
        assert_eq!(sweep.points()[3].name, "point-4");
        assert_eq!(
            sweep.points()[2].values,
            [("ppo.kl_coef".to_owned(), "0.2".to_owned()), ("risk.alpha".into(), "0.4".into())]
        );
    }

    #[test]
    fn values_may_be_words_and_lists() {
        assert_eq!(split("[1, 2],'a,b',c"), ["[1, 2]", "'a,b'", "c"]);
        let sweep =
            sweep("", &["sampling.end_of_text=mask,stop", "evaluation.other_tails=[0,1],[]"])
                .unwrap();
        assert_eq!(sweep.points().len(), 4);
        assert_eq!(sweep.points()[0].settings.evaluation.other_tails, [0.0, 1.0]);
    }

    #[test]
    fn a_key_concerns_the_arms_whose_recipes_read_it_and_those_that_are_made_from_them() {
        let of = |over: &str| {
            let sweep = sweep("", &[over]).unwrap();
            sweep
                .concerned()
                .iter()
                .filter(|(_, keys)| !keys.is_empty())
                .map(|(arm, _)| arm.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(of("ppo.kl_coef=0.1,0.2"), ["rlhf", "ra_rlhf"]);
        assert_eq!(of("experiment.equal_kl=0,2"), ["rlhf", "ra_rlhf"]);
        // the base model's KL is measured to SFT
        assert_eq!(of("sft.steps=2,3"), ["gpt2", "sft", "rlhf", "ra_rlhf"]);
        assert_eq!(of("sampling.temperature=0.5,1.0"), ["gpt2", "sft", "rlhf", "ra_rlhf"]);
        // what an arm sets for itself is the same at every point
        let own = "[[arm]]\nkey = \"sft\"\nrecipe = \"base\"\n[[arm]]\nkey = \"a\"\nrecipe = \
            \"ppo\"\nfrom = \"sft\"\nset = { \"ppo.kl_coef\" = 0.5 }\n[[arm]]\nkey = \"b\"\nrecipe \
            = \"ppo\"\nfrom = \"sft\"";
        let sweep = sweep(own, &["ppo.kl_coef=0.1,0.2", "ppo.clip=0.1,0.2"]).unwrap();
        assert_eq!(keys(&sweep, "a"), ["ppo.clip"]);
        assert_eq!(keys(&sweep, "b"), ["ppo.kl_coef", "ppo.clip"]);
        assert!(keys(&sweep, "sft").is_empty());
    }

    #[test]
    fn what_cannot_be_swept_is_refused_before_anything_is_begun() {
        let refused = |over: &[&str]| sweep("", over).unwrap_err();
        assert_eq!(
            refused(&["ppo.kl_coeff=0.1,0.2"]),
            "--over: unknown key `ppo.kl_coeff`; did you mean `ppo.kl_coef`?"
        );
        assert!(
            refused(&["ppo.clip=0.1,2"]).contains("--over: ppo.clip = 2, expected a number in")
        );
        assert!(refused(&["ppo.clip"]).contains("expected a key and its values"));
        assert!(refused(&["ppo.clip=0.1,,0.2"]).contains("has an empty value"));
        assert!(refused(&["ppo.clip=0.1,0.1"]).contains("has a value twice"));
        assert!(refused(&["ppo.clip=0.1,0.10"]).contains("ppo.clip=0.10 is the same as point-1"));
        assert!(refused(&["ppo.clip=0.1", "ppo.clip=0.2"]).contains("stands twice"));
        for key in ["run.seed=1,2", "task=a,b", "arm=1"] {
            assert!(refused(&[key]).contains("is about the run"), "{key}");
        }
        assert!(refused(&[]).contains("needs a key"));
        assert!(
            sweep("[run]\narms = [\"sft\"]", &["ppo.clip=0.1,0.2"])
                .unwrap_err()
                .contains("concerns none of the arms")
        );
        // one point of the grid that makes no sense
        let refused = refused(&["ppo.iterations=9,1"]);
        assert!(refused.contains("risk.warmup = 1, but ppo.iterations is 1"), "{refused}");
        let over = ["ppo.clip=0.1,0.2".to_owned()];
        assert_eq!(
            check_swept(&over, &[("--set", "ppo.clip")]).unwrap_err().to_string(),
            "ppo.clip is given twice, by --set and by --over: leave one of them out"
        );
        assert!(check_swept(&over, &[("--set", "ppo.gamma")]).is_ok());
    }
}
