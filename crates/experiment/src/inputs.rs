//! What an experiment starts from: models, prompts, texts. The same for every seed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use burn::tensor::Device;
use tailguard_checkpoint::ModelDir;
use tailguard_data::{Place, Record, Source, shuffled};
use tailguard_gpt2::Gpt2;
use tailguard_judging::{JudgingError, Scorer};
use tailguard_report::ScoreAbout;
use tailguard_reward::{RewardError, RewardModel, ScoredText};
use tailguard_rollout::{EndOfText, Prompt, RolloutError, SamplingConfig, encode, prompts};
use tokenizers::Tokenizer;

use crate::digests::{of_model, of_texts};
use crate::error::ExperimentError;
use crate::observer::{Event, Observer};
use crate::places::{Home, ModelDirs};
use crate::run::check_context;
use crate::scorer::{check_prompts, score_settings};
use crate::settings::{EndToken, Settings, TextClass};
use crate::texts::{EVALUATION_ORDER, Texts, check_counts, texts};

/// Models, prompts and texts.
pub struct Inputs {
    /// The policy's.
    pub tokenizer: Tokenizer,
    /// Where the policy's tokenizer is, to go with our checkpoints.
    pub tokenizer_path: PathBuf,
    /// The language model to start from.
    pub base: Gpt2,
    /// The model that rewards.
    pub reward: Scorer,
    /// Takes no part in training; none if the settings name none.
    pub judge: Option<Scorer>,
    /// How responses are drawn.
    pub sampling: SamplingConfig,
    /// Prompts of PPO, both classes.
    pub train_prompts: Vec<Prompt>,
    /// Token ids for supervised fine-tuning, of the classes that arms learn from.
    sft_texts: BTreeMap<TextClass, Vec<Vec<u32>>>,
    /// Held-out prompts, both classes.
    pub prompts: Vec<Prompt>,
    /// The score of each of them alone.
    pub prompt_scores: Vec<f32>,
    /// Whether the text that each begins is of the good class.
    pub prompt_good: Vec<bool>,
    /// Token ids of held-out texts of the good class.
    pub human_texts: Vec<Vec<u32>>,
    /// Where the evaluation prompts came from.
    pub source: Source,
    /// What was read, by name, with the digest of its contents, wherever it was.
    pub digests: BTreeMap<String, String>,
}

/// What experiments read beside settings.
pub(crate) struct Sources<'a> {
    pub(crate) home: &'a Home,
    pub(crate) models: &'a ModelDirs,
    pub(crate) reward: Option<Brought>,
    pub(crate) device: &'a Device,
}

/// What stands for the digest of what a program brings.
pub(crate) const BROUGHT: &str = "brought by the program";

/// A reward model that a program brings.
pub(crate) struct Brought {
    /// Says which it is.
    pub(crate) name: String,
    pub(crate) model: Box<dyn RewardModel>,
}

impl Brought {
    /// What files and pages say of it.
    pub(crate) fn told(&self) -> String {
        format!("{}, {BROUGHT}", self.name)
    }
}

impl Inputs {
    /// Reads everything and scores the evaluation prompts.
    ///
    /// # Errors
    /// A model or data file that is damaged or does not fit the settings.
    pub fn load(
        settings: &Settings,
        home: &Home,
        models: &ModelDirs,
        device: &Device,
        observer: &mut dyn Observer,
    ) -> Result<Self, ExperimentError> {
        Self::read(settings, Sources { home, models, reward: None, device }, observer)
    }

