//! Claims about settings: what is refused, and in which words.

use std::fs;

use super::*;

const TASK: &Task = &TASKS[0];
const PRESETS: [Preset; 3] = Preset::ALL;

fn set(assignments: &[&str]) -> Overrides {
    Overrides {
        assignments: assignments.iter().map(ToString::to_string).collect(),
        ..Overrides::default()
    }
}

/// What stands before the equals sign.
fn key_of(line: &str) -> &str {
    line.split('=').next().unwrap_or_default().trim()
}

fn seed(seed: i64) -> Vec<(&'static str, &'static str, Value)> {
    vec![("--seed", "run.seed", Value::Integer(seed))]
}

fn refused(assignments: &[&str]) -> String {
    resolve(Some(TASK), None, &set(assignments), None).unwrap_err().to_string()
}

fn resolve_file(text: &str) -> Result<Settings, ConfigError> {
    resolve_text(Some(TASK), text)
}

fn resolve_text(task: Option<&'static Task>, text: &str) -> Result<Settings, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.toml");
    fs::write(&path, text).unwrap();
    resolve(task, None, &Overrides { file: Some(path), ..Overrides::default() }, None)
}

#[test]
fn every_preset_of_every_task_has_all_keys_and_explains_each() {
    for (task, preset) in TASKS.iter().flat_map(|task| PRESETS.map(|preset| (task, preset))) {
        let schema = schema();
        let mut layers = Layers::new(&schema);
        for (origin, text) in task.preset(preset) {
            layers.put(&origin, &parse(&origin, text).unwrap()).unwrap();
            let settings = text
                .lines()
                .skip_while(|line| !line.starts_with('['))
                .filter(|line| line.contains(" = "));
            // what an arm has is explained at the first that has it
            let explained = |line: &&str| {
                text.lines().any(|other| other.contains('#') && key_of(other) == key_of(line))
            };
            let bare: Vec<&str> = settings.clone().filter(|line| !explained(line)).collect();
            assert!(settings.count() > 2 && bare.is_empty(), "{origin}: no comment: {bare:?}");
        }
        for key in schema.names() {
            assert!(layers.origin(key).is_some(), "{} {} lacks {key}", task.name, preset.name());
        }
        let config = resolve(Some(task), Some(preset), &Overrides::default(), None).unwrap();
        assert_eq!((config.task.as_str(), config.preset.as_str()), (task.name, preset.name()));
    }
}

#[test]
fn the_written_configuration_reads_back_to_the_same_settings() {
    for preset in PRESETS {
        let config = resolve(
            Some(TASK),
            Some(preset),
            &set(&["ppo.learning_rate=1.41e-5", "run.device=cuda:1"]),
            None,
        )
        .unwrap();
        let text = config.to_toml().unwrap();
        assert_eq!(read_back(Path::new("config.toml"), &text).unwrap(), config);
        // also as a --config file
        assert_eq!(resolve_file(&text).unwrap(), config);
    }
}

#[test]
fn a_column_of_texts_may_have_several_names_and_classes_may_be_words() {
    let config = resolve(Some(TASK), None, &set(&["data.text_column=body"]), None).unwrap();
    assert_eq!(config.data.text_column, ["body"]);
    let config = resolve_file(
        "[data]\ntext_column = [\"a\", \"b\"]\n\
         labels = { good = [\"yes\"], bad = [\"no\", \"0\"] }",
    )
    .unwrap();
    assert_eq!(
        (config.data.text_column.len(), config.data.labels.good, config.data.labels.bad.len()),
        (2, vec!["yes".into()], 2)
    );
}

#[test]
fn a_path_that_is_no_text_is_refused_and_not_altered() {
    use std::os::unix::ffi::OsStrExt;

    let path = Path::new(std::ffi::OsStr::from_bytes(b"caf\xe9"));
    let message =
        Overrides::default().put_path("--data-dir", "data.dir", path).unwrap_err().to_string();
    assert_eq!(
        message,
        "--data-dir: data.dir = \"caf\\xE9\", expected a path of UTF-8, as settings are a text"
    );
}

