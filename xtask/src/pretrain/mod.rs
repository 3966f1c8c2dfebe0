//! `cargo xtask pretrain lm|tokenizer|classifier|judge|prompts`: the models that are embedded in
//! `datasets/`.

pub(crate) mod args;

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use anyhow::Result;
use burn::tensor::Device;
use tailguard::failure::Failure;
use tailguard::{Program, device};
use tailguard_checkpoint::ModelDir;
use tailguard_data::{Layout, Lookup, Place, Record, Split, Words, load, require, table};
use tailguard_files::create_dirs;
use tailguard_pretrain::{
    ClassifierOptions, Columns, Event, JudgeOptions, LmOptions, PretrainError, PromptOptions,
    draw_prompts, train_classifier, train_judge, train_lm, train_tokenizer,
};
use tailguard_reward::{NgramConfig, ScoreSettings, TrainSettings};

use args::{JudgeArgs, LabelledArgs, LmArgs, NetworkArgs, PretrainCommand, PromptsArgs};

/// Runs the command.
///
/// # Errors
/// A device that is not there, texts that cannot be read, whatever goes wrong in training.
pub(crate) fn run(command: &PretrainCommand, program: &Program) -> Result<()> {
    let common = match command {
        PretrainCommand::Tokenizer(args) => &args.common,
        PretrainCommand::Lm(args) => &args.common,
        PretrainCommand::Classifier(args) => &args.common,
        PretrainCommand::Judge(args) => &args.common,
        PretrainCommand::Prompts(args) => &args.common,
    };
    device::set_threads(common.threads)?;
    let device =
        |network: &NetworkArgs| device::select_with(&network.device, network.precision, program);
    match command {
        PretrainCommand::Tokenizer(args) => {
            create_dirs(&common.out)?;
            let train = texts(reviews(args.data_dir.as_deref(), Split::Train, program)?);
            train_tokenizer(&train, args.vocab_size, &common.out.join("tokenizer.json"))
                .map(drop)
                .map_err(refused)
        }
        PretrainCommand::Lm(args) => {
            let device = device(&args.network)?;
            let read = |file: Option<&PathBuf>, split| match file {
                Some(path) => Ok(table::read_texts(path, &args.files.text_column)?),
                None => reviews(args.files.data_dir.as_deref(), split, program).map(texts),
            };
            let (train, test) = (
                read(args.files.train.as_ref(), Split::Train)?,
                read(args.files.test.as_ref(), Split::Test)?,
            );
            train_lm(&lm_options(args, train, test, device)?, &mut told).map(drop).map_err(refused)
        }
        PretrainCommand::Classifier(args) => {
            let device = device(&args.network)?;
            let (train, test) = labelled(&args.labelled, program)?;
            let options = ClassifierOptions {
                train,
                test,
                labels: label_names(&args.labelled),
                architecture: args.architecture.into(),
                out: common.out.clone(),
                checkpoint: common.out.join("checkpoint"),
                epochs: args.epochs,
                seed: args.network.seed,
                device,
            };
            train_classifier(&options, &mut told).map(drop).map_err(refused)
        }
        PretrainCommand::Judge(args) => {
            train_judge(&judge_options(args, program)?, &mut told).map(drop).map_err(refused)
        }
        PretrainCommand::Prompts(args) => {
            draw_prompts(&prompt_options(args, device(&args.network)?)?, &mut told).map_err(refused)
        }
    }
}

/// Says aloud how far it is.
fn told(event: &Event) {
    tracing::info!("{event}");
}

/// What the library refuses was called wrongly.
fn refused(error: PretrainError) -> anyhow::Error {
    match error {
        PretrainError::Refused { message, hint: Some(hint) } => {
            Failure::usage(message).hint(hint).into()
        }
        PretrainError::Refused { message, hint: None } => Failure::usage(message).into(),
        other => other.into(),
    }
}

/// The movie reviews.
fn reviews(data_dir: Option<&Path>, split: Split, program: &Program) -> Result<Vec<Record>> {
    let places = vec![Place::DataDir, Place::Embedded];
    let lookup = Lookup {
        data_dir: data_dir.map(Path::to_owned),
        embedded_dir: Some(program.home()?.datasets().to_owned()),
        places,
        ..Lookup::default()
    };
    let layout = Layout { folder: "imdb".to_owned(), ..Layout::default() };
    Ok(load(&layout, split, &lookup)?.records)
}

