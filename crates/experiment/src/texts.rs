//! The texts of an experiment: where the settings say that they are, and whether there are enough.

use std::path::PathBuf;

use tailguard_data::{
    Dataset, Good, GoodPercent, Layout, Lookup, Place, Record, Source, Split, Words, at_least,
    duplicates, shuffled, without,
};

use crate::error::ExperimentError;
use crate::observer::{Event, Observer};
use crate::places::Home;
use crate::settings::{DataPlace, EvaluationSplit, GoodSide, Settings};

/// Decides which prompts and texts are evaluated; the same whatever the run's seed is.
pub(crate) const EVALUATION_ORDER: u64 = 0;
/// Training texts that the validation split takes, at most half of them.
const VALIDATION: usize = 2_500;

/// The texts of an experiment.
pub(crate) struct Texts {
    pub(crate) train: Vec<Record>,
    pub(crate) evaluation: Vec<Record>,
    /// Where the evaluation texts came from.
    pub(crate) source: Source,
}

/// Training and evaluation texts of the split that the settings name.
pub(crate) fn texts(
    config: &Settings,
    home: &Home,
    observer: &mut dyn Observer,
) -> Result<Texts, ExperimentError> {
    let Dataset { records: train, source } = dataset(config, Split::Train, home)?;
    match config.evaluation.split {
        EvaluationSplit::Test => {
            let Dataset { records: evaluation, source } = dataset(config, Split::Test, home)?;
            let repeated = duplicates(&train, &evaluation);
            if repeated > 0 {
                let count = evaluation.len();
                observer.tell(Event::Warning(&format!(
                    "{repeated} of {count} evaluation texts are among the training texts too"
                )));
            }
            Ok(Texts { train, evaluation, source })
        }
        EvaluationSplit::Validation => {
            let mut order = shuffled(train.len(), EVALUATION_ORDER);
            let held_out = order.split_off(train.len() - VALIDATION.min(train.len() / 2));
            let take = |rows: Vec<usize>| {
                rows.into_iter().map(|row| train[row].clone()).collect::<Vec<_>>()
            };
            let evaluation = take(held_out);
            let (train, copies) = without(take(order), &evaluation);
            if copies > 0 {
                let note = format!(
                    "{copies} training texts are left out, of which a copy is held out for \
                     validation"
                );
                observer.tell(Event::Warning(&note));
            }
            Ok(Texts { train, evaluation, source })
        }
    }
}

/// The texts of a split that are long enough.
fn dataset(config: &Settings, split: Split, home: &Home) -> Result<Dataset, ExperimentError> {
    let data = &config.data;
    let layout = Layout {
        folder: data.folder.clone(),
        hub: data.hub.clone(),
        whole: data.whole_tables.clone(),
        text: data.text_column.first().cloned().unwrap_or_default(),
        other_text: data.text_column.iter().skip(1).cloned().collect(),
        continuation: Some(data.continuation_column.clone()).filter(|column| !column.is_empty()),
        score: data.score_columns.clone(),
        words: Words { good: data.labels.good.clone(), bad: data.labels.bad.clone() },
        good: match data.good {
            GoodSide::High => Good::High,
            GoodSide::Low => Good::Low,
        },
        threshold: data.threshold,
        good_percent: match (data.good_percent_train, data.good_percent_test) {
            (0, 0) => None,
            (train, test) => Some(GoodPercent { train, test }),
        },
    };
    let place = |place: &DataPlace| match place {
        DataPlace::DataDir => Place::DataDir,
        DataPlace::Env => Place::Env,
        DataPlace::Cache => Place::Cache,
        DataPlace::Embedded => Place::Embedded,
    };
    let data_dir = (!data.dir.is_empty()).then(|| PathBuf::from(&data.dir));
    let lookup = Lookup::from_environment(
        data_dir,
        Some(home.datasets().to_owned()),
        data.places.iter().map(place).collect(),
    );
    let dataset = tailguard_data::load(&layout, split, &lookup).map_err(|error| match error {
        tailguard_data::DataError::NotFound { .. } => ExperimentError::failed(error.to_string())
            .with_hint(format!(
                "pass --data-dir DIR with train.parquet and test.parquet (or .csv, .jsonl; columns \
                 {}, {}), or set TAILGUARD_DATA",
                data.text_column.join(" or "),
                data.score_columns.join(" or ")
            )),
        other => other.into(),
    })?;
    Ok(Dataset { records: at_least(dataset.records, data.min_chars), ..dataset })
}

/// Refuses tables that are too small for the settings.
///
/// # Errors
/// All that is too few, with the settings that ask for more.
pub(crate) fn check_counts(
    config: &Settings,
    train: &[Record],
    evaluation: &[Record],
) -> Result<(), ExperimentError> {
    let good = evaluation.iter().filter(|record| record.label == 1).count();
    let counts = [
        ("training prompts", "ppo.batch_size", train.len(), config.ppo.prompts()),
        ("evaluation prompts", "evaluation.prompts", evaluation.len(), config.evaluation.prompts),
        (
            "evaluation texts of the good class",
            "evaluation.perplexity_texts",
            good,
            config.evaluation.perplexity_texts,
        ),
    ];
    let few: Vec<_> = counts.into_iter().filter(|(_, _, found, needed)| found < needed).collect();
    if few.is_empty() {
        return Ok(());
    }
    let responses = config.ppo.responses;
    let line = |(what, key, found, needed): &(&str, &str, usize, usize)| {
        let shared =
            if *key == "ppo.batch_size" && responses > 1 { " / ppo.responses" } else { "" };
        format!("\n  {what}: {found}, expected at least {needed} ({key}{shared})")
    };
    let lines: String = few.iter().map(line).collect();
    let mut lower: Vec<String> = Vec::new();
    for (_, key, found, _) in few.iter().filter(|(_, _, found, _)| *found > 0) {
        let found = if *key == "ppo.batch_size" { found * responses } else { *found };
        lower.push(format!("--set {key}={found}"));
        // what may not be larger
        let (within, value) = match *key {
            "ppo.batch_size" => ("ppo.minibatch_size", config.ppo.minibatch_size),
            "evaluation.prompts" => ("evaluation.shown_samples", config.evaluation.shown_samples),
            _ => continue,
        };
        lower.extend((value > found).then(|| format!("--set {within}={found}")));
    }
    let lower = if lower.is_empty() {
        String::new()
    } else {
        format!(", or lower the settings: {}", lower.join(" "))
    };
    let short = match config.data.min_chars {
        0 | 1 => String::new(),
        least => format!("; texts of fewer than {least} characters are left out (data.min_chars)"),
    };
    Err(ExperimentError::failed(format!("there are too few texts{lines}"))
        .with_hint(format!("bring more texts{lower}{short}")))
}