    /// [`load`](Self::load), perhaps with a reward model that a program brings.
    pub(crate) fn read(
        config: &Settings,
        sources: Sources<'_>,
        observer: &mut dyn Observer,
    ) -> Result<Self, ExperimentError> {
        let Sources { home, models, reward, device } = sources;
        let dir = ModelDir::open(&models.policy)?;
        let base = Gpt2::load(&dir, device)?;
        let context = base.config().context();
        check_context(config, context)?;
        let tokenizer_path = dir.tokenizer_path()?;
        let tokenizer = dir.tokenizer(base.config().vocab_size)?;
        let told = reward.as_ref().map(Brought::told);
        let reward = match (reward, &models.reward) {
            (Some(brought), _) => Scorer::brought("reward", brought.model),
            (None, Some(path)) => {
                Scorer::load("reward", path, score_settings(&config.reward), device)?
            }
            (None, None) => return Err(ExperimentError::failed("there is no reward model")),
        };
        let judge =
            |path: &PathBuf| Scorer::load("judge", path, score_settings(&config.judge), device);
        let judge = models.judge.as_ref().map(judge).transpose()?;
        let Texts { train, evaluation, source } = texts(config, home, observer)?;

        let mut digests = BTreeMap::from([
            ("policy".to_owned(), of_model(&models.policy)?),
            ("training texts".to_owned(), of_texts(&train)),
            ("evaluation texts".to_owned(), of_texts(&evaluation)),
        ]);
        digests.extend(told.map(|told| ("reward model".to_owned(), told)));
        for (name, path) in [("reward model", &models.reward), ("judge", &models.judge)] {
            if let Some(path) = path {
                digests.insert(name.to_owned(), of_model(path)?);
            }
        }

        check_counts(config, &train, &evaluation)?;
        let mut classes = BTreeSet::from([config.sft.class]);
        for arm in &config.arm {
            classes.insert(arm.over(config)?.sft.class);
        }
        let sft_texts = classes
            .into_iter()
            .map(|class| Ok((class, texts_to_learn(config, &tokenizer, &base, &train, class)?)))
            .collect::<Result<_, ExperimentError>>()?;

        let ordered: Vec<&Record> = shuffled(evaluation.len(), EVALUATION_ORDER)
            .into_iter()
            .map(|row| &evaluation[row])
            .collect();
        let chosen = &ordered[..config.evaluation.prompts.min(ordered.len())];
        let cut = |records: &[&Record]| {
            let texts: Vec<String> = records.iter().map(|record| record.text.clone()).collect();
            prompts(&tokenizer, &texts, config.data.prompt_tokens)
                .map_err(|error| located(error, records))
        };
        let prompt_good = chosen.iter().map(|record| record.label == 1).collect();
        let evaluation_prompts = cut(chosen)?;
        let prompt_texts: Vec<ScoredText> =
            evaluation_prompts.iter().map(|prompt| ScoredText::whole(&prompt.text)).collect();

        let good = |record: &&Record| record.label == 1;
        let human: Vec<&Record> =
            ordered.iter().copied().filter(good).take(config.evaluation.perplexity_texts).collect();
        let beginning = |record: &&Record| {
            record.whole().chars().take(config.evaluation.perplexity_chars).collect()
        };
        let human_texts: Vec<String> = human.iter().map(beginning).collect();
        // one position is for the token in front
        let human_texts = encode(&tokenizer, &human_texts, context - 1)
            .map_err(|error| located(error, &human))?;
        let train_prompts = cut(&train.iter().collect::<Vec<_>>())?;
        for scorer in [Some(&reward), judge.as_ref()].into_iter().flatten() {
            check_prompts(scorer, train_prompts.iter().chain(&evaluation_prompts))?;
        }
        let mut warn = |note: &str| observer.tell(Event::Warning(note));
        let prompt_scores =
            reward.score(&prompt_texts, "evaluation prompts", &mut warn).map_err(|error| {
                match error {
                    JudgingError::Scorer { source, .. }
                        if matches!(*source, RewardError::Score { .. }) =>
                    {
                        located((*source).into(), chosen)
                    }
                    other => other.into(),
                }
            })?;
        let sampling = sampling(config, &base)?;
        let inputs = Self {
            tokenizer_path,
            base,
            reward,
            judge,
            sampling,
            train_prompts,
            sft_texts,
            prompts: evaluation_prompts,
            prompt_scores,
            prompt_good,
            human_texts,
            source,
            digests,
            tokenizer,
        };
        if inputs.tail(config).is_empty() {
            let (threshold, lowest) = (
                config.evaluation.tail_threshold,
                inputs.prompt_scores.iter().copied().fold(f32::MAX, f32::min),
            );
            let hint =
                "the tail is the prompts that score at most this; its mean would be of nothing";
            let message = format!(
                "evaluation.tail_threshold is {threshold}, but the lowest score of an evaluation \
                 prompt is {lowest:.2}"
            );
            return Err(ExperimentError::refused(message).with_hint(hint));
        }
        inputs.say(config, home, observer);
        Ok(inputs)
    }

