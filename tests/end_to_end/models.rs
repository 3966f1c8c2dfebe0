//! Model directories as other people's tools write them: loaded, or answered in one sentence with
//! the way out.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::{Outcome, run};

/// Type, shape and bytes of a tensor.
type Stored = (String, Vec<usize>, Vec<u8>);
type Tensors = BTreeMap<String, Stored>;

const GPT2: &str = "gpt2-reviews";
const CLASSIFIER: &str = "distilbert-reviews";
const WEIGHTS: &str = "model.safetensors";

fn embedded(model: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../datasets").join(model)
}

fn read(path: &Path) -> Tensors {
    let bytes = fs::read(path).unwrap();
    let (length, rest) = bytes.split_first_chunk().unwrap();
    let (header, data) = rest.split_at(usize::try_from(u64::from_le_bytes(*length)).unwrap());
    let header: BTreeMap<String, Value> = serde_json::from_slice(header).unwrap();
    let tensors =
        header.into_iter().filter(|(name, _)| name != "__metadata__").map(|(name, entry)| {
            let number = |value: &Value| usize::try_from(value.as_u64().unwrap()).unwrap();
            let shape = entry["shape"].as_array().unwrap().iter().map(number).collect();
            let [begin, end] = [0, 1].map(|side| number(&entry["data_offsets"][side]));
            (name, (entry["dtype"].as_str().unwrap().to_owned(), shape, data[begin..end].to_vec()))
        });
    tensors.collect()
}

fn write(path: &Path, tensors: &Tensors) {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, (dtype, shape, bytes)) in tensors {
        let offsets = [data.len(), data.len() + bytes.len()];
        header.insert(
            name.clone(),
            json!({ "dtype": dtype, "shape": shape, "data_offsets": offsets }),
        );
        data.extend(bytes);
    }
    let header = Value::Object(header).to_string();
    fs::write(path, [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat())
        .unwrap();
}

/// A directory that is about to be changed, with the names of an embedded model's files.
struct Model(TempDir);

impl Model {
    fn of(model: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        for file in ["config.json", WEIGHTS, "tokenizer.json"] {
            fs::copy(embedded(model).join(file), home.path().join(file)).unwrap();
        }
        Self(home)
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    fn config(&self, key: &str, value: Value) {
        let mut config: Value =
            serde_json::from_slice(&fs::read(self.path("config.json")).unwrap()).unwrap();
        config[key] = value;
        fs::write(self.path("config.json"), config.to_string()).unwrap();
    }

    fn tensors(&self, change: impl FnOnce(&mut Tensors)) {
        let mut tensors = read(&self.path(WEIGHTS));
        change(&mut tensors);
        write(&self.path(WEIGHTS), &tensors);
    }

    fn rename(&self, rename: impl Fn(&str) -> String) {
        self.tensors(|tensors| {
            *tensors = std::mem::take(tensors)
                .into_iter()
                .map(|(name, stored)| (rename(&name), stored))
                .collect();
        });
    }

    /// Puts an empty file, or one of this text, in place of another.
    fn instead_of(&self, file: &str, other: &str, text: &str) {
        fs::remove_file(self.path(file)).unwrap();
        fs::write(self.path(other), text).unwrap();
    }

    /// The weights in two files with an index.
    fn shard(&self) {
        let tensors = read(&self.path(WEIGHTS));
        let file = |at: usize| format!("model-0000{}-of-00002.safetensors", 1 + at % 2);
        let places: BTreeMap<&String, String> =
            tensors.keys().enumerate().map(|(at, name)| (name, file(at))).collect();
        for at in [0, 1] {
            let part = tensors.iter().filter(|(name, _)| places[name] == file(at));
            write(
                &self.path(&file(at)),
                &part.map(|(name, stored)| (name.clone(), stored.clone())).collect(),
            );
        }
        let index = json!({ "metadata": { "total_size": 1 }, "weight_map": places });
        self.instead_of(WEIGHTS, "model.safetensors.index.json", &index.to_string());
    }
}

fn zeros(shape: &[usize]) -> Stored {
    ("F32".to_owned(), shape.to_vec(), vec![0; 4 * shape.iter().product::<usize>()])
}

fn sample(words: &[&str]) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &[&["sample", "--prompt", "This film", "--tokens", "8"], words].concat())
}

