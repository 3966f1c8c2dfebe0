//! What an experiment starts from: models, prompts, texts. The same for every seed.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use burn::tensor::Device;
use tailguard_checkpoint::ModelDir;
use tailguard_data::{Layout, Lookup, Place, Record, Split, at_least, require, shuffled};
use tailguard_gpt2::Gpt2;
use tailguard_reward::{Classifier, ScoreSettings};
use tailguard_rollout::{EndOfText, Prompt, SamplingConfig, encode, prompts, score_texts};
use tokenizers::Tokenizer;

use crate::config::{DataPlace, EndToken, EvaluationSplit, RunConfig};
use crate::failure::Failure;
use crate::models::{ModelDirs, datasets};
use crate::run::check_context;

/// Decides which prompts and texts are evaluated; the same whatever the run's seed is.
const EVALUATION_ORDER: u64 = 0;
/// Training texts that the validation split takes, at most half of them.
const VALIDATION: usize = 2_500;

/// Models, prompts and texts.
pub(crate) struct Inputs {
    pub(crate) tokenizer: Tokenizer,
    /// Where the policy's tokenizer is, to go with our checkpoints.
    pub(crate) tokenizer_path: PathBuf,
    pub(crate) base: Gpt2,
    pub(crate) reward: Classifier,
    pub(crate) sampling: SamplingConfig,
    /// Prompts of PPO, both classes.
    pub(crate) train_prompts: Vec<Prompt>,
    /// Token ids of the good class for supervised fine-tuning.
    pub(crate) sft_texts: Vec<Vec<u32>>,
    /// Held-out prompts, both classes, and the score of each alone.
    pub(crate) prompts: Vec<Prompt>,
    pub(crate) prompt_scores: Vec<f32>,
    /// Token ids of held-out texts of the good class.
    pub(crate) human_texts: Vec<Vec<u32>>,
}

impl Inputs {
    /// Reads everything and scores the evaluation prompts.
    ///
    /// # Errors
    /// A model or data file that is damaged or does not fit the settings.
    pub(crate) fn load(config: &RunConfig, models: &ModelDirs, device: &Device) -> Result<Self> {
        let dir = ModelDir::open(&models.policy)?;
        let base = Gpt2::load(&dir, device)?;
        check_context(config, base.config().n_positions)?;
        let tokenizer_path = dir.tokenizer_path()?;
        let tokenizer = Tokenizer::from_file(&tokenizer_path)
            .map_err(|error| anyhow!("{}: cannot read the tokenizer: {error}", tokenizer_path.display()))?;
        let settings = ScoreSettings {
            label: config.reward.label,
            negate: config.reward.negate,
            max_length: config.reward.max_length,
            batch_tokens: config.reward.batch_tokens,
        };
        let reward = Classifier::load(&ModelDir::open(&models.reward)?, settings, device)?;
        let (train, evaluation) = texts(config)?;

        let train_texts: Vec<String> = train.iter().map(|record| record.text.clone()).collect();
        require("training prompts", train_texts.len(), config.ppo.batch_size)?;
        let good = |record: &&Record| record.label == 1;
        let good_texts: Vec<String> = train.iter().filter(good).map(|record| record.text.clone()).collect();
        let sft_texts = encode(&tokenizer, &good_texts, config.sft.text_tokens.min(base.config().n_positions))?;

        let order = shuffled(evaluation.len(), EVALUATION_ORDER);
        require("evaluation prompts", evaluation.len(), config.evaluation.prompts)?;
        let chosen: Vec<String> = order.iter().take(config.evaluation.prompts).map(|&row| evaluation[row].text.clone()).collect();
        let evaluation_prompts = prompts(&tokenizer, &chosen, config.data.prompt_tokens)?;
        let prompt_texts: Vec<String> = evaluation_prompts.iter().map(|prompt| prompt.text.clone()).collect();
        let prompt_scores = score_texts(&reward, &prompt_texts)?;

        let human = order.iter().map(|&row| &evaluation[row]).filter(good).take(config.evaluation.perplexity_texts);
        let human: Vec<String> =
            human.map(|record| record.text.chars().take(config.evaluation.perplexity_chars).collect()).collect();
        require("human texts for perplexity", human.len(), config.evaluation.perplexity_texts)?;
        // one position is for the token in front
        let human_texts = encode(&tokenizer, &human, base.config().n_positions - 1)?;

        let train_prompts = prompts(&tokenizer, &train_texts, config.data.prompt_tokens)?;
        let sampling = sampling(config, &base)?;
        let inputs = Self {
            tokenizer_path,
            base,
            reward,
            sampling,
            train_prompts,
            sft_texts,
            prompts: evaluation_prompts,
            prompt_scores,
            human_texts,
            tokenizer,
        };
        inputs.say(config);
        Ok(inputs)
    }

