//! Claims about directories: who may have one, and what is left of it.

use super::*;

fn about() -> About {
    let inputs = [("policy".to_owned(), "0a1b".to_owned())].into();
    About {
        version: "0.1.0".into(),
        commit: None,
        device: "flex".into(),
        seeds: vec![1],
        program: "tailguard".into(),
        command: vec![],
        inputs,
        scores: [(
            "judge".to_owned(),
            ScoreAbout { label: 1, name: "TOXIC".into(), negated: true },
        )]
        .into(),
        places: [].into(),
        negated: vec![],
    }
}

fn create(path: &Path) -> Result<RunDir, ReportError> {
    NewRunDir::reserve(path)?.begin("task = \"t\"\n", &about())
}

#[test]
fn a_new_directory_is_made_with_its_parents() {
    let folder = tempfile::tempdir().unwrap();
    let run = create(&folder.path().join("a/b")).unwrap();
    assert_eq!(run.config().unwrap(), "task = \"t\"\n");
    assert_eq!(run.about().unwrap(), about());
    assert!(run.checkpoint_path("ra_rlhf", 3).ends_with("checkpoints/seed-3-ra-rlhf"));
}

#[test]
fn a_directory_that_holds_a_run_is_refused_and_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    drop(create(folder.path()).unwrap());
    let refused = NewRunDir::reserve(folder.path()).unwrap_err();
    assert!(matches!(refused, ReportError::HoldsARun { .. }) && refused.is_usage());
    assert_eq!(RunDir::open(folder.path()).unwrap().config().unwrap(), "task = \"t\"\n");
}

#[test]
fn a_directory_with_other_files_is_refused_and_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("thesis.tex"), "years").unwrap();
    let message = create(folder.path()).unwrap_err().to_string();
    assert!(message.contains("thesis.tex"), "{message}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn two_processes_do_not_share_a_directory() {
    let folder = tempfile::tempdir().unwrap();
    let run = create(folder.path()).unwrap();
    assert!(matches!(RunDir::open(folder.path()), Err(ReportError::InUse { .. })));
    drop(run);
    assert!(RunDir::open(folder.path()).is_ok());
}

#[test]
fn resuming_nothing_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(RunDir::open(folder.path()), Err(ReportError::NoRun { .. })));
    assert!(matches!(RunDir::open(&folder.path().join("no")), Err(ReportError::NoRun { .. })));
}

#[test]
fn a_path_below_a_file_cannot_be_a_run_directory() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let refused = create(&folder.path().join("file/run")).unwrap_err();
    assert!(matches!(refused, ReportError::Unwritable { .. }), "{refused:?}");
}

#[test]
fn numbered_directories_count_up() {
    let folder = tempfile::tempdir().unwrap();
    let make = || {
        NewRunDir::reserve_numbered(&folder.path().join("runs"), "imdb-smoke")
            .unwrap()
            .begin("", &about())
            .unwrap()
    };
    let (first, second) = (make(), make());
    assert!(
        first.path().ends_with("runs/imdb-smoke-1") && second.path().ends_with("runs/imdb-smoke-2")
    );
}

#[test]
fn a_run_that_never_begins_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    drop(NewRunDir::reserve(&folder.path().join("a/b")).unwrap());
    drop(NewRunDir::reserve_numbered(&folder.path().join("runs"), "imdb-smoke").unwrap());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    // a directory of the user's stays
    drop(NewRunDir::reserve(folder.path()).unwrap());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_users_file_that_is_called_lock_is_refused_and_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(LOCK);
    fs::write(&file, "combination").unwrap();
    assert!(matches!(create(folder.path()), Err(ReportError::NotEmpty { .. })));
    assert_eq!(fs::read_to_string(&file).unwrap(), "combination");
    fs::write(&file, "").unwrap();
    assert!(create(folder.path()).is_ok(), "what a process left that died at once");
}

#[test]
fn traces_are_removed_and_other_files_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b");
    let reserved = NewRunDir::reserve(&path).unwrap();
    reserved.traces().remove();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    drop(reserved);
    let reserved = NewRunDir::reserve(&path).unwrap();
    reserved.write_about(&about()).unwrap();
    // half of a file, as Ctrl-C finds it
    let half = tailguard_files::write_dir(&reserved.file("results.json"), |_| {
        reserved.traces().remove();
        Ok::<_, FileError>(())
    });
    assert!(half.is_err());
    reserved.traces().remove();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    drop(reserved);
    let reserved = NewRunDir::reserve(&path).unwrap();
    fs::write(path.join("results.json"), "another's").unwrap();
    reserved.write_about(&about()).unwrap();
    drop(reserved);
    assert!(path.join("results.json").is_file() && !path.join(ABOUT).exists());
}

#[test]
fn files_that_are_kept_stay() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let reserved = NewRunDir::reserve(&path).unwrap();
    reserved.write_about(&about()).unwrap();
    reserved.keep();
    reserved.traces().remove();
    drop(reserved);
    assert!(path.join(ABOUT).is_file() && !path.join(LOCK).exists());
}

#[test]
fn a_reserved_directory_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let _reserved = NewRunDir::reserve(folder.path()).unwrap();
    assert!(matches!(NewRunDir::reserve(folder.path()), Err(ReportError::InUse { .. })));
}

/// A temporary of a process that is dead.
fn temporary(of: &str, kind: &str) -> String {
    format!(".{of}.0000000000000001.tailguard-{kind}")
}

#[test]
fn what_died_before_its_run_began_is_in_nobodys_way() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for name in FOLDERS {
        fs::create_dir(path.join(name)).unwrap();
    }
    fs::write(path.join(LOCK), "").unwrap();
    fs::write(path.join(ABOUT), json(&about())).unwrap();
    fs::write(path.join(temporary("config.toml", "new")), "task = ").unwrap();
    for (name, text) in [("logs/seed-1-rlhf.jsonl", ""), (ABOUT, "{}")] {
        let before = fs::read(path.join(name));
        fs::write(path.join(name), text).unwrap();
        assert!(matches!(create(path), Err(ReportError::NotEmpty { .. })), "{name} is somebody's");
        match before {
            Ok(bytes) => fs::write(path.join(name), bytes).unwrap(),
            Err(_) => fs::remove_file(path.join(name)).unwrap(),
        }
    }
    create(path).unwrap();
    assert_eq!(fs::read_dir(path).unwrap().count(), FOLDERS.len() + 3);
}

#[test]
fn opening_a_run_puts_right_what_a_killed_process_left() {
    let folder = tempfile::tempdir().unwrap();
    drop(create(folder.path()).unwrap());
    let training = folder.path().join("checkpoints/seed-1-rlhf");
    for name in [temporary("state", "old"), temporary("state", "new")] {
        fs::create_dir_all(training.join(&name)).unwrap();
        fs::write(training.join(&name).join("progress.json"), name).unwrap();
    }
    fs::write(folder.path().join(temporary("results.json", "new")), "{").unwrap();
    let run = RunDir::open(folder.path()).unwrap();
    assert_eq!(run.recovered().len(), 3);
    assert_eq!(
        fs::read_to_string(training.join("state/progress.json")).unwrap(),
        temporary("state", "old")
    );
    assert_eq!(fs::read_dir(&training).unwrap().count(), 1);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), FOLDERS.len() + 3);
}