fn continued(model: &Path) -> Outcome {
    sample(&["--model", model.to_str().unwrap()])
}

fn scored(model: &Model, words: &[&str]) -> Outcome {
    sample(&[&["--reward", model.0.path().to_str().unwrap()], words].concat())
}

/// What is done to a model, and its name.
type Row = (&'static str, fn(&Model));

#[test]
fn the_same_gpt2_in_other_dress_writes_the_same_text() {
    let rows: [Row; 12] = [
        ("TRL's value head", |model| {
            model.tensors(|tensors| {
                tensors.insert("v_head.summary.weight".to_owned(), zeros(&[1, 192]));
                tensors.insert("v_head.summary.bias".to_owned(), zeros(&[1]));
            });
        }),
        ("TRL's prefix", |model| model.rename(|name| format!("pretrained_model.{name}"))),
        ("trlX", |model| {
            model.rename(|name| format!("base_model.{name}"));
            model.tensors(|tensors| {
                tensors.insert("v_head.0.weight".to_owned(), zeros(&[384, 192]));
            });
        }),
        ("torch.compile", |model| model.rename(|name| format!("_orig_mod.{name}"))),
        ("DataParallel", |model| model.rename(|name| format!("module.{name}"))),
        ("both", |model| model.rename(|name| format!("module._orig_mod.{name}"))),
        ("without its own prefix", |model| model.rename(|name| name.replace("transformer.", ""))),
        ("a tied head alone", |model| {
            model.rename(|name| name.replace("transformer.wte.weight", "lm_head.weight"))
        }),
        ("causal masks", |model| {
            model.tensors(|tensors| {
                tensors.insert("transformer.h.0.attn.bias".to_owned(), zeros(&[1, 1, 8, 8]));
            });
        }),
        ("shards", Model::shard),
        ("a list of one end token", |model| model.config("eos_token_id", json!([4095]))),
        ("an old name of the context", |model| {
            model.config("n_ctx", json!(128));
            let text = fs::read_to_string(model.path("config.json")).unwrap();
            fs::write(model.path("config.json"), text.replace("n_positions", "no_such_key"))
                .unwrap();
        }),
    ];
    let expected = continued(&embedded(GPT2));
    assert_eq!(expected.code, Some(0), "{expected:?}");
    for (what, change) in rows {
        let model = Model::of(GPT2);
        change(&model);
        let found = continued(model.0.path());
        assert_eq!(
            (found.code, &found.stdout, found.stderr.as_str()),
            (Some(0), &expected.stdout, ""),
            "{what}"
        );
    }
}

/// What is changed, and words of the answer.
type Refused = (fn(&Model), &'static [&'static str]);

