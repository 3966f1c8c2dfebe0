//! The program alone: no checkout around it, no home, no models but those inside it.

#![expect(clippy::unwrap_used, reason = "a test that cannot start the program has failed")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// The program in an empty folder of a user who has nothing.
fn run(folder: &Path, words: &[&str]) -> Output {
    let work = folder.join("work");
    fs::create_dir_all(&work).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tailguard"));
    command.args(words).current_dir(work);
    for variable in ["TAILGUARD_HOME", "TAILGUARD_DATA", "HF_HUB_CACHE", "RUST_LOG"] {
        command.env_remove(variable);
    }
    command
        .env("HOME", folder.join("user"))
        .env("XDG_DATA_HOME", folder.join("data"))
        .env("HF_HOME", folder.join("none"));
    command.output().unwrap()
}

/// What it told, if it came to its end.
#[track_caller]
fn done(output: &Output) -> (String, String) {
    let [stdout, stderr] =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8(bytes.clone()).unwrap());
    assert!(output.status.success(), "{stderr}");
    (stdout, stderr)
}

const SMOKE: [&str; 6] = ["reproduce", "imdb", "--preset", "smoke", "--set", "run.seeds=1"];

#[test]
fn in_an_empty_folder_a_run_comes_to_its_end_by_the_models_inside_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let (stdout, stderr) = done(&run(folder.path(), &SMOKE));
    let home = folder.path().join("data/tailguard");
    assert!(
        home.join("runs/imdb-smoke-1/results.json").is_file()
            && home.join("runs/imdb-smoke-1/report.html").is_file()
    );
    assert!(
        stdout.contains(&format!("run directory: {}", home.join("runs/imdb-smoke-1").display())),
        "{stdout}"
    );
    assert_eq!(stderr.matches("the models and texts of this program").count(), 1, "{stderr}");
    // one copy, whole, with its licences
    let copies: Vec<_> = fs::read_dir(home.join("embedded")).unwrap().collect();
    assert_eq!(copies.len(), 1);
    let copy = copies[0].as_ref().unwrap().path();
    assert!(
        copy.join("imdb/LICENSE.txt").is_file()
            && copy.join("gpt2-reviews/model.safetensors").is_file()
    );

    // and the next finds it, from wherever it is started, and goes on with the run
    let words = ["--out", "../data/tailguard/runs/imdb-smoke-1", "--resume"];
    let (_, stderr) = done(&run(folder.path(), &[&["reproduce", "imdb"][..], &words].concat()));
    assert!(!stderr.contains("the models and texts of this program"), "{stderr}");
    // nothing was left where it was started
    assert_eq!(fs::read_dir(folder.path().join("work")).unwrap().count(), 0);
}

#[test]
fn another_home_is_named_and_hints_name_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("my home").display().to_string();
    let sample = ["sample", "--prompt", "A film", "--tokens", "2", "--home", &home, "--verbose"];
    let (_, stderr) = done(&run(folder.path(), &sample));
    assert!(stderr.contains(&format!("the home is {home}")), "{stderr}");
    assert!(
        folder.path().join("my home/embedded").is_dir() && !folder.path().join("data").exists()
    );

    let output = run(folder.path(), &["settings", "--home", &home]);
    assert_eq!(output.status.code(), Some(2));
    let output = run(folder.path(), &["train"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("tailguard settings") && !stderr.contains("cargo xtask"), "{stderr}");
}
