//! Training of small GPT-2s on movie reviews or other texts.

use std::path::PathBuf;
use std::time::Instant;

use burn::module::Module;
use burn::tensor::Device;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tailguard_checkpoint::{ModelDir, TOKENIZER_FILE, WeightType, read_tokenizer};
use tailguard_files::create_dirs;
use tailguard_gpt2::{Gpt2, Gpt2Config};
use tailguard_lm::CausalLm;
use tailguard_ppo::{adam_w, load_state, next_token_step, save_state, validation_loss};
use tokenizers::Tokenizer;

use crate::error::{PretrainError, at_least_one};
use crate::event::Event;
use crate::going_on::{self, of_file, of_model};
use crate::tokenizer::{END_OF_TEXT, train_tokenizer};

/// What a language model learns, and from what.
#[derive(Clone, Debug)]
pub struct LmOptions {
    /// Texts to learn from; a tokenizer that is not there yet learns from them too.
    pub train: Vec<String>,
    /// Texts to measure on.
    pub held_out: Vec<String>,
    /// The Hugging Face directory to be written, and its folder `checkpoint` to go on from.
    pub out: PathBuf,
    /// A model to start from; its sizes are then those of the model, and its tokenizer must be in
    /// `out`.
    pub from: Option<PathBuf>,
    /// Entries of the tokenizer; none takes one of the usual size, or what is there.
    pub vocab_size: Option<usize>,
    /// Blocks.
    pub layers: usize,
    /// Width of the residual stream.
    pub width: usize,
    /// Attention heads; they divide the width.
    pub heads: usize,
    /// Tokens of a window, and of the longest text that the model reads; at least 2.
    pub context: usize,
    /// Optimizer steps.
    pub steps: u64,
    /// Windows of a step.
    pub batch_size: usize,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// Decides the initial weights and the windows.
    pub seed: u64,
    /// Steps between checkpoints.
    pub save_every: u64,
    /// Where to compute.
    pub device: Device,
}

/// What is known about a training besides its tensors; it goes on only if all but `step` agrees.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    /// Steps done.
    step: u64,
    steps: u64,
    batch_size: usize,
    context: usize,
    learning_rate: f64,
    seed: u64,
    layers: usize,
    width: usize,
    heads: usize,
    /// SHA-256 of the model that it began with; none where that was drawn from the seed.
    from: Option<String>,
    /// SHA-256 of the tokenizer.
    tokenizer: String,
    /// SHA-256 of the texts to learn from.
    train: String,
    /// SHA-256 of the texts to measure on.
    held_out: String,
}

impl State {
    /// Of a training that has done nothing yet, of a model of this shape.
    fn begin(options: &LmOptions, shape: &Gpt2Config) -> Result<Self, PretrainError> {
        let &LmOptions { steps, batch_size, context, learning_rate, seed, .. } = options;
        let of_texts = |texts: &[String]| going_on::digest(texts.iter().map(|text| (text, 0)));
        Ok(Self {
            step: 0,
            steps,
            batch_size,
            context,
            learning_rate,
            seed,
            layers: shape.n_layer,
            width: shape.n_embd,
            heads: shape.n_head,
            from: options.from.as_deref().map(of_model).transpose()?,
            tokenizer: of_file(&options.out.join(TOKENIZER_FILE))?,
            train: of_texts(&options.train),
            held_out: of_texts(&options.held_out),
        })
    }
}

/// Share of the training windows that begin where a text begins, because prompts do.
const STARTS: f64 = 0.6;
/// Steps over which the rate rises.
const WARM_UP: u64 = 200;
const WEIGHT_DECAY: f32 = 0.01;
/// Entries of a vocabulary of which nothing else is said.
const VOCABULARY: usize = 4096;

/// Trains a language model, or goes on training it, and writes it. Gives its perplexity on the
/// texts to measure on.
///
/// # Errors
/// Options or texts that no model can be made of; a checkpoint of another training; files that
/// cannot be read or written; a loss that is not finite.
pub fn train_lm(options: &LmOptions, tell: &mut dyn FnMut(&Event)) -> Result<f64, PretrainError> {
    at_least_one("batch-size", options.batch_size as u64)?;
    at_least_one("save-every", options.save_every)?;
    create_dirs(&options.out)?;
    let tokenizer = tokenizer(options)?;
    let corpus = Corpus::new(&tokenizer, &options.train)?;
    let held_out = Corpus::new(&tokenizer, &options.held_out)?;
    let validation: Vec<Vec<u32>> = held_out.starts(options.context).collect();
    check_lengths(options.context, corpus.ids.len(), validation.len())?;
    tell(&Event::LmTexts { tokens: corpus.ids.len(), windows: validation.len() });

    let mut config = Gpt2Config::new(
        tokenizer.get_vocab_size(true),
        options.context,
        options.width,
        options.layers,
        options.heads,
    );
    config.eos_token_id = tokenizer.token_to_id(END_OF_TEXT);
    config.bos_token_id = config.eos_token_id;
    let device = options.device.clone().autodiff();
    let mut model = match &options.from {
        Some(from) => Gpt2::load(&ModelDir::open(from)?, &device)?,
        None => config.init(options.seed, &device)?,
    };
    let mut optimizer = adam_w(WEIGHT_DECAY);
    let checkpoint = options.out.join("checkpoint");
    let mut state = State::begin(options, model.config())?;
    if let Some(saved) = going_on::saved(&checkpoint, &state, "step")? {
        (model, optimizer, state) = load_state(&checkpoint, model, optimizer)?;
        tell(&Event::GoingOnAfterStep { step: saved.step });
    }
    let done = state.step;
    let (mut mean_loss, begun) = (0.0, Instant::now());
    for step in done..options.steps {
        let rows = corpus.windows(options.batch_size, options.context, options.seed, step);
        let views: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
        let rate = learning_rate(options, step);
        let loss;
        (model, loss) = next_token_step(
            model,
            &mut optimizer,
            &views,
            rate,
            Some(1.0),
            usize::try_from(step + 1).unwrap_or(usize::MAX),
        )?;
        mean_loss += (loss - mean_loss) / ((step - done + 1).min(50) as f64);
        if (step + 1) % 50 == 0 {
            let tokens = (step + 1 - done) * (options.batch_size * options.context) as u64;
            let tokens_per_s = tokens as f64 / begun.elapsed().as_secs_f64();
            tell(&Event::LmStep {
                step: step + 1,
                steps: options.steps,
                loss: mean_loss,
                rate,
                tokens_per_s,
            });
        }
        if (step + 1) % options.save_every == 0 || step + 1 == options.steps {
            let loss =
                validation_loss(&model.valid(), &validation[..validation.len().min(500)], 32)?;
            tell(&Event::LmMeasured {
                step: step + 1,
                perplexity: loss.exp(),
                context: options.context,
            });
            state.step = step + 1;
            save_state(&checkpoint, &model, &optimizer, &state)?;
        }
    }
    let perplexity = validation_loss(&model.valid(), &validation, 32)?.exp();
    tell(&Event::LmPerplexity { perplexity, windows: validation.len() });
    model.valid().save(&options.out, WeightType::F16)?;
    Ok(perplexity)
}

