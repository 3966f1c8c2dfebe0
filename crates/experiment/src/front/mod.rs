//! The exact front of a task: what the best policy could reach at each KL to a reference, from
//! responses that were sampled from it.

mod objectives;
mod points;
mod reference;

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use tailguard_checkpoint::{ModelDir, TOKENIZER_FILE};
use tailguard_front::{Betas, Sample, best_of_point, line, most_kl, trained_point};
use tailguard_gpt2::Gpt2;
use tailguard_report::{Front, FrontKind, FrontLine, FrontPoint, FrontRefused, Tail};
use tailguard_rollout::{Sequence, log_probs_of};

use crate::digests::of_file;
use crate::error::{During, ExperimentError};
use crate::evaluate_model::name;
use crate::inputs::Inputs;
use crate::observer::{Event, Observer};
use crate::places::{Home, checkpoint, locate};
use crate::run::Origin;
use crate::samples::{SampleSet, Sampler};
use crate::settings::Settings;
use objectives::Named;
use points::{levels, point, shown};
use reference::Reference;

/// Points of a line whose coefficients nobody has named.
const POINTS: usize = 8;
/// Prompts, where nobody says how many and the settings have no fewer.
const PROMPTS: usize = 500;
/// Digits of a digest that tell stores apart.
const DIGITS: usize = 12;

/// What a front is asked for.
#[derive(Clone, Debug, Default)]
pub struct FrontOptions {
    /// How many of the held-out prompts; without a number, five hundred at most.
    pub prompts: Option<usize>,
    /// Responses to each prompt, at least 2.
    pub responses: usize,
    /// Objectives as arms of the settings write them: `mean`, `cvar = 0.1`. Without any, those of
    /// the arms, the mean, and `CVaR` at .1, .2 and .4.
    pub objectives: Vec<String>,
    /// Coefficients of the KL; without any, each line has its own, up to the most KL.
    pub betas: Vec<f64>,
    /// The directory of the reference; without one, the arm `evaluation.reference` is made.
    pub reference: Option<PathBuf>,
    /// Directories of policies to place in the front.
    pub policies: Vec<PathBuf>,
}

/// Computes the front of the settings' task with the first seed. Samples, and the reference if it
/// has to be trained, are kept in `out`, where the next call takes them up.
///
/// # Errors
/// [`ExperimentError::Stopped`] where the observer wants no more; what is done so far is kept.
/// Settings, objectives, models or texts that cannot be used; a directory that cannot be written.
pub fn front(
    settings: &Settings,
    options: &FrontOptions,
    out: &Path,
    (home, device, origin): (&Home, &Device, &Origin),
    observer: &mut dyn Observer,
) -> Result<Front, ExperimentError> {
    // refused before a model is read
    let named = objectives::named(settings, &options.objectives, observer)?;
    let least = if options.prompts == Some(0) {
        ("prompts", 0, 1)
    } else {
        ("responses", options.responses, 2)
    };
    if least.1 < least.2 {
        let (what, found, expected) = least;
        let message = format!("{found} {what} were asked for, expected at least {expected}");
        return Err(ExperimentError::refused(message));
    }
    let mut own = settings.clone();
    own.evaluation.prompts = options.prompts.unwrap_or_else(|| own.evaluation.prompts.min(PROMPTS));
    if let Some(dir) = &options.reference {
        own.policy.dir = dir.display().to_string();
    }
    let dirs = locate(&own, home, false)?;
    let inputs = Inputs::load(&own, home, &dirs, device, observer)?;
    let reference = match &options.reference {
        Some(dir) => Reference::given(&inputs, dir),
        None => {
            let dir = out.join("reference");
            reference::made(settings, &inputs, &dir, device, origin, observer)?
        }
    };
    let seed = settings.run.seed;
    let sampler = Sampler::of(
        &inputs,
        settings,
        (&reference.model, reference.digest.clone()),
        &inputs.prompts,
        seed,
    );
    // samples that were made of something else stay where they are
    let store = out.join(format!("samples-{}", &sampler.digest()[..DIGITS]));
    let set = sampler.open_or_draw(&store, options.responses, observer)?;
    let sample = scores(&set)?.with_tail(inputs.tail(&own))?;
    let mut policies = Vec::new();
    for dir in &options.policies {
        let placed = trained(&inputs, settings, &reference, (&sample, dir), observer);
        policies.push(placed.during(|| format!("placing {}", dir.display()))?);
    }
    let lines = lines(&sample, &named, &options.betas, observer)?;
    let levels = levels()?;
    let best_of = std::iter::successors(Some(2_usize), |n| n.checked_mul(2))
        .take_while(|&n| n <= options.responses)
        .map(|n| Ok(point(format!("best of {n}"), best_of_point(&sample, n, &levels)?)))
        .collect::<Result<Vec<_>, ExperimentError>>()?;
    let of_reference = best_of_point(&sample, 1, &levels)?;
    Ok(Front {
        kind: FrontKind::Front,
        task: settings.task.clone(),
        preset: settings.preset.clone(),
        data: inputs.source.place.name().to_owned(),
        split: settings.evaluation.split.name().to_owned(),
        notice: inputs.notice(settings, home).map(str::to_owned),
        device: settings.run.device.clone(),
        seed,
        prompts: set.prompts.len(),
        responses: set.responses,
        tail: Tail { threshold: settings.evaluation.tail_threshold, prompts: sample.tail().len() },
        most_kl: most_kl(set.responses),
        reference: FrontPoint { gains: None, ..point(reference.title, of_reference) },
        lines,
        best_of,
        policies,
    })
}

