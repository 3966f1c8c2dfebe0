//! Habits of the program: JSON for programs, as much said as is asked for, colours, completions,
//! pages for `man`.

#![expect(clippy::unwrap_used, reason = "a test that cannot start the program has failed")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// The program in a folder, with the models and texts of this checkout.
fn program(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tailguard"));
    for variable in ["TAILGUARD_DATA", "HF_HUB_CACHE", "RUST_LOG", "NO_COLOR"] {
        command.env_remove(variable);
    }
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    command
        .args(words)
        .current_dir(folder)
        .env("TAILGUARD_HOME", checkout)
        .env("HF_HOME", folder.join("none"));
    command
}

fn texts(output: Output) -> (Option<i32>, String, String) {
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (output.status.code(), stdout, stderr)
}

/// Standard output of a call that comes to its end.
#[track_caller]
fn told(folder: &Path, words: &[&str]) -> String {
    let (code, stdout, stderr) = texts(program(folder, words).output().unwrap());
    assert_eq!(code, Some(0), "{stderr}");
    stdout
}

const SMOKE: [&str; 10] = [
    "reproduce",
    "imdb",
    "--preset",
    "smoke",
    "--set",
    "run.seeds=1",
    "--set",
    "ppo.iterations=3",
    "--set",
    "evaluation.prompts=32",
];

#[test]
fn with_json_standard_output_is_json_and_with_quiet_nothing_is_told_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let json =
        |words: &[&str]| -> Value { serde_json::from_str(&told(folder.path(), words)).unwrap() };
    let words = [&SMOKE[..], &["--out", "run", "--json", "--quiet"]].concat();
    let (code, stdout, stderr) = texts(program(folder.path(), &words).output().unwrap());
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(stdout, fs::read_to_string(folder.path().join("run/results.json")).unwrap());
    assert!(!stderr.contains("run directory") && !stderr.contains("3/3"), "{stderr}");

    // the log has what was not told, with times
    let log = fs::read_to_string(folder.path().join("run/log.txt")).unwrap();
    let has = |text: &str| log.lines().any(|line| line.starts_with("20") && line.contains(text));
    for text in
        ["tailguard reproduce imdb", "evaluation prompts", "rlhf, seed 1 3/3", "run directory: run"]
    {
        assert!(has(text), "no {text:?} in {log}");
    }

    let page = json(&["report", "run", "--json"]);
    assert_eq!(page[0]["run"], "run");
    assert!(page[0]["page"].as_str().unwrap().ends_with("report.html"));
    told(folder.path(), &[&SMOKE[..], &["--out", "other", "--seed", "7"]].concat());
    let compared = json(&["compare", "run", "other", "--json"]);
    assert!(
        compared["page"] == "compare.html" && compared["runs"][1]["letter"] == "B",
        "{compared}"
    );
    assert!(compared["runs"][0]["policies"][0]["figures"]["reward"]["mean"].is_f64(), "{compared}");
    let model = "run/checkpoints/seed-1-rlhf";
    let sampled = told(
        folder.path(),
        &[
            "sample", "--prompt", "A film", "--tokens", "4", "--count", "2", "--model", model,
            "--json",
        ],
    );
    let lines: Vec<Value> =
        sampled.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(
        lines.len() == 2 && lines[1]["continuation"] == 2 && lines[0]["prompt"] == "A film",
        "{sampled}"
    );
    assert!(lines[0]["response"].is_string() && lines[0]["score"].is_null());
    // a model on held-out prompts, and texts of a file
    let evaluated = json(&["evaluate", "--generations", "run/generations.parquet", "--json"]);
    assert!(evaluated["methods"].is_object(), "{evaluated}");
}

#[test]
fn settings_are_told_as_json_and_a_schema_is_json_already() {
    let folder = tempfile::tempdir().unwrap();
    let told = told(folder.path(), &["settings", "--explain", "ppo.kl_coef", "--json"]);
    let keys: Value = serde_json::from_str(&told).unwrap();
    assert!(
        keys[0]["key"] == "ppo.kl_coef"
            && keys[0]["value"].is_number()
            && keys[0]["about"].is_string(),
        "{told}"
    );
    let (code, _, stderr) =
        texts(program(folder.path(), &["settings", "--schema", "--json"]).output().unwrap());
    assert!(code == Some(2) && stderr.contains("leave --json out"), "{stderr}");
}

#[test]
fn errors_have_colours_where_they_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let error = |words: &[&str]| texts(program(folder.path(), words).output().unwrap()).2;
    let failed = ["report", "nothing"];
    assert!(error(&failed).starts_with("error: nothing holds no results.json"));
    assert!(
        error(&[&failed[..], &["--color", "always"]].concat())
            .starts_with("\u{1b}[1;31merror:\u{1b}[0m nothing")
    );
    // mistakes of the command line, too
    assert!(!error(&["reproduce", "nonsense"]).contains('\u{1b}'));
    assert!(error(&["reproduce", "nonsense", "--color=always"]).contains('\u{1b}'));
}

#[test]
fn completions_and_pages_are_those_of_the_program() {
    let folder = tempfile::tempdir().unwrap();
    assert!(told(folder.path(), &["completions", "bash"]).contains("tailguard"));
    assert!(told(folder.path(), &["man"]).contains("reproduce"));
    let written = told(folder.path(), &["man", "--out", "man"]);
    assert!(written.lines().any(|line| line.ends_with("tailguard-reproduce.1")), "{written}");
    assert!(folder.path().join("man/tailguard-compare.1").is_file());
}