/// The texts to learn from and those to measure on: those of the files, or the reviews.
fn labelled(args: &LabelledArgs, program: &Program) -> Result<(Vec<Record>, Vec<Record>)> {
    let word = |label: usize| args.label_names.get(label).cloned().into_iter().collect();
    let columns = Layout {
        text: args.files.text_column.clone(),
        score: vec![args.label_column.clone()],
        words: Words { good: word(1), bad: word(0) },
        ..Layout::default()
    };
    let read = |file: Option<&PathBuf>, split| match file {
        Some(path) => Ok(table::read(path, &columns)?),
        None => reviews(args.files.data_dir.as_deref(), split, program),
    };
    let (mut train, test) = (
        read(args.files.train.as_ref(), Split::Train)?,
        read(args.files.test.as_ref(), Split::Test)?,
    );
    if let Some(half) = args.half {
        train.retain(|record| half.has(&record.text));
        require("training texts of this half", train.len(), 1)?;
    }
    Ok((train, test))
}

fn label_names(args: &LabelledArgs) -> BTreeMap<usize, String> {
    args.label_names.iter().cloned().enumerate().collect()
}

fn judge_options(args: &JudgeArgs, program: &Program) -> Result<JudgeOptions> {
    let (train, test) = labelled(&args.labelled, program)?;
    Ok(JudgeOptions {
        train,
        test,
        cuts: args.cuts.clone(),
        out: args.common.out.clone(),
        config: NgramConfig {
            unit: args.unit.into(),
            min_n: args.min_n,
            max_n: args.max_n,
            buckets: args.buckets,
            id2label: label_names(&args.labelled),
        },
        training: TrainSettings {
            epochs: args.epochs,
            learning_rate: args.learning_rate,
            l2: args.l2,
            seed: args.seed,
        },
    })
}

fn prompt_options(args: &PromptsArgs, device: Device) -> Result<PromptOptions> {
    let settings = ScoreSettings {
        label: args.label.clone().unwrap_or_default(),
        negate: args.negate,
        ..ScoreSettings::default()
    };
    let mut forbidden = Vec::new();
    for path in &args.forbid {
        forbidden.extend(table::read_texts(path, &args.forbid_column)?);
    }
    let added = args
        .add
        .as_ref()
        .map(|path| table::read_texts(path, &args.add_column))
        .transpose()?
        .unwrap_or_default();
    // two each, by the command line's own rules
    let counts = |counts: &[usize]| [counts[0], counts[1]];
    Ok(PromptOptions {
        policy: args.policy.clone(),
        reward: tailguard_reward::load(&ModelDir::open(&args.reward)?, settings, &device)?,
        forbidden,
        added,
        train: counts(&args.train),
        test: counts(&args.test),
        tokens: args.tokens,
        min_tokens: args.min_tokens,
        min_chars: args.min_chars,
        seed: args.network.seed,
        out: args.common.out.clone(),
        columns: Columns {
            text: args.text_column.clone(),
            continuation: args.continuation_column.clone(),
            prompt_tokens: args.prompt_tokens,
            label: args.label_column.clone(),
        },
        device,
    })
}

fn lm_options(
    args: &LmArgs,
    mut train: Vec<String>,
    held_out: Vec<String>,
    device: Device,
) -> Result<LmOptions> {
    if let Some(path) = &args.extra {
        train.extend(extra(path, &held_out)?);
    }
    Ok(LmOptions {
        train,
        held_out,
        out: args.common.out.clone(),
        from: args.from.clone(),
        vocab_size: args.vocab_size,
        layers: args.layers,
        width: args.width,
        heads: args.heads,
        context: args.context,
        steps: args.steps,
        batch_size: args.batch_size,
        learning_rate: args.learning_rate,
        seed: args.network.seed,
        save_every: args.save_every,
        device,
    })
}

/// Characters by which two versions of one review are recognised.
const SAME_START: usize = 100;

/// Texts of a file, without those that begin like a held-out review.
fn extra(path: &Path, held_out: &[String]) -> Result<Vec<String>> {
    let start = |text: &str| text.chars().take(SAME_START).collect::<String>();
    let starts: HashSet<String> = held_out.iter().map(|text| start(text)).collect();
    let texts = table::read_texts(path, "text")?;
    let kept: Vec<String> =
        texts.into_iter().filter(|text| !starts.contains(&start(text))).collect();
    tracing::info!("{} more texts from {}", kept.len(), path.display());
    Ok(kept)
}

fn texts(records: Vec<Record>) -> Vec<String> {
    records.into_iter().map(|record| record.text).collect()
}
