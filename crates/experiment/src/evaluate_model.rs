//! A model on the held-out prompts of a task, without any experiment.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use burn::tensor::Device;
use tailguard_checkpoint::{ModelDir, TOKENIZER_FILE};
use tailguard_data::{Generations, Scores};
use tailguard_gpt2::Gpt2;
use tailguard_judging::{Group, Judged, Wanted, judge_texts};
use tailguard_metrics::{ByPrompt, Scale, mean_over_seeds};
use tailguard_report::{EvaluatedTail, Evaluation, Figure};
use tailguard_risk::RiskLevel;

use crate::digests::of_file;
use crate::error::ExperimentError;
use crate::inputs::Inputs;
use crate::made::Made;
use crate::observer::{Event, Observer};
use crate::places::{Home, ModelDirs, locate};
use crate::protocol::{Perplexities, Samples, sample};
use crate::settings::Settings;

/// A model that was evaluated, and what was read for it.
pub struct EvaluatedModel {
    /// The figures, what must be said with them, and the texts.
    pub judged: Judged,
    /// Digests of what was read, by name.
    pub digests: BTreeMap<String, String>,
    /// Where the models are, by the names of their digests.
    pub places: BTreeMap<String, String>,
}

/// A model under which texts have a perplexity.
#[derive(Clone, Copy, Debug)]
pub struct BaseModel<'a> {
    /// What it is called where it is told of.
    pub name: &'a str,
    /// Its directory.
    pub dir: &'a Path,
}

/// Lets the policy of the settings continue the held-out prompts of their task, with each of the
/// seeds, and judges what it writes. Its texts have a perplexity under the base model, if there is
/// one and it has the same tokens. `level` is the share of CVaR.
///
/// # Errors
/// A model or data file that is missing, damaged or does not fit the settings; a model that fails.
pub fn evaluate_model(
    settings: &Settings,
    base: Option<BaseModel<'_>>,
    level: RiskLevel,
    home: &Home,
    device: &Device,
    observer: &mut dyn Observer,
) -> Result<EvaluatedModel, ExperimentError> {
    let dirs = locate(settings, home, false)?;
    let inputs = Inputs::load(settings, home, &dirs, device, observer)?;
    let base = base
        .map(|base| with_same_tokens(base, &dirs.policy, device, observer))
        .transpose()?
        .flatten();
    let name = name(&dirs.policy);
    let policy = Made::from(inputs.base.clone());
    let (mut texts, mut groups, mut lengths) = (Generations::default(), Vec::new(), Vec::new());
    let (mut human, mut generated) = (Vec::new(), Vec::new());
    for seed in settings.seed_list() {
        observer.tell(Event::Info(&format!("evaluating {name}, seed {seed}")));
        let samples = sample(&inputs, settings, seed, &policy, base.as_ref(), None, observer)?;
        let begin = texts.responses.len();
        append(&mut texts, &inputs, &samples);
        lengths.extend(samples.tokens.iter().map(|&tokens| f64::from(tokens)));
        let perplexities = samples.perplexities()?;
        human.push(by_place(perplexities.0, usize::MAX));
        let count = inputs.prompts.len();
        generated.extend(perplexities.1.map(|values| by_place(values, count)));
        groups.push(Group {
            method: name.clone(),
            seed: Some(seed),
            rows: (begin..texts.responses.len()).collect(),
        });
    }
    let evaluation = &settings.evaluation;
    let in_tail = inputs
        .tail(settings)
        .into_iter()
        .map(|row| &inputs.prompts[row].text)
        .collect::<HashSet<_>>()
        .len();
    let tail = EvaluatedTail::PromptScores {
        threshold: evaluation.tail_threshold,
        share: None,
        prompts: Some(in_tail),
    };
    let wanted = Wanted {
        tail: Some(tail),
        other_tails: evaluation.other_tails.clone(),
        failures: evaluation.failure_thresholds.clone(),
        ..Wanted::of_level(level)
    };
    let mut judged = judge_texts(texts, groups, &wanted, Some(&lengths))?;
    if let Some(method) = judged.evaluation.methods.get_mut(&name) {
        method.perplexity_human = mean(&human)?;
        method.perplexity_generated = mean(&generated)?;
    }
    let negated = [
        ("reward model", settings.reward.negate),
        ("judge", settings.judge.negate && dirs.judge.is_some()),
    ];
    judged.negated = negated
        .into_iter()
        .filter(|(_, negate)| *negate)
        .map(|(name, _)| name.to_owned())
        .collect();
    judged.scores = inputs.scores();
    judged.evaluation = Evaluation {
        task: Some(settings.task.clone()),
        preset: Some(settings.preset.clone()),
        data: Some(inputs.source.place.name().to_owned()),
        split: Some(evaluation.split.name().to_owned()),
        notice: inputs.notice(settings, home).map(str::to_owned),
        device: settings.run.device.clone(),
        ..judged.evaluation
    };
    Ok(EvaluatedModel { judged, digests: inputs.digests, places: places(&dirs) })
}