    /// Token ids of the training texts of a class, for supervised fine-tuning; none of a class that
    /// no arm learns from by `sft.class`.
    #[must_use]
    pub fn sft_texts(&self, class: TextClass) -> &[Vec<u32>] {
        self.sft_texts.get(&class).map_or(&[], Vec::as_slice)
    }

    /// What must be said wherever the figures of these data are shown; the embedded data are that
    /// whoever names their directory.
    #[must_use]
    pub fn notice<'a>(&self, settings: &'a Settings, home: &Home) -> Option<&'a str> {
        let notice = settings.data.embedded_notice.as_str();
        let embedded = home.datasets().canonicalize();
        let is_embedded = |path: &PathBuf| {
            path.canonicalize()
                .is_ok_and(|path| embedded.as_ref().is_ok_and(|dir| path.starts_with(dir)))
        };
        let from_there =
            self.source.place == Place::Embedded || self.source.paths.iter().any(is_embedded);
        (from_there && !notice.is_empty()).then_some(notice)
    }

    fn say(&self, settings: &Settings, home: &Home, observer: &mut dyn Observer) {
        let to_learn = match self.sft_texts.values().map(Vec::len).collect::<Vec<_>>().as_slice() {
            [good, bad] => format!("{good} good and {bad} bad"),
            lengths => lengths.iter().sum::<usize>().to_string(),
        };
        observer.tell(Event::Info(&format!(
            "{} training prompts, {to_learn} texts for supervised fine-tuning, {} evaluation \
             prompts of which {} score at most {}",
            self.train_prompts.len(),
            self.prompts.len(),
            self.tail(settings).len(),
            settings.evaluation.tail_threshold
        )));
        for (name, about) in self.scores() {
            observer.tell(Event::Info(&format!("{name}: the score is {about}")));
        }
        if self.sampling.top_k > 0 || self.sampling.top_p < 1.0 {
            observer.tell(Event::Warning(
                "sampling.top_k and sampling.top_p cut what is drawn, while log-probabilities, KL \
                 and ratios are those of the uncut distribution, as in the reference \
                 implementation",
            ));
        }
        let most = settings.data.prompt_tokens;
        let short = self.prompts.iter().filter(|prompt| prompt.ids.len() < most).count();
        if short > 0 {
            observer.tell(Event::Info(&format!(
                "{short} evaluation prompts have fewer than {most} tokens and are taken whole"
            )));
        }
        if let Some(notice) = self.notice(settings, home) {
            observer.tell(Event::Warning(notice));
        }
    }

    /// What the scores of the scorers are, by the names of the digests.
    #[must_use]
    pub fn scores(&self) -> BTreeMap<String, ScoreAbout> {
        let judge = self.judge.as_ref().and_then(|judge| judge.about.clone());
        let all = [("reward model", self.reward.about.clone()), ("judge", judge)];
        all.into_iter().filter_map(|(name, about)| Some((name.to_owned(), about?))).collect()
    }

    /// The evaluation prompts in the tail.
    #[must_use]
    pub fn tail(&self, settings: &Settings) -> Vec<usize> {
        let scores: Vec<f64> = self.prompt_scores.iter().map(|&score| f64::from(score)).collect();
        tailguard_metrics::at_or_below(&scores, settings.evaluation.tail_threshold)
            .unwrap_or_default()
    }
}

