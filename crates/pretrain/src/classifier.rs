//! Training of small classifiers in the shape of `DistilBERT` or BERT, on labelled texts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData, activation};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tailguard_checkpoint::{ModelDir, TOKENIZER_FILE, WeightType, read_tokenizer};
use tailguard_data::Record;
use tailguard_files::{create_dirs, recover, write_file};
use tailguard_ppo::{global_norm, load_state, save_state};
use tailguard_reward::{
    Activation, BertConfig, Classifier, DistilBertConfig, ScoreSettings, SequenceClassifier,
    TruncationSide,
};
use tokenizers::Tokenizer;

use crate::error::{NotFinite, PretrainError, at_least_one};
use crate::event::Event;
use crate::going_on::{self, of_file};
use crate::word_piece::{self, CLS, PAD, SEP};

/// Positions of the model: the longest text, special tokens included.
const POSITIONS: usize = 512;
const VOCABULARY: usize = 8192;
const LAYERS: usize = 2;
const HEADS: usize = 4;
const WIDTH: usize = 128;
const BATCH: usize = 64;
/// Rates of Adam at the top of the schedule. Most of what a review says is in its words, so their
/// embeddings learn fast.
const EMBEDDING_RATE: f64 = 3e-3;
const RATE: f64 = 5e-4;
const WEIGHT_DECAY: f32 = 0.01;
/// Share of the steps in which the rates rise; then they fall to 0 in a straight line.
const WARM_UP: f64 = 0.05;
/// Share of the windows that begin where the review begins, as the texts do that will be scored.
const STARTS: f64 = 0.5;
/// Share of the tokens that are left out of a training window, so that no single word decides.
const DROPPED: f64 = 0.1;
/// Tokens per window: the length is the same for a batch, within one of these ranges, drawn with
/// these weights. The windows are long, as the paper's reward model was trained on whole reviews:
/// on short texts it is then sure of itself, and its logit levels off on both sides. A reward that
/// never levels off rewards every prompt alike, and leaves a risk-averse method nothing to win.
const LENGTHS: [(f64, usize, usize); 2] = [(0.5, 96, 256), (0.5, 256, POSITIONS - 2)];

/// Shapes of a classifier that can be trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Architecture {
    /// `DistilBERT`.
    Distilbert,
    /// BERT.
    Bert,
}

impl Architecture {
    /// As checkpoints note it.
    fn name(self) -> &'static str {
        match self {
            Self::Distilbert => "Distilbert",
            Self::Bert => "Bert",
        }
    }
}

/// What a classifier learns, and from what.
#[derive(Clone, Debug)]
pub struct ClassifierOptions {
    /// Texts to learn from, with their labels, 0 or 1; the tokenizer learns from them too.
    pub train: Vec<Record>,
    /// Texts to measure the accuracy on.
    pub test: Vec<Record>,
    /// The shape of the model.
    pub architecture: Architecture,
    /// Names of the labels 0 and 1.
    pub labels: BTreeMap<usize, String>,
    /// The Hugging Face directory to be written.
    pub out: PathBuf,
    /// Where to keep what is needed to go on after an interruption; the same directory goes on with
    /// the same training.
    pub checkpoint: PathBuf,
    /// Passes over the training texts, one window of each per pass.
    pub epochs: usize,
    /// Decides the initial weights, the order of the texts and the windows.
    pub seed: u64,
    /// Where to compute.
    pub device: Device,
}

/// Trains a classifier, or goes on training it, and writes it with its tokenizer. Gives the share
/// of the texts to measure on that it gets right from as many of their tokens as it reads.
///
/// # Errors
/// Options that no model can be made of; a checkpoint of another training; files that cannot be
/// read or written; [`PretrainError::Diverged`].
pub fn train_classifier(
    options: &ClassifierOptions,
    tell: &mut dyn FnMut(&Event),
) -> Result<f64, PretrainError> {
    at_least_one("epochs", options.epochs as u64)?;
    create_dirs(&options.checkpoint)?;
    let tokenizer = tokenizer(options)?;
    let reviews = encode(&tokenizer, &options.train)?;
    let tokens: usize = reviews.iter().map(|review| review.ids.len()).sum();
    tell(&Event::ClassifierTexts {
        texts: reviews.len(),
        tokens,
        vocabulary: tokenizer.get_vocab_size(true),
    });

    let mut training = Training::start(options, &tokenizer, tell)?;
    while training.state.epoch < options.epochs {
        let loss = training.epoch(&reviews, options, tell)?;
        training.save(&last_epoch(options))?;
        write(&training.model.valid(), &tokenizer, &options.out)?;
        let tokens = 64;
        let accuracy = accuracy(&options.out, &options.test, tokens, &options.device)?;
        tell(&Event::Epoch {
            epoch: training.state.epoch,
            epochs: options.epochs,
            loss,
            accuracy,
            tokens,
        });
    }
    write(&training.model.valid(), &tokenizer, &options.out)?;
    let mut whole = f64::NAN;
    for tokens in [48, 64, 256, POSITIONS] {
        whole = accuracy(&options.out, &options.test, tokens, &options.device)?;
        tell(&Event::ClassifierAccuracy { tokens, texts: options.test.len(), accuracy: whole });
    }
    Ok(whole)
}

