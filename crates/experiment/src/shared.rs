//! What runs share: an arm that an earlier run has made by the same settings, from the same arms,
//! is taken over, with its log, its texts and its figures.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use tailguard_files::{FileError, write_dir, write_file};
use tailguard_report::RunDir;
use toml::{Table, Value};

use crate::digests::of_bytes;
use crate::error::ExperimentError;
use crate::observer::{Event, Observer};
use crate::phases::Phases;
use crate::protocol::is_evaluated;
use crate::recipe::Recipes;
use crate::settings::{ArmSettings, Settings, read_back, schema, table};

/// Keys that do not say how an arm is made or measured.
const OF_THE_RUN: [&str; 7] =
    ["task", "preset", "arm", "run.arms", "run.seed", "run.seeds", "run.threads"];

/// An arm and those that it is made from, itself first.
pub(crate) fn chain<'s>(
    key: &str,
    settings: &'s Settings,
) -> impl Iterator<Item = &'s ArmSettings> + use<'s> {
    let named = |key: &str| settings.arm.iter().find(|arm| arm.key == key);
    // an arm stands behind what it is made from, so this has an end
    std::iter::successors(named(key), move |arm| named(arm.from.as_deref()?))
}

/// Whether a key holds for all arms, as no recipe reads it for itself.
pub(crate) fn is_common(key: &str, recipes: &Recipes) -> bool {
    let reads = |name: &&str| recipes.get(name).is_some_and(|found| found.reads(key));
    !OF_THE_RUN.contains(&key) && !recipes.names().iter().any(reads)
}

/// SHA-256 over all settings that say how an arm is made: recipes, objectives and what these
/// recipes read, of the arm and of those that it is made from, and what holds for all.
fn digest(key: &str, settings: &Settings, recipes: &Recipes) -> Result<String, ExperimentError> {
    let mut all = Table::new();
    let keys = schema();
    let values = |settings: &Settings, is_wanted: &dyn Fn(&str) -> bool| {
        let whole = table(settings)?;
        let value = |key: &str| match key.split_once('.') {
            Some((section, key)) => whole.get(section)?.get(key).cloned(),
            None => whole.get(key).cloned(),
        };
        let wanted = keys.names().into_iter().filter(|key| is_wanted(key));
        Ok::<Table, ExperimentError>(
            wanted.filter_map(|key| Some((key.to_owned(), value(key)?))).collect(),
        )
    };
    let common = values(settings, &|key| is_common(key, recipes))?;
    all.insert("common".to_owned(), Value::Table(common));
    for (arm, place) in chain(key, settings).zip(0_u32..) {
        let own = arm.over(settings)?;
        let is_read = |key: &str| recipes.get(&arm.recipe).is_some_and(|found| found.reads(key));
        let mut made = values(&own, &is_read)?;
        // the key draws nothing, but files are called by it
        made.insert("key".to_owned(), arm.key.clone().into());
        made.insert("recipe".to_owned(), arm.recipe.clone().into());
        made.extend(arm.objective.clone().map(|objective| ("objective".to_owned(), objective)));
        all.insert(place.to_string(), Value::Table(made));
    }
    Ok(of_bytes(all.to_string().as_bytes()))
}

/// Takes over what earlier runs have made of the arms of a run, as far as it is the same and not
/// there yet.
///
/// # Errors
/// A run that cannot be read, or that has read other models or texts under these settings; files
/// that cannot be copied.
pub(crate) fn take_over(
    phases: &Phases<'_>,
    earlier: &[PathBuf],
    observer: &mut dyn Observer,
) -> Result<(), ExperimentError> {
    for path in earlier {
        let from = RunDir::open(path)?;
        let before = read_back(&from.config_path(), &from.config()?)?;
        let other_inputs = others(&from, &phases.run.dir)?;
        let same = |key: &str| -> Result<bool, ExperimentError> {
            let digest = |settings| digest(key, settings, phases.recipes);
            Ok(digest(&before)? == digest(phases.settings)?)
        };
        // what all KL is measured to
        let is_measured_alike = same(phases.plan.reference)?;
        for planned in &phases.plan.made {
            let key = planned.arm.key.as_str();
            if !before.arm.iter().any(|arm| arm.key == key) || !same(key)? {
                continue;
            }
            if let Some(others) = &other_inputs {
                let message = format!(
                    "{} has made {key} by the same settings, but with other contents of: {others}",
                    path.display()
                );
                return Err(ExperimentError::refused(message)
                    .with_hint("bring back what it was begun with, or begin anew"));
            }
            for seed in phases.settings.seed_list() {
                let copied = Copy { from: &from, to: &phases.run.dir, key, seed };
                let (model, figures) = (copied.model()?, is_measured_alike && copied.figures()?);
                if model || figures {
                    observer.tell(Event::Info(&format!(
                        "{key}, seed {seed}: taken over from {}",
                        path.display()
                    )));
                }
            }
        }
    }
    Ok(())
}

