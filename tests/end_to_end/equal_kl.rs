//! `experiment.equal_kl`: arms at one KL, and what is said of it.

use std::fs;

use tailguard_report::{Results, ResultsFile};

use crate::program::run;

const SMALL: [&str; 11] = [
    "reproduce",
    "imdb",
    "--preset",
    "smoke",
    "--out",
    "run",
    "--set",
    "run.seeds=1",
    "--set",
    "evaluation.prompts=48",
    "--quiet",
];

#[test]
fn arms_of_ppo_are_held_and_tables_results_and_page_say_how_near_they_came() {
    let folder = tempfile::tempdir().unwrap();
    let held = ["--set", "experiment.equal_kl=0.25", "--set", "ppo.learning_rate=2e-4"];
    let outcome = run(folder.path(), &[&SMALL[..], &held].concat());
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let dir = folder.path().join("run");
    let results = Results::read(&dir.join("results.json")).unwrap();
    let arms: Vec<&str> = results.equal_kl.iter().map(|arm| arm.method.as_str()).collect();
    assert_eq!(arms, ["rlhf", "ra_rlhf"]);
    for arm in &results.equal_kl {
        let kl = results.methods[&arm.method].kl.unwrap().mean;
        assert!((arm.off_percent - 100.0 * (kl / 0.25 - 1.0)).abs() < 1e-9, "{arm:?}: {kl}");
        assert!((arm.off_percent_by_seed[0] - arm.off_percent).abs() < 1e-9, "{arm:?}");
    }
    assert!(
        outcome.stdout.contains("Held at a KL of 0.25 nats, and off it by: RLHF "),
        "{}",
        outcome.stdout
    );
    let page = fs::read_to_string(dir.join("report.html")).unwrap();
    for words in ["at equal KL (0.25 nats)", "Held at one KL to SFT", "tail-against-kl-title"] {
        assert!(page.contains(words), "no {words:?}");
    }
    // each was moved to the KL by episodes of training prompts, and that is in the log
    let log = fs::read_to_string(dir.join("log.txt")).unwrap();
    assert_eq!(log.matches("to be held at 0.25").count(), 2, "{log}");
}

#[test]
fn where_nothing_is_held_nothing_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = run(folder.path(), &[&SMALL[..], &["--arms", "sft,rlhf"]].concat());
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let page = fs::read_to_string(folder.path().join("run/report.html")).unwrap();
    assert!(!outcome.stdout.contains("Held at") && !page.contains("equal KL"));
    assert!(page.contains("tail-against-kl-title"));
}

#[test]
fn what_would_set_another_kl_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let held = ["--set", "experiment.equal_kl=4", "--set", "ppo.kl_target=3"];
    run(folder.path(), &[&SMALL[..], &held].concat()).refused(
        2,
        &["--set: ppo.kl_target = 3, expected none, as experiment.equal_kl = 4 takes the place"],
    );
    let held = ["--set", "experiment.equal_kl=4", "--set", "ppo.kl_coef=0"];
    run(folder.path(), &[&SMALL[..], &held].concat())
        .refused(2, &["--set: ppo.kl_coef = 0, expected a number above 0"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// A policy that is brought back to a smaller KL, and one that may not be brought back.
const BACK: &str = r#"
preset = "imdb-smoke"
task = "back"

[run]
seeds = 1

[evaluation]
prompts = 48

[ppo]
learning_rate = 1e-3

[[arm]]
key = "sft"
recipe = "base"

[[arm]]
key = "rlhf"
recipe = "ppo"
from = "sft"
objective = "mean"

[[arm]]
key = "back"
recipe = "interpolate"
from = "rlhf"
needs = { towards = "sft" }
set = { "interpolate.kl" = KL }
"#;

#[test]
fn a_policy_is_brought_back_to_a_kl_on_the_line_to_its_reference() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("back.toml");
    fs::write(&config, BACK.replace("KL", "2.0")).unwrap();
    let outcome = run(folder.path(), &["train", "--config", "back.toml", "--out", "run"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let results = Results::read(&folder.path().join("run/results.json")).unwrap();
    let kl = |arm: &str| results.methods[arm].kl.unwrap().mean;
    assert!(kl("rlhf") > 5.0, "there is a way back: {}", kl("rlhf"));
    // measured here on a few prompts, and there on others
    assert!(1.2 < kl("back") && kl("back") < 3.0, "{}", kl("back"));
    let [held] = results.equal_kl.as_slice() else { panic!("{:?}", results.equal_kl) };
    assert_eq!((held.method.as_str(), held.target.to_bits()), ("back", 2.0_f64.to_bits()));
    let log = fs::read_to_string(folder.path().join("run/log.txt")).unwrap();
    assert_eq!(log.matches("to be held at 2").count(), 1, "{log}");

    // towards what KL is not measured to
    let other = "key = \"base\"\nrecipe = \"base\"\n\n[[arm]]\nkey = \"sft\"";
    let elsewhere = BACK.replace("KL", "2.0").replacen("key = \"sft\"", other, 1);
    fs::write(&config, elsewhere.replace("towards = \"sft\"", "towards = \"base\"")).unwrap();
    run(folder.path(), &["train", "--config", "back.toml", "--out", "elsewhere"])
        .refused(2, &["arm \"back\": needs.towards = \"base\", but KL is measured to \"sft\""]);
    assert!(!folder.path().join("elsewhere").exists());

    // further out than it has been it does not go, and that is said
    fs::write(&config, BACK.replace("KL", "50.0")).unwrap();
    let outcome = run(folder.path(), &["train", "--config", "back.toml", "--out", "far"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("could not be held at a KL of 50 nats"), "{}", outcome.stderr);
}