/// Refuses texts of which no window can be cut.
fn check_lengths(context: usize, tokens: usize, windows: usize) -> Result<(), PretrainError> {
    let refused = |what: &str, to_do: &str| {
        Err(PretrainError::refused(format!("--context {context}: {what}"), to_do))
    };
    if tokens < context {
        let what = format!(
            "the texts to learn from have {tokens} tokens in all, and each window has as many as \
             --context says"
        );
        return refused(&what, "take a smaller --context, or more texts");
    }
    if windows == 0 {
        let what = "no text to measure on has two tokens within it, and with fewer there is \
            nothing to predict";
        return refused(
            what,
            "take a --context of at least 2, and texts to measure on that are longer",
        );
    }
    Ok(())
}

/// The tokenizer of the directory to write, or a new one where none is there.
fn tokenizer(options: &LmOptions) -> Result<Tokenizer, PretrainError> {
    let path = options.out.join(TOKENIZER_FILE);
    if !path.is_file() {
        if let Some(from) = &options.from {
            let message = format!(
                "--from {}: its tokenizer.json is not in {}",
                from.display(),
                options.out.display()
            );
            return Err(PretrainError::refused(
                message,
                "copy it there: the model reads the tokens that it has learned",
            ));
        }
        return train_tokenizer(&options.train, options.vocab_size.unwrap_or(VOCABULARY), &path);
    }
    let tokenizer = read_tokenizer(&path)?;
    let found = tokenizer.get_vocab_size(true);
    if let Some(asked) = options.vocab_size.filter(|asked| *asked != found) {
        let message =
            format!("--vocab-size {asked}: {} is there and has {found} entries", path.display());
        return Err(PretrainError::refused(
            message,
            "leave --vocab-size out, or write into another directory",
        ));
    }
    Ok(tokenizer)
}

/// A linear rise, then half a cosine down to a tenth.
fn learning_rate(options: &LmOptions, step: u64) -> f64 {
    if step < WARM_UP {
        return options.learning_rate * (step + 1) as f64 / WARM_UP as f64;
    }
    let share = (step - WARM_UP) as f64 / (options.steps - WARM_UP).max(1) as f64;
    options.learning_rate * (0.1 + 0.45 * (1.0 + (std::f64::consts::PI * share).cos()))
}

/// All texts as one row of tokens, each after an end token.
struct Corpus {
    ids: Vec<u32>,
    /// Where each text's end token stands.
    begins: Vec<usize>,
}

impl Corpus {
    fn new(tokenizer: &Tokenizer, texts: &[String]) -> Result<Self, PretrainError> {
        let end = tokenizer.token_to_id(END_OF_TEXT);
        let end = end.ok_or_else(|| PretrainError::failed("the tokenizer has no <|endoftext|>"))?;
        let encodings = tokenizer
            .encode_batch_fast(texts.iter().map(String::as_str).collect(), false)
            .map_err(PretrainError::tokenizer("tokenize the texts"))?;
        let (mut ids, mut begins) = (Vec::new(), Vec::new());
        for encoding in encodings {
            begins.push(ids.len());
            ids.push(end);
            ids.extend_from_slice(encoding.get_ids());
        }
        Ok(Self { ids, begins })
    }

    /// The first `length` tokens of every text, without the end token.
    fn starts(&self, length: usize) -> impl Iterator<Item = Vec<u32>> {
        let ends = self.begins.iter().skip(1).copied().chain([self.ids.len()]);
        self.begins
            .iter()
            .zip(ends)
            .map(move |(&begin, end)| self.ids[begin + 1..end.min(begin + 1 + length)].to_vec())
            .filter(|row| row.len() > 1)
    }

    /// The training windows of one step, of no more tokens than there are; they depend on the seed
    /// and the step alone.
    fn windows(&self, count: usize, length: usize, seed: u64, step: u64) -> Vec<Vec<u32>> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(step);
        let last = self.ids.len().saturating_sub(length);
        let mut window = || {
            let begin = if rng.random_bool(STARTS) {
                self.begins[rng.random_range(0..self.begins.len())]
            } else {
                rng.random_range(0..=last)
            };
            // with and without the end token in front
            let begin = (begin + usize::from(rng.random_bool(0.5))).min(last);
            self.ids[begin..begin + length].to_vec()
        };
        (0..count).map(|_| window()).collect()
    }
}