/// Where the model is kept after its last epoch so far, with all else that it needs to go on.
fn last_epoch(options: &ClassifierOptions) -> PathBuf {
    options.checkpoint.join("last")
}

/// The tokenizer kept with a model that goes on; a new one where none does, as one that is there
/// may have learned from other texts.
fn tokenizer(options: &ClassifierOptions) -> Result<Tokenizer, PretrainError> {
    let (path, last) = (options.checkpoint.join(TOKENIZER_FILE), last_epoch(options));
    recover(&last)?;
    if !last.is_dir() {
        let texts = options.train.iter().map(|record| record.text.as_str());
        write_file(&path, word_piece::train(texts, VOCABULARY)?.as_bytes())?;
    }
    Ok(read_tokenizer(&path)?)
}

/// A review as token ids, without special tokens.
struct Review {
    ids: Vec<u32>,
    label: u8,
}

fn encode(tokenizer: &Tokenizer, texts: &[Record]) -> Result<Vec<Review>, PretrainError> {
    let encodings = tokenizer
        .encode_batch_fast(texts.iter().map(|record| record.text.as_str()).collect(), false)
        .map_err(PretrainError::tokenizer("cut the texts into tokens"))?;
    let reviews = encodings.iter().zip(texts);
    Ok(reviews
        .map(|(encoding, record)| Review { ids: encoding.get_ids().to_vec(), label: record.label })
        .collect())
}

/// What is known about a training besides its tensors; it goes on only if all but `epoch` agrees.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    /// Epochs done.
    epoch: usize,
    epochs: usize,
    seed: u64,
    architecture: String,
    /// Names of the labels 0 and 1.
    label_names: String,
    /// SHA-256 of the tokenizer.
    tokenizer: String,
    /// SHA-256 of the texts to learn from and their labels.
    train: String,
    /// SHA-256 of the texts to measure on and their labels.
    test: String,
}

impl State {
    /// Of a training that has done nothing yet.
    fn begin(options: &ClassifierOptions) -> Result<Self, PretrainError> {
        let of_texts = |records: &[Record]| {
            going_on::digest(records.iter().map(|record| (&record.text, record.label)))
        };
        Ok(Self {
            epoch: 0,
            epochs: options.epochs,
            seed: options.seed,
            architecture: options.architecture.name().to_owned(),
            label_names: serde_json::to_string(&options.labels)?,
            tokenizer: of_file(&options.checkpoint.join(TOKENIZER_FILE))?,
            train: of_texts(&options.train),
            test: of_texts(&options.test),
        })
    }
}

/// A model on its way.
struct Training {
    model: SequenceClassifier,
    /// Of all parameters; each step has a rate for the word embeddings and one for the rest.
    optimizer: ModuleOptimizer,
    ids: Ids,
    state: State,
    special: Special,
}

/// Ids of the tokens around a text and behind it.
#[derive(Clone, Copy)]
struct Special {
    cls: u32,
    sep: u32,
    pad: u32,
}