/// Says which row of which file a text is that could not be used: its place among those chosen
/// tells nobody where it stands.
fn located(error: RolloutError, records: &[&Record]) -> ExperimentError {
    let origin = |row: usize| records.get(row).map(|record| &record.origin);
    match &error {
        RolloutError::EmptyPrompt { row } => match origin(*row) {
            Some(origin) => ExperimentError::failed(format!(
                "{origin}: the text has no tokens, expected at least one for a prompt"
            )),
            None => error.into(),
        },
        RolloutError::Score { row, .. } | RolloutError::Tokenizer { row, .. } => {
            let place = origin(*row).map(ToString::to_string).unwrap_or_default();
            ExperimentError::during_this(place, error.into())
        }
        _ => error.into(),
    }
}

/// The token that ends a text.
fn end_token(base: &Gpt2) -> Result<u32, ExperimentError> {
    base.config()
        .eos_token_id
        .ok_or_else(|| ExperimentError::failed("the policy's config.json has no eos_token_id"))
}

/// The training texts of a class as supervised fine-tuning reads them.
fn texts_to_learn(
    config: &Settings,
    tokenizer: &Tokenizer,
    base: &Gpt2,
    train: &[Record],
    class: TextClass,
) -> Result<Vec<Vec<u32>>, ExperimentError> {
    let of_class: Vec<&Record> =
        train.iter().filter(|record| (record.label == 1) == (class == TextClass::Good)).collect();
    let texts: Vec<String> = of_class.iter().map(|record| record.whole()).collect();
    let most = config.sft.text_tokens.min(base.config().context());
    let mut ids = encode(tokenizer, &texts, most).map_err(|error| located(error, &of_class))?;
    if config.sft.end_token {
        end_whole_texts(&mut ids, most, end_token(base)?);
    }
    Ok(ids)
}

/// Puts the end token behind the texts that end within `limit` tokens; one that was cut there goes
/// on, and has no end.
fn end_whole_texts(texts: &mut [Vec<u32>], limit: usize, end: u32) {
    for ids in texts.iter_mut().filter(|ids| ids.len() < limit) {
        ids.push(end);
    }
}

fn sampling(config: &Settings, base: &Gpt2) -> Result<SamplingConfig, ExperimentError> {
    #[expect(clippy::cast_possible_truncation, reason = "sampling works in single precision")]
    let (temperature, top_p) = (config.sampling.temperature as f32, config.sampling.top_p as f32);
    Ok(SamplingConfig {
        temperature,
        top_k: config.sampling.top_k,
        top_p,
        max_new_tokens: config.sampling.max_new_tokens,
        min_new_tokens: config.sampling.min_new_tokens,
        end_of_text: match config.sampling.end_of_text {
            EndToken::Stop => EndOfText::Stop(end_token(base)?),
            EndToken::Mask => EndOfText::Mask(end_token(base)?),
        },
        greedy: false,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tailguard_data::{At, Origin};

    use super::*;

    #[test]
    fn a_text_is_named_by_its_file_and_row_whatever_was_left_out_before_it() {
        let origin = Origin { path: Path::new("train.csv").into(), at: At::Row(7) };
        let record = Record { origin, ..Record::default() };
        let message = |error: RolloutError| {
            let error = located(error, &[&Record::default(), &record]);
            error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ")
        };
        let empty = message(RolloutError::EmptyPrompt { row: 1 });
        assert_eq!(
            empty,
            "train.csv, row 7: the text has no tokens, expected at least one for a prompt"
        );
        let score = message(RolloutError::Score { row: 1, score: f32::NAN });
        assert!(
            score.starts_with(
                "train.csv, row 7: the reward model scored text 1 with NaN, expected a finite"
            ),
            "{score}"
        );
    }

    #[test]
    fn texts_that_end_get_the_end_token_and_cut_ones_do_not() {
        // cut to 3 tokens, so that a text of three may go on
        let mut texts = vec![vec![], vec![5], vec![5, 6], vec![5, 6, 7]];
        end_whole_texts(&mut texts, 3, 0);
        assert_eq!(texts, [vec![0], vec![5, 0], vec![5, 6, 0], vec![5, 6, 7]]);
    }
}