/// The scores of samples.
fn scores(set: &SampleSet) -> Result<Sample, ExperimentError> {
    let scores = set.samples.iter().map(|sample| f64::from(sample.score)).collect();
    let judge: Option<Vec<f64>> =
        set.samples.iter().map(|sample| sample.judge.map(f64::from)).collect();
    let sample = Sample::new(set.responses, scores)?;
    Ok(match judge {
        Some(judge) => sample.with_judge(judge)?,
        None => sample,
    })
}

/// A line for each objective.
fn lines(
    sample: &Sample,
    named: &[Named],
    betas: &[f64],
    observer: &mut dyn Observer,
) -> Result<Vec<FrontLine>, ExperimentError> {
    let betas = if betas.is_empty() { Betas::Spread(POINTS) } else { Betas::Given(betas.to_vec()) };
    let levels = levels()?;
    let mut lines = Vec::new();
    for Named { text, objective, is_mean } in named {
        if !observer.goes_on() {
            return Err(ExperimentError::Stopped);
        }
        observer.tell(Event::Info(&format!("the front of {text}")));
        let found = line(sample, objective, &betas, &levels, !is_mean)?;
        let of_beta = |found: tailguard_front::Point| {
            let name = found.beta.map_or_else(String::new, |beta| format!("beta {}", shown(beta)));
            point(name, found)
        };
        let refused = found.refused.iter().map(|refused| FrontRefused {
            beta: refused.beta,
            kl: refused.kl,
            kl_where_spent: refused.kl_where_spent,
        });
        lines.push(FrontLine {
            objective: text.clone(),
            refused: refused.collect(),
            points: found.points.into_iter().map(of_beta).collect(),
        });
    }
    Ok(lines)
}

/// A trained policy, by one response to each prompt. It is drawn by the numbers that have drawn the
/// first response of the reference.
fn trained(
    inputs: &Inputs,
    settings: &Settings,
    reference: &Reference,
    (sample, dir): (&Sample, &Path),
    observer: &mut dyn Observer,
) -> Result<FrontPoint, ExperimentError> {
    let dir = checkpoint(dir);
    let model_dir = ModelDir::open(&dir)?;
    if of_file(&dir.join(TOKENIZER_FILE))? != of_file(&inputs.tokenizer_path)? {
        return Err(ExperimentError::refused(format!(
            "its tokenizer is not that of the reference ({})",
            inputs.tokenizer_path.display()
        )));
    }
    let model = Gpt2::load(&model_dir, &reference.device())?;
    observer.tell(Event::Info(&format!("sampling {}", name(&dir))));
    let sampler =
        Sampler::of(inputs, settings, (&model, String::new()), &inputs.prompts, settings.run.seed);
    let set = sampler.draw(1, observer)?;
    let sequences: Vec<Sequence<'_>> = set
        .prompts
        .iter()
        .zip(&set.samples)
        .map(|(prompt, sample)| Sequence { prompt: &prompt.ids, response: &sample.response_ids })
        .collect();
    let under_reference = log_probs_of(
        &reference.model,
        None,
        &sequences,
        &inputs.sampling.distribution(),
        settings.sampling.batch_size,
    )?;
    // an estimate of the KL on the prompt, as in training (Eq. 5)
    let kl = set.samples.iter().zip(&under_reference).map(|(own, reference)| {
        own.log_prob - reference.log_probs.iter().map(|&log_prob| f64::from(log_prob)).sum::<f64>()
    });
    let found = trained_point(sample, &scores(&set)?, kl.collect(), &levels()?)?;
    Ok(point(name(&dir), found))
}
