//! What is wrong with a call is said in one message, with exit code 2 or 1, and nothing is written.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::program::{command, outcome, run};

const SMOKE: [&str; 4] = ["reproduce", "imdb", "--preset", "smoke"];

/// Runs the smoke preset with more words in an empty folder, and sees to it that the folder stays
/// empty.
fn smoke(words: &[&str]) -> crate::program::Outcome {
    let folder = tempfile::tempdir().unwrap();
    let outcome = run(folder.path(), &[&SMOKE, words].concat());
    assert_eq!(entries(folder.path()), Vec::<String>::new(), "something was written");
    outcome
}

fn entries(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn help_and_version_succeed_on_standard_output() {
    let folder = tempfile::tempdir().unwrap();
    for words in
        [&["--help"][..], &["--version"], &["reproduce", "--help"], &["pretrain", "lm", "--help"]]
    {
        let outcome = run(folder.path(), words);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{words:?}");
        assert!(!outcome.stdout.is_empty());
    }
}

#[test]
fn an_unknown_flag_is_answered_with_the_nearest() {
    smoke(&["--sede", "3"]).refused(2, &["'--sede'", "'--seed'"]);
}

#[test]
fn an_unknown_command_or_task_is_answered_with_the_nearest() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &["reprodcue", "imdb"]).refused(2, &["'reproduce'"]);
    run(folder.path(), &["reproduce", "imbd"]).refused(2, &["'imdb'"]);
    run(folder.path(), &["reproduce", "imdb", "--preset", "smke"]).refused(2, &["'smoke'"]);
}

#[test]
fn an_unknown_key_is_answered_with_the_nearest() {
    smoke(&["--set", "ppo.learnin_rate=1e-4"])
        .refused(2, &["ppo.learnin_rate", "did you mean `ppo.learning_rate`?"]);
}

#[test]
fn an_unknown_key_of_a_file_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.toml");
    fs::write(&file, "[risk]\nalhpa = 0.3\n").unwrap();
    smoke(&["--config", file.to_str().unwrap()])
        .refused(2, &["mine.toml", "`risk.alhpa`", "`risk.alpha`"]);
}

#[test]
fn a_file_that_is_not_there_or_not_toml_is_named() {
    smoke(&["--config", "absent.toml"]).refused(2, &["absent.toml", "No such file"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("broken.toml");
    fs::write(&file, "[ppo\n").unwrap();
    smoke(&["--config", file.to_str().unwrap()]).refused(2, &["broken.toml", "line 1"]);
}

#[test]
fn alpha_outside_its_range_is_refused() {
    for alpha in ["0", "-0.4", "1.5", "nan", "inf"] {
        smoke(&["--set", &format!("risk.alpha={alpha}")]).refused(2, &["risk.alpha", "(0, 1]"]);
    }
}

#[test]
fn a_batch_of_nothing_is_refused() {
    smoke(&["--set", "ppo.batch_size=0"]).refused(2, &["ppo.batch_size = 0", "at least 1"]);
    smoke(&["--set", "ppo.minibatch_size=9"])
        .refused(2, &["ppo.minibatch_size = 9", "ppo.batch_size is 8"]);
}

#[test]
fn a_device_that_is_none_or_is_not_compiled_in_is_refused() {
    smoke(&["--device", "gpu"]).refused(2, &["--device gpu", "flex"]);
    if cfg!(not(feature = "cuda")) {
        smoke(&["--device", "cuda:1"]).refused(2, &["no cuda", "--features cuda"]);
    }
}

#[test]
fn threads_and_seeds_must_be_counts() {
    smoke(&["--threads", "many"]).refused(2, &["many"]);
    smoke(&["--seeds", "0"]).refused(2, &["run.seeds = 0", "1 to 1000"]);
}

#[test]
fn the_paper_preset_says_what_is_missing_and_how_to_get_it() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = run(folder.path(), &["reproduce", "imdb", "--preset", "paper"]);
    outcome.refused(
        1,
        &[
            "openai-community/gpt2",
            "lvwerra/distilbert-imdb",
            "no-hugging-face-cache",
            "--policy DIR",
            "hf download",
        ],
    );
    assert_eq!(entries(folder.path()), Vec::<String>::new());
}

#[test]
fn a_model_directory_that_is_not_there_is_named() {
    smoke(&["--policy", "no/such/model"]).refused(1, &["policy", "no/such/model"]);
}

#[test]
fn a_directory_with_a_run_is_refused_and_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("config.toml"), "task = \"imdb\"\n").unwrap();
    run(folder.path(), &[&SMOKE[..], &["--out", "run"]].concat())
        .refused(2, &["already holds a run", "--resume"]);
    assert_eq!(entries(&out), ["config.toml"]);
    assert_eq!(fs::read_to_string(out.join("config.toml")).unwrap(), "task = \"imdb\"\n");
}

#[test]
fn a_directory_with_other_files_is_refused_and_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("thesis");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("thesis.tex"), "years").unwrap();
    run(folder.path(), &[&SMOKE[..], &["--out", "thesis"]].concat())
        .refused(2, &["thesis.tex", "not empty"]);
    assert_eq!(entries(&out), ["thesis.tex"]);
}

