//! Configurations, tokenizers and weights: which are read, and which are refused in which words.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;

use burn::tensor::Device;
use serde_json::{Value, json};
use tailguard_checkpoint::CheckpointError;
use tailguard_reward::{
    BertConfig, Classifier, DistilBertConfig, RewardError, RewardModel, RobertaConfig,
    ScoreSettings,
};

use crate::fixtures::{
    Stored, bert, config, edit_config, edit_weights, load, misfit, model_dir, models, refused,
    roberta, save, settings, write_tokenizer,
};

#[test]
fn another_architecture_is_named() {
    let home = tempfile::tempdir().unwrap();
    let dir = model_dir(&home);
    for (json, found) in [(r#"{"model_type": "xlnet"}"#, "xlnet"), ("{}", "")] {
        fs::write(dir.path().join("config.json"), json).unwrap();
        let message = refused(&dir, settings()).to_string();
        let expected = format!(
            r#"has model_type "{found}", expected one of ["distilbert", "bert", "roberta"]"#
        );
        assert!(message.ends_with(&expected), "{message}");
    }
}

#[test]
fn a_configuration_that_fits_no_model_is_refused() {
    let device = Device::flex();
    let cases = [
        (
            DistilBertConfig { n_heads: 3, ..config() }.init(0, &device),
            "dim 8, expected a multiple of n_heads 3",
        ),
        (
            DistilBertConfig { n_layers: 0, ..config() }.init(0, &device),
            "n_layers 0, expected at least 1",
        ),
        (
            BertConfig { num_attention_heads: 5, ..bert() }.init(0, &device),
            "hidden_size 8, expected a multiple of num_attention_heads 5",
        ),
        (
            BertConfig { type_vocab_size: 0, ..bert() }.init(0, &device),
            "type_vocab_size 0, expected at least 1",
        ),
        (
            BertConfig { id2label: BTreeMap::new(), ..bert() }.init(0, &device),
            "number of labels 0, expected at least 1",
        ),
        (
            BertConfig { max_position_embeddings: 0, ..bert() }.init(0, &device),
            "max_position_embeddings 0, expected at least 1",
        ),
        (
            BertConfig { pad_token_id: 8, ..bert() }.init(0, &device),
            "pad_token_id 8, expected less than vocab_size 8",
        ),
        (
            RobertaConfig(BertConfig { max_position_embeddings: 2, ..roberta().0 })
                .init(0, &device),
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
    let dir =
        save(&BertConfig { id2label: labels, ..bert() }.init(7, &Device::flex()).unwrap(), &home);
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
    assert!(
        matches!(&error, CheckpointError::Shape { expected, .. } if expected == &[2, 8]),
        "{error}"
    );
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
    assert_eq!(
        message,
        "max_length is 15, expected at least 3 and at most the model's 14 positions"
    );
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
    assert!(
        matches!(&error, CheckpointError::Shape { expected, .. } if expected == &[50_265, 8]),
        "{error}"
    );
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
        &[
            ("bert.embeddings.position_ids", "I64", &[1, 16], &positions),
            ("cls.predictions.bias", "F32", &[8], &square[..4 * 8]),
        ],
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
        assert!(
            matches!(&error, CheckpointError::Unused { names, .. } if names == &["score.bias"]),
            "{error}"
        );
    }
}

#[test]
fn layer_norms_may_have_their_old_names() {
    let (home, again) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let dir = save(&models()[1], &home);
    let weights = fs::read(dir.path().join("model.safetensors")).unwrap();
    let old = |name: &str| {
        name.replace("LayerNorm.weight", "LayerNorm.gamma")
            .replace("LayerNorm.bias", "LayerNorm.beta")
    };
    edit_weights(&dir, old, &[]);
    assert!(dir.weights().unwrap().contains("bert.encoder.layer.1.output.LayerNorm.gamma"));
    let dir = save(&load(&dir).unwrap(), &again);
    assert!(fs::read(dir.path().join("model.safetensors")).unwrap() == weights);
}

#[test]
fn an_activation_that_is_not_there_is_named() {
    let home = tempfile::tempdir().unwrap();
    let dir = model_dir(&home);
    fs::write(
        dir.path().join("config.json"),
        r#"{"model_type": "distilbert", "activation": "silu"}"#,
    )
    .unwrap();
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
            matches!(
                (&error, is_json),
                (CheckpointError::Json { .. }, false) | (CheckpointError::Tokenizer { .. }, true)
            ),
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
        matches!(
            &error,
            RewardError::Checkpoint(CheckpointError::Vocabulary { tokens, vocab_size: 8, .. })
                if tokens == &["\"8\" (8)"]
        ),
        "{error}"
    );
}

#[test]
fn weights_of_another_configuration_are_refused() {
    let keys = [
        ("n_layers", "hidden_dim", "distilbert.transformer.layer.2.attention.q_lin.weight"),
        (
            "num_hidden_layers",
            "intermediate_size",
            "bert.encoder.layer.2.attention.self.query.weight",
        ),
        (
            "num_hidden_layers",
            "intermediate_size",
            "roberta.encoder.layer.2.attention.self.query.weight",
        ),
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
        assert!(
            matches!(&fewer, CheckpointError::Unused { names, .. } if names.len() == 16),
            "{fewer}"
        );
        let more = changed(layers, 3);
        assert!(
            matches!(&more, CheckpointError::MissingTensor { name, .. } if name == missing),
            "{more}"
        );
        let wider = changed(inner, 10);
        assert!(
            matches!(
                &wider,
                CheckpointError::Shape { found, expected, .. }
                    if found == &[12, 8] && expected == &[10, 8]
            ),
            "{wider}"
        );
    }
}

#[test]
fn sizes_beyond_all_memory_are_refused_before_any_is_taken() {
    let keys =
        [("vocab_size", "dim"), ("vocab_size", "hidden_size"), ("vocab_size", "hidden_size")];
    for (model, (vocabulary, width)) in models().iter().zip(keys) {
        for key in [
            vocabulary,
            "max_position_embeddings",
            width,
            "n_layers",
            "num_hidden_layers",
            "type_vocab_size",
        ] {
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
        edit_weights(
            &dir,
            |name| if name == missing { "lost".to_owned() } else { name.to_owned() },
            &[],
        );
        let error = misfit(&dir);
        assert!(
            matches!(&error, CheckpointError::MissingTensor { name, .. } if name == missing),
            "{error}"
        );
    }
}
