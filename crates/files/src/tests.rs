//! Every operation may fail, or be the last before a kill or a power cut: what is read afterwards
//! is the old content or the new, whole.

use std::path::Path;

use proptest::prelude::*;

use crate::disk::Disk;
use crate::model::{Fault, Model, Tree};
use crate::recover::recover_all;
use crate::staged::{remove_dir, write_dir, write_file};
use crate::{AppendFile, FileError, is_temporary};

type Act<'a> = &'a dyn Fn(&Model) -> Result<(), FileError>;
/// Looks at a disk after recovery; the flag says whether the act had said that it was done.
type Check<'a> = &'a dyn Fn(&Model, bool);

/// How many disks were looked at.
#[derive(Default)]
struct Count(std::cell::Cell<usize>);

/// Lets every operation of an act fail or be the last, and every operation after that, and every
/// operation of the recovery.
fn with_every_fault(before: &Model, act: Act, check: Check) -> usize {
    let count = Count::default();
    let whole = before.copy(&[]);
    act(&whole).unwrap();
    after_death(&whole, true, check, &count);
    for first in [Fault::Once, Fault::Always, Fault::Full, Fault::Death] {
        for place in 0.. {
            let disk = before.copy(&[(place, first)]);
            let done = act(&disk).is_ok();
            after_death(&disk, done, check, &count);
            if disk.has_faults_left() {
                assert!(place > 3, "the act has few operations");
                break;
            }
        }
    }
    // and whatever is done about the first failure may fail
    for place in 0..whole.operations() {
        for second in [Fault::Once, Fault::Death] {
            for later in 0.. {
                let disk = before.copy(&[(place, Fault::Once), (later, second)]);
                let done = act(&disk).is_ok();
                after_death(&disk, done, check, &count);
                if disk.has_faults_left() {
                    break;
                }
            }
        }
    }
    count.0.get()
}

/// Every disk that a process may leave, recovered, and again after each operation of the recovery.
fn after_death(disk: &Model, done: bool, check: Check, count: &Count) {
    for left in disk.survivors() {
        for place in 0.. {
            let dying = left.copy(&[(place, Fault::Death)]);
            if recover_all(&dying, Path::new("/")).is_ok() && dying.has_faults_left() {
                look(&dying, done, check, count);
                break;
            }
            for left in dying.survivors() {
                look(&left, done, check, count);
            }
        }
    }
}

fn look(left: &Model, done: bool, check: Check, count: &Count) {
    let left = left.copy(&[]);
    recover_all(&left, Path::new("/")).unwrap();
    let names = left.tree("/").unwrap();
    assert!(
        !names.keys().any(|path| is_temporary(Path::new(path).file_name().unwrap_or_default())),
        "{names:?}"
    );
    check(&left, done);
    count.0.set(count.0.get() + 1);
}

/// The content of `path` is `old` or `new`, and the latter if that was promised.
fn old_or_new(path: &'static str, old: Option<Tree>, new: Option<Tree>) -> impl Fn(&Model, bool) {
    move |disk, done| {
        let found = disk.tree(path);
        assert!(found == new || !done && found == old, "done: {done}, found: {found:?}");
    }
}

fn disk(fill: impl FnOnce(&Model)) -> Model {
    let disk = Model::new();
    disk.create_dir(Path::new("/run")).unwrap();
    fill(&disk);
    disk.settle();
    disk
}

fn fill_dir(disk: &Model, dir: &Path, data: &str) {
    disk.create_dir(&dir.join("inner")).unwrap();
    disk.put(&dir.join("inner/weights"), data.as_bytes()).unwrap();
    disk.put(&dir.join("config"), data.as_bytes()).unwrap();
}

fn after(before: &Model, act: Act, path: &str) -> Option<Tree> {
    let disk = before.copy(&[]);
    act(&disk).unwrap();
    disk.tree(path)
}

/// Checks an act on a path by its content before and after.
fn check(before: &Model, act: Act, path: &'static str, least: usize) {
    let (old, new) = (before.tree(path), after(before, act, path));
    assert_ne!(old, new);
    let looked = with_every_fault(before, act, &old_or_new(path, old, new));
    assert!(looked >= least, "only {looked} disks");
}

