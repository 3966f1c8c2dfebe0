//! Models and data that are damaged: one message with the file, exit code 1 or 2, no panic.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::program::{Outcome, run};

/// A copy of an embedded model that may be damaged.
fn copy(folder: &TempDir, model: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../datasets").join(model);
    let target = folder.path().join(model);
    fs::create_dir(&target).unwrap();
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        fs::copy(source.join(file), target.join(file)).unwrap();
    }
    target
}

fn with_policy(damage: impl FnOnce(&Path)) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let model = copy(&folder, "gpt2-reviews");
    damage(&model);
    let outcome = run(
        folder.path(),
        &[
            "reproduce",
            "imdb",
            "--preset",
            "smoke",
            "--policy",
            model.to_str().unwrap(),
            "--out",
            "run",
        ],
    );
    assert!(!folder.path().join("run").exists(), "a run that could not begin leaves nothing");
    outcome
}

/// Replaces text in the header of a safetensors file by text of the same length.
fn edit_header(path: &Path, from: &str, to: &str) {
    assert_eq!(from.len(), to.len());
    let mut bytes = fs::read(path).unwrap();
    let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
    bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_prompt_longer_than_the_context_is_a_wrong_call() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = run(
        folder.path(),
        &[
            "reproduce",
            "imdb",
            "--preset",
            "smoke",
            "--set",
            "data.prompt_tokens=500",
            "--out",
            "run",
        ],
    );
    outcome.refused(2, &["data.prompt_tokens = 500", "context has 128"]);
    assert!(!folder.path().join("run").exists());
}

#[test]
fn a_missing_tensor_is_named() {
    let outcome = with_policy(|dir| {
        edit_header(&dir.join("model.safetensors"), "ln_f.weight", "ln_g.weight")
    });
    outcome.refused(
        1,
        &["model.safetensors", "ln_f.weight is missing, expected a tensor of shape [192]"],
    );
}

#[test]
fn a_misshapen_tensor_is_named_with_both_shapes() {
    let outcome = with_policy(|dir| {
        let path = dir.join("config.json");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("\"n_positions\": 128", "\"n_positions\": 130")).unwrap();
    });
    outcome.refused(1, &["wpe.weight has shape [128, 192], expected [130, 192]"]);
}

#[test]
fn corrupt_weights_are_refused() {
    let cut = with_policy(|dir| {
        let path = dir.join("model.safetensors");
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    });
    cut.refused(1, &["model.safetensors", "the file was cut short"]);
    with_policy(|dir| fs::write(dir.join("model.safetensors"), b"not weights at all").unwrap())
        .refused(1, &["model.safetensors"]);
}

#[test]
fn a_missing_or_broken_tokenizer_is_named() {
    with_policy(|dir| fs::remove_file(dir.join("tokenizer.json")).unwrap())
        .refused(1, &["tokenizer.json", "missing"]);
    with_policy(|dir| fs::write(dir.join("tokenizer.json"), "{}").unwrap())
        .refused(1, &["tokenizer.json", "cannot be used as a tokenizer"]);
}

#[test]
fn a_tokenizer_of_another_model_is_refused() {
    let outcome = with_policy(|dir| {
        let path = dir.join("tokenizer.json");
        let mut tokenizer: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let added = serde_json::json!({
            "id": 4096,
            "content": "<one more>",
            "single_word": false,
            "lstrip": false,
            "rstrip": false,
            "normalized": false,
            "special": true,
        });
        tokenizer["added_tokens"].as_array_mut().unwrap().push(added);
        fs::write(&path, tokenizer.to_string()).unwrap();
    });
    outcome.refused(
        1,
        &[
            "tokenizer.json",
            "a token beyond the model's vocabulary of 4096 embeddings",
            "\"<one more>\" (4096)",
        ],
    );
}

#[test]
fn a_tail_without_prompts_is_refused_before_anything_is_trained() {
    let folder = tempfile::tempdir().unwrap();
    let words = [
        "reproduce",
        "imdb",
        "--preset",
        "smoke",
        "--set",
        "evaluation.tail_threshold=-50",
        "--out",
        "run",
    ];
    run(folder.path(), &words).refused(2, &["evaluation.tail_threshold is -50", "lowest score"]);
    assert!(!folder.path().join("run").exists());
}

#[test]
fn a_config_that_is_no_model_is_refused_by_its_key() {
    let outcome =
        with_policy(|dir| fs::write(dir.join("config.json"), "{\"n_embd\": 192}").unwrap());
    outcome.refused(1, &["config.json", "vocab_size"]);
}

#[test]
fn data_without_the_column_lists_those_there() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("train.csv"), "body,label\nx,1\n").unwrap();
    let outcome = run(
        folder.path(),
        &["reproduce", "imdb", "--preset", "smoke", "--data-dir", ".", "--out", "run"],
    );
    outcome.refused(1, &["train.csv", "no column \"text\" or \"review\"", "body, label"]);
}

#[test]
fn too_few_reviews_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let review = "word ".repeat(60);
    for split in ["train", "test"] {
        fs::write(
            folder.path().join(format!("{split}.csv")),
            format!("text,label\n{review},1\n{review},0\n"),
        )
        .unwrap();
    }
    let outcome = run(
        folder.path(),
        &["reproduce", "imdb", "--preset", "smoke", "--data-dir", ".", "--out", "run"],
    );
    let said = [
        "training prompts: 2, expected at least 8 (ppo.batch_size)",
        "evaluation prompts: 2, expected at least",
        "evaluation texts of the good class: 1, expected at least",
        "--set ppo.batch_size=2 --set ppo.minibatch_size=2 --set evaluation.prompts=2 --set \
         evaluation.perplexity_texts=1",
    ];
    outcome.refused(1, &said);
}

/// Flips one bit in the middle of a file, and gives what it was.
fn flip(path: &Path) -> Vec<u8> {
    let sound = fs::read(path).unwrap();
    let mut bytes = sound.clone();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
    sound
}

#[test]
fn a_run_goes_on_with_what_it_wrote_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let words = ["reproduce", "imdb", "--preset", "smoke", "--out", "run", "--set", "run.seeds=1"];
    assert_eq!(run(folder.path(), &words).code, Some(0));
    let dir = folder.path().join("run");
    let results = fs::read(dir.join("results.json")).unwrap();
    // as if the last phase had not been reached
    fs::remove_file(dir.join("evaluation/seed-1-ra-rlhf.json")).unwrap();
    for file in [
        "evaluation/seed-1-sft.json",
        "evaluation/seed-1-sft.sha256",
        "generations/seed-1-rlhf.parquet",
        "checkpoints/seed-1-sft/model/model.safetensors",
        "checkpoints/seed-1-ra-rlhf/model/model.safetensors",
    ] {
        let sound = flip(&dir.join(file));
        run(folder.path(), &[&words[..], &["--resume"]].concat())
            .refused(1, &[dir.join(file).file_stem().unwrap().to_str().unwrap()]);
        fs::write(dir.join(file), sound).unwrap();
    }
    let config = fs::read_to_string(dir.join("config.toml")).unwrap();
    fs::write(dir.join("config.toml"), config.replacen("kl_coef = 0.1", "kl_coef = 0.3", 1))
        .unwrap();
    run(folder.path(), &["reproduce", "imdb", "--out", "run", "--resume"])
        .refused(2, &["other contents of: settings"]);
    fs::write(dir.join("config.toml"), config).unwrap();
    assert_eq!(run(folder.path(), &[&words[..], &["--resume"]].concat()).code, Some(0));
    assert_eq!(fs::read(dir.join("results.json")).unwrap(), results);
}
