//! A run that was interrupted goes on, and comes to the numbers of a run that was not.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::program::{command, cramped, outcome, run};

const WORDS: [&str; 10] = [
    "reproduce",
    "imdb",
    "--preset",
    "smoke",
    "--out",
    "run",
    "--set",
    "run.seeds=1",
    "--set",
    "ppo.iterations=24", // one state is saved on the way, at 20
];

/// A run of few texts, which is soon begun.
pub(crate) fn few_texts() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let words =
        [["awful", "boring", "dull", "the worst"], ["wonderful", "great", "moving", "a joy"]];
    for (split, rows) in [("train", 240), ("test", 160)] {
        let text = |row: usize| {
            (0..16)
                .map(|n| format!("Scene {} is {}. ", row + n, words[row % 2][row * n % 4]))
                .collect::<String>()
        };
        let lines = (0..rows).map(|row| format!("{},{}\n", text(row), row % 2)).collect::<String>();
        fs::write(folder.path().join(format!("{split}.csv")), format!("text,label\n{lines}"))
            .unwrap();
    }
    folder
}

/// The command that begins the run in a folder, of the texts in it if there are any, or goes on
/// with it.
fn words(folder: &Path) -> Vec<&'static str> {
    let data = folder.join("train.csv").is_file().then_some(["--data-dir", "."]);
    let resume = folder.join("run/config.toml").is_file().then_some("--resume");
    WORDS.into_iter().chain(data.into_iter().flatten()).chain(resume).collect()
}

/// Starts the run, or goes on with it, sends it a signal once a line begins with `line`, and gives
/// its exit code and what it said.
fn interrupted(folder: &Path, line: &str, signal: &str) -> (Option<i32>, String) {
    signalled(command(folder).args(words(folder)), line, &[signal])
}

/// Starts a command, sends it signals once a line begins with `line`, and gives its exit code and
/// what it said.
pub(crate) fn signalled(
    command: &mut Command,
    line: &str,
    signals: &[&str],
) -> (Option<i32>, String) {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let (id, mut said) = (child.id().to_string(), String::new());
    let mut sent = false;
    for next in BufReader::new(child.stderr.take().unwrap()).lines() {
        let next = next.unwrap();
        said.push_str(&next);
        said.push('\n');
        if !sent && next.starts_with(line) {
            for signal in signals {
                assert!(Command::new("kill").args([*signal, &id]).status().unwrap().success());
            }
            sent = true;
        }
    }
    assert!(sent, "no {line:?} in {said}");
    (child.wait().unwrap().code(), said)
}

#[test]
fn before_the_run_begins_ctrl_c_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    // of 20,000 reviews, the first table that is read
    let (code, said) = interrupted(folder.path(), "20000 texts", "-INT");
    assert_eq!((code, fs::read_dir(folder.path()).unwrap().count()), (Some(130), 0), "{said}");
    assert!(said.contains("stopped") && !said.contains("run directory"), "{said}");
}

#[cfg(target_os = "linux")]
#[test]
fn under_nohup_a_hangup_does_nothing_and_ctrl_c_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let program = command(folder.path());
    let mut nohup = Command::new("bash");
    nohup
        .current_dir(folder.path())
        .args(["-c", "trap '' HUP; exec \"$@\"", "bash"])
        .arg(program.get_program())
        .args(WORDS);
    program.get_envs().for_each(|(name, value)| match value {
        Some(value) => drop(nohup.env(name, value)),
        None => drop(nohup.env_remove(name)),
    });
    let (code, said) = signalled(&mut nohup, "20000 texts", &["-HUP", "-INT"]);
    assert_eq!((code, fs::read_dir(folder.path()).unwrap().count()), (Some(130), 0), "{said}");
    assert!(said.contains("stopped"), "{said}");
}

#[test]
fn a_run_that_is_stopped_in_its_first_phase_says_how_to_go_on() {
    let folder = few_texts();
    let mut long = command(folder.path());
    long.args(words(folder.path())).args(["--set", "sft.steps=400"]);
    let (code, said) = signalled(&mut long, "run directory", &["-INT"]);
    assert_eq!(code, Some(130), "{said}");
    assert!(
        said.contains("error: stopped\n  hint: cargo xtask reproduce imdb --out run --resume"),
        "{said}"
    );
}

/// The results of the run in a folder, after it has gone on.
fn resumed(folder: &Path) -> (String, String) {
    let outcome = run(folder, &words(folder));
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    (fs::read_to_string(folder.join("run/results.json")).unwrap(), outcome.stderr)
}

