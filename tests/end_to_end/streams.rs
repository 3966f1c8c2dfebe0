//! Standard output and standard error that nobody reads, or that cannot be written.

#![cfg(unix)]

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::program::command;

/// Two methods of thirty texts, enough for a table.
const TEXTS: &str = "texts.csv";

fn texts(folder: &Path) {
    let rows = (0..60).map(|row| {
        format!("prompt {},text {row},{row},{}\n", row % 30, if row < 30 { "a" } else { "b" })
    });
    fs::write(
        folder.join(TEXTS),
        "prompt,response,score,method\n".to_owned() + &rows.collect::<String>(),
    )
    .unwrap();
}

const EVALUATE: [&str; 6] =
    ["evaluate", "--generations", TEXTS, "--score-column", "score", "--group-by=method"];

/// Runs a command whose reader is gone before it writes its first line, and gives the exit code and
/// what it complained of.
fn unread(mut command: Command) -> (Option<i32>, String) {
    let mut gone = Command::new("true").stdin(Stdio::piped()).spawn().unwrap();
    let pipe = gone.stdin.take().unwrap();
    gone.wait().unwrap();
    let output =
        command.stdout(pipe).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[track_caller]
fn complete(dir: &Path, files: &[&str]) {
    for file in files {
        assert!(dir.join(file).metadata().is_ok_and(|found| found.len() > 0), "{file} is missing");
    }
}

#[test]
fn whoever_reads_nothing_has_all_files() {
    let folder = tempfile::tempdir().unwrap();
    texts(folder.path());
    for out in ["a", "b"] {
        let mut evaluate = command(folder.path());
        evaluate.args(EVALUATE).args(["--out", out]);
        assert_eq!(unread(evaluate), (Some(0), String::new()));
        complete(
            &folder.path().join(out),
            &["results.json", "generations.parquet", "run.json", "report.html"],
        );
        fs::remove_file(folder.path().join(out).join("report.html")).unwrap();
    }
    // all pages, not the first alone
    let mut report = command(folder.path());
    report.args(["report", "a", "b"]);
    assert_eq!(unread(report), (Some(0), String::new()));
    ["a", "b"].iter().for_each(|out| complete(&folder.path().join(out), &["report.html"]));
    let mut compare = command(folder.path());
    compare.args(["compare", "a", "b"]);
    assert_eq!(unread(compare), (Some(0), String::new()));
    complete(folder.path(), &["compare.html"]);
    let mut sample = command(folder.path());
    sample.args(["sample", "--prompt", "This film", "--tokens", "4"]);
    assert_eq!(unread(sample), (Some(0), String::new()));
}

#[test]
fn a_run_of_which_one_line_is_read_has_all_files() {
    let folder = tempfile::tempdir().unwrap();
    let mut reproduce = command(folder.path());
    let small =
        ["--set", "run.seeds=1", "--set", "ppo.iterations=3", "--set", "evaluation.prompts=32"];
    reproduce.args(["reproduce", "imdb", "--preset", "smoke", "--out", "run"]).args(small);
    let mut child = reproduce.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    // as head -1 does
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let files =
        ["results.json", "generations.parquet", "metrics.parquet", "report.html", "processes.json"];
    complete(&folder.path().join("run"), &files);
    assert_eq!((child.wait().unwrap().code(), line.contains("reward")), (Some(0), true), "{line}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_behind_an_output_is_an_error_and_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    texts(folder.path());
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let output =
        command(folder.path()).args(EVALUATE).args(["--out", "a"]).stdout(full()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.code() == Some(1)
            && said.starts_with("error: cannot write to standard output\n"),
        "{said}"
    );
    complete(&folder.path().join("a"), &["results.json", "report.html"]);
    // what is said on the way is lost, and nothing else
    let mut evaluate = command(folder.path());
    evaluate.args(EVALUATE).args(["--reward", "x"]).stderr(full());
    assert_eq!(evaluate.output().unwrap().status.code(), Some(2));
    let judge = Path::new(env!("CARGO_MANIFEST_DIR")).join("../datasets/judge-sentiment");
    let mut evaluate = command(folder.path());
    evaluate
        .args(["evaluate", "--generations", TEXTS, "--out", "b", "--reward"])
        .arg(judge)
        .stderr(full());
    assert_eq!(evaluate.output().unwrap().status.code(), Some(0), "progress cannot be told");
    complete(&folder.path().join("b"), &["results.json", "report.html"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_path_that_is_not_utf_8_is_refused_by_its_flag() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let folder = tempfile::tempdir().unwrap();
    let path = OsStr::from_bytes(b"caf\xe9.csv");
    fs::write(folder.path().join(path), "response\na\nb\n").unwrap();
    let refused = |words: &[&str], flag: &str| {
        let output = command(folder.path()).args(words).arg(flag).arg(path).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?} {said}");
        assert!(
            said.contains(flag)
                && said.contains("the path is not UTF-8")
                && said.contains("make a link to it"),
            "{said}"
        );
    };
    refused(&["evaluate"], "--generations");
    refused(&["evaluate", "--generations", "a.csv"], "--out");
    refused(&["reproduce", "imdb"], "--policy");
    refused(&["train"], "--config");
    refused(&["pretrain", "judge"], "--out");
    let output = command(folder.path()).arg("report").arg(path).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    // a link to it, or a folder around it, is as good as any
    fs::create_dir(folder.path().join(OsStr::from_bytes(b"\xff"))).unwrap();
    let inside = folder.path().join(OsStr::from_bytes(b"\xff"));
    std::os::unix::fs::symlink(folder.path().join(path), inside.join("a.csv")).unwrap();
    let output = command(&inside)
        .args(["evaluate", "--generations", "a.csv", "--out", "out"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    complete(&inside.join("out"), &["results.json", "report.html"]);
}