#[test]
fn a_file_is_old_or_new() {
    let write: Act = &|disk| write_file(disk, Path::new("/run/a"), b"the new content");
    check(&disk(|_| {}), write, "/run/a", 100);
    check(
        &disk(|disk| disk.put(Path::new("/run/a"), b"the old content").unwrap()),
        write,
        "/run/a",
        100,
    );
}

#[test]
fn a_directory_is_old_or_new() {
    let write: Act = &|disk| {
        write_dir(disk, Path::new("/run/a"), |dir| {
            let failed = || FileError::of("write", dir);
            disk.create_dir(&dir.join("inner")).map_err(failed())?;
            disk.put(&dir.join("inner/weights"), b"new").map_err(failed())?;
            disk.put(&dir.join("config"), b"new").map_err(failed())
        })
    };
    check(&disk(|_| {}), write, "/run/a", 1000);
    let before = disk(|disk| {
        disk.create_dir(Path::new("/run/a")).unwrap();
        fill_dir(disk, Path::new("/run/a"), "old");
    });
    check(&before, write, "/run/a", 1000);
}

#[test]
fn a_directory_whose_folders_are_new_is_whole() {
    let write: Act = &|disk| {
        write_dir(disk, Path::new("/run/b/c/a"), |dir| {
            disk.put(&dir.join("config"), b"new").map_err(FileError::of("write", dir))
        })
    };
    check(&disk(|_| {}), write, "/run/b/c/a", 100);
}

#[test]
fn a_removed_directory_is_old_or_gone() {
    let before = disk(|disk| {
        disk.create_dir(Path::new("/run/a")).unwrap();
        fill_dir(disk, Path::new("/run/a"), "old");
    });
    check(&before, &|disk| remove_dir(disk, Path::new("/run/a")), "/run/a", 100);
}

/// Rows and states as a training writes them: a row for each iteration, a state after every second.
fn train(disk: &Model, done: usize) -> Result<(), FileError> {
    let mut log = AppendFile::begin_on(disk, Path::new("/run/log"), rows(done).as_bytes())?;
    for iteration in done + 1..=done + 4 {
        log.append(format!("row {iteration}\n").as_bytes())?;
        if iteration % 2 == 0 {
            log.sync()?;
            write_dir(disk, Path::new("/run/state"), |dir| {
                disk.put(&dir.join("done"), iteration.to_string().as_bytes())
                    .map_err(FileError::of("write", dir))
            })?;
        }
    }
    Ok(())
}

fn rows(count: usize) -> String {
    (1..=count).map(|row| format!("row {row}\n")).collect()
}

/// The log has the rows that the state demands, however many.
fn log_covers_state(disk: &Model, least: usize) {
    let state = disk
        .tree("/run/state")
        .map(|state| String::from_utf8(state["/done"].clone().unwrap()).unwrap());
    let done: usize = state.map_or(0, |text| text.parse().unwrap());
    assert!(done >= least, "went back to {done}");
    let log = disk.tree("/run/log").map_or(Vec::new(), |log| log[""].clone().unwrap());
    assert!(log.starts_with(rows(done).as_bytes()), "{done}: {:?}", String::from_utf8_lossy(&log));
}

#[test]
fn a_log_has_the_rows_that_the_state_demands() {
    let before = disk(|_| {});
    with_every_fault(&before, &|disk| train(disk, 0), &|disk, done| {
        log_covers_state(disk, if done { 4 } else { 0 })
    });
    // and when it goes on after iteration 4
    train(&before, 0).unwrap();
    before.settle();
    with_every_fault(&before, &|disk| train(disk, 4), &|disk, done| {
        log_covers_state(disk, if done { 8 } else { 4 })
    });
}

#[test]
fn a_file_that_grows_in_its_place_keeps_what_was_synced() {
    let act: Act = &|disk| {
        let mut events = AppendFile::begin_in_place_on(disk, Path::new("/run/events"), b"one\n")?;
        events.append(b"two\n")?;
        events.sync()
    };
    let kept = |disk: &Model, done: bool| {
        assert!(!done || disk.tree("/run/events").unwrap()[""].as_deref() == Some(b"one\ntwo\n"))
    };
    with_every_fault(&disk(|_| {}), act, &kept);
    with_every_fault(
        &disk(|disk| disk.put(Path::new("/run/events"), b"older\n").unwrap()),
        act,
        &kept,
    );
}

