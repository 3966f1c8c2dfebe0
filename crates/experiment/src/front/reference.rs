//! The reference of a front: a model that was named, or the arm of the settings that KL is measured
//! to.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Instant;

use burn::tensor::Device;
use tailguard_gpt2::Gpt2;
use tailguard_lm::CausalLm;
use tailguard_report::{NewRunDir, RunDir};

use crate::arms::Plan;
use crate::digests::of_model;
use crate::error::ExperimentError;
use crate::evaluate_model::name;
use crate::inputs::Inputs;
use crate::made::Made;
use crate::objectives::Objectives;
use crate::observer::Observer;
use crate::phases::Phases;
use crate::recipe::Recipes;
use crate::run::{Beginning, Dir, Origin, Run};
use crate::settings::Settings;

/// What samples are drawn from, and KL is measured to.
pub(super) struct Reference {
    pub(super) title: String,
    pub(super) model: Gpt2,
    pub(super) digest: String,
}

impl Reference {
    /// The model that the settings start from, which was read from this directory.
    pub(super) fn given(inputs: &Inputs, dir: &Path) -> Self {
        let digest = inputs.digests.get("policy").cloned().unwrap_or_default();
        Self { title: name(dir), model: inputs.base.clone(), digest }
    }

    /// Where its weights are.
    pub(super) fn device(&self) -> Device {
        self.model.device()
    }
}

/// The arm `evaluation.reference` with the first seed, made in a run of its own, or taken from it.
///
/// # Errors
/// A run that was begun with other settings; whatever goes wrong in training.
pub(super) fn made(
    settings: &Settings,
    inputs: &Inputs,
    dir: &Path,
    device: &Device,
    origin: &Origin,
    observer: &mut dyn Observer,
) -> Result<Reference, ExperimentError> {
    let mut alone = settings.clone();
    alone.run.arms = vec![settings.evaluation.reference.clone()];
    alone.run.seeds = 1;
    let (recipes, objectives) = (Recipes::default(), Objectives::default());
    let plan = Plan::of(&alone, &recipes, &objectives)?;
    let begun = Instant::now();
    let place = if dir.is_dir() {
        let run = RunDir::open(dir)?;
        alone.check_recorded(&run.config_path(), &run.config()?)?;
        Dir::Resumed(run)
    } else {
        Dir::New(NewRunDir::reserve(dir)?)
    };
    let beginning = Beginning {
        settings: &alone,
        origin,
        inputs: inputs.digests.clone(),
        scores: inputs.scores(),
        places: BTreeMap::new(),
    };
    let run = Run::open(place, beginning, begun, observer)?;
    let phases = Phases {
        settings: &alone,
        recipes: &recipes,
        objectives: &objectives,
        inputs,
        device,
        run: &run,
        plan: &plan,
    };
    let seed = alone.run.seed;
    let mut all: HashMap<&str, Made> = HashMap::new();
    for planned in &plan.made {
        let made = phases.make(planned, &all, seed, observer)?;
        all.insert(&planned.arm.key, made);
    }
    run.note_costs()?;
    let title = plan.made.iter().find(|planned| planned.arm.key == plan.reference);
    let title = title.map_or_else(String::new, |planned| planned.arm.arm().title);
    let model = all.remove(plan.reference).and_then(|made| match made {
        Made::Model(model) => Some(*model),
        Made::Answers(_) => None,
    });
    let model = model.ok_or_else(|| {
        let message = format!("evaluation.reference is {:?}, which is no model", plan.reference);
        ExperimentError::refused(message)
    })?;
    let path = run.dir.checkpoint_path(plan.reference, seed).join("model");
    // what comes as it is has no directory of its own
    let digest = if path.is_dir() {
        of_model(&path)?
    } else {
        inputs.digests.get("policy").cloned().unwrap_or_default()
    };
    Ok(Reference { title, model, digest })
}
