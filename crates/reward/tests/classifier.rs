//! A classifier from a directory: what it promises, and what it refuses.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on shall say where")]

use std::error::Error;
use std::fs;
use std::path::Path;

use burn::tensor::Device;
use tailguard_checkpoint::{CheckpointError, ModelDir, WeightType};
use tailguard_reward::{Activation, Classifier, DistilBert, DistilBertConfig, RewardError, RewardModel, ScoreSettings};
use tokenizers::Tokenizer;
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::pre_tokenizers::whitespace::Whitespace;

fn config() -> DistilBertConfig {
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

fn settings() -> ScoreSettings {
    ScoreSettings { max_length: 16, ..Default::default() }
}

/// A tokenizer of whole words, without special tokens.
fn write_tokenizer(dir: &Path, words: &[&str]) {
    let vocabulary = words.iter().enumerate().map(|(id, word)| ((*word).to_owned(), u32::try_from(id).unwrap())).collect();
    let model = WordLevel::builder().vocab(vocabulary).unk_token("[UNK]".to_owned()).build().unwrap();
    let mut tokenizer = Tokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(Whitespace {}));
    tokenizer.save(dir.join("tokenizer.json"), false).unwrap();
}

/// A whole model directory with random weights.
fn model_dir(home: &tempfile::TempDir) -> ModelDir {
    config().init(7, &Device::flex()).unwrap().save(home.path(), WeightType::F32).unwrap();
    write_tokenizer(home.path(), &["[UNK]", "good", "bad", "film"]);
    ModelDir::open(home.path()).unwrap()
}

