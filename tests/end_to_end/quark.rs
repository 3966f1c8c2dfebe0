//! `recipe = "quark"`: what a run leaves of it, and that its model is what was compared.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tailguard_report::{Evaluation, Results, ResultsFile, RunDir, read_generations, read_log};

use crate::program::run;

const ARMS: &str = r#"
preset = "imdb-smoke"
[run]
seeds = 1
[evaluation]
prompts = 32
[[arm]]
key = "gpt2"
recipe = "base"
[[arm]]
key = "sft"
recipe = "sft"
from = "gpt2"
[[arm]]
key = "quark"
title = "Quark"
recipe = "quark"
from = "sft"
compared_with = ["sft"]
"#;

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn a_run_measures_the_policy_behind_the_best_token_and_saves_it() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("imdb.toml"), ARMS).unwrap();
    let outcome = run(folder.path(), &["train", "--config", "imdb.toml", "--out", "run"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(outcome.stdout.contains("Quark"), "{}", outcome.stdout);
    let dir = RunDir::open(&folder.path().join("run")).unwrap();

    // three rounds of 16 responses, the last with one step
    let rows = read_log(&dir.log_path("quark", 1)).unwrap();
    let column = |name: &str| rows.iter().map(|row| row.values[name]).collect::<Vec<f64>>();
    assert_eq!(column("quark_pool"), [16.0, 32.0, 48.0]);
    assert_eq!(column("quark_steps"), [2.0, 4.0, 5.0]);
    assert_eq!(column("length"), [8.0; 3]);
    let kl = column("kl");
    assert!(kl[0].abs() < 1e-3 && kl[1..].iter().all(|kl| kl.abs() > 1e-3), "{kl:?}");
    for (at, loss) in column("quark_loss").into_iter().enumerate() {
        let [nll, kl, entropy] =
            ["quark_nll", "quark_token_kl", "quark_token_entropy"].map(|name| column(name)[at]);
        assert!((loss - (nll + 0.05 * kl - 0.06 * entropy)).abs() < 1e-9 && entropy > 0.5);
    }
    assert!(!dir.checkpoint_path("quark", 1).join("state").exists());

    // the vocabulary of the directory has grown by the control tokens, of which none is drawn
    let model = dir.checkpoint_path("quark", 1).join("model");
    let config = json(&model.join("config.json"));
    assert_eq!(
        [&config["vocab_size"], &config["control_tokens"], &config["prefix_token_id"]],
        [&json!(4101), &json!(5), &json!(4096)]
    );
    let suppressed = &json(&model.join("generation_config.json"))["suppress_tokens"];
    assert_eq!(*suppressed, json!([4096, 4097, 4098, 4099, 4100]));

    // prompts are what they are for all, and the texts are other texts
    let texts = |arm: &str| read_generations(&dir.method_generations_path(arm, 1)).unwrap();
    let (quark, sft) = (texts("quark"), texts("sft"));
    assert_eq!(quark.len(), 32);
    for (one, other) in quark.iter().zip(&sft) {
        assert_eq!((&one.prompt, one.prompt_score), (&other.prompt, other.prompt_score));
        assert_eq!(one.tokens, Some(8));
    }
    assert!(quark.iter().zip(&sft).any(|(one, other)| one.response != other.response));

    let results = Results::read(&folder.path().join("run/results.json")).unwrap();
    let found = &results.methods["quark"];
    assert!(found.kl.unwrap().mean.abs() > 1e-3 && found.perplexity_human.is_some(), "{found:?}");
    let compared: Vec<_> = results.comparisons.iter().map(|one| (&one.method, &one.over)).collect();
    assert_eq!(compared, [(&"quark".to_owned(), &"sft".to_owned())]);

    // the directory alone, token and all, gives the same figures
    let model = model.display().to_string();
    let small = ["--preset", "smoke", "--set", "run.seeds=1", "--set", "evaluation.prompts=32"];
    let words = ["evaluate", "--model", &model, "--task", "imdb", "--out", "out"];
    let evaluated = run(folder.path(), &[&words, &small[..]].concat());
    assert_eq!(evaluated.code, Some(0), "{}", evaluated.stderr);
    let evaluation = Evaluation::read(&folder.path().join("out/results.json")).unwrap();
    let again = evaluation.methods.values().next().unwrap();
    // what a run knows of its arms alone
    let is_of_run =
        |key: &str| key == "kl" || key.starts_with("making_") || key.starts_with("answer_");
    for (key, figure) in found.figures().filter(|(key, _)| !is_of_run(key)) {
        let (_, other) = again.figures().find(|(other, _)| *other == key).unwrap();
        assert!((other.mean - figure.mean).abs() < 1e-9, "{key}: {other:?}, expected {figure:?}");
    }

    // what is lost of the training is made again, as it was
    let before = fs::read(folder.path().join("run/results.json")).unwrap();
    fs::remove_dir_all(dir.checkpoint_path("quark", 1)).unwrap();
    for path in [dir.evaluation_path("quark", 1), dir.method_generations_path("quark", 1)] {
        fs::remove_file(path).unwrap();
    }
    drop(dir); // it is locked
    let resumed = run(folder.path(), &["train", "--out", "run", "--resume"]);
    assert_eq!(resumed.code, Some(0), "{}", resumed.stderr);
    let after = fs::read(folder.path().join("run/results.json")).unwrap();
    assert!(before == after, "{}", String::from_utf8_lossy(&after));
}

#[test]
fn what_quark_cannot_do_is_refused_with_the_key() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("imdb.toml"), ARMS).unwrap();
    let refused = |setting: &str, code: i32, words: &[&str]| {
        let train = ["train", "--config", "imdb.toml", "--out", "refused", "--set", setting];
        run(folder.path(), &train).refused(code, words);
    };
    refused("quark.warmup=5", 2, &["quark.warmup = 5", "quark.steps is 5"]);
    refused("quark.buckets=1", 2, &["quark.buckets", "1"]);
    refused("quark.prompts=4", 2, &["quark.batch_size = 8", "quark.prompts is 4"]);
}