#[test]
fn what_cannot_be_moved_back_is_named_and_comes_back() {
    let before = disk(|disk| {
        disk.create_dir(Path::new("/run/a")).unwrap();
        fill_dir(disk, Path::new("/run/a"), "old");
    });
    let write = |disk: &Model| write_dir(disk, Path::new("/run/a"), |_| Ok::<_, FileError>(()));
    let mut named = 0;
    for place in 0..=4 {
        let disk = before.copy(&[(place, Fault::Once), (0, Fault::Once)]);
        let Err(error) = write(&disk) else { continue };
        if disk.tree("/run/a").is_none() {
            assert!(
                error.source.to_string().contains("what was there is now /run/.a."),
                "{error:?}"
            );
            named += 1;
            // the next write finds it, though it fails
            let failed = write_dir(&disk, Path::new("/run/a"), |dir| {
                Err(FileError::of("fill", dir)(std::io::Error::other("no")))
            });
            assert!(failed.is_err());
        }
        assert_eq!(disk.tree("/run/a"), before.tree("/run/a"));
    }
    assert_eq!(named, 1);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    File(usize, u8),
    Dir(usize, u8),
    Remove(usize),
}

const FILES: [&str; 3] = ["/run/f", "/run/f.g", "/run/d.f"];
const DIRS: [&str; 3] = ["/run/d", "/run/d.e", "/run/e"];

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..FILES.len(), any::<u8>()).prop_map(|(name, data)| Step::File(name, data)),
        (0..DIRS.len(), any::<u8>()).prop_map(|(name, data)| Step::Dir(name, data)),
        (0..DIRS.len()).prop_map(Step::Remove),
    ]
}