#[test]
fn later_layers_win() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.toml");
    fs::write(&path, "[run]\nseed = 5\nseeds = 6\nthreads = 7\n").unwrap();
    let args = Overrides { file: Some(path), flags: seed(9), ..set(&["run.seeds=8"]) };
    let config = resolve(Some(TASK), None, &args, None).unwrap();
    assert_eq!((config.run.seed, config.run.seeds, config.run.threads), (9, 8, 7));
}

#[test]
fn what_the_command_says_twice_is_refused() {
    let message = |args: &Overrides| resolve(Some(TASK), None, args, None).unwrap_err().to_string();
    let args = Overrides { flags: seed(9), ..set(&["run.seed=8"]) };
    assert_eq!(
        message(&args),
        "run.seed is given twice, by --set and by --seed: leave one of them out"
    );
    let twice = "ppo.clip is given twice, by --set and by --set: leave one of them out";
    assert_eq!(message(&set(&["ppo.clip=0.1", "ppo.clip=0.1"])), twice);
}

#[test]
fn a_file_may_name_the_preset_it_starts_from() {
    assert_eq!(resolve_file("preset = \"smoke\"").unwrap().ppo.batch_size, 8);
    let message = resolve_file("preset = \"smok\"").unwrap_err().to_string();
    assert!(
        message.contains("preset = \"smok\", expected \"embedded\", \"smoke\" or \"paper\""),
        "{message}"
    );
    let message = resolve_file("preset = \"chess-smoke\"").unwrap_err().to_string();
    assert!(message.contains("preset = \"chess-smoke\", expected"), "{message}");
    let message = resolve_file("task = \"chess\"").unwrap_err().to_string();
    assert!(message.contains("task = \"chess\""), "{message}");
}

#[test]
fn a_task_of_ones_own_starts_from_the_preset_of_another() {
    let alone = |text: &str| resolve_text(None, text);
    let config =
        alone("task = \"chess\"\npreset = \"imdb-smoke\"\n[data]\nfolder = \"games\"").unwrap();
    assert_eq!(
        (config.task.as_str(), config.preset.as_str(), config.ppo.batch_size),
        ("chess", "imdb-smoke", 8)
    );
    assert_eq!(alone("task = \"imdb\"").unwrap().preset, "embedded");
    // a file gives its name to the task
    assert_eq!(alone("preset = \"imdb-smoke\"").unwrap().task, "run");
    let message = alone("task = \"chess\"\npreset = \"smoke\"").unwrap_err().to_string();
    assert!(
        message.contains("preset = \"TASK-embedded\"") && message.contains("imdb"),
        "{message}"
    );
    let message = alone("task = \"chess\"\npreset = \"imdb-smol\"").unwrap_err().to_string();
    assert!(message.contains("there is no preset \"imdb-smol\"; write preset"), "{message}");
}

/// What all tasks share, and what is a task's own.
fn pages(task: &Task, preset: Preset) -> [&'static str; 4] {
    task.preset(preset).into_iter().map(|(_, text)| text).collect::<Vec<_>>().try_into().unwrap()
}