/// What two runs have read of which the contents differ; the settings do.
fn others(from: &RunDir, to: &RunDir) -> Result<Option<String>, ExperimentError> {
    let (before, now) = (from.about()?.inputs, to.about()?.inputs);
    let differ: Vec<&str> = before
        .iter()
        .filter(|(name, digest)| *name != "settings" && now.get(*name) != Some(digest))
        .map(|(name, _)| name.as_str())
        .collect();
    Ok((!differ.is_empty()).then(|| differ.join(", ")))
}

/// An arm and seed that go from one run into another. Each method says whether there was something
/// that was not there yet.
struct Copy<'a> {
    from: &'a RunDir,
    to: &'a RunDir,
    key: &'a str,
    seed: u64,
}

impl Copy<'_> {
    /// The finished model and the log of its training.
    fn model(&self) -> Result<bool, ExperimentError> {
        let Self { from, to, key, seed } = *self;
        let model = |dir: &RunDir| dir.checkpoint_path(key, seed).join("model");
        if !model(from).is_dir() || model(to).is_dir() {
            return Ok(false);
        }
        let (log, events) = (from.log_path(key, seed), from.tensorboard_path(key, seed));
        if log.is_file() {
            copy_file(&log, &to.log_path(key, seed))?;
        }
        if events.is_dir() {
            copy_dir(&events, &to.tensorboard_path(key, seed))?;
        }
        // last: what has it is finished
        copy_dir(&model(from), &model(to))?;
        Ok(true)
    }

    /// The evaluated texts, and the figures.
    fn figures(&self) -> Result<bool, ExperimentError> {
        let Self { from, to, key, seed } = *self;
        if !is_evaluated(from, key, seed)? || is_evaluated(to, key, seed)? {
            return Ok(false);
        }
        let texts = |dir: &RunDir| dir.method_generations_path(key, seed);
        let figures = |dir: &RunDir| dir.evaluation_path(key, seed);
        let sums = |dir: &RunDir| figures(dir).with_extension("sha256");
        copy_file(&texts(from), &texts(to))?;
        copy_file(&sums(from), &sums(to))?;
        // last: what has this file is evaluated
        copy_file(&figures(from), &figures(to))?;
        Ok(true)
    }
}

fn copy_file(from: &Path, to: &Path) -> Result<(), FileError> {
    write_file(to, &fs::read(from).map_err(FileError::of("read", from))?)
}

/// Copies the files of a directory that has no other in it. On one disk they are the same files
/// under a second name: no file of a run is ever changed.
fn copy_dir(from: &Path, to: &Path) -> Result<(), FileError> {
    let read = FileError::of("read", from);
    let entries = fs::read_dir(from).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let entries = entries.map_err(read)?;
    write_dir(to, |dir| {
        for entry in &entries {
            let (one, other) = (entry.path(), dir.join(entry.file_name()));
            fs::hard_link(&one, &other)
                .or_else(|_| fs::copy(&one, &other).map(drop))
                .map_err(FileError::of("copy", &one))?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(key: &str, more: &str) -> String {
        let settings = Settings::from_toml(&format!("preset = \"imdb-smoke\"\n{more}")).unwrap();
        digest(key, &settings, &Recipes::default()).unwrap()
    }

    #[test]
    fn an_arm_is_the_same_where_nothing_differs_that_makes_it() {
        let same = |key: &str, more: &str| of(key, more) == of(key, "");
        let ppo = "[ppo]\nkl_coef = 0.3";
        assert!(same("gpt2", ppo) && same("sft", ppo) && !same("rlhf", ppo));
        let sft = "[sft]\nsteps = 7";
        assert!(same("gpt2", sft) && !same("sft", sft) && !same("ra_rlhf", sft));
        // the texts of SFT are read for all arms together
        assert!(!same("gpt2", "[sft]\ntext_tokens = 30"));
        assert!(!same("gpt2", "[sampling]\ntemperature = 0.5"));
        assert!(!same("sft", "[evaluation]\nprompts = 65"));
        let held = "[experiment]\nequal_kl = 3.0";
        assert!(same("sft", held) && !same("rlhf", held));
        // what a run makes besides, with how many seeds and threads
        assert!(same("rlhf", "[run]\nseed = 9\nseeds = 1\nthreads = 1\narms = [\"rlhf\"]"));
    }

    #[test]
    fn an_arm_that_is_made_otherwise_under_the_same_key_is_another() {
        let arms = |objective: &str, title: &str| {
            of(
                "a",
                &format!(
                    "[[arm]]\nkey = \"sft\"\nrecipe = \"base\"\n[[arm]]\nkey = \"a\"\nrecipe = \
                     \"ppo\"\nfrom = \"sft\"\ntitle = \"{title}\"\nobjective = {objective}"
                ),
            )
        };
        assert_eq!(arms("\"mean\"", "one"), arms("\"mean\"", "other"));
        assert_ne!(arms("\"mean\"", "one"), arms("{ cvar = 0.4 }", "one"));
    }
}
