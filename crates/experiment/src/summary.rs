//! From the figures of each seed to the results of the run, and the samples that people look at.

use indexmap::IndexMap;
use tailguard_judging::{TailText, worst_prompts};
use tailguard_metrics::ByPrompt;
use tailguard_report::{
    Arm, Comparison, Diverged, Generation, HeldKl, ReportError, Results, TAIL_GAINS, TAIL_PROMPTS,
    TAIL_TABLE, Tail, Values, Watched, adjust, read_generations, read_log, write_generations,
    write_metrics, write_tail_gains, write_tail_prompts, write_tail_table, write_trl_metrics,
};

use crate::arms::Planned;
use crate::cost::Cost;
use crate::error::{During, ExperimentError};
use crate::figures::{Price, comparison, figures, values};
use crate::phases::Phases;
use crate::places::Home;
use crate::protocol::evaluated;
use crate::settings::ArmSettings;

/// A prompt of the tail, and what the arms made of it.
#[derive(Clone, Debug, PartialEq)]
pub struct TailSample {
    /// The prompt.
    pub prompt: String,
    /// Its own score.
    pub score: f32,
    /// The arms that have a text, with that.
    pub responses: Vec<(Arm, Generation)>,
}

/// The results over all seeds. An arm that diverged with any of them has none.
pub(crate) fn collect(
    phases: &Phases<'_>,
    home: &Home,
    diverged: Vec<Diverged>,
) -> Result<Results, ExperimentError> {
    let (settings, inputs) = (phases.settings, phases.inputs);
    let seeds = settings.seed_list();
    let compared: Vec<Arm> = phases.plan.compared().map(|planned| planned.arm.arm()).collect();
    // with those that others were only made from, so that all have their titles
    let arms = phases.plan.made.iter().map(|planned| planned.arm.arm()).collect();
    let (mut methods, mut measured) = (IndexMap::new(), IndexMap::new());
    for arm in compared.iter().filter(|arm| diverged.iter().all(|lost| lost.method != arm.key)) {
        let of_seeds = seeds
            .iter()
            .map(|&seed| evaluated(&phases.run.dir, &arm.key, seed))
            .collect::<Result<Vec<_>, _>>()?;
        let values = values(&of_seeds, inputs.prompts.len());
        let figures = figures(inputs, settings, &of_seeds, &values, &price(phases, &arm.key)?)
            .during(|| format!("cannot judge {}", arm.title))?;
        methods.insert(arm.key.clone(), figures);
        measured.insert(arm.key.as_str(), values);
    }
    let mut pairs: Vec<(&ArmSettings, &str)> = Vec::new();
    for arm in phases.plan.compared().map(|planned| planned.arm) {
        pairs.extend(arm.compared_with.iter().map(|over| (arm, over.as_str())));
    }
    // first what sets the methods apart, then what each gains over what it began with
    pairs.sort_by_key(|(arm, over)| arm.from.as_deref() == Some(*over));
    let mut comparisons = Vec::new();
    for (arm, over) in pairs {
        if let (Some(own), Some(others)) = (measured.get(arm.key.as_str()), measured.get(over)) {
            comparisons.extend(comparison(inputs, settings, (&arm.key, own), (over, others))?);
        }
    }
    adjust(&mut comparisons)?;
    let watched = watched(phases, &measured, &comparisons)?;
    let equal_kl = equal_kl(phases, &measured);
    let (task, preset, device) =
        (settings.task.clone(), settings.preset.clone(), settings.run.device.clone());
    let (data, split) =
        (inputs.source.place.name().to_owned(), settings.evaluation.split.name().to_owned());
    let tail = Tail {
        threshold: settings.evaluation.tail_threshold,
        prompts: inputs.tail(settings).len(),
    };
    let notice = inputs.notice(settings, home).map(str::to_owned);
    let reference = phases.plan.reference.to_owned();
    Ok(Results {
        task,
        preset,
        data,
        split,
        notice,
        seeds,
        device,
        tail,
        arms,
        reference,
        methods,
        diverged,
        comparisons,
        watched,
        equal_kl,
    })
}