#[test]
fn after_ctrl_c_a_kill_and_a_full_disk_a_run_goes_on_to_the_same_numbers() {
    let [whole, stopped, killed, full] = [(); 4].map(|()| few_texts());
    assert_eq!(run(whole.path(), &words(whole.path())).code, Some(0));
    let expected = fs::read_to_string(whole.path().join("run/results.json")).unwrap();

    let says = |said: &str, begin: &str| said.lines().any(|line| line.starts_with(begin));
    let (code, said) = interrupted(stopped.path(), "ra_rlhf, seed 1 3/24", "-INT");
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("--resume") && !says(&said, "ra_rlhf, seed 1 24/24"), "{said}");
    let (results, said) = resumed(stopped.path());
    assert!(says(&said, "ra_rlhf, seed 1 24/24"), "{said}");
    assert!(
        !says(&said, "rlhf, seed 1") && !says(&said, "ra_rlhf, seed 1 3/24"),
        "nothing is done twice: {said}"
    );
    assert_eq!(results, expected);
    // the log has both processes, and what the first said when it was stopped
    let log = fs::read_to_string(stopped.path().join("run/log.txt")).unwrap();
    let told = |text: &str| {
        log.lines().filter(|line| line.starts_with("20") && line.contains(text)).count()
    };
    assert_eq!(
        (told("cargo xtask reproduce imdb"), told("error: stopped"), told("ra_rlhf, seed 1 3/24")),
        (3, 1, 1),
        "{log}"
    );

    let (code, said) = interrupted(killed.path(), "rlhf, seed 1 22/24", "-KILL");
    assert_eq!(code, None, "{said}");
    // a disk that had promised more than it did: zeros in the place of the last rows, of which the
    // state demands seven
    let log = killed.path().join("run/logs/seed-1-rlhf.jsonl");
    let mut bytes = fs::read(&log).unwrap();
    let kept: usize = bytes.split_inclusive(|&byte| byte == b'\n').take(13).map(<[u8]>::len).sum();
    bytes[kept..].fill(0);
    fs::write(&log, bytes).unwrap();
    let (results, said) = resumed(killed.path());
    assert!(
        says(&said, "rlhf, seed 1 21/24") && !says(&said, "rlhf, seed 1 20/24"),
        "it goes on after the saved 20: {said}"
    );
    assert!(said.contains("had lost 7 lines before iteration 20"), "{said}");
    assert_eq!(results, expected);
    let rows = |folder: &Path| {
        fs::read_to_string(folder.join("run/metrics.jsonl")).unwrap().lines().count()
    };
    assert_eq!(rows(killed.path()), rows(whole.path()));

    // the first limit is too low for a model, the second for the optimizer's moments
    for (kib, file) in [(5_000, "model.safetensors"), (15_000, "optimizer.bpk")] {
        let outcome = outcome(cramped(full.path(), kib).args(words(full.path())));
        outcome.refused(1, &[file, "File too large", "hint:", "--out run --resume"]);
    }
    let (results, said) = resumed(full.path());
    assert!(said.contains("20 lines after iteration 0 cut off"), "{said}");
    assert_eq!(results, expected);
}

#[test]
fn a_training_whose_rows_are_lost_begins_anew() {
    let folder = few_texts();
    let (code, said) = interrupted(folder.path(), "rlhf, seed 1 2/24", "-INT");
    assert_eq!(code, Some(130), "{said}");
    for rows in ["logs/seed-1-rlhf.jsonl", "checkpoints/seed-1-rlhf/state/log.jsonl"] {
        fs::write(folder.path().join("run").join(rows), "").unwrap();
    }
    let (_, said) = interrupted(folder.path(), "rlhf, seed 1 1/24", "-KILL");
    assert!(said.contains("no row of iteration 1") && said.contains("begins anew"), "{said}");
}

#[test]
fn a_killed_run_without_a_value_head_goes_on_to_the_same_average() {
    const MORE: [&str; 10] = [
        "--arms",
        "rlhf",
        "--set",
        "ppo.advantages=rloo",
        "--set",
        "ppo.responses=4",
        "--set",
        "ppo.average=0.5",
        "--set",
        "ppo.rate_end=0.1",
    ];
    let [whole, killed] = [(); 2].map(|()| few_texts());
    let finished = |folder: &Path| {
        let outcome = run(folder, &[&words(folder)[..], &MORE].concat());
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        let model = folder.join("run/checkpoints/seed-1-rlhf/model");
        assert!(!model.join("value_head.safetensors").exists());
        let log = fs::read_to_string(folder.join("run/metrics.jsonl")).unwrap();
        assert!(log.contains("ppo/loss/policy") && !log.contains("ppo/loss/value"), "{log}");
        let results = fs::read_to_string(folder.join("run/results.json")).unwrap();
        (fs::read(model.join("model.safetensors")).unwrap(), results)
    };
    let expected = finished(whole.path());
    let mut begun = command(killed.path());
    begun.args(words(killed.path())).args(MORE);
    let (code, said) = signalled(&mut begun, "rlhf, seed 1 22/24", &["-KILL"]);
    assert_eq!(code, None, "{said}");
    // since iteration 13
    let average = killed.path().join("run/checkpoints/seed-1-rlhf/state/average.bpk");
    assert!(average.is_file());
    assert!(finished(killed.path()) == expected, "it went on to other bits");
}