#[test]
fn there_must_be_a_run_to_resume() {
    smoke(&["--out", "absent", "--resume"]).refused(2, &["absent", "holds no run"]);
    smoke(&["--resume"]).refused(2, &["--out"]);
}

#[test]
fn resuming_with_other_settings_lists_them() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    fs::create_dir(&out).unwrap();
    let mut settings = toml::Table::new();
    for text in [
        include_str!("../../crates/experiment/presets/arms.toml"),
        include_str!("../../crates/experiment/presets/embedded.toml"),
        include_str!("../../crates/experiment/presets/imdb-embedded.toml"),
    ] {
        for (key, value) in text.parse::<toml::Table>().unwrap() {
            match (settings.get_mut(&key).and_then(toml::Value::as_table_mut), value) {
                (Some(section), toml::Value::Table(more)) => section.extend(more),
                (_, value) => drop(settings.insert(key, value)),
            }
        }
    }
    fs::write(out.join("config.toml"), settings.to_string()).unwrap();
    let words = [
        "reproduce",
        "imdb",
        "--out",
        "run",
        "--resume",
        "--set",
        "risk.alpha=0.25",
        "--seed",
        "77",
    ];
    let outcome = run(folder.path(), &words);
    outcome.refused(
        2,
        &[
            "run/config.toml",
            "risk.alpha is 0.4 there, 0.25 was asked for",
            "run.seed is 1 there, 77 was asked for",
        ],
    );
}

#[cfg(unix)]
#[test]
fn a_directory_that_cannot_be_written_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let locked = folder.path().join("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
    let may_write_anyway = fs::write(locked.join("probe"), "").is_ok(); // as root
    let out = if may_write_anyway {
        "/proc/tailguard-run".to_owned()
    } else {
        locked.join("run").display().to_string()
    };
    run(folder.path(), &[&SMOKE[..], &["--out", &out]].concat())
        .refused(1, &["cannot write", &out, "because:"]);
}

#[cfg(unix)]
#[test]
fn a_directory_without_room_is_named() {
    // A limit on file sizes refuses every write as a full disk does, and needs no disk to fill.
    let folder = tempfile::tempdir().unwrap();
    let program = command(folder.path()).get_program().to_owned();
    let script = "trap '' XFSZ; ulimit -f 0; exec \"$@\"";
    let mut limited = Command::new("bash");
    limited
        .current_dir(folder.path())
        .args(["-c", script, "bash"])
        .arg(program)
        .args(SMOKE)
        .args(["--out", "run"]);
    outcome(&mut limited).refused(1, &["cannot write", "run", "because:"]);
    assert!(!folder.path().join("run/config.toml").exists());
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn freed_memory_stays_with_the_program_unless_the_user_has_his_own_settings() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;

    // what the memory of a program is told, once it has begun to work
    let settings = |own: Option<&str>| {
        let folder = tempfile::tempdir().unwrap();
        let mut command = command(folder.path());
        command
            .env_remove("GLIBC_TUNABLES")
            .args(["reproduce", "imdb", "--preset", "smoke"])
            .stdout(Stdio::null());
        let mut child = command
            .envs(own.map(|own| ("GLIBC_TUNABLES", own)))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
        let environment = fs::read(format!("/proc/{}/environ", child.id())).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        String::from_utf8_lossy(&environment).into_owned()
    };
    // older versions of glibc cut what they have read into its parts, each with an end of its own
    let found = settings(None);
    assert!(
        found.contains("GLIBC_TUNABLES=glibc.malloc.")
            && found.contains("glibc.malloc.trim_threshold="),
        "{found:?}"
    );
    let found = settings(Some("glibc.malloc.check=0"));
    assert!(
        found.contains("GLIBC_TUNABLES=glibc.malloc.check=0") && !found.contains("trim_threshold"),
        "{found:?}"
    );
}

#[test]
fn what_is_written_names_the_commit_of_the_program_and_not_of_where_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let git = |at: &Path, words: &[&str]| {
        let output =
            Command::new("git").arg("-C").arg(at).args(words).output().expect("git starts");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    git(folder.path(), &["init", "--quiet"]);
    let author = ["-c", "user.name=a", "-c", "user.email=a@b.c"];
    git(
        folder.path(),
        &[&author[..], &["commit", "--quiet", "--allow-empty", "--message", "another program"]]
            .concat(),
    );
    fs::write(folder.path().join("a.csv"), "prompt,response,score\nA, b,1\nC, d,2\n").unwrap();

    let mut program = command(folder.path());
    program.env("GIT_DIR", folder.path().join(".git"));
    program.args(["evaluate", "--generations", "a.csv", "--score-column", "score", "--out", "out"]);
    assert_eq!(outcome(&mut program).code, Some(0));

    let about: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.path().join("out/run.json")).unwrap()).unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let is_a_repository = source.join(".git").exists();
    let expected = is_a_repository.then(|| git(source, &["rev-parse", "HEAD"]));
    assert_eq!(
        about["commit"].as_str().map(|commit| commit.trim_end_matches('+')),
        expected.as_deref(),
        "{about}"
    );
}