impl Training {
    /// A new training, or the one that the checkpoint holds.
    fn start(
        options: &ClassifierOptions,
        tokenizer: &Tokenizer,
        tell: &mut dyn FnMut(&Event),
    ) -> Result<Self, PretrainError> {
        let id = |token: &str| {
            tokenizer
                .token_to_id(token)
                .ok_or_else(|| PretrainError::failed(format!("the tokenizer has no {token}")))
        };
        let special = Special { cls: id(CLS)?, sep: id(SEP)?, pad: id(PAD)? };
        let mut model =
            new_model(options, tokenizer.get_vocab_size(true), special.pad)?.start_with_means();
        let mut optimizer =
            AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(WEIGHT_DECAY).init();
        let (mut state, last) = (State::begin(options)?, last_epoch(options));
        if let Some(saved) = going_on::saved(&last, &state, "epoch")? {
            (model, optimizer, state) = load_state(&last, model, optimizer)?;
            tell(&Event::GoingOnAfterEpoch { epoch: saved.epoch, epochs: saved.epochs });
        }
        let mut ids = Ids::default();
        model.visit(&mut ids);
        Ok(Self { model, optimizer, ids, state, special })
    }

    /// One pass over the reviews; gives the mean loss. It depends on the seed and the epoch, not on
    /// what was drawn before.
    fn epoch(
        &mut self,
        reviews: &[Review],
        options: &ClassifierOptions,
        tell: &mut dyn FnMut(&Event),
    ) -> Result<f64, PretrainError> {
        let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
        rng.set_stream(self.state.epoch as u64 + 1);
        let mut order: Vec<&Review> = reviews.iter().collect();
        order.shuffle(&mut rng);
        let steps = order.len().div_ceil(BATCH);
        let (mut sum, begun) = (0.0, std::time::Instant::now());
        for (step, batch) in order.chunks(BATCH).enumerate() {
            let done = (self.state.epoch * steps + step) as f64 / (options.epochs * steps) as f64;
            let epoch = self.state.epoch + 1;
            let loss = self.step(batch, schedule(done), &mut rng, &options.device);
            sum += loss.map_err(|source| PretrainError::Diverged { epoch, step, source })?;
            if (step + 1) % 50 == 0 {
                let (mean, seconds) = (sum / (step + 1) as f64, begun.elapsed().as_secs_f64());
                tell(&Event::ClassifierStep { epoch, step: step + 1, steps, loss: mean, seconds });
            }
        }
        self.state.epoch += 1;
        Ok(sum / steps as f64)
    }

    /// One step; none with a loss or gradients that are not finite.
    fn step(
        &mut self,
        batch: &[&Review],
        factor: f64,
        rng: &mut ChaCha8Rng,
        device: &Device,
    ) -> Result<f64, NotFinite> {
        let length = window_length(rng);
        let rows: Vec<Vec<u32>> =
            batch.iter().map(|review| window(&review.ids, length, self.special, rng)).collect();
        let labels: Vec<i64> = batch.iter().map(|review| i64::from(review.label)).collect();
        let (input_ids, padding) = tensors(&rows, self.special.pad, device);
        let labels = Tensor::<2, Int>::from_data(TensorData::new(labels, [rows.len(), 1]), device);
        let logits = self.model.forward(input_ids, padding); // [batch, 2]
        let loss = activation::log_softmax(logits, 1).gather(1, labels).mean().neg();
        let mut grads = loss.backward();
        let loss = f64::from(loss.into_scalar::<f32>());
        NotFinite::check("the loss", loss)?;
        let parts = [(&self.ids.embeddings, EMBEDDING_RATE), (&self.ids.rest, RATE)]
            .map(|(ids, rate)| (GradientsParams::from_params(&mut grads, &self.model, ids), rate));
        for (grads, _) in &parts {
            NotFinite::check("the norm of the gradients", global_norm(&self.model, grads))?;
        }
        for (grads, rate) in parts {
            self.model = self.optimizer.step(rate * factor, self.model.clone(), grads);
        }
        Ok(loss)
    }

    fn save(&self, path: &Path) -> Result<(), PretrainError> {
        Ok(save_state(path, &self.model, &self.optimizer, &self.state)?)
    }
}

/// A small model of the shape asked for, with random weights.
fn new_model(
    options: &ClassifierOptions,
    vocab_size: usize,
    pad_token_id: u32,
) -> Result<SequenceClassifier, PretrainError> {
    let (device, id2label) = (options.device.clone().autodiff(), options.labels.clone());
    Ok(match options.architecture {
        Architecture::Distilbert => DistilBertConfig {
            vocab_size,
            max_position_embeddings: POSITIONS,
            n_layers: LAYERS,
            n_heads: HEADS,
            dim: WIDTH,
            hidden_dim: 2 * WIDTH,
            activation: Activation::GeluNew,
            pad_token_id,
            id2label,
        }
        .init(options.seed, &device)?,
        Architecture::Bert => BertConfig {
            vocab_size,
            max_position_embeddings: POSITIONS,
            num_hidden_layers: LAYERS,
            num_attention_heads: HEADS,
            hidden_size: WIDTH,
            intermediate_size: 2 * WIDTH,
            hidden_act: Activation::GeluNew,
            pad_token_id,
            id2label,
            ..BertConfig::default()
        }
        .init(options.seed, &device)?,
    })
}

