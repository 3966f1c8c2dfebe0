//! Pretraining of a held-out judge: a linear model over hashed n-grams, of another kind than the reward models it checks.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use burn::tensor::Device;
use tailguard_checkpoint::{ModelDir, WeightType};
use tailguard_data::Record;
use tailguard_files::create_dirs;
use tailguard_metrics::auc;
use tailguard_reward::{NgramConfig, RewardModel, ScoreSettings, TrainSettings, load};
use tracing::info;

/// What `cargo xtask pretrain judge` is asked to do.
#[derive(Clone, Debug)]
pub(crate) struct JudgeOptions {
    pub(crate) train: Vec<Record>,
    /// Texts to measure on.
    pub(crate) test: Vec<Record>,
    /// Measure also on this many characters of each text.
    pub(crate) cuts: Vec<usize>,
    /// The directory to be written.
    pub(crate) out: PathBuf,
    pub(crate) config: NgramConfig,
    pub(crate) training: TrainSettings,
}

/// Trains and writes the judge, and says how good the one that was written is.
pub(crate) fn run(options: &JudgeOptions) -> Result<()> {
    ensure!(options.training.epochs > 0, "--epochs is 0, expected at least 1");
    let (texts, labels): (Vec<String>, Vec<u8>) = options.train.iter().map(|record| (record.text.clone(), record.label)).unzip();
    let ones = labels.iter().filter(|&&label| label == 1).count();
    info!("{} training texts, {ones} of label 1", texts.len());
    let model = options.config.train(&texts, &labels, options.training)?;
    // What stands beside the model's files, such as a README.md, stays.
    create_dirs(&options.out)?;
    model.save(&options.out, WeightType::F16)?;

    let written = load(&ModelDir::open(&options.out)?, ScoreSettings::default(), &Device::flex())?;
    let whole = Measured::new(&*written, &options.train, None)?;
    info!("on the training texts: accuracy {:.4}, AUC {:.4}", whole.accuracy, whole.auc);
    for cut in [None].into_iter().chain(options.cuts.iter().copied().map(Some)) {
        let Measured { accuracy, auc } = Measured::new(&*written, &options.test, cut)?;
        let part = cut.map_or_else(String::new, |chars| format!(" on the first {chars} characters"));
        info!("accuracy {accuracy:.4}, AUC {auc:.4}{part} of {} test texts", options.test.len());
    }
    Ok(())
}

/// How well the sign of a score, and its size, tell label 1 from label 0.
struct Measured {
    accuracy: f64,
    auc: f64,
}

impl Measured {
    fn new(model: &dyn RewardModel, records: &[Record], chars: Option<usize>) -> Result<Self> {
        let cut = |record: &Record| record.text.chars().take(chars.unwrap_or(usize::MAX)).collect();
        let scores = model.score(&records.iter().map(cut).collect::<Vec<String>>())?;
        let is_one: Vec<bool> = records.iter().map(|record| record.label == 1).collect();
        let right = scores.iter().zip(&is_one).filter(|&(&score, &is_one)| (score > 0.0) == is_one).count();
        let auc = auc(&scores.iter().copied().map(f64::from).collect::<Vec<_>>(), &is_one)?;
        Ok(Self { accuracy: right as f64 / records.len() as f64, auc })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn options(out: PathBuf) -> JudgeOptions {
        let record = |text: &str, label| Record { text: text.to_owned(), label, ..Record::default() };
        let both =
            ["film", "cast", "story"].map(|thing| [record(&format!("a fine {thing}"), 1), record(&format!("a dull {thing}"), 0)]);
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
        run(&options).unwrap();
        assert_eq!(fs::read_to_string(home.path().join("README.md")).unwrap(), "kept");
        let judge = load(&ModelDir::open(home.path()).unwrap(), ScoreSettings::default(), &Device::flex()).unwrap();
        let begins = Measured::new(&*judge, &options.test, Some(10)).unwrap();
        assert_eq!((begins.accuracy, begins.auc), (1.0, 1.0), "the first words decide");
    }

    #[test]
    fn nothing_is_written_where_nothing_can_be_learned() {
        let home = tempfile::tempdir().unwrap();
        let mut options = options(home.path().join("judge"));
        options.train.retain(|record| record.label == 1);
        assert!(run(&options).unwrap_err().to_string().contains("none of the 3 texts has label 0"));
        options.training.epochs = 0;
        assert!(run(&options).unwrap_err().to_string().contains("--epochs is 0"));
        assert!(!options.out.exists());
    }
}