fn refused(dir: &ModelDir, settings: ScoreSettings) -> RewardError {
    Classifier::load(dir, settings, &Device::flex()).map(|_| ()).unwrap_err()
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

#[test]
fn what_is_saved_is_loaded() {
    let home = tempfile::tempdir().unwrap();
    let dir = model_dir(&home);
    let again = tempfile::tempdir().unwrap();
    DistilBert::load(&dir, &Device::flex()).unwrap().save(again.path(), WeightType::F32).unwrap();
    for file in ["config.json", "model.safetensors"] {
        assert_eq!(fs::read(dir.path().join(file)).unwrap(), fs::read(again.path().join(file)).unwrap(), "{file}");
    }
}

#[test]
fn the_same_seed_gives_the_same_weights() {
    let bytes = |seed| {
        let home = tempfile::tempdir().unwrap();
        config().init(seed, &Device::flex()).unwrap().save(home.path(), WeightType::F32).unwrap();
        fs::read(home.path().join("model.safetensors")).unwrap()
    };
    assert_eq!(bytes(1), bytes(1));
    assert_ne!(bytes(1), bytes(2));
}

#[test]
fn the_order_of_the_texts_is_kept() {
    let home = tempfile::tempdir().unwrap();
    let classifier = Classifier::load(&model_dir(&home), settings(), &Device::flex()).unwrap();
    let mixed = texts(&["good film", "bad", "good good bad film", "film", "bad film bad"]);
    let scores = classifier.score(&mixed).unwrap();
    for (text, score) in mixed.iter().zip(scores) {
        let alone = classifier.score(std::slice::from_ref(text)).unwrap()[0];
        assert!((alone - score).abs() < 1e-5, "{text}: {alone} alone, {score} among others");
    }
}

#[test]
fn no_texts_have_no_scores() {
    let home = tempfile::tempdir().unwrap();
    let classifier = Classifier::load(&model_dir(&home), settings(), &Device::flex()).unwrap();
    assert!(classifier.score(&[]).unwrap().is_empty());
}

#[test]
fn long_texts_are_cut() {
    let home = tempfile::tempdir().unwrap();
    let settings = ScoreSettings { max_length: 3, ..settings() };
    let classifier = Classifier::load(&model_dir(&home), settings, &Device::flex()).unwrap();
    let scores = classifier.score(&texts(&["good bad film", "good bad film good good"])).unwrap();
    assert!((scores[0] - scores[1]).abs() < 1e-6);
}

#[test]
fn a_text_without_tokens_is_named() {
    let home = tempfile::tempdir().unwrap();
    let classifier = Classifier::load(&model_dir(&home), settings(), &Device::flex()).unwrap();
    let error = classifier.score(&texts(&["good", " "])).unwrap_err();
    assert!(error.to_string().starts_with("text 1 has no tokens"), "{error}");
}

#[test]
fn settings_must_suit_the_model() {
    let home = tempfile::tempdir().unwrap();
    let dir = model_dir(&home);
    let cases = [
        (ScoreSettings { label: 2, ..settings() }, "label is 2, expected less than the model's 2 labels"),
        (
            ScoreSettings { max_length: 17, ..settings() },
            "max_length is 17, expected at least 3 and at most the model's 16 positions",
        ),
        (
            ScoreSettings { max_length: 2, ..settings() },
            "max_length is 2, expected at least 3 and at most the model's 16 positions",
        ),
        (ScoreSettings { batch_tokens: 0, ..settings() }, "batch_tokens is 0, expected at least 1"),
    ];
    for (settings, message) in cases {
        assert_eq!(refused(&dir, settings).to_string(), message);
    }
}

#[test]
fn another_architecture_is_named() {
    let home = tempfile::tempdir().unwrap();
    let dir = model_dir(&home);
    for (json, found) in [(r#"{"model_type": "roberta"}"#, "\"roberta\""), ("{}", "\"\"")] {
        fs::write(dir.path().join("config.json"), json).unwrap();
        let message = refused(&dir, settings()).to_string();
        assert!(message.ends_with(&format!("config.json has model_type {found}, expected \"distilbert\"")), "{message}");
    }
}

#[test]
fn a_configuration_that_fits_no_model_is_refused() {
    let cases = [
        (DistilBertConfig { n_heads: 3, ..config() }, "dim 8, expected a multiple of n_heads 3"),
        (DistilBertConfig { n_layers: 0, ..config() }, "n_layers 0, expected at least 1"),
    ];
    for (config, message) in cases {
        let error = config.init(0, &Device::flex()).unwrap_err().to_string();
        assert!(error.ends_with(message), "{error}");
    }
}

#[test]
fn an_activation_that_is_not_there_is_named() {
    let home = tempfile::tempdir().unwrap();
    let dir = model_dir(&home);
    fs::write(dir.path().join("config.json"), r#"{"model_type": "distilbert", "activation": "silu"}"#).unwrap();
    let error = refused(&dir, settings());
    let cause = error.source().unwrap().to_string();
    assert!(cause.contains("unknown variant `silu`"), "{error}: {cause}");
}

#[test]
fn a_missing_tokenizer_is_named() {
    let home = tempfile::tempdir().unwrap();
    let dir = model_dir(&home);
    fs::remove_file(dir.path().join("tokenizer.json")).unwrap();
    let message = refused(&dir, settings()).to_string();
    assert!(message.contains("tokenizer.json is missing"), "{message}");
}

#[test]
fn a_damaged_tokenizer_is_named() {
    let home = tempfile::tempdir().unwrap();
    let dir = model_dir(&home);
    fs::write(dir.path().join("tokenizer.json"), "{").unwrap();
    let error = refused(&dir, settings());
    assert!(matches!(error, RewardError::Tokenizer { .. }), "{error}");
}

#[test]
fn a_tokenizer_of_another_model_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let dir = model_dir(&home);
    write_tokenizer(dir.path(), &["[UNK]", "1", "2", "3", "4", "5", "6", "7", "8"]);
    let error = refused(&dir, settings());
    assert!(matches!(error, RewardError::Vocabulary { found: 9, vocab_size: 8, .. }), "{error}");
}

#[test]
fn weights_of_another_configuration_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let dir = model_dir(&home);
    let text = fs::read_to_string(dir.path().join("config.json")).unwrap();
    let changed = |from: &str, to: &str| {
        assert!(text.contains(from));
        fs::write(dir.path().join("config.json"), text.replace(from, to)).unwrap();
        match refused(&dir, settings()) {
            RewardError::Checkpoint(error) => error,
            other => panic!("{other}"),
        }
    };
    let fewer = changed("\"n_layers\": 2", "\"n_layers\": 1");
    assert!(matches!(&fewer, CheckpointError::Unused { names, .. } if names.len() == 16), "{fewer}");
    let more = changed("\"n_layers\": 2", "\"n_layers\": 3");
    let expected = "distilbert.transformer.layer.2.attention.q_lin.weight";
    assert!(matches!(&more, CheckpointError::MissingTensor { name, .. } if name == expected), "{more}");
    let wider = changed("\"hidden_dim\": 12", "\"hidden_dim\": 10");
    assert!(
        matches!(&wider, CheckpointError::Shape { found, expected, .. } if found == &[12, 8] && expected == &[10, 8]),
        "{wider}"
    );
}
