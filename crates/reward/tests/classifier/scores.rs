//! What is saved and loaded, and what its scores are.

use std::collections::BTreeMap;
use std::fs;

use burn::tensor::Device;
use serde_json::json;
use tailguard_checkpoint::WeightType;
use tailguard_reward::{
    BertConfig, Classifier, Label, RewardModel, ScoreSettings, TruncationSide, chosen_label,
};

use crate::fixtures::{
    bert, config, edit_config, load, model_dir, models, refused, save, settings, texts,
    write_tokenizer,
};

#[test]
fn what_is_saved_is_loaded() {
    for model in models() {
        let (home, again) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let dir = save(&model, &home);
        save(&load(&dir).unwrap(), &again);
        for file in ["config.json", "model.safetensors"] {
            assert_eq!(
                fs::read(dir.path().join(file)).unwrap(),
                fs::read(again.path().join(file)).unwrap(),
                "{file}"
            );
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
    let settings =
        ScoreSettings { max_length: 3, truncation_side: TruncationSide::Right, ..settings() };
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
    let message =
        refused(&dir, ScoreSettings { label: Label::Number(2), ..settings() }).to_string();
    assert!(
        message.ends_with("there is no label 2, expected one of 0 (LABEL_0), 1 (LABEL_1)"),
        "{message}"
    );
}

#[test]
fn the_label_is_chosen_by_number_name_or_the_names_alone() {
    let home = tempfile::tempdir().unwrap();
    let dir = model_dir(&home);
    edit_config(&dir, |config| {
        config.insert("id2label".to_owned(), json!({ "0": "POSITIVE", "1": "NEGATIVE" }));
    });
    let score = |label: Label, negate| {
        let classifier =
            Classifier::load(&dir, ScoreSettings { label, negate, ..settings() }, &Device::flex())
                .unwrap();
        (classifier.label().clone(), classifier.score(&texts(&["good film"])).unwrap()[0].to_bits())
    };
    let (label, first) = score(Label::Number(0), false);
    assert_eq!((label.number, label.name.as_str()), (0, "POSITIVE"));
    let (second, minus) = (score(Label::Number(1), false).1, score(Label::Number(0), true).1);
    assert!(
        first != second && f32::from_bits(minus).to_bits() == (-f32::from_bits(first)).to_bits()
    );
    assert_eq!(score(Label::Unnamed, false).1, first, "the affirmed one");
    assert_eq!(score(Label::Name("negative".to_owned()), false).1, second);
    assert_eq!(chosen_label(&dir, &Label::Unnamed).unwrap(), label);
}

#[test]
fn the_only_label_is_the_score() {
    let home = tempfile::tempdir().unwrap();
    let labels = BTreeMap::from([(0, "LABEL_0".to_owned())]);
    let dir =
        save(&BertConfig { id2label: labels, ..bert() }.init(7, &Device::flex()).unwrap(), &home);
    write_tokenizer(dir.path(), &["[UNK]", "good", "bad", "film"]);
    let classifier = Classifier::load(&dir, settings(), &Device::flex()).unwrap();
    assert_eq!(classifier.label().number, 0);
    assert_eq!(classifier.score(&texts(&["good film"])).unwrap().len(), 1);
}
