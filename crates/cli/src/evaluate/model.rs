//! A model on the held-out prompts of a task, with the task's settings.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use tailguard_checkpoint::ModelDir;
use tailguard_data::{Generations, Scores, Texts};
use tailguard_experiment::settings::{Settings, resolve};
use tailguard_experiment::{Inputs, Made, ModelDirs, Perplexities, Samples, about, checkpoint, locate, sample};
use tailguard_gpt2::Gpt2;
use tailguard_metrics::{ByPrompt, Scale};
use tailguard_report::{About, EvaluatedMethod, EvaluatedTail, Evaluation, Kind, LengthUnit};
use tailguard_risk::RiskLevel;

use super::args::EvaluateArgs;
use super::figures::{Wanted, figures, mean};
use super::groups::Group;
use super::{notes, tell};
use crate::device;
use crate::failure::Failure;
use crate::program::Program;
use crate::progress::Told;

/// Runs `evaluate --model`.
pub(super) fn run(args: &EvaluateArgs, model: &Path, program: &Program) -> Result<()> {
    // the command line wants it
    let task = args.task.task.ok_or_else(|| Failure::usage("--model needs --task"))?;
    let level = RiskLevel::new(args.tail_share()).map_err(|error| Failure::usage(format!("--tail-share: {error}")))?;
    let model = program.directory(&checkpoint(model).display().to_string(), "--model")?;
    let config = resolve(Some(task), args.task.preset, &args.run_args(Some(&model)).overrides()?, None)?;
    let preset = resolve(Some(task), args.task.preset, &args.run_args(None).overrides()?, None)?;
    device::set_threads(config.run.threads)?;
    let device = device::select(&config.run.device, program)?;
    tailguard_kernels::set_precision(config.run.precision.into());
    let out = args.reserve()?;
    let home = program.home_for(&config)?;
    let dirs = locate(&config, &home, false)?;
    let told = &mut Told::default();
    let inputs = Inputs::load(&config, &home, &dirs, &device, told)?;
    let base = base(&preset, &model, program)?.map(|dir| Gpt2::load(&ModelDir::open(dir)?, &device)).transpose()?;
    let tail = inputs.tail(&config).into_iter().map(|row| &inputs.prompts[row].text).collect::<HashSet<_>>().len();
    let threshold = config.evaluation.tail_threshold;
    let wanted = Wanted {
        tail: Some(EvaluatedTail::PromptScores { threshold, share: None, prompts: Some(tail) }),
        level,
        other_tails: config.evaluation.other_tails.clone(),
        curve: false,
        buckets: None,
    };
    let name = name(&model);
    let (mut all, mut groups, mut lengths) = (Generations::default(), Vec::new(), Vec::new());
    let (mut human, mut generated) = (Vec::new(), Vec::new());
    let by_place = |values: Perplexities| -> Vec<ByPrompt> {
        values.into_iter().enumerate().filter_map(|(place, value)| Some((place, value?))).collect()
    };
    let policy = Made::from(inputs.base.clone());
    for seed in config.seed_list() {
        tracing::info!("evaluating {name}, seed {seed}");
        let samples = sample(&inputs, &config, seed, &policy, base.as_ref(), None, told)?;
        let begin = all.responses.len();
        append(&mut all, &inputs, &samples);
        lengths.extend(samples.tokens.iter().map(|&tokens| f64::from(tokens)));
        let perplexities = samples.perplexities()?;
        human.push(by_place(perplexities.0));
        generated.extend(perplexities.1.map(by_place));
        groups.push(Group { method: name.clone(), seed: Some(seed), rows: (begin..all.responses.len()).collect() });
    }
    let rows: Vec<&[usize]> = groups.iter().map(|group| group.rows.as_slice()).collect();
    let method = EvaluatedMethod {
        perplexity_human: mean(&human, Scale::Any)?,
        perplexity_generated: mean(&generated, Scale::Any)?,
        ..figures(&all, &rows, &wanted, Some(&lengths))?
    };
    let evaluation = Evaluation {
        kind: Kind::Evaluation,
        task: Some(config.task.clone()),
        preset: Some(config.preset.clone()),
        data: Some(inputs.source.place.name().to_owned()),
        split: Some(config.evaluation.split.name().to_owned()),
        notice: inputs.notice(&config, &home).map(str::to_owned),
        seeds: config.seed_list(),
        device: config.run.device.clone(),
        tail: wanted.tail,
        cvar_share: level.alpha(),
        length_unit: LengthUnit::Tokens,
        methods: [(name, method)].into(),
        comparisons: Vec::new(),
    };
    let few = notes::few(&all, &groups, evaluation.tail.as_ref())?;
    let negated = [("reward model", config.reward.negate), ("judge", config.judge.negate && dirs.judge.is_some())];
    let negated = negated.into_iter().filter(|(_, negate)| *negate).map(|(name, _)| name.to_owned()).collect();
    let about = About {
        negated,
        scores: inputs.scores(),
        ..about(&program.origin(), &config.run.device, config.seed_list(), inputs.digests.clone(), places(&dirs))
    };
    tell(&evaluation, all, &groups, few, out.map(|out| (out, about)), program)
}

/// Where the models are, by the names of their digests.
fn places(dirs: &ModelDirs) -> BTreeMap<String, String> {
    let ModelDirs { policy, reward, judge } = dirs;
    let all = [("policy", Some(policy)), ("reward model", reward.as_ref()), ("judge", judge.as_ref())];
    all.into_iter().filter_map(|(name, dir)| Some((name.to_owned(), dir?.display().to_string()))).collect()
}

/// The base model of the preset, under which the texts have a perplexity: only if its tokens are those of the model.
fn base(preset: &Settings, model: &Path, program: &Program) -> Result<Option<std::path::PathBuf>> {
    let Ok(dir) = program.directory(&preset.policy.dir, "--policy") else {
        tracing::info!("no perplexity of the generated texts: the base model {:?} is not there", preset.policy.dir);
        return Ok(None);
    };
    let tokenizer = |dir: &Path| {
        let path = dir.join("tokenizer.json");
        fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    if tokenizer(&dir)? == tokenizer(model)? {
        return Ok(Some(dir));
    }
    tracing::info!("no perplexity of the generated texts: the tokenizer is not that of the base model {:?}", preset.policy.dir);
    Ok(None)
}

/// What a directory is called: `seed-1-rlhf` for `runs/x/checkpoints/seed-1-rlhf/model`.
fn name(model: &Path) -> String {
    let of = |path: Option<&Path>| path.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    let whole = model.canonicalize().unwrap_or_else(|_| model.to_owned());
    match of(Some(&whole)) {
        Some(name) if name == "model" => of(whole.parent()).unwrap_or(name),
        name => name.unwrap_or_else(|| "model".to_owned()),
    }
}

/// Adds what a seed has sampled, in the order of the prompts.
fn append(all: &mut Generations, inputs: &Inputs, samples: &Samples) {
    let prompts = all.prompts.get_or_insert_with(Texts::default);
    inputs.prompts.iter().for_each(|prompt| prompts.push(Some(&prompt.text)));
    samples.responses.iter().for_each(|response| all.responses.push(Some(response)));
    let add = |to: &mut Option<Scores>, scores: &[f32]| {
        to.get_or_insert_default().extend(scores.iter().map(|&score| Some(f64::from(score))));
    };
    add(&mut all.scores, &samples.rewards);
    add(&mut all.prompt_scores, &inputs.prompt_scores);
    if let Some(judge) = &samples.judge {
        add(&mut all.judge, judge);
    }
}
