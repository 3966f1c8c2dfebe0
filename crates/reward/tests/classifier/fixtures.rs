//! Small models of each architecture, their directories, and what damages these.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use burn::tensor::Device;
use serde_json::{Value, json};
use tailguard_checkpoint::{CheckpointError, ModelDir, WeightType};
use tailguard_reward::{
    Activation, BertConfig, Classifier, DistilBertConfig, RewardError, RobertaConfig,
    ScoreSettings, SequenceClassifier,
};
use tokenizers::Tokenizer;
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::pre_tokenizers::whitespace::Whitespace;

pub(crate) fn config() -> DistilBertConfig {
    DistilBertConfig {
        vocab_size: 8,
        max_position_embeddings: 16,
        n_layers: 2,
        n_heads: 2,
        dim: 8,
        hidden_dim: 12,
        activation: Activation::GeluNew,
        ..Default::default()
    }
}

pub(crate) fn bert() -> BertConfig {
    BertConfig {
        vocab_size: 8,
        max_position_embeddings: 16,
        num_hidden_layers: 2,
        num_attention_heads: 2,
        hidden_size: 8,
        intermediate_size: 12,
        hidden_act: Activation::GeluNew,
        layer_norm_eps: 1e-5,
        ..Default::default()
    }
}

pub(crate) fn roberta() -> RobertaConfig {
    RobertaConfig(BertConfig { type_vocab_size: 1, pad_token_id: 1, ..bert() })
}

/// A model of each architecture.
pub(crate) fn models() -> [SequenceClassifier; 3] {
    let device = Device::flex();
    [
        config().init(7, &device).unwrap(),
        bert().init(7, &device).unwrap(),
        roberta().init(7, &device).unwrap(),
    ]
}

pub(crate) fn save(model: &SequenceClassifier, home: &tempfile::TempDir) -> ModelDir {
    model.save(home.path(), WeightType::F32).unwrap();
    ModelDir::open(home.path()).unwrap()
}

pub(crate) fn load(dir: &ModelDir) -> Result<SequenceClassifier, RewardError> {
    SequenceClassifier::load(dir, &Device::flex())
}

/// The error of a checkpoint that does not hold what its configuration says.
pub(crate) fn misfit(dir: &ModelDir) -> CheckpointError {
    match load(dir).unwrap_err() {
        RewardError::Checkpoint(error) => error,
        other => panic!("{other}"),
    }
}

/// Changes a directory's `config.json`.
pub(crate) fn edit_config(dir: &ModelDir, edit: impl FnOnce(&mut serde_json::Map<String, Value>)) {
    let mut config = dir.config().unwrap();
    edit(&mut config);
    fs::write(dir.path().join("config.json"), Value::Object(config).to_string()).unwrap();
}

/// A tensor's name, type, shape and bytes.
pub(crate) type Stored<'a> = (&'a str, &'a str, &'a [usize], &'a [u8]);

/// Changes the names in a directory's `model.safetensors`, and puts more tensors behind.
pub(crate) fn edit_weights(dir: &ModelDir, rename: impl Fn(&str) -> String, more: &[Stored]) {
    let path = dir.path().join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    let (length, rest) = bytes.split_first_chunk().unwrap();
    let (header, data) = rest.split_at(usize::try_from(u64::from_le_bytes(*length)).unwrap());
    let header: BTreeMap<String, Value> = serde_json::from_slice(header).unwrap();
    let mut header: BTreeMap<String, Value> =
        header.into_iter().map(|(name, entry)| (rename(&name), entry)).collect();
    let mut data = data.to_vec();
    for &(name, dtype, shape, values) in more {
        let offsets = [data.len(), data.len() + values.len()];
        header.insert(
            name.to_owned(),
            json!({ "dtype": dtype, "shape": shape, "data_offsets": offsets }),
        );
        data.extend(values);
    }
    let header = serde_json::to_vec(&header).unwrap();
    fs::write(path, [&(header.len() as u64).to_le_bytes(), header.as_slice(), &data].concat())
        .unwrap();
}

pub(crate) fn settings() -> ScoreSettings {
    ScoreSettings { max_length: 16, ..Default::default() }
}

/// A tokenizer of whole words, without special tokens.
pub(crate) fn write_tokenizer(dir: &Path, words: &[&str]) {
    let vocabulary = words
        .iter()
        .enumerate()
        .map(|(id, word)| ((*word).to_owned(), u32::try_from(id).unwrap()))
        .collect();
    let model =
        WordLevel::builder().vocab(vocabulary).unk_token("[UNK]".to_owned()).build().unwrap();
    let mut tokenizer = Tokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(Whitespace {}));
    tokenizer.save(dir.join("tokenizer.json"), false).unwrap();
}

/// A whole model directory with random weights.
pub(crate) fn model_dir(home: &tempfile::TempDir) -> ModelDir {
    config().init(7, &Device::flex()).unwrap().save(home.path(), WeightType::F32).unwrap();
    write_tokenizer(home.path(), &["[UNK]", "good", "bad", "film"]);
    ModelDir::open(home.path()).unwrap()
}

pub(crate) fn refused(dir: &ModelDir, settings: ScoreSettings) -> RewardError {
    Classifier::load(dir, settings, &Device::flex()).map(|_| ()).unwrap_err()
}

pub(crate) fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}