impl Step {
    fn path(self) -> &'static str {
        match self {
            Self::File(name, _) => FILES[name],
            Self::Dir(name, _) | Self::Remove(name) => DIRS[name],
        }
    }

    fn take(self, disk: &Model) -> Result<(), FileError> {
        let path = Path::new(self.path());
        match self {
            Self::File(_, data) => write_file(disk, path, &[data; 4]),
            Self::Dir(_, data) => write_dir(disk, path, |dir| {
                disk.put(&dir.join("data"), &[data; 4]).map_err(FileError::of("write", dir))
            }),
            Self::Remove(_) => remove_dir(disk, path),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_written_every_name_has_its_last_content(
        steps in prop::collection::vec((any_step(), 0_usize..40, prop::bool::ANY), 1..8),
        pick in any::<prop::sample::Index>(),
    ) {
        let mut now = disk(|_| {});
        for (step, place, dies) in steps {
            let fault = if dies { Fault::Death } else { Fault::Once };
            let acting = now.copy(&[(place, fault)]);
            let done = step.take(&acting).is_ok();
            let mut left = acting.survivors();
            let left = left.swap_remove(pick.index(left.len()));
            recover_all(&left, Path::new("/")).unwrap();
            let wanted = after(&now, &|disk| step.take(disk), step.path());
            for path in FILES.into_iter().chain(DIRS) {
                let (found, old) = (left.tree(path), now.tree(path));
                let is_new = path == step.path() && found == wanted;
                prop_assert!(
                    is_new || found == old && !(done && path == step.path()),
                    "{step:?}: {path} is {found:?}"
                );
            }
            left.settle();
            now = left;
        }
    }
}

/// The system's own disk.
mod system {
    use std::fs;
    use std::path::Path;

    use crate::{
        AppendFile, FileError, create_dirs, discard, probe, recover, recover_all, stream_file,
        write_dir, write_file,
    };

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn refusal(path: &Path) -> FileError {
        FileError::of("fill", path)(std::io::Error::other("no"))
    }

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        write_file(&path, b"old").unwrap();
        let result = stream_file(&path, |file| {
            file.write_all(b"new").unwrap();
            Err(refusal(&path))
        });
        assert!(result.is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(names(dir.path()), ["file"]);
    }

    #[test]
    fn a_directory_replaces_the_old_one_only_when_it_is_whole() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("deep/model");
        for name in ["first", "second"] {
            write_dir(&path, |dir| write_file(&dir.join(name), b"")).unwrap();
            assert_eq!(names(&path), [name]);
        }
        let result = write_dir(&path, |dir| {
            fs::write(dir.join("half"), "").unwrap();
            Err(refusal(dir))
        });
        assert!(result.is_err());
        assert_eq!(names(&path), ["second"]);
        assert_eq!(names(&home.path().join("deep")), ["model"], "nothing temporary is left");
    }

    #[test]
    fn what_belongs_to_another_name_stays() {
        let home = tempfile::tempdir().unwrap();
        let (ours, others) = (
            ".a.0000000000000001.tailguard-old",
            [".a.b.0000000000000001.tailguard-old", ".a.1.tmp", "b"],
        );
        for name in others.iter().chain([&ours]) {
            fs::create_dir(home.path().join(name)).unwrap();
        }
        assert_eq!(recover(&home.path().join("a")).unwrap(), [home.path().join(ours)]);
        assert_eq!(
            names(home.path()),
            [".a.1.tmp", ".a.b.0000000000000001.tailguard-old", "a", "b"]
        );
        recover_all(home.path()).unwrap();
        assert_eq!(names(home.path()), [".a.1.tmp", "a", "a.b", "b"]);
        assert_eq!(recover_all(&home.path().join("not/there")).unwrap().len(), 0);
    }

    #[test]
    fn what_a_living_process_writes_stays() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a");
        write_dir(&path, |dir| {
            assert_eq!(recover_all(home.path())?.len(), 0);
            assert_eq!(recover(&path)?.len(), 0);
            stream_file(&home.path().join("b"), |file| {
                file.write_all(b"whole").map_err(FileError::of("write", dir))?;
                assert_eq!(recover_all(home.path())?.len(), 0);
                Ok::<_, FileError>(())
            })
        })
        .unwrap();
        assert_eq!(names(home.path()), ["a", "b"]);
    }

    #[test]
    fn a_process_that_ends_takes_its_own_with_it() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a");
        fs::write(home.path().join(".a.0000000000000001.tailguard-new"), "another's").unwrap();
        let _ = stream_file(&path, |_| {
            fs::write(home.path().join(".a.0000000000000001.tailguard-new"), "another's").unwrap();
            discard(&path);
            assert_eq!(names(home.path()), [".a.0000000000000001.tailguard-new"]);
            Ok::<_, FileError>(())
        });
    }

    #[test]
    fn a_log_goes_on_where_it_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        for line in [b"one\n", b"two\n"] {
            AppendFile::open(&path).unwrap().append(line).unwrap();
        }
        assert_eq!(fs::read(&path).unwrap(), b"one\ntwo\n");
        assert!(AppendFile::open(&folder.path().join("no/such/folder")).is_err());
    }

    #[test]
    fn errors_name_the_file() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("file");
        write_file(&file, b"").unwrap();
        let message = |error: FileError| error.to_string();
        assert_eq!(
            message(probe(&file, 1).unwrap_err()),
            format!("cannot write {}", file.display())
        );
        assert_eq!(
            message(create_dirs(&file.join("deep")).unwrap_err()),
            format!("cannot make {}", file.display())
        );
        let inner = file.join("inner");
        assert!(
            message(write_file(&inner, b"").unwrap_err()).ends_with(&inner.display().to_string())
        );
        assert!(
            message(write_file(Path::new("/"), b"").unwrap_err()).starts_with("cannot write /")
        );
        probe(home.path(), 10).unwrap();
        assert_eq!(names(home.path()), ["file"]);
    }

    #[cfg(unix)]
    #[test]
    fn what_is_written_is_as_readable_as_anything_new() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        write_file(&home.path().join("file"), b"").unwrap();
        write_dir(&home.path().join("dir"), |_| Ok::<_, FileError>(())).unwrap();
        fs::write(home.path().join("plain file"), "").unwrap();
        fs::create_dir(home.path().join("plain dir")).unwrap();
        let mode = |name| fs::metadata(home.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode("file"), mode("plain file"));
        assert_eq!(mode("dir"), mode("plain dir"));
    }
}
