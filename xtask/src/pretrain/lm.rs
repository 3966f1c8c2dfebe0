//! Pretraining of the embedded language models: small GPT-2s on movie reviews or other texts.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use burn::module::Module;
use burn::tensor::Device;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tailguard_checkpoint::{ModelDir, TOKENIZER_FILE, WeightType, read_tokenizer};
use tailguard_experiment::{of_file, of_model};
use tailguard_files::create_dirs;
use tailguard_gpt2::{Gpt2, Gpt2Config};
use tailguard_lm::CausalLm;
use tailguard_ppo::{adam_w, load_state, next_token_step, save_state, validation_loss};
use tokenizers::Tokenizer;
use tracing::info;

use super::going_on;
use super::tokenizer::{self, END_OF_TEXT};
use crate::failure::Failure;

/// What `cargo xtask pretrain lm` is asked to do.
#[derive(Clone, Debug)]
pub(crate) struct LmOptions {
    pub(crate) train: Vec<String>,
    pub(crate) held_out: Vec<String>,
    pub(crate) out: PathBuf,
    /// A model to start from; its sizes are then those of the model, and its tokenizer must be in `out`.
    pub(crate) from: Option<PathBuf>,
    /// Entries of the tokenizer; none takes one of the usual size, or what is there.
    pub(crate) vocab_size: Option<usize>,
    pub(crate) layers: usize,
    pub(crate) width: usize,
    pub(crate) heads: usize,
    pub(crate) context: usize,
    pub(crate) steps: u64,
    pub(crate) batch_size: usize,
    pub(crate) learning_rate: f64,
    pub(crate) seed: u64,
    /// Steps between checkpoints.
    pub(crate) save_every: u64,
    pub(crate) device: Device,
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
    fn begin(options: &LmOptions, shape: &Gpt2Config) -> Result<Self> {
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

pub(crate) fn run(options: &LmOptions) -> Result<()> {
    create_dirs(&options.out)?;
    let tokenizer = tokenizer(options)?;
    let corpus = Corpus::new(&tokenizer, &options.train)?;
    let held_out = Corpus::new(&tokenizer, &options.held_out)?;
    let validation: Vec<Vec<u32>> = held_out.starts(options.context).collect();
    check_lengths(options.context, corpus.ids.len(), validation.len())?;
    info!("{} training tokens, {} held-out windows", corpus.ids.len(), validation.len());

    let mut config =
        Gpt2Config::new(tokenizer.get_vocab_size(true), options.context, options.width, options.layers, options.heads);
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
        info!("going on after step {}", saved.step);
    }
    let done = state.step;
    let (mut mean_loss, begun) = (0.0, Instant::now());
    for step in done..options.steps {
        let rows = corpus.windows(options.batch_size, options.context, options.seed, step);
        let views: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
        let rate = learning_rate(options, step);
        let loss;
        (model, loss) = next_token_step(model, &mut optimizer, &views, rate, Some(1.0), usize::try_from(step + 1)?)?;
        mean_loss += (loss - mean_loss) / ((step - done + 1).min(50) as f64);
        if (step + 1) % 50 == 0 {
            let tokens = (step + 1 - done) * (options.batch_size * options.context) as u64;
            let speed = tokens as f64 / begun.elapsed().as_secs_f64();
            info!("step {}/{}  loss {mean_loss:.3}  rate {rate:.2e}  {speed:.0} tokens/s", step + 1, options.steps);
        }
        if (step + 1) % options.save_every == 0 || step + 1 == options.steps {
            let loss = validation_loss(&model.valid(), &validation[..validation.len().min(500)], 32)?;
            info!("step {}: held-out perplexity {:.2} on the first {} tokens", step + 1, loss.exp(), options.context);
            state.step = step + 1;
            save_state(&checkpoint, &model, &optimizer, &state)?;
        }
    }
    let loss = validation_loss(&model.valid(), &validation, 32)?;
    info!("held-out perplexity {:.3} on {} windows", loss.exp(), validation.len());
    model.valid().save(&options.out, WeightType::F16)?;
    Ok(())
}

/// Refuses texts of which no window can be cut.
fn check_lengths(context: usize, tokens: usize, windows: usize) -> Result<(), Failure> {
    let refused = |what: String| Failure::usage(format!("--context {context}: {what}"));
    if tokens < context {
        let what = format!("the texts to learn from have {tokens} tokens in all, and each window has as many as --context says");
        return Err(refused(what).hint("take a smaller --context, or more texts"));
    }
    if windows == 0 {
        let what = "no text to measure on has two tokens within it, and with fewer there is nothing to predict".to_owned();
        return Err(refused(what).hint("take a --context of at least 2, and texts to measure on that are longer"));
    }
    Ok(())
}

/// The tokenizer of the directory to write, or a new one where none is there.
fn tokenizer(options: &LmOptions) -> Result<Tokenizer> {
    let path = options.out.join(TOKENIZER_FILE);
    if !path.is_file() {
        if let Some(from) = &options.from {
            let message = format!("--from {}: its tokenizer.json is not in {}", from.display(), options.out.display());
            return Err(Failure::usage(message).hint("copy it there: the model reads the tokens that it has learned").into());
        }
        return tokenizer::train(&options.train, options.vocab_size.unwrap_or(VOCABULARY), &path);
    }
    let tokenizer = read_tokenizer(&path)?;
    let found = tokenizer.get_vocab_size(true);
    if let Some(asked) = options.vocab_size.filter(|asked| *asked != found) {
        let message = format!("--vocab-size {asked}: {} is there and has {found} entries", path.display());
        return Err(Failure::usage(message).hint("leave --vocab-size out, or write into another directory").into());
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
    fn new(tokenizer: &Tokenizer, texts: &[String]) -> Result<Self> {
        let end = tokenizer.token_to_id(END_OF_TEXT).context("the tokenizer has no <|endoftext|>")?;
        let encodings = tokenizer
            .encode_batch_fast(texts.iter().map(String::as_str).collect(), false)
            .map_err(|error| anyhow!("cannot tokenize the texts: {error}"))?;
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

    /// The training windows of one step, of no more tokens than there are; they depend on the seed and the step alone.
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
            let begin = (begin + usize::from(rng.random_bool(0.5))).min(last); // with and without the end token in front
            self.ids[begin..begin + length].to_vec()
        };
        (0..count).map(|_| window()).collect()
    }
}