    fn say(&self, config: &RunConfig) {
        let tail = self.tail(config).len();
        tracing::info!(
            "{} training prompts, {} texts for supervised fine-tuning, {} evaluation prompts of which {tail} score at most {}",
            self.train_prompts.len(),
            self.sft_texts.len(),
            self.prompts.len(),
            config.evaluation.tail_threshold
        );
    }

    /// The evaluation prompts in the tail.
    pub(crate) fn tail(&self, config: &RunConfig) -> Vec<usize> {
        let scores: Vec<f64> = self.prompt_scores.iter().map(|&score| f64::from(score)).collect();
        tailguard_metrics::at_or_below(&scores, config.evaluation.tail_threshold).unwrap_or_default()
    }
}

/// Training and evaluation texts of the split that the settings name.
fn texts(config: &RunConfig) -> Result<(Vec<Record>, Vec<Record>)> {
    let place = |place: &DataPlace| match place {
        DataPlace::DataDir => Place::DataDir,
        DataPlace::Env => Place::Env,
        DataPlace::Cache => Place::Cache,
        DataPlace::Embedded => Place::Embedded,
    };
    let data_dir = (!config.data.dir.is_empty()).then(|| PathBuf::from(&config.data.dir));
    let lookup = Lookup::from_environment(data_dir, Some(datasets()), config.data.places.iter().map(place).collect());
    let hint = "pass --data-dir DIR with train.parquet and test.parquet (columns text, label), or set TAILGUARD_DATA";
    let hub = vec!["stanfordnlp/imdb".into(), "imdb".into()];
    let layout = Layout { folder: "imdb".into(), hub, ..Layout::default() };
    let load = |split| {
        let dataset = tailguard_data::load(&layout, split, &lookup).map_err(|error| match error {
            tailguard_data::DataError::NotFound { .. } => anyhow::Error::from(Failure::new(error.to_string()).hint(hint)),
            other => other.into(),
        })?;
        Ok::<_, anyhow::Error>(at_least(dataset.records, config.data.min_chars))
    };
    let train = load(Split::Train)?;
    match config.evaluation.split {
        EvaluationSplit::Test => Ok((train, load(Split::Test)?)),
        EvaluationSplit::Validation => {
            let mut order = shuffled(train.len(), EVALUATION_ORDER);
            let held_out = order.split_off(train.len() - VALIDATION.min(train.len() / 2));
            let take = |rows: Vec<usize>| rows.into_iter().map(|row| train[row].clone()).collect();
            Ok((take(order), take(held_out)))
        }
    }
}

fn sampling(config: &RunConfig, base: &Gpt2) -> Result<SamplingConfig> {
    let end = || base.config().eos_token_id.context("the policy's config.json has no eos_token_id");
    #[expect(clippy::cast_possible_truncation, reason = "sampling works in single precision")]
    let (temperature, top_p) = (config.sampling.temperature as f32, config.sampling.top_p as f32);
    Ok(SamplingConfig {
        temperature,
        top_k: config.sampling.top_k,
        top_p,
        max_new_tokens: config.sampling.max_new_tokens,
        min_new_tokens: config.sampling.min_new_tokens,
        end_of_text: match config.sampling.end_of_text {
            EndToken::Stop => EndOfText::Stop(end()?),
            EndToken::Mask => EndOfText::Mask(end()?),
        },
        greedy: false,
    })
}
