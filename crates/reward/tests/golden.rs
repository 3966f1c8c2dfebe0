//! Classifiers against Hugging Face transformers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on shall say where")]

use burn::tensor::Device;
use tailguard_checkpoint::ModelDir;
use tailguard_reward::{Classifier, RewardModel, ScoreSettings};
use tailguard_tests::{cases, close, count, counts, floats, golden, list, texts};

/// Tolerance of the fixtures for logits.
const TOLERANCE: f64 = 1e-4;

fn settings(max_length: usize) -> ScoreSettings {
    ScoreSettings { label: 0, max_length, ..Default::default() }
}

fn positions(dir: &ModelDir) -> usize {
    count(&dir.config::<serde_json::Value>().unwrap()["max_position_embeddings"])
}

#[test]
fn golden_distilbert_tokens_and_logits() {
    let dir = ModelDir::open(golden("distilbert")).unwrap();
    for (index, case) in list(&cases("distilbert/cases.json")["batches"]).iter().enumerate() {
        let max_length = if case["truncate_to"].is_null() { positions(&dir) } else { count(&case["truncate_to"]) };
        let classifier = Classifier::load(&dir, settings(max_length), &Device::flex()).unwrap();
        let texts = texts(&case["texts"]);

        let encoded = classifier.encode(&texts).unwrap();
        let rows = list(&case["input_ids"]).iter().zip(list(&case["attention_mask"]));
        let expected: Vec<Vec<usize>> = rows.map(|(ids, mask)| counts(ids)[..counts(mask).iter().sum()].to_vec()).collect();
        let found: Vec<Vec<usize>> =
            encoded.iter().map(|ids| ids.iter().map(|&id| usize::try_from(id).unwrap()).collect()).collect();
        assert_eq!(found, expected, "batch {index}: token ids");

        let logits = classifier.logits(&texts).unwrap();
        close(&logits.concat(), &floats(&case["logits"]), TOLERANCE, &format!("batch {index}: logits"));
    }
}

#[test]
fn golden_distilbert_labels_and_signs() {
    let dir = ModelDir::open(golden("distilbert")).unwrap();
    let case = &cases("distilbert/cases.json")["batches"][0];
    let texts = texts(&case["texts"]);
    let rows: Vec<Vec<f64>> = list(&case["logits"]).iter().map(floats).collect();
    for label in 0..rows[0].len() {
        for negate in [false, true] {
            let settings = ScoreSettings { label, negate, ..settings(positions(&dir)) };
            let classifier = Classifier::load(&dir, settings, &Device::flex()).unwrap();
            let expected: Vec<f64> = rows.iter().map(|row| if negate { -row[label] } else { row[label] }).collect();
            close(&classifier.score(&texts).unwrap(), &expected, TOLERANCE, &format!("label {label}, negate {negate}"));
        }
    }
}

#[test]
fn golden_distilbert_scores_do_not_depend_on_the_batch() {
    let dir = ModelDir::open(golden("distilbert")).unwrap();
    let all: Vec<String> =
        list(&cases("distilbert/cases.json")["batches"]).iter().flat_map(|case| texts(&case["texts"])).collect();
    let scores = |batch_tokens| {
        let settings = ScoreSettings { batch_tokens, ..settings(positions(&dir)) };
        Classifier::load(&dir, settings, &Device::flex()).unwrap().score(&all).unwrap()
    };
    let alone = scores(1);
    for batch_tokens in [40, 100, 100_000] {
        close(&scores(batch_tokens), &alone, 1e-5, &format!("{batch_tokens} tokens a batch"));
    }
}
