//! A classifier from a directory: what it promises, and what it refuses.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on shall say where")]

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;

use burn::tensor::Device;
use serde_json::{Value, json};
use tailguard_checkpoint::{CheckpointError, ModelDir, WeightType};
use tailguard_reward::{
    Activation, BertConfig, Classifier, DistilBertConfig, Label, RewardError, RewardModel, RobertaConfig, ScoreSettings,
    SequenceClassifier, TruncationSide, chosen_label,
};
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

fn bert() -> BertConfig {
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

fn roberta() -> RobertaConfig {
    RobertaConfig(BertConfig { type_vocab_size: 1, pad_token_id: 1, ..bert() })
}

/// A model of each architecture.
fn models() -> [SequenceClassifier; 3] {
    let device = Device::flex();
    [config().init(7, &device).unwrap(), bert().init(7, &device).unwrap(), roberta().init(7, &device).unwrap()]
}

fn save(model: &SequenceClassifier, home: &tempfile::TempDir) -> ModelDir {
    model.save(home.path(), WeightType::F32).unwrap();
    ModelDir::open(home.path()).unwrap()
}

fn load(dir: &ModelDir) -> Result<SequenceClassifier, RewardError> {
    SequenceClassifier::load(dir, &Device::flex())
}

/// The error of a checkpoint that does not hold what its configuration says.
fn misfit(dir: &ModelDir) -> CheckpointError {
    match load(dir).unwrap_err() {
        RewardError::Checkpoint(error) => error,
        other => panic!("{other}"),
    }
}

/// Changes a directory's `config.json`.
fn edit_config(dir: &ModelDir, edit: impl FnOnce(&mut serde_json::Map<String, Value>)) {
    let mut config = dir.config().unwrap();
    edit(&mut config);
    fs::write(dir.path().join("config.json"), Value::Object(config).to_string()).unwrap();
}

/// A tensor's name, type, shape and bytes.
type Stored<'a> = (&'a str, &'a str, &'a [usize], &'a [u8]);

/// Changes the names in a directory's `model.safetensors`, and puts more tensors behind.
fn edit_weights(dir: &ModelDir, rename: impl Fn(&str) -> String, more: &[Stored]) {
    let path = dir.path().join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    let (length, rest) = bytes.split_first_chunk().unwrap();
    let (header, data) = rest.split_at(usize::try_from(u64::from_le_bytes(*length)).unwrap());
    let header: BTreeMap<String, Value> = serde_json::from_slice(header).unwrap();
    let mut header: BTreeMap<String, Value> = header.into_iter().map(|(name, entry)| (rename(&name), entry)).collect();
    let mut data = data.to_vec();
    for &(name, dtype, shape, values) in more {
        let offsets = [data.len(), data.len() + values.len()];
        header.insert(name.to_owned(), json!({ "dtype": dtype, "shape": shape, "data_offsets": offsets }));
        data.extend(values);
    }
    let header = serde_json::to_vec(&header).unwrap();
    fs::write(path, [&(header.len() as u64).to_le_bytes(), header.as_slice(), &data].concat()).unwrap();
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
    for model in models() {
        let (home, again) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let dir = save(&model, &home);
        save(&load(&dir).unwrap(), &again);
        for file in ["config.json", "model.safetensors"] {
            assert_eq!(fs::read(dir.path().join(file)).unwrap(), fs::read(again.path().join(file)).unwrap(), "{file}");
        }
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
    let settings = ScoreSettings { max_length: 3, truncation_side: TruncationSide::Right, ..settings() };
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
    let message = refused(&dir, ScoreSettings { label: Label::Number(2), ..settings() }).to_string();
    assert!(message.ends_with("there is no label 2, expected one of 0 (LABEL_0), 1 (LABEL_1)"), "{message}");
}

#[test]
fn the_label_is_chosen_by_number_name_or_the_names_alone() {
    let home = tempfile::tempdir().unwrap();
    let dir = model_dir(&home);
    edit_config(&dir, |config| {
        config.insert("id2label".to_owned(), json!({ "0": "POSITIVE", "1": "NEGATIVE" }));
    });
    let score = |label: Label, negate| {
        let classifier = Classifier::load(&dir, ScoreSettings { label, negate, ..settings() }, &Device::flex()).unwrap();
        (classifier.label().clone(), classifier.score(&texts(&["good film"])).unwrap()[0].to_bits())
    };
    let (label, first) = score(Label::Number(0), false);
    assert_eq!((label.number, label.name.as_str()), (0, "POSITIVE"));
    let (second, minus) = (score(Label::Number(1), false).1, score(Label::Number(0), true).1);
    assert!(first != second && f32::from_bits(minus).to_bits() == (-f32::from_bits(first)).to_bits());
    assert_eq!(score(Label::Unnamed, false).1, first, "the affirmed one");
    assert_eq!(score(Label::Name("negative".to_owned()), false).1, second);
    assert_eq!(chosen_label(&dir, &Label::Unnamed).unwrap(), label);
}

#[test]
fn the_only_label_is_the_score() {
    let home = tempfile::tempdir().unwrap();
    let labels = BTreeMap::from([(0, "LABEL_0".to_owned())]);
    let dir = save(&BertConfig { id2label: labels, ..bert() }.init(7, &Device::flex()).unwrap(), &home);
    write_tokenizer(dir.path(), &["[UNK]", "good", "bad", "film"]);
    let classifier = Classifier::load(&dir, settings(), &Device::flex()).unwrap();
    assert_eq!(classifier.label().number, 0);
    assert_eq!(classifier.score(&texts(&["good film"])).unwrap().len(), 1);
}

#[test]
fn another_architecture_is_named() {
    let home = tempfile::tempdir().unwrap();
    let dir = model_dir(&home);
    for (json, found) in [(r#"{"model_type": "xlnet"}"#, "xlnet"), ("{}", "")] {
        fs::write(dir.path().join("config.json"), json).unwrap();
        let message = refused(&dir, settings()).to_string();
        let expected = format!(r#"has model_type "{found}", expected one of ["distilbert", "bert", "roberta"]"#);
        assert!(message.ends_with(&expected), "{message}");
    }
}

#[test]
fn a_configuration_that_fits_no_model_is_refused() {
    let device = Device::flex();
    let cases = [
        (DistilBertConfig { n_heads: 3, ..config() }.init(0, &device), "dim 8, expected a multiple of n_heads 3"),
        (DistilBertConfig { n_layers: 0, ..config() }.init(0, &device), "n_layers 0, expected at least 1"),
        (
            BertConfig { num_attention_heads: 5, ..bert() }.init(0, &device),
            "hidden_size 8, expected a multiple of num_attention_heads 5",
        ),
        (BertConfig { type_vocab_size: 0, ..bert() }.init(0, &device), "type_vocab_size 0, expected at least 1"),
        (BertConfig { id2label: BTreeMap::new(), ..bert() }.init(0, &device), "number of labels 0, expected at least 1"),
        (BertConfig { max_position_embeddings: 0, ..bert() }.init(0, &device), "max_position_embeddings 0, expected at least 1"),
        (BertConfig { pad_token_id: 8, ..bert() }.init(0, &device), "pad_token_id 8, expected less than vocab_size 8"),
        (
            RobertaConfig(BertConfig { max_position_embeddings: 2, ..roberta().0 }).init(0, &device),
            "max_position_embeddings 2, expected at least 3",
        ),
    ];
    for (model, message) in cases {
        let error = model.unwrap_err().to_string();
        assert!(error.ends_with(message), "{error}");
    }
}

#[test]
fn there_are_as_many_labels_as_names_or_as_num_labels_says_or_two() {
    let labels = (0..5).map(|index| (index, format!("label {index}"))).collect();
    let home = tempfile::tempdir().unwrap();
    let dir = save(&BertConfig { id2label: labels, ..bert() }.init(7, &Device::flex()).unwrap(), &home);
    edit_config(&dir, |config| {
        config.insert("num_labels".to_owned(), json!(3));
    });
    assert!(load(&dir).is_ok(), "names come first");
    edit_config(&dir, |config| {
        config.remove("id2label");
        config.insert("num_labels".to_owned(), json!(5));
    });
    assert!(load(&dir).is_ok());
    edit_config(&dir, |config| {
        config.remove("num_labels");
    });
    let error = misfit(&dir);
    assert!(matches!(&error, CheckpointError::Shape { expected, .. } if expected == &[2, 8]), "{error}");
    edit_config(&dir, |config| {
        config.insert("num_labels".to_owned(), json!(1_u64 << 40));
    });
    let message = load(&dir).unwrap_err().to_string();
    assert!(message.ends_with("num_labels 1099511627776, expected at most 65536"), "{message}");
}

#[test]
fn roberta_has_fewer_positions_than_embeddings_of_them() {
    let home = tempfile::tempdir().unwrap();
    let dir = save(&roberta().init(7, &Device::flex()).unwrap(), &home);
    write_tokenizer(dir.path(), &["[UNK]", "<pad>", "film"]);
    let settings = |max_length| ScoreSettings { max_length, ..Default::default() };
    let message = refused(&dir, settings(15)).to_string();
    assert_eq!(message, "max_length is 15, expected at least 3 and at most the model's 14 positions");
    let classifier = Classifier::load(&dir, settings(14), &Device::flex()).unwrap();
    assert_eq!(classifier.score(&["film ".repeat(20), "film".to_owned()]).unwrap().len(), 2);
}

#[test]
fn what_roberta_leaves_out_is_not_as_in_bert() {
    let home = tempfile::tempdir().unwrap();
    let dir = save(&roberta().init(7, &Device::flex()).unwrap(), &home);
    edit_config(&dir, |config| {
        config.remove("vocab_size");
    });
    let error = misfit(&dir);
    assert!(matches!(&error, CheckpointError::Shape { expected, .. } if expected == &[50_265, 8]), "{error}");
    edit_config(&dir, |config| {
        config.insert("vocab_size".to_owned(), json!(8));
        config.remove("pad_token_id");
    });
    let again = tempfile::tempdir().unwrap();
    let saved: Value = save(&load(&dir).unwrap(), &again).config().unwrap();
    assert_eq!(saved["pad_token_id"], 1);
}

#[test]
fn what_old_checkpoints_hold_besides_is_ignored() {
    let positions: Vec<u8> = (0..16_i64).flat_map(i64::to_le_bytes).collect();
    let square = [0; 4 * 8 * 8];
    let more: [&[Stored]; 3] = [
        &[
            ("distilbert.embeddings.position_ids", "I64", &[1, 16], &positions),
            ("vocab_projector.bias", "F32", &[8], &square[..4 * 8]),
        ],
        &[("bert.embeddings.position_ids", "I64", &[1, 16], &positions), ("cls.predictions.bias", "F32", &[8], &square[..4 * 8])],
        &[
            ("roberta.embeddings.position_ids", "I64", &[1, 16], &positions),
            ("roberta.pooler.dense.weight", "F32", &[8, 8], &square),
            ("roberta.pooler.dense.bias", "F32", &[8], &square[..4 * 8]),
            ("lm_head.bias", "F32", &[8], &square[..4 * 8]),
        ],
    ];
    for (model, more) in models().iter().zip(more) {
        let home = tempfile::tempdir().unwrap();
        let dir = save(model, &home);
        edit_weights(&dir, str::to_owned, more);
        load(&dir).unwrap();
        edit_weights(&dir, str::to_owned, &[("score.bias", "F32", &[1], &[0; 4])]);
        let error = misfit(&dir);
        assert!(matches!(&error, CheckpointError::Unused { names, .. } if names == &["score.bias"]), "{error}");
    }
}

#[test]
fn layer_norms_may_have_their_old_names() {
    let (home, again) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let dir = save(&models()[1], &home);
    let weights = fs::read(dir.path().join("model.safetensors")).unwrap();
    let old = |name: &str| name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta");
    edit_weights(&dir, old, &[]);
    assert!(dir.weights().unwrap().contains("bert.encoder.layer.1.output.LayerNorm.gamma"));
    let dir = save(&load(&dir).unwrap(), &again);
    assert!(fs::read(dir.path().join("model.safetensors")).unwrap() == weights);
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
    for (text, is_json) in [("{", false), ("{}", true)] {
        fs::write(dir.path().join("tokenizer.json"), text).unwrap();
        let error = refused(&dir, settings());
        let RewardError::Checkpoint(error) = error else { panic!("{error}") };
        assert!(
            matches!((&error, is_json), (CheckpointError::Json { .. }, false) | (CheckpointError::Tokenizer { .. }, true)),
            "{error}"
        );
    }
}

#[test]
fn a_tokenizer_of_another_model_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let dir = model_dir(&home);
    write_tokenizer(dir.path(), &["[UNK]", "1", "2", "3", "4", "5", "6", "7", "8"]);
    let error = refused(&dir, settings());
    assert!(
        matches!(&error, RewardError::Checkpoint(CheckpointError::Vocabulary { tokens, vocab_size: 8, .. }) if tokens == &["\"8\" (8)"]),
        "{error}"
    );
}

#[test]
fn weights_of_another_configuration_are_refused() {
    let keys = [
        ("n_layers", "hidden_dim", "distilbert.transformer.layer.2.attention.q_lin.weight"),
        ("num_hidden_layers", "intermediate_size", "bert.encoder.layer.2.attention.self.query.weight"),
        ("num_hidden_layers", "intermediate_size", "roberta.encoder.layer.2.attention.self.query.weight"),
    ];
    for (model, (layers, inner, missing)) in models().iter().zip(keys) {
        let changed = |key: &str, value: usize| {
            let home = tempfile::tempdir().unwrap();
            let dir = save(model, &home);
            edit_config(&dir, |config| {
                assert!(config.insert(key.to_owned(), json!(value)).is_some(), "{key}");
            });
            misfit(&dir)
        };
        let fewer = changed(layers, 1);
        assert!(matches!(&fewer, CheckpointError::Unused { names, .. } if names.len() == 16), "{fewer}");
        let more = changed(layers, 3);
        assert!(matches!(&more, CheckpointError::MissingTensor { name, .. } if name == missing), "{more}");
        let wider = changed(inner, 10);
        assert!(
            matches!(&wider, CheckpointError::Shape { found, expected, .. } if found == &[12, 8] && expected == &[10, 8]),
            "{wider}"
        );
    }
}

#[test]
fn sizes_beyond_all_memory_are_refused_before_any_is_taken() {
    let keys = [("vocab_size", "dim"), ("vocab_size", "hidden_size"), ("vocab_size", "hidden_size")];
    for (model, (vocabulary, width)) in models().iter().zip(keys) {
        for key in [vocabulary, "max_position_embeddings", width, "n_layers", "num_hidden_layers", "type_vocab_size"] {
            let home = tempfile::tempdir().unwrap();
            let dir = save(model, &home);
            let mut is_there = false;
            edit_config(&dir, |config| {
                is_there = config.contains_key(key);
                config.insert(key.to_owned(), json!(1_u64 << 40));
            });
            if !is_there {
                continue; // a key of another architecture
            }
            let message = load(&dir).unwrap_err().to_string();
            assert!(message.contains("1099511627776"), "{key}: {message}");
        }
    }
}

#[test]
fn a_missing_tensor_of_the_head_is_named() {
    let names = ["pre_classifier.weight", "bert.pooler.dense.weight", "classifier.dense.weight"];
    for (model, missing) in models().iter().zip(names) {
        let home = tempfile::tempdir().unwrap();
        let dir = save(model, &home);
        edit_weights(&dir, |name| if name == missing { "lost".to_owned() } else { name.to_owned() }, &[]);
        let error = misfit(&dir);
        assert!(matches!(&error, CheckpointError::MissingTensor { name, .. } if name == missing), "{error}");
    }
}
