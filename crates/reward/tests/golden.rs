//! Classifiers against Hugging Face transformers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on shall say where")]

use burn::tensor::Device;
use serde_json::Value;
use tailguard_checkpoint::{ModelDir, WeightType};
use tailguard_reward::{
    Classifier, Label, RewardModel, ScoreSettings, SequenceClassifier, TruncationSide,
};
use tailguard_tests::{cases, close, count, counts, device_name, floats, golden, list, texts};

/// Tolerance of the fixtures for logits.
const TOLERANCE: f64 = 1e-4;

/// The folder of each architecture.
const MODELS: [&str; 3] = ["distilbert", "bert", "roberta"];

fn dir(model: &str) -> ModelDir {
    ModelDir::open(golden(model)).unwrap()
}

/// The longest text that a model takes; RoBERTa's positions begin behind the padding token's id.
fn longest(model: &str) -> usize {
    let config: Value = dir(model).config().unwrap();
    let positions = count(&config["max_position_embeddings"]);
    if config["model_type"] == "roberta" {
        positions - count(&config["pad_token_id"]) - 1
    } else {
        positions
    }
}

fn batches(model: &str) -> Vec<Value> {
    list(&cases(&format!("{model}/cases.json"))["batches"]).to_vec()
}

/// The device that `TAILGUARD_DEVICE` names.
fn device() -> Device {
    tailguard_kernels::device(&device_name()).unwrap()
}

fn classifier(model: &str, settings: ScoreSettings) -> Classifier {
    Classifier::load(&dir(model), settings, &device()).unwrap()
}

fn settings(max_length: usize) -> ScoreSettings {
    // as transformers cuts texts
    let truncation_side = TruncationSide::Right;
    ScoreSettings { label: Label::Number(0), max_length, truncation_side, ..Default::default() }
}

fn tokens_and_logits(model: &str) {
    for (index, case) in batches(model).iter().enumerate() {
        let max_length = if case["truncate_to"].is_null() {
            longest(model)
        } else {
            count(&case["truncate_to"])
        };
        let classifier = classifier(model, settings(max_length));
        let texts = texts(&case["texts"]);

        let encoded = classifier.encode(&texts).unwrap();
        let rows = list(&case["input_ids"]).iter().zip(list(&case["attention_mask"]));
        let expected: Vec<Vec<usize>> =
            rows.map(|(ids, mask)| counts(ids)[..counts(mask).iter().sum()].to_vec()).collect();
        let found: Vec<Vec<usize>> = encoded
            .iter()
            .map(|ids| ids.iter().map(|&id| usize::try_from(id).unwrap()).collect())
            .collect();
        assert_eq!(found, expected, "{model}, batch {index}: token ids");

        let logits = classifier.logits(&texts).unwrap();
        close(
            &logits.concat(),
            &floats(&case["logits"]),
            TOLERANCE,
            &format!("{model}, batch {index}: logits"),
        );
    }
}

#[test]
fn golden_longest_texts() {
    for model in MODELS {
        assert_eq!(
            tailguard_reward::longest_text(&dir(model)).unwrap(),
            Some(longest(model)),
            "{model}"
        );
    }
}

#[test]
fn golden_distilbert_tokens_and_logits() {
    tokens_and_logits("distilbert");
}

#[test]
fn golden_bert_tokens_and_logits() {
    tokens_and_logits("bert");
}

#[test]
fn golden_roberta_tokens_and_logits() {
    tokens_and_logits("roberta");
}

#[test]
fn golden_labels_and_signs() {
    for model in MODELS {
        let case = &batches(model)[0];
        let texts = texts(&case["texts"]);
        let rows: Vec<Vec<f64>> = list(&case["logits"]).iter().map(floats).collect();
        for label in 0..rows[0].len() {
            for negate in [false, true] {
                let classifier = classifier(
                    model,
                    ScoreSettings {
                        label: Label::Number(label),
                        negate,
                        ..settings(longest(model))
                    },
                );
                let expected: Vec<f64> =
                    rows.iter().map(|row| if negate { -row[label] } else { row[label] }).collect();
                let what = format!("{model}, label {label}, negate {negate}");
                close(&classifier.score(&texts).unwrap(), &expected, TOLERANCE, &what);
            }
        }
    }
}

#[test]
fn golden_scores_do_not_depend_on_the_batch() {
    for model in MODELS {
        let all: Vec<String> =
            batches(model).iter().flat_map(|case| texts(&case["texts"])).collect();
        let scores = |batch_tokens| {
            classifier(model, ScoreSettings { batch_tokens, ..settings(longest(model)) })
                .score(&all)
                .unwrap()
        };
        let alone = scores(1);
        for batch_tokens in [40, 100, 100_000] {
            close(
                &scores(batch_tokens),
                &alone,
                1e-5,
                &format!("{model}, {batch_tokens} tokens a batch"),
            );
        }
    }
}

#[test]
fn golden_models_are_saved_under_the_names_they_came_with() {
    for model in MODELS {
        let home = tempfile::tempdir().unwrap();
        SequenceClassifier::load(&dir(model), &device())
            .unwrap()
            .save(home.path(), WeightType::F32)
            .unwrap();
        let saved = ModelDir::open(home.path()).unwrap();
        let (weights, expected) = (saved.weights().unwrap(), dir(model).weights().unwrap());
        assert_eq!(weights.names().collect::<Vec<_>>(), expected.names().collect::<Vec<_>>());
        for name in expected.names() {
            assert_eq!(weights.shape(name), expected.shape(name), "{name}");
        }
        let (saved, expected): (Value, Value) =
            (saved.config().unwrap(), dir(model).config().unwrap());
        for (key, value) in saved.as_object().unwrap() {
            assert_eq!(value, &expected[key], "{model}: {key}");
        }
    }
}
