//! What the calls read: tables, models and runs, made by the program itself and the fixtures.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::child;

/// Copies a file or a folder, and makes the folder that it is to be in.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    if from.is_dir() {
        fs::create_dir_all(to)?;
        return fs::read_dir(from)?.try_for_each(|entry| {
            let name = entry?.file_name();
            copy(&from.join(&name), &to.join(name))
        });
    }
    to.parent().map(fs::create_dir_all).transpose()?;
    fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
    Ok(())
}

const SETTINGS: &str = r#"task = "tiny"
preset = "imdb-smoke"

[run]
seeds = 1
threads = 1

[data]
dir = "data"
text_column = "text"
score_columns = ["label"]
good = "high"
threshold = 0.5
min_chars = 1
prompt_tokens = 4

[policy]
dir = "policy"

[reward]
dir = "distilbert"
label = 1
negate = false
max_length = 32

[judge]
dir = "judge"

[sampling]
temperature = 1.0
top_k = 0
top_p = 1.0
max_new_tokens = 4
end_of_text = "mask"

[sft]
steps = 2
batch_size = 2
learning_rate = 1e-4
text_tokens = 12

[ppo]
iterations = 4
batch_size = 4
minibatch_size = 2
epochs = 1
learning_rate = 1e-4
kl_coef = 0.1
kl_horizon = 10_000.0
gamma = 1.0
lambda = 0.95
clip = 0.2

[risk]
alpha = 0.4
warmup = 1
rho = 0.95

[evaluation]
prompts = 12
tail_threshold = 100.0
other_tails = [0.0]
perplexity_texts = 4
shown_samples = 1
"#;

/// Models of the golden tests, in the checkout that this was built from.
const MODELS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../golden");

/// Fills a folder with all that the calls read.
pub(super) fn make(program: &Path, ground: &Path) -> Result<()> {
    fs::write(ground.join("run.toml"), SETTINGS)?;
    for name in ["distilbert", "bert", "roberta"] {
        copy(&Path::new(MODELS).join(name), &ground.join(name))?;
        for other in ["cases.json", "generate.py"] {
            fs::remove_file(ground.join(name).join(other)).ok();
        }
    }
    texts(ground)?;
    let common = "--train data/train.csv --test data/test.csv --threads 1";
    call(
        program,
        ground,
        &format!(
            "pretrain lm {common} --out policy --vocab-size 280 --layers 1 --width 8 --heads 2 \
             --context 32 --steps 2 --batch-size 2"
        ),
    )?;
    call(program, ground, &format!("pretrain judge {common} --out judge --buckets 64 --epochs 1"))?;
    // what training wrote beside the model
    fs::remove_dir_all(ground.join("policy/checkpoint"))?;
    call(program, ground, "train --config run.toml --out run")?;
    call(program, ground, "train --config run.toml --seed 2 --out run-2")?;
    stopped(program, ground)
}

/// Tables to train on and tables of generated texts.
fn texts(ground: &Path) -> Result<()> {
    let moods = [
        "a fine film, and a warm one",
        "a dull film: slow and cold",
        "the film is what it is \"so so\"",
    ];
    let row = |split: &str, row: usize| (format!("{} {split} {row}", moods[row % 3]), row % 2);
    for folder in ["data", "jsonl"] {
        fs::create_dir(ground.join(folder))?;
    }
    for split in ["train", "test"] {
        let rows: Vec<_> = (0..24).map(|index| row(split, index)).collect();
        let csv: String = rows
            .iter()
            .map(|(text, label)| format!("\"{}\",{label}\n", text.replace('"', "\"\"")))
            .collect();
        fs::write(
            ground.join("data").join(split).with_extension("csv"),
            format!("text,label\n{csv}"),
        )?;
        let lines: String = rows
            .iter()
            .map(|(text, label)| format!("{}\n", serde_json::json!({"text": text, "label": label})))
            .collect();
        fs::write(ground.join("jsonl").join(split).with_extension("jsonl"), lines)?;
    }
    let (mut csv, mut lines) =
        ("prompt,response,reward,prompt_score,method,seed\n".to_owned(), String::new());
    for index in 0..16 {
        let (prompt, method) = (format!("prompt {}", index / 2), ["a", "b"][index % 2]);
        let (response, reward) = (row("said", index).0, 0.25 * (index as f64) - 1.0);
        let prompt_score = 0.5 * (index / 2) as f64 - 2.0;
        csv += &format!(
            "{prompt},\" {}\",{reward},{prompt_score},{method},1\n",
            response.replace('"', "\"\"")
        );
        let line = serde_json::json!({
            "prompt": {"text": prompt},
            "response": format!(" {response}"),
            "reward": reward,
            "method": method,
        });
        lines += &format!("{line}\n");
    }
    fs::write(ground.join("texts.csv"), csv)?;
    fs::write(ground.join("texts.jsonl"), lines)?;
    Ok(())
}

/// A call that must succeed.
fn call(program: &Path, folder: &Path, words: &str) -> Result<()> {
    let mut command = Command::new(program);
    let output = child::isolated(&mut command, folder)
        .args(words.split_whitespace())
        .stderr(std::process::Stdio::piped())
        .output()
        .with_context(|| format!("cannot run {words}"))?;
    ensure!(
        output.status.success(),
        "{words}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// Iterations of the run that is stopped: so many that the signal comes in time.
const ITERATIONS: &str = "ppo.iterations=40";
/// Times that it is tried.
const TRIES: usize = 5;

/// A run that was stopped while RA-RLHF trained: it has logs, figures, models and a state to go on
/// from.
fn stopped(program: &Path, ground: &Path) -> Result<()> {
    let out = ground.join("stopped");
    for _ in 0..TRIES {
        let mut command = Command::new(program);
        command.args(["train", "--config", "run.toml", "--set", ITERATIONS, "--out", "stopped"]);
        let mut child = child::isolated(&mut command, ground).spawn()?;
        let log = out.join("logs/seed-1-ra-rlhf.jsonl");
        while child.try_wait()?.is_none() {
            if log.metadata().is_ok_and(|metadata| metadata.len() > 0) {
                Command::new("kill")
                    .args(["-INT", &child.id().to_string()])
                    .status()
                    .context("cannot run kill")?;
                child.wait()?;
            }
            sleep(Duration::from_millis(1));
        }
        if out.join("checkpoints/seed-1-ra-rlhf/state").is_dir() {
            return Ok(());
        }
        fs::remove_dir_all(&out)?;
    }
    bail!("the run was never stopped in time")
}
