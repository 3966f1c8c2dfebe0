//! `sweep`: a run for each point of a grid, which share what does not depend on it, and go on.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::interrupted::signalled;
use crate::program::{command, run};

/// Two points, of a few iterations each.
const WORDS: [&str; 14] = [
    "sweep",
    "imdb",
    "--preset",
    "smoke",
    "--out",
    "sweep",
    "--over",
    "ppo.kl_coef=0.1,0.4",
    "--set",
    "run.seeds=1",
    "--set",
    "ppo.iterations=3",
    "--set",
    "evaluation.prompts=32",
];

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn json_of(path: &Path) -> Value {
    serde_json::from_str(&read(path)).unwrap()
}

/// What is the same of two sweeps that came to the same.
fn outcome_of(sweep: &Path) -> [String; 4] {
    ["sweep.csv", "sweep.json", "point-1/results.json", "point-2/results.json"]
        .map(|file| read(&sweep.join(file)))
}

#[test]
fn runs_of_a_sweep_share_sft_and_each_is_what_it_would_be_alone() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = run(folder.path(), &WORDS);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let told = |words: &str| outcome.stderr.lines().filter(|line| line.contains(words)).count();
    for (words, times) in [
        ("a sweep of 2 runs in sweep", 1),
        ("run 1 of 2: ppo.kl_coef = 0.1", 1),
        ("run 1 of 2 took", 1),
        // trained once
        ("sft, seed 1 4/4", 1),
        ("sft, seed 1: taken over from sweep/point-1", 1),
        ("rlhf, seed 1 3/3", 4),
    ] {
        assert_eq!(told(words), times, "{words:?} in {}", outcome.stderr);
    }

    // a point is the run that `reproduce` makes by the same settings
    let alone = [
        &["reproduce"],
        &WORDS[1..4],
        &["--out", "alone", "--set", "ppo.kl_coef=0.4"],
        &WORDS[8..],
    ];
    assert_eq!(run(folder.path(), &alone.concat()).code, Some(0));
    let sweep = folder.path().join("sweep");
    for file in ["results.json", "config.toml"] {
        let [of_sweep, alone] =
            ["sweep/point-2", "alone"].map(|dir| read(&folder.path().join(dir).join(file)));
        assert_eq!(of_sweep, alone, "{file}");
    }
    for words in [["report", "sweep/point-2"].as_slice(), &["compare", "sweep/point-1", "alone"]] {
        assert_eq!(run(folder.path(), words).code, Some(0), "{words:?}");
    }

    // a row for each policy: those of PPO at both points
    let csv = read(&sweep.join("sweep.csv"));
    let rows: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    let named: Vec<&[&str]> = rows.iter().map(|row| &row[..4]).collect();
    assert_eq!(
        named,
        [
            &["arm", "title", "ppo.kl_coef", "run"],
            &["gpt2", "GPT-2", "", "point-1"],
            &["sft", "SFT", "", "point-1"],
            &["rlhf", "RLHF", "0.1", "point-1"],
            &["rlhf", "RLHF", "0.4", "point-2"],
            &["ra_rlhf", "RA-RLHF", "0.1", "point-1"],
            &["ra_rlhf", "RA-RLHF", "0.4", "point-2"],
        ]
    );
    let results = json_of(&sweep.join("point-2/results.json"));
    let json = json_of(&sweep.join("sweep.json"));
    let row = &json["rows"][5];
    assert_eq!(row["over"], json!({"ppo.kl_coef": "0.4"}));
    for figure in ["reward", "tail", "kl"] {
        let place = rows[0].iter().position(|head| *head == figure).unwrap();
        let expected = &results["methods"]["ra_rlhf"][figure];
        assert_eq!(&row["figures"][figure], expected);
        let mean = rows[6][place].parse::<f64>().unwrap();
        assert_eq!(mean.to_bits(), expected["mean"].as_f64().unwrap().to_bits(), "{figure}");
    }
    assert!(row["figures"]["cvar_10"]["mean"].as_f64() < row["figures"]["reward"]["mean"].as_f64());
    let page = read(&sweep.join("sweep.html"));
    assert!(page.contains("reward-against-kl") && page.contains("Sweep over ppo.kl_coef"));
    assert!(outcome.stdout.contains("page: sweep/sweep.html"), "{}", outcome.stdout);
}

#[test]
fn a_sweep_that_was_stopped_goes_on_to_the_same_and_makes_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let [whole, stopped] = ["whole", "stopped"].map(|name| folder.path().join(name));
    for folder in [&whole, &stopped] {
        fs::create_dir(folder).unwrap();
    }
    assert_eq!(run(&whole, &WORDS).code, Some(0));

    // in the first run, and once more in the second
    let (code, said) = signalled(command(&stopped).args(WORDS), "rlhf, seed 1 1/3", &["-INT"]);
    assert_eq!(code, Some(130), "{said}");
    let hint = "hint: cargo xtask sweep imdb --out sweep --resume";
    assert!(said.contains(hint) && !said.contains("run 2 of 2"), "{said}");
    let resume = ["sweep", "imdb", "--out", "sweep", "--resume"];
    let (code, said) = signalled(command(&stopped).args(resume), "sft, seed 1: taken", &["-KILL"]);
    assert_eq!(code, None, "{said}");
    assert!(!said.contains("sft, seed 1 4/4"), "it was trained before: {said}");

    let outcome = run(&stopped, &resume);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(
        !outcome.stderr.contains("run 1 of 2") && outcome.stderr.contains("run 2 of 2"),
        "{}",
        outcome.stderr
    );
    assert_eq!(outcome_of(&stopped.join("sweep")), outcome_of(&whole.join("sweep")));

    // one that has come to its end says so again, and no other grid goes on in it
    assert_eq!(run(&stopped, &resume).stdout, outcome.stdout);
    run(&stopped, &[&resume[..], &["--over", "ppo.clip=0.1,0.2"]].concat())
        .refused(2, &["was begun with --over ppo.kl_coef=0.1,0.4"]);
    run(&stopped, &WORDS).refused(2, &["holds a sweep already", "--resume"]);
}

#[test]
fn what_no_run_can_be_made_of_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |over: &str, words: &[&str]| {
        let words_of = ["sweep", "imdb", "--preset", "smoke", "--out", "sweep", "--over", over];
        run(folder.path(), &words_of).refused(2, words);
    };
    refused("ppo.kl_coeff=1,2", &["unknown key `ppo.kl_coeff`; did you mean `ppo.kl_coef`?"]);
    refused("ppo.clip=0.1,3", &["--over: ppo.clip = 3, expected a number in (0, 1)"]);
    refused("run.seed=1,2", &["is about the run"]);
    run(folder.path(), &["sweep", "imdb"]).refused(2, &["sweep needs --over", "hint:"]);
    run(folder.path(), &["sweep", "--over", "ppo.clip=0.1"]).refused(2, &["needs a task"]);
    let twice = ["--over", "ppo.clip=0.1,0.2", "--set", "ppo.clip=0.3"];
    run(folder.path(), &[&["sweep", "imdb"], &twice[..]].concat())
        .refused(2, &["ppo.clip is given twice, by --set and by --over"]);
    run(folder.path(), &["sweep", "imdb", "--out", "none", "--resume"])
        .refused(2, &["none holds no sweep"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