/// What an arm costs, and how far it can be from the reference.
fn price(phases: &Phases<'_>, key: &str) -> Result<Price, ExperimentError> {
    let recipe_of = |planned: &Planned<'_>| phases.recipes.get(&planned.arm.recipe);
    let cost = |planned: &Planned<'_>, seed: u64| {
        if recipe_of(planned).is_some_and(|recipe| !recipe.samples()) {
            return Ok(Some(Cost::default()));
        }
        Cost::of_log(&phases.run.dir, &planned.arm.key, seed)
    };
    let making = |&seed: &u64| -> Result<Option<Cost>, ExperimentError> {
        let of_each = phases.plan.lineage(key).map(|planned| cost(planned, seed));
        Ok(of_each.collect::<Result<Vec<_>, _>>()?.into_iter().sum::<Option<Cost>>())
    };
    let seeds = phases.settings.seed_list();
    let making = seeds.iter().map(making).collect::<Result<_, _>>()?;
    // a bound is one to what the arm was made from
    let bounded = phases.plan.lineage(key).next().filter(|planned| {
        planned.arm.key == key && planned.arm.from.as_deref() == Some(phases.plan.reference)
    });
    let kl_bound = bounded.and_then(|planned| recipe_of(planned)?.kl_bound(&planned.settings));
    Ok(Price { making, kl_bound })
}

/// How near the arms came that were to be held at a KL.
fn equal_kl(phases: &Phases<'_>, measured: &IndexMap<&str, Values>) -> Vec<HeldKl> {
    let held = |planned: &Planned<'_>| {
        let recipe = phases.recipes.get(&planned.arm.recipe)?;
        let target = recipe.held_kl(&planned.settings)?;
        let values = measured.get(planned.arm.key.as_str())?;
        let mean = |of_seed: &Vec<ByPrompt>| {
            of_seed.iter().map(|(_, kl)| kl).sum::<f64>() / of_seed.len() as f64
        };
        let by_seed: Vec<f64> =
            values.kl.iter().filter(|of_seed| !of_seed.is_empty()).map(mean).collect();
        HeldKl::of(&planned.arm.key, target, &by_seed)
    };
    phases.plan.compared().filter_map(held).collect()
}

/// What the arms that rewards form gain over what they were made from, where the settings do not
/// ask for it. Without a judge there is nothing to watch.
fn watched(
    phases: &Phases<'_>,
    measured: &IndexMap<&str, Values>,
    comparisons: &[Comparison],
) -> Result<Vec<Watched>, ExperimentError> {
    let mut watched = Vec::new();
    for arm in phases.plan.compared().map(|planned| planned.arm) {
        let sees_rewards =
            phases.recipes.get(&arm.recipe).is_some_and(|recipe| recipe.sees_rewards());
        let own = measured
            .get(arm.key.as_str())
            .filter(|own| own.judge.iter().any(|scores| !scores.is_empty()));
        let (Some(over), Some(own), true) = (arm.from.as_deref(), own, sees_rewards) else {
            continue;
        };
        if comparisons.iter().any(|known| known.method == arm.key && known.over == over) {
            continue;
        }
        let (reward, judge) = match measured.get(over) {
            None => (None, None),
            Some(others) => {
                match comparison(phases.inputs, phases.settings, (&arm.key, own), (over, others))? {
                    Some(gain) => (Some(gain.reward), gain.judge),
                    // a single prompt, which is told
                    None => continue,
                }
            }
        };
        watched.push(Watched { method: arm.key.clone(), over: over.to_owned(), reward, judge });
    }
    Ok(watched)
}