/// The keys that a text sets.
fn keys_of(text: &str) -> Vec<String> {
    let schema = schema();
    let mut layers = Layers::new(&schema);
    layers.put("here", &parse("", text).unwrap()).unwrap();
    schema
        .names()
        .into_iter()
        .filter(|key| layers.origin(key).is_some())
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_key_stands_with_all_tasks_or_on_the_page_of_each() {
    for name in [Preset::Embedded, Preset::Paper] {
        let pages: Vec<_> = TASKS.iter().map(|task| pages(task, name).map(keys_of)).collect();
        for [arms, baselines, shared, own] in &pages {
            let mut all = [arms.as_slice(), baselines, shared, own].concat();
            all.sort_unstable();
            let schema = schema();
            let mut known = schema.names();
            known.sort_unstable();
            assert_eq!(all, known, "{}", name.name());
            assert_eq!(*own, pages[0][3], "{}", name.name());
        }
    }
}

#[test]
fn the_page_of_a_task_is_a_file_for_train_too() {
    for (task, name) in
        TASKS.iter().flat_map(|task| [Preset::Embedded, Preset::Paper].map(|name| (task, name)))
    {
        let [.., page] = pages(task, name);
        assert_eq!(
            resolve_text(None, page).unwrap(),
            resolve(Some(task), Some(name), &Overrides::default(), None).unwrap()
        );
    }
}

#[test]
fn toxic_texts_are_bad_and_the_papers_risk_levels_are_kept() {
    for (task, name) in TASKS.iter().flat_map(|task| PRESETS.map(|name| (task, name))) {
        let config = resolve(Some(task), Some(name), &Overrides::default(), None).unwrap();
        let is_toxicity = task.name != "imdb";
        let good = if is_toxicity { GoodSide::Low } else { GoodSide::High };
        assert_eq!(
            (config.data.good, config.reward.negate, config.judge.negate),
            (good, is_toxicity, is_toxicity),
            "{}",
            task.name
        );
        assert_eq!(
            !config.data.embedded_notice.is_empty(),
            is_toxicity && name != Preset::Paper,
            "{}",
            task.name
        );
        if name != Preset::Smoke {
            assert!(
                (config.risk.alpha - if is_toxicity { 0.2 } else { 0.4 }).abs() < 1e-12,
                "{}",
                task.name
            );
        }
    }
}

#[test]
fn an_unknown_key_is_named_with_its_origin_and_neighbour() {
    assert_eq!(
        refused(&["ppo.learnin_rate=1"]),
        "--set: unknown key `ppo.learnin_rate`; did you mean `ppo.learning_rate`?"
    );
    let message = resolve_file("[ppo]\nlearning_rat = 1e-4\n").unwrap_err().to_string();
    assert!(
        message.ends_with(
            "run.toml: unknown key `ppo.learning_rat`; did you mean `ppo.learning_rate`?"
        ),
        "{message}"
    );
    let message = resolve_file("[ppoo]\nclip = 0.1\n").unwrap_err().to_string();
    assert!(message.contains("unknown key `ppoo`"), "{message}");
    assert_eq!(refused(&["ppo=3"]), "--set: `ppo` is a section, expected its keys, as in [ppo]");
}

#[test]
fn a_value_of_the_wrong_type_is_named_with_what_was_expected() {
    assert_eq!(
        refused(&["ppo.batch_size=1.5"]),
        "--set: ppo.batch_size = 1.5, expected a whole number of at least 1"
    );
    assert_eq!(
        refused(&["ppo.clip=much"]),
        "--set: ppo.clip = \"much\", expected a number in (0, 1)"
    );
    assert_eq!(refused(&["reward.negate=1"]), "--set: reward.negate = 1, expected true or false");
    assert_eq!(
        refused(&["sampling.end_of_text=halt"]),
        "--set: sampling.end_of_text = \"halt\", expected one of \"stop\", \"mask\""
    );
    assert!(refused(&["data.places=[\"moon\"]"]).contains("\"data-dir\""));
    assert_eq!(
        refused(&["ppo.clip"]),
        "--set ppo.clip: expected KEY=VALUE, as in --set ppo.learning_rate=3e-5"
    );
}

#[test]
fn values_out_of_range_are_refused() {
    let cases = [
        ("risk.alpha=0", "(0, 1]"),
        ("risk.alpha=1.01", "(0, 1]"),
        ("risk.alpha=nan", "(0, 1]"),
        ("risk.rho=-0.1", "(0, 1]"),
        ("risk.rho=0", "(0, 1]"),
        ("ppo.batch_size=0", "at least 1"),
        ("ppo.batch_size=-3", "at least 1"),
        ("ppo.learning_rate=0", "(0, 1e30]"),
        ("ppo.learning_rate=inf", "(0, 1e30]"),
        ("sft.learning_rate=-1", "(0, 1e30]"),
        ("sampling.temperature=0", "at least 0.000001"),
        ("sampling.top_p=1.1", ", 1]"),
        ("run.seeds=0", "1 to 1000"),
        ("run.seeds=9223372036854775807", "1 to 1000"),
        ("ppo.ratio_threshold=1", "above 1"),
        ("ppo.responses=0", "at least 1"),
        ("ppo.rate_end=0", "(0, 1]"),
        ("ppo.average=1.1", "a number in [0, 1]"),
        ("data.places=[]", "a list of some of"),
        ("data.score_columns=[]", "a list of at least 1 string"),
        ("data.text_column=[]", "a string or a list of at least 1 string"),
        ("data.labels={good=[\"yes\"]}", "{ bad = [strings], good = [strings] }"),
        ("data.labels={good=[\"yes\"],bad=[0]}", "{ bad = [strings], good = [strings] }"),
        ("evaluation.other_tails=[nan]", "a list of finite numbers"),
    ];
    for (assignment, range) in cases {
        let message = refused(&[assignment]);
        let key = assignment.split('=').next().unwrap();
        assert!(message.contains(key) && message.contains(range), "{assignment}: {message}");
    }
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let message = refused(&["ppo.batch_size=16", "ppo.minibatch_size=32"]);
    assert_eq!(
        message,
        "--set: ppo.minibatch_size = 32, but ppo.batch_size is 16: expected at most that"
    );
    assert!(refused(&["sampling.min_new_tokens=900"]).contains("sampling.max_new_tokens"));
    // RA-RLHF that never drops an episode would be RLHF under another name
    assert_eq!(
        refused(&["ppo.iterations=10", "risk.warmup=10"]),
        "--set: risk.warmup = 10, but ppo.iterations is 10: expected less, or no episode is ever \
         dropped"
    );
    assert_eq!(
        refused(&["run.precision=bf16"]),
        "--set: run.precision = \"bf16\", expected \"f32\", as run.device is \"flex\": bf16 is \
         for GPUs"
    );
    assert!(
        refused(&["ppo.value_warmup=100", "ppo.iterations=100"])
            .ends_with("or the policy never learns")
    );
    assert!(
        refused(&["ppo.rate_warmup=100", "ppo.iterations=100"])
            .ends_with("or the learning rate never gets there")
    );
    assert_eq!(
        refused(&["ppo.batch_size=128", "ppo.responses=3"]),
        "--set: ppo.responses = 3, but ppo.batch_size is 128: expected a divisor of that"
    );
    // an arm that keeps all episodes may have as few iterations as it likes
    let own = |arm: usize| {
        let mut settings = resolve(Some(TASK), None, &set(&[]), None).unwrap();
        assert!(settings.risk.warmup >= 10);
        settings.arm[arm].set.insert("ppo.iterations".to_owned(), Value::Integer(10));
        settings.validate().map_err(|error| error.to_string())
    };
    assert_eq!(own(2), Ok(()));
    let of_arm = own(3).unwrap_err();
    assert!(
        of_arm.starts_with("arm ra_rlhf: risk.warmup = ")
            && of_arm.ends_with("no episode is ever dropped"),
        "{of_arm}"
    );
    assert!(
        refused(&["ppo.batch_size=128", "ppo.kl_horizon=20"])
            .contains("more than a fifth of ppo.batch_size, which is 128")
    );
}

#[test]
fn what_leave_one_out_cannot_work_with_is_refused() {
    let rloo = |more: &[&str]| refused(&[&["ppo.advantages=rloo"], more].concat());
    assert_eq!(
        rloo(&[]),
        "preset embedded: ppo.responses = 1, expected 2 or more next to advantages = \"rloo\" \
         (ppo.advantages)"
    );
    assert!(rloo(&["ppo.responses=4", "ppo.gamma=0.9"]).contains("--set: ppo.gamma = 0.9"));
    let warmup = rloo(&["ppo.responses=4", "ppo.value_warmup=2"]);
    assert!(warmup.contains("ppo.value_warmup = 2, expected 0"), "{warmup}");
    let right = set(&["ppo.advantages=rloo", "ppo.responses=4"]);
    assert!(resolve(Some(TASK), None, &right, None).unwrap().ppo.prompts() == 32);
    assert!(refused(&["ppo.advantages=grpo"]).contains("ppo.advantages = \"grpo\""));
}

#[test]
fn broken_toml_names_file_and_line() {
    let message = resolve_file("[ppo]\nclip = = 2\n").unwrap_err().to_string();
    assert!(message.contains("run.toml: not TOML: line 2"), "{message}");
}

#[test]
fn resuming_takes_the_recorded_settings_and_lists_what_differs() {
    let config = resolve(Some(TASK), Some(Preset::Smoke), &set(&["risk.alpha=0.3"]), None).unwrap();
    let (path, text) = (Path::new("runs/1/config.toml"), config.to_toml().unwrap());
    let recorded = Some((path, text.as_str()));
    assert_eq!(resolve(Some(TASK), None, &Overrides::default(), recorded).unwrap(), config);
    let more_threads = Overrides {
        flags: vec![("--threads", "run.threads", Value::Integer(7))],
        ..Overrides::default()
    };
    assert_eq!(resolve(Some(TASK), None, &more_threads, recorded).unwrap().run.threads, 7);

    let message = resolve(Some(TASK), None, &set(&["risk.alpha=0.2", "ppo.epochs=9"]), recorded)
        .unwrap_err()
        .to_string();
    assert!(message.contains("runs/1/config.toml holds a run with other settings"), "{message}");
    assert!(message.contains("risk.alpha is 0.3 there, 0.2 was asked for"), "{message}");
    assert!(message.contains("ppo.epochs is 2 there, 9 was asked for"), "{message}");
    let message = resolve(Some(TASK), Some(Preset::Smoke), &Overrides::default(), recorded)
        .unwrap_err()
        .to_string();
    assert_eq!(message.lines().count(), 2, "{message}");
}

#[test]
fn a_run_that_was_named_otherwise_than_its_file_goes_on_with_that_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.toml");
    fs::write(&file, "preset = \"imdb-smoke\"").unwrap();
    let args = Overrides { file: Some(file), ..Overrides::default() };
    // as it was named before files gave their names
    let config = Settings { task: "imdb".to_owned(), ..resolve(None, None, &args, None).unwrap() };
    let text = config.to_toml().unwrap();
    assert_eq!(
        resolve(None, None, &args, Some((Path::new("config.toml"), &text))).unwrap().task,
        "imdb"
    );
}