#[test]
fn what_is_no_gpt2_to_load_is_named_with_the_way_out() {
    let rows: [Refused; 11] = [
        (
            |model| model.instead_of(WEIGHTS, "pytorch_model.bin", "PK"),
            &["pytorch_model.bin", "safe_serialization=True"],
        ),
        (
            |model| {
                fs::remove_file(model.path(WEIGHTS)).unwrap();
                model.instead_of(
                    "config.json",
                    "adapter_config.json",
                    r#"{"base_model_name_or_path": "gpt2"}"#,
                );
            },
            &["a PEFT adapter", "\"gpt2\"", "merge_and_unload"],
        ),
        (
            |model| {
                model.instead_of(
                    WEIGHTS,
                    WEIGHTS,
                    "version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 5\n",
                )
            },
            &["a pointer of Git LFS", "lfs pull"],
        ),
        (
            |model| model.instead_of("tokenizer.json", "vocab.json", "{}"),
            &["tokenizer.json is missing", "vocab.json", "AutoTokenizer"],
        ),
        (
            |model| model.config("eos_token_id", json!(-1)),
            &["eos_token_id is -1", "the id of one token, or null"],
        ),
        (|model| model.config("bos_token_id", json!([1, 2])), &["bos_token_id is [1,2]"]),
        (
            |model| {
                model.shard();
                fs::remove_file(model.path("model-00002-of-00002.safetensors")).unwrap();
            },
            &["names a file that is not beside it: model-00002-of-00002.safetensors"],
        ),
        (
            |model| {
                model.tensors(|tensors| {
                    tensors.retain(|name, _| !name.contains("ln_f") && !name.contains("h.3.mlp"))
                })
            },
            &[
                "h.3.mlp.c_fc.weight is missing, expected a tensor of shape [192, 768]",
                "5 others",
                "ln_f.bias",
            ],
        ),
        (
            |model| {
                model.tensors(|tensors| {
                    tensors.insert("score.weight".to_owned(), zeros(&[2, 192]));
                });
            },
            &["a tensor that the model does not have: score.weight"],
        ),
        (|model| model.config("tie_word_embeddings", json!(false)), &["lm_head.weight is missing"]),
        (
            |model| {
                let path = model.path("tokenizer.json");
                let mut tokenizer: Value =
                    serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
                let added = json!({
                    "id": 4096,
                    "content": "[PAD]",
                    "single_word": false,
                    "lstrip": false,
                    "rstrip": false,
                    "normalized": false,
                    "special": true,
                });
                tokenizer["added_tokens"].as_array_mut().unwrap().push(added);
                fs::write(&path, tokenizer.to_string()).unwrap();
            },
            &["a token beyond the model's vocabulary of 4096 embeddings", "\"[PAD]\" (4096)"],
        ),
    ];
    for (change, words) in rows {
        let model = Model::of(GPT2);
        change(&model);
        continued(model.0.path()).refused(1, words);
    }
}

/// A classifier of labels with these names, whose logits are those of the embedded one's label 1
/// times 1, -2, 3, ...
fn labelled(names: &[&str]) -> Model {
    let model = Model::of(CLASSIFIER);
    let ids: BTreeMap<String, &&str> =
        names.iter().enumerate().map(|(id, name)| (id.to_string(), name)).collect();
    model.config("id2label", json!(ids));
    let bytes =
        |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    model.tensors(|tensors| {
        let width = tensors["classifier.weight"].1[1];
        let factor =
            |label: usize| if label.is_multiple_of(2) { 1.0 } else { -1.0 } * (1 + label) as f32;
        let row: Vec<f32> = (0..width).map(|at| (at as f32).sin()).collect();
        let rows: Vec<f32> = (0..names.len())
            .flat_map(|label| row.iter().map(move |value| factor(label) * value))
            .collect();
        tensors.insert(
            "classifier.weight".to_owned(),
            ("F32".to_owned(), vec![names.len(), width], bytes(&rows)),
        );
        let bias = vec![0.0; names.len()];
        tensors.insert(
            "classifier.bias".to_owned(),
            ("F32".to_owned(), vec![names.len()], bytes(&bias)),
        );
    });
    model
}

const SIX: [&str; 6] =
    ["toxicity", "severe_toxicity", "obscene", "threat", "insult", "identity_attack"];