/// The arms that have texts of a seed: those that are compared and did not diverge.
fn with_texts(phases: &Phases<'_>, results: &Results, seed: u64) -> Vec<Arm> {
    let is_lost =
        |arm: &Arm| results.diverged.iter().any(|lost| lost.method == arm.key && lost.seed == seed);
    phases.plan.compared().map(|planned| planned.arm.arm()).filter(|arm| !is_lost(arm)).collect()
}

/// Writes `metrics.parquet` and `generations.parquet` from the parts that the phases left, and what
/// these say of the tails.
pub(crate) fn write_tables(phases: &Phases<'_>, results: &Results) -> Result<(), ExperimentError> {
    let dir = &phases.run.dir;
    let mut rows = Vec::new();
    for path in dir.log_paths()? {
        rows.extend(read_log(&path)?);
    }
    write_metrics(&dir.metrics_path(), &rows)?;
    write_trl_metrics(&dir.trl_metrics_path(), &rows)?;
    let mut texts = Vec::new();
    for seed in phases.settings.seed_list() {
        for arm in with_texts(phases, results, seed) {
            texts.extend(read_generations(&dir.method_generations_path(&arm.key, seed))?);
        }
    }
    write_generations(&dir.generations_path(), &texts)?;
    let (mut tails, mut prompts) = (Vec::new(), Vec::new());
    for (arm, figures) in results.in_order() {
        tails.extend(figures.tail_report.as_ref().map(|report| (arm.key.as_str(), report)));
        let of_seeds =
            texts.chunk_by(|one, other| (&one.method, one.seed) == (&other.method, other.seed));
        let of_seeds = of_seeds.filter(|rows| rows.iter().any(|row| row.method == arm.key));
        let of_seeds = of_seeds.map(|rows| tail_texts(rows, phases.inputs.prompts.len()));
        prompts.extend(worst_prompts(&arm.key, &of_seeds.collect::<Vec<_>>())?);
    }
    write_tail_gains(&dir.path().join(TAIL_GAINS), &results.comparisons)?;
    write_tail_table(&dir.path().join(TAIL_TABLE), tails.into_iter())?;
    Ok(write_tail_prompts(&dir.path().join(TAIL_PROMPTS), &prompts)?)
}

/// The texts of an arm and seed, whose prompts go by their places among so many.
fn tail_texts(rows: &[Generation], prompts: usize) -> Vec<TailText<'_>> {
    let places = rows.iter().enumerate();
    places
        .map(|(place, row)| TailText {
            number: place % prompts,
            prompt: &row.prompt,
            response: Some(&row.response),
            reward: row.reward.into(),
        })
        .collect()
}

/// A few prompts of the tail, the worst first, with what the arms of the first seed made of them.
pub(crate) fn tail_samples(
    phases: &Phases<'_>,
    results: &Results,
) -> Result<Vec<TailSample>, ExperimentError> {
    let (settings, inputs) = (phases.settings, phases.inputs);
    let mut tail = inputs.tail(settings);
    tail.sort_by(|&a, &b| inputs.prompt_scores[a].total_cmp(&inputs.prompt_scores[b]));
    let seed = settings.run.seed;
    let of_arm = |arm: Arm| {
        let rows = read_generations(&phases.run.dir.method_generations_path(&arm.key, seed))?;
        Ok((arm, rows))
    };
    let by_arm = with_texts(phases, results, seed)
        .into_iter()
        .map(of_arm)
        .collect::<Result<Vec<(Arm, Vec<Generation>)>, ReportError>>()?;
    let sample = |prompt: usize| TailSample {
        prompt: inputs.prompts[prompt].text.clone(),
        score: inputs.prompt_scores[prompt],
        responses: by_arm
            .iter()
            .filter_map(|(arm, rows)| Some((arm.clone(), rows.get(prompt)?.clone())))
            .collect(),
    };
    Ok(tail.into_iter().take(settings.evaluation.shown_samples).map(sample).collect())
}