#[test]
fn seeds_count_up() {
    let config = resolve(Some(TASK), None, &set(&["run.seed=4", "run.seeds=3"]), None).unwrap();
    assert_eq!(config.seed_list(), [4, 5, 6]);
}

#[test]
fn a_run_of_a_version_with_fewer_keys_goes_on() {
    let settings = resolve(Some(TASK), Some(Preset::Smoke), &set(&[]), None).unwrap();
    let mut recorded = settings.to_toml().unwrap().parse::<Table>().unwrap();
    let unknown = [
        "arm",
        "experiment",
        "best_of_n",
        "prompted",
        "dexperts",
        "interpolate",
        "distill",
        "quark",
    ];
    recorded.retain(|key, _| !unknown.contains(&key));
    recorded["sft"].as_table_mut().unwrap().remove("class");
    recorded["run"].as_table_mut().unwrap().retain(|key, _| key != "precision" && key != "arms");
    let unknown = ["reference", "responses", "failure_thresholds"];
    recorded["evaluation"].as_table_mut().unwrap().retain(|key, _| !unknown.contains(&key));
    let is_old = |key: &str| {
        !["responses", "rate_warmup", "rate_end", "average", "advantages"].contains(&key)
    };
    recorded["ppo"].as_table_mut().unwrap().retain(|key, _| is_old(key));
    let text = recorded.to_string();
    let resumed =
        resolve(Some(TASK), None, &set(&[]), Some((Path::new("config.toml"), &text))).unwrap();
    assert_eq!(resumed, settings);
}
