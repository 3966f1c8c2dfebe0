//! Training of a held-out judge: a linear model over hashed n-grams, of another kind than the
//! reward models it checks.

use std::path::PathBuf;

use burn::tensor::Device;
use tailguard_checkpoint::{ModelDir, WeightType};
use tailguard_data::Record;
use tailguard_files::create_dirs;
use tailguard_metrics::auc;
use tailguard_reward::{NgramConfig, RewardModel, ScoreSettings, TrainSettings, load};

use crate::error::{PretrainError, at_least_one};
use crate::event::Event;

/// What a judge learns, and from what.
#[derive(Clone, Debug)]
pub struct JudgeOptions {
    /// Texts to learn from, with their labels: 0 or 1.
    pub train: Vec<Record>,
    /// Texts to measure on.
    pub test: Vec<Record>,
    /// Measure also on this many characters of each text.
    pub cuts: Vec<usize>,
    /// The directory to be written.
    pub out: PathBuf,
    /// What n-grams are made of, how many weights there are, and how labels are called.
    pub config: NgramConfig,
    /// How it learns.
    pub training: TrainSettings,
}

/// Trains and writes the judge, and measures the one that was written. Gives how good it is on all
/// of the texts to measure on.
///
/// # Errors
/// Options or texts that nothing can be learned with, before anything is written; a directory that
/// cannot be written.
pub fn train_judge(
    options: &JudgeOptions,
    tell: &mut dyn FnMut(&Event),
) -> Result<Quality, PretrainError> {
    at_least_one("epochs", options.training.epochs as u64)?;
    let (texts, labels): (Vec<String>, Vec<u8>) =
        options.train.iter().map(|record| (record.text.clone(), record.label)).unzip();
    let ones = labels.iter().filter(|&&label| label == 1).count();
    tell(&Event::JudgeTexts { texts: texts.len(), ones });
    let model = options.config.train(&texts, &labels, options.training)?;
    // What stands beside the model's files, such as a README.md, stays.
    create_dirs(&options.out)?;
    model.save(&options.out, WeightType::F16)?;

    let written = load(&ModelDir::open(&options.out)?, ScoreSettings::default(), &Device::flex())?;
    let Quality { accuracy, auc } = Quality::measure(&*written, &options.train, None)?;
    tell(&Event::JudgeOfTrained { accuracy, auc });
    let mut measure = |characters| {
        let quality = Quality::measure(&*written, &options.test, characters)?;
        let Quality { accuracy, auc } = quality;
        tell(&Event::JudgeOfTest { accuracy, auc, characters, texts: options.test.len() });
        Ok::<_, PretrainError>(quality)
    };
    let whole = measure(None)?;
    for &cut in &options.cuts {
        measure(Some(cut))?;
    }
    Ok(whole)
}

/// How well the sign of a score, and its size, tell label 1 from label 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    /// Share of the texts of which the sign is right.
    pub accuracy: f64,
    /// Area under the curve: how often a text of label 1 has the higher score of two.
    pub auc: f64,
}

impl Quality {
    fn measure(
        model: &dyn RewardModel,
        records: &[Record],
        chars: Option<usize>,
    ) -> Result<Self, PretrainError> {
        let cut = |record: &Record| record.text.chars().take(chars.unwrap_or(usize::MAX)).collect();
        let scores = model.score(&records.iter().map(cut).collect::<Vec<String>>())?;
        let is_one: Vec<bool> = records.iter().map(|record| record.label == 1).collect();
        let right =
            scores.iter().zip(&is_one).filter(|&(&score, &is_one)| (score > 0.0) == is_one).count();
        let auc = auc(&scores.iter().copied().map(f64::from).collect::<Vec<_>>(), &is_one)?;
        Ok(Self { accuracy: right as f64 / records.len() as f64, auc })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn options(out: PathBuf) -> JudgeOptions {
        let record =
            |text: &str, label| Record { text: text.to_owned(), label, ..Record::default() };
        let both = ["film", "cast", "story"].map(|thing| {
            [record(&format!("a fine {thing}"), 1), record(&format!("a dull {thing}"), 0)]
        });
        JudgeOptions {
            train: both.concat(),
            test: vec![record("fine music, dull film", 1), record("dull music, fine film", 0)],
            cuts: vec![10],
            out,
            config: NgramConfig { buckets: 1 << 10, ..NgramConfig::default() },
            training: TrainSettings { epochs: 3, learning_rate: 0.3, l2: 0.0, seed: 1 },
        }
    }

    #[test]
    fn a_judge_is_written_and_what_stands_beside_it_stays() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("README.md"), "kept").unwrap();
        let options = options(home.path().to_owned());
        let whole = train_judge(&options, &mut |_| {}).unwrap();
        assert_eq!(fs::read_to_string(home.path().join("README.md")).unwrap(), "kept");
        let judge =
            load(&ModelDir::open(home.path()).unwrap(), ScoreSettings::default(), &Device::flex())
                .unwrap();
        assert_eq!(Quality::measure(&*judge, &options.test, None).unwrap(), whole);
        let begins = Quality::measure(&*judge, &options.test, Some(10)).unwrap();
        assert_eq!((begins.accuracy, begins.auc), (1.0, 1.0), "the first words decide");
    }

    #[test]
    fn nothing_is_written_where_nothing_can_be_learned() {
        let home = tempfile::tempdir().unwrap();
        let mut options = options(home.path().join("judge"));
        options.train.retain(|record| record.label == 1);
        assert!(
            train_judge(&options, &mut |_| {})
                .unwrap_err()
                .to_string()
                .contains("none of the 3 texts has label 0")
        );
        options.training.epochs = 0;
        assert!(
            train_judge(&options, &mut |_| {}).unwrap_err().to_string().contains("--epochs is 0")
        );
        assert!(!options.out.exists());
    }
}