/// The ids of the word embeddings, and those of everything else.
#[derive(Default)]
struct Ids {
    path: Vec<String>,
    embeddings: Vec<ParamId>,
    rest: Vec<ParamId>,
}

impl ModuleVisitor for Ids {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let is_embedding = self.path.iter().any(|name| name == "word_embeddings");
        if is_embedding { &mut self.embeddings } else { &mut self.rest }.push(param.id);
    }
}

/// The factor on the rates after a share `done` of all steps.
fn schedule(done: f64) -> f64 {
    if done < WARM_UP { done / WARM_UP } else { (1.0 - done) / (1.0 - WARM_UP) }
}

fn window_length(rng: &mut ChaCha8Rng) -> usize {
    let mut at = rng.random::<f64>();
    for (weight, shortest, longest) in LENGTHS {
        if at < weight {
            return rng.random_range(shortest..=longest);
        }
        at -= weight;
    }
    LENGTHS[0].2
}

/// `[CLS]`, at most `length` tokens of the review less some that are dropped, `[SEP]`.
fn window(ids: &[u32], length: usize, special: Special, rng: &mut ChaCha8Rng) -> Vec<u32> {
    let last = ids.len().saturating_sub(length);
    let begin = if last == 0 || rng.random_bool(STARTS) { 0 } else { rng.random_range(0..=last) };
    let mut row = vec![special.cls];
    row.extend(
        ids[begin..ids.len().min(begin + length)].iter().filter(|_| !rng.random_bool(DROPPED)),
    );
    row.push(special.sep);
    row
}

/// Rows padded on the right to the longest, `[batch, seq]`, and where the padding is.
fn tensors(
    rows: &[Vec<u32>],
    pad: u32,
    device: &Device,
) -> (Tensor<2, Int>, Option<Tensor<2, Bool>>) {
    let longest = rows.iter().map(Vec::len).max().unwrap_or(0);
    let shape = [rows.len(), longest];
    let at = |row: &[u32], column: usize| i64::from(row.get(column).copied().unwrap_or(pad));
    let ids: Vec<i64> =
        rows.iter().flat_map(|row| (0..longest).map(|column| at(row, column))).collect();
    let padding: Vec<bool> =
        rows.iter().flat_map(|row| (0..longest).map(|column| column >= row.len())).collect();
    let any = padding.contains(&true);
    let padding = any.then(|| Tensor::from_data(TensorData::new(padding, shape), device));
    (Tensor::from_data(TensorData::new(ids, shape), device), padding)
}

/// Writes the Hugging Face directory, in half precision.
fn write(
    model: &SequenceClassifier,
    tokenizer: &Tokenizer,
    out: &Path,
) -> Result<(), PretrainError> {
    let json =
        tokenizer.to_string(false).map_err(PretrainError::tokenizer("write the tokenizer"))?;
    // What stands beside the model's files, such as a README.md, stays.
    create_dirs(out)?;
    write_file(&out.join(TOKENIZER_FILE), json.as_bytes())?;
    Ok(model.save(out, WeightType::F16)?)
}

/// Share of the texts that the written classifier gets right from their first `length` tokens.
fn accuracy(
    dir: &Path,
    records: &[Record],
    length: usize,
    device: &Device,
) -> Result<f64, PretrainError> {
    let settings = ScoreSettings {
        max_length: length,
        truncation_side: TruncationSide::Right,
        ..Default::default()
    };
    let classifier = Classifier::load(&ModelDir::open(dir)?, settings, device)?;
    let texts: Vec<String> = records.iter().map(|record| record.text.clone()).collect();
    let logits = classifier.logits(&texts)?;
    let right = logits
        .iter()
        .zip(records)
        .filter(|(row, record)| (row[1] > row[0]) == (record.label == 1))
        .count();
    Ok(right as f64 / records.len() as f64)
}