#[test]
fn a_classifier_says_which_label_its_score_is() {
    let rows: [(&[&str], &[&str], &str); 7] = [
        (&["LABEL_0"], &[], "the logit of label 0 (LABEL_0)"),
        (&["LABEL_0", "LABEL_1"], &[], "the logit of label 1 (LABEL_1)"),
        (&["POSITIVE", "NEGATIVE"], &[], "the logit of label 0 (POSITIVE)"),
        (&["neutral", "toxic"], &["--negate"], "minus the logit of label 1 (toxic)"),
        (&SIX, &["--label", "threat"], "the logit of label 3 (threat)"),
        (&SIX, &["--label", "3"], "the logit of label 3 (threat)"),
        (&SIX, &["--label", "Insult", "--negate"], "minus the logit of label 4 (insult)"),
    ];
    for (names, words, said) in rows {
        let outcome = scored(&labelled(names), words);
        assert!(
            outcome.code == Some(0) && outcome.stdout.contains(said),
            "{names:?} {words:?}: {outcome:?}"
        );
    }
    let all = "0 (toxicity), 1 (severe_toxicity), 2 (obscene), 3 (threat), 4 (insult), 5 \
        (identity_attack)";
    scored(&labelled(&SIX), &[])
        .refused(1, &["which label is the score must be said, by number or name", all]);
    scored(&labelled(&SIX), &["--label", "rudeness"])
        .refused(1, &["there is no label \"rudeness\"", all]);
    scored(&labelled(&["LABEL_0"]), &["--label", "1"])
        .refused(1, &["there is no label 1", "0 (LABEL_0)"]);
}

#[test]
fn what_is_no_classifier_to_load_is_named_with_the_way_out() {
    let rows: [Refused; 4] = [
        (
            |model| model.instead_of("tokenizer.json", "vocab.txt", ""),
            &["tokenizer.json is missing", "(vocab.txt)", "AutoTokenizer"],
        ),
        (
            |model| {
                model.tensors(|tensors| tensors.retain(|name, _| name.starts_with("distilbert.")))
            },
            &["pre_classifier.weight is missing", "others", "classifier.bias"],
        ),
        (
            |model| {
                model.tensors(|tensors| {
                    tensors.extend([("distilbert.extra".to_owned(), zeros(&[1]))])
                })
            },
            &["a tensor that the model does not have: distilbert.extra"],
        ),
        (
            |model| model.config("model_type", json!("deberta-v2")),
            &["model_type \"deberta-v2\"", "distilbert"],
        ),
    ];
    for (change, words) in rows {
        let model = Model::of(CLASSIFIER);
        change(&model);
        scored(&model, &[]).refused(1, words);
    }
}

#[test]
fn a_classifier_in_other_dress_gives_the_same_score() {
    let rows: [Row; 4] = [
        ("a head of pre-training", |model| {
            model.tensors(|tensors| {
                tensors.extend([("vocab_projector.bias".to_owned(), zeros(&[9]))])
            })
        }),
        ("a prefix", |model| model.rename(|name| format!("_orig_mod.{name}"))),
        ("shards", Model::shard),
        ("a tokenizer that cuts and pads", |model| {
            let path = model.path("tokenizer.json");
            let mut tokenizer: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            tokenizer["truncation"] = json!({
                "direction": "Right",
                "max_length": 3,
                "strategy": "LongestFirst",
                "stride": 0,
            });
            fs::write(&path, tokenizer.to_string()).unwrap();
        }),
    ];
    let expected = scored(&Model::of(CLASSIFIER), &[]);
    assert!(expected.stdout.contains("score "), "{expected:?}");
    for (what, change) in rows {
        let model = Model::of(CLASSIFIER);
        change(&model);
        let found = scored(&model, &[]);
        assert_eq!(
            (found.code, &found.stdout, found.stderr.as_str()),
            (Some(0), &expected.stdout, ""),
            "{what}"
        );
    }
}

#[test]
fn scores_that_overflow_are_named_as_the_cause() {
    let model = Model::of(CLASSIFIER);
    model.tensors(|tensors| {
        let (_, shape, _) = &tensors["classifier.weight"];
        let large = 1e30_f32.to_le_bytes().repeat(shape.iter().product());
        let stored = ("F32".to_owned(), shape.clone(), large);
        tensors.insert("classifier.weight".to_owned(), stored);
    });
    let folder = tempfile::tempdir().unwrap();
    let reward = model.0.path().to_str().unwrap();
    let outcome = run(
        folder.path(),
        &["reproduce", "imdb", "--preset", "smoke", "--reward", reward, "--out", "run"],
    );
    outcome.refused(
        1,
        &["reward", "scored", "expected a finite number", "whatever the learning rate"],
    );
    assert!(!folder.path().join("run").exists());
}