/// Where the models are, by the names of their digests.
fn places(dirs: &ModelDirs) -> BTreeMap<String, String> {
    let ModelDirs { policy, reward, judge } = dirs;
    let all =
        [("policy", Some(policy)), ("reward model", reward.as_ref()), ("judge", judge.as_ref())];
    all.into_iter()
        .filter_map(|(name, dir)| Some((name.to_owned(), dir?.display().to_string())))
        .collect()
}

/// The base model, if its tokens are those of the model.
fn with_same_tokens(
    base: BaseModel<'_>,
    model: &Path,
    device: &Device,
    observer: &mut dyn Observer,
) -> Result<Option<Gpt2>, ExperimentError> {
    let tokenizer = |dir: &Path| of_file(&dir.join(TOKENIZER_FILE));
    if tokenizer(base.dir)? == tokenizer(model)? {
        return Ok(Some(Gpt2::load(&ModelDir::open(base.dir)?, device)?));
    }
    let name = base.name;
    let note = format!(
        "no perplexity of the generated texts: the tokenizer is not that of the base model {name:?}"
    );
    observer.tell(Event::Info(&note));
    Ok(None)
}

/// What a directory is called: `seed-1-rlhf` for `runs/x/checkpoints/seed-1-rlhf/model`.
pub(crate) fn name(model: &Path) -> String {
    let of = |path: Option<&Path>| {
        path.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned())
    };
    let whole = model.canonicalize().unwrap_or_else(|_| model.to_owned());
    match of(Some(&whole)) {
        Some(name) if name == "model" => of(whole.parent()).unwrap_or(name),
        name => name.unwrap_or_else(|| "model".to_owned()),
    }
}

/// Adds what a seed has sampled, in the order of the prompts.
fn append(all: &mut Generations, inputs: &Inputs, samples: &Samples) {
    let prompts = all.prompts.get_or_insert_default();
    let (count, rounds) = (samples.responses.len(), inputs.prompts.iter().cycle());
    rounds.take(count).for_each(|prompt| prompts.push(Some(&prompt.text)));
    samples.responses.iter().for_each(|response| all.responses.push(Some(response)));
    let add = |to: &mut Option<Scores>, scores: &[f32]| {
        let rounds = scores.iter().cycle().take(count);
        to.get_or_insert_default().extend(rounds.map(|&score| Some(f64::from(score))));
    };
    add(&mut all.scores, &samples.rewards);
    add(&mut all.prompt_scores, &inputs.prompt_scores);
    if let Some(judge) = &samples.judge {
        add(&mut all.judge, judge);
    }
}

/// The perplexities that there are, by the places of their texts, which begin anew after so many.
fn by_place(values: Perplexities, count: usize) -> Vec<ByPrompt> {
    let places = values.into_iter().enumerate();
    places.filter_map(|(place, value)| Some((place % count, value?))).collect()
}

/// The mean of values of each seed; none where a seed has none.
fn mean(seeds: &[Vec<ByPrompt>]) -> Result<Option<Figure>, ExperimentError> {
    Ok(mean_over_seeds(seeds, Scale::Any)?.map(Figure::from))
}
