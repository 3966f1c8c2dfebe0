//! `cargo xtask pretrain lm|tokenizer|classifier`: the models that are embedded in `datasets/`.

mod classifier;
mod lm;
mod tokenizer;
mod word_piece;

use std::collections::HashSet;
use std::path::Path;

use anyhow::Result;
use tailguard_data::{Layout, Lookup, Place, Record, Split, load, table};

use crate::args::{LmArgs, PretrainCommand};
use crate::device;
use crate::models::datasets;

/// Runs the command.
///
/// # Errors
/// A device that is not there, texts that cannot be read, whatever goes wrong in training.
pub(crate) fn run(command: &PretrainCommand) -> Result<()> {
    let common = match command {
        PretrainCommand::Tokenizer(args) => &args.common,
        PretrainCommand::Lm(args) => &args.common,
        PretrainCommand::Classifier(args) => &args.common,
    };
    device::set_threads(common.threads)?;
    let device = device::select(&common.device)?;
    let places = vec![Place::DataDir, Place::Embedded];
    let lookup = Lookup { data_dir: common.data_dir.clone(), embedded_dir: Some(datasets()), places, ..Lookup::default() };
    let layout = Layout { folder: "imdb".into(), ..Layout::default() };
    let train = load(&layout, Split::Train, &lookup)?.records;
    let test = load(&layout, Split::Test, &lookup)?.records;
    match command {
        PretrainCommand::Tokenizer(args) => {
            std::fs::create_dir_all(&args.common.out)?;
            tokenizer::train(&texts(train), args.vocab_size, &args.common.out.join("tokenizer.json"))?;
            Ok(())
        }
        PretrainCommand::Lm(args) => lm::run(&lm_options(args, train, test, device)?),
        PretrainCommand::Classifier(args) => {
            let labelled = |records: Vec<Record>| records.into_iter().map(|record| (record.text, record.label == 1)).collect();
            classifier::run(&classifier::ClassifierOptions {
                train: labelled(train),
                test: labelled(test),
                out: args.common.out.clone(),
                checkpoint: args.common.out.join("checkpoint"),
                epochs: args.epochs,
                seed: args.common.seed,
                device,
            })
        }
    }
}

fn lm_options(args: &LmArgs, train: Vec<Record>, test: Vec<Record>, device: burn::tensor::Device) -> Result<lm::LmOptions> {
    let held_out = texts(test);
    let mut train = texts(train);
    if let Some(path) = &args.extra {
        train.extend(extra(path, &held_out)?);
    }
    Ok(lm::LmOptions {
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
        seed: args.common.seed,
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
    let kept: Vec<String> = texts.into_iter().filter(|text| !starts.contains(&start(text))).collect();
    tracing::info!("{} more texts from {}", kept.len(), path.display());
    Ok(kept)
}

fn texts(records: Vec<Record>) -> Vec<String> {
    records.into_iter().map(|record| record.text).collect()
}
