//! An n-gram model's directory: what is saved is loaded, and what is damaged is refused by name.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on shall say where")]

use std::error::Error;
use std::fs;
use std::path::Path;

use burn::tensor::{Device, Tensor};
use serde_json::{Value, json};
use tailguard_checkpoint::{ModelDir, WeightType, WeightsWriter};
use tailguard_reward::{
    Label, NgramConfig, NgramModel, RewardError, RewardModel, ScoreSettings, TrainSettings,
    chosen_label, load,
};

fn texts() -> Vec<String> {
    ["a fine film", "a dull film", "fine, fine music", "dull and awful", ""]
        .map(str::to_owned)
        .to_vec()
}

fn trained() -> NgramModel {
    let config = NgramConfig { buckets: 64, ..Default::default() };
    let settings = TrainSettings { epochs: 3, learning_rate: 0.3, l2: 0.0, seed: 1 };
    config.train(&texts()[..4], &[1, 0, 1, 0], settings).unwrap()
}

fn saved(weight_type: WeightType) -> (tempfile::TempDir, ModelDir) {
    let home = tempfile::tempdir().unwrap();
    trained().save(home.path(), weight_type).unwrap();
    let dir = ModelDir::open(home.path()).unwrap();
    (home, dir)
}

/// The whole message: an error and its causes.
fn message(error: &RewardError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

fn refused(dir: &ModelDir) -> String {
    message(&NgramModel::load(dir, &ScoreSettings::default()).unwrap_err())
}

/// Changes one key of `config.json`, or takes it away.
fn configure(home: &Path, key: &str, value: Value) {
    let path = home.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let config_keys = config.as_object_mut().unwrap();
    if value.is_null() {
        config_keys.remove(key)
    } else {
        config_keys.insert(key.to_owned(), value)
    };
    fs::write(&path, config.to_string()).unwrap();
}

fn write_weights(home: &Path, tensors: &[(&str, &[f32])]) {
    let mut writer = WeightsWriter::new(WeightType::F32);
    for (name, values) in tensors {
        writer.insert(*name, Tensor::<1>::from_floats(*values, &Device::flex()));
    }
    writer.write(&home.join("model.safetensors")).unwrap();
}

#[test]
fn what_is_saved_is_loaded() {
    let (_home, dir) = saved(WeightType::F32);
    assert_eq!(NgramModel::load(&dir, &ScoreSettings::default()).unwrap(), trained());
    let (_home, dir) = saved(WeightType::F16);
    let halved =
        NgramModel::load(&dir, &ScoreSettings::default()).unwrap().score(&texts()).unwrap();
    for (half, whole) in halved.iter().zip(trained().score(&texts()).unwrap()) {
        assert!((half - whole).abs() < 2e-3, "{half}, {whole}");
    }
}

#[test]
fn the_label_and_the_sign_are_honoured_by_load() {
    let (_home, dir) = saved(WeightType::F32);
    let logits = trained().score(&texts()).unwrap();
    for (label, negate, sign) in
        [(1, false, 1.0), (1, true, -1.0), (0, false, -1.0), (0, true, 1.0)]
    {
        let settings = ScoreSettings { label: Label::Number(label), negate, ..Default::default() };
        let scores = load(&dir, settings, &Device::flex()).unwrap().score(&texts()).unwrap();
        assert_eq!(
            scores,
            logits.iter().map(|logit| sign * logit).collect::<Vec<_>>(),
            "{label}, {negate}"
        );
    }
    let third = ScoreSettings { label: Label::Number(2), ..Default::default() };
    let error = load(&dir, third, &Device::flex()).map(|_| ()).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("there is no label 2, expected one of 0 (LABEL_0), 1 (LABEL_1)"),
        "{error}"
    );
    assert_eq!(chosen_label(&dir, &Label::Unnamed).unwrap().number, 1);
}

#[test]
fn another_model_type_is_left_to_the_classifier() {
    let (home, dir) = saved(WeightType::F32);
    configure(home.path(), "model_type", json!("resnet"));
    let error = load(&dir, ScoreSettings::default(), &Device::flex()).map(|_| ()).unwrap_err();
    assert!(
        matches!(&error, RewardError::Architecture { found, .. } if found == "resnet"),
        "{error}"
    );
    assert!(
        refused(&dir).ends_with("model_type \"resnet\", expected one of [\"tailguard-ngram\"]")
    );
}

#[test]
fn each_wrong_setting_is_named() {
    for (key, value, expected) in [
        ("unit", json!("syllable"), "unknown variant `syllable`, expected `word` or `character`"),
        ("unit", Value::Null, "missing field `unit`"),
        ("min_n", json!(0), "min_n 0, expected at least 1"),
        ("max_n", json!(99), "max_n 99, expected 1 to 16"),
        ("buckets", json!(63), "buckets 63, expected a power of two"),
        ("buckets", json!(128), "weight has shape [64], expected [128]"),
        ("id2label", json!({ "0": "BAD" }), "number of labels 1, expected 2"),
        ("model_type", Value::Null, "model_type \"\", expected one of [\"tailguard-ngram\"]"),
    ] {
        let (home, dir) = saved(WeightType::F32);
        configure(home.path(), key, value);
        let message = refused(&dir);
        assert!(message.contains(expected), "{message}, expected {expected}");
    }
}

#[test]
fn damaged_weights_are_named() {
    let weight = [0.5_f32; 64];
    let (home, dir) = saved(WeightType::F32);
    for (tensors, expected) in [
        (&[("weight", &weight[..])][..], "bias is missing"),
        (&[("bias", &[0.0])], "weight is missing"),
        (&[("weight", &weight[1..]), ("bias", &[0.0])], "weight has shape [63], expected [64]"),
        (&[("weight", &weight), ("bias", &[0.0, 0.0])], "bias has shape [2], expected [1]"),
        (
            &[("weight", &weight), ("bias", &[0.0]), ("extra", &[0.0])],
            "a tensor that the model does not have: extra",
        ),
    ] {
        write_weights(home.path(), tensors);
        let message = refused(&dir);
        assert!(message.contains(expected), "{message}, expected {expected}");
    }

    let path = home.path().join("model.safetensors");
    trained().save(home.path(), WeightType::F32).unwrap();
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert!(refused(&dir).contains("the file was cut short"));
    let mut broken = whole;
    let last = broken.len() - 4;
    broken[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&path, broken).unwrap();
    assert!(refused(&dir).contains("holds NaN at element 63, expected finite numbers"));
    fs::remove_file(&path).unwrap();
    assert!(refused(&dir).contains("model.safetensors is missing"));
}
