//! Two runs of the same settings, file by file.
//!
//! Files are compared bit for bit but for what holds time: of logs and tables all but the seconds,
//! of events all but clock times and seconds. `processes.json` has to be whole, `log.txt` to be
//! there, and `report.html` to be the page of the files beside it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value};
use tailguard_report::{Process, read_metrics};

/// What the page of a run directory has to be: `report.html` of a run that is called
/// [`OUT`](super::OUT).
pub type PageOf<'a> = &'a dyn Fn(&Path) -> Result<String>;

/// What differs, a line for each file.
///
/// # Errors
/// When a directory cannot be read.
pub(super) fn differences(left: &Path, right: &Path, page_of: PageOf<'_>) -> Result<Vec<String>> {
    let (ours, theirs) = (files(left)?, files(right)?);
    let lacks = |names: &[PathBuf], from: &[PathBuf], of: &Path| -> Vec<String> {
        let lacking = from.iter().filter(|name| !names.contains(name));
        lacking.map(|name| format!("{}: not in {}", name.display(), of.display())).collect()
    };
    let mut found = [lacks(&theirs, &ours, right), lacks(&ours, &theirs, left)].concat();
    for name in ours.iter().filter(|name| theirs.contains(name)) {
        let same = content(left, name, page_of)
            .and_then(|ours| Ok(ours == content(right, name, page_of)?));
        match same {
            Ok(true) => {}
            Ok(false) => found.push(format!("{}: differs", name.display())),
            Err(error) => found.push(format!("{}: {error:#}", name.display())),
        }
    }
    Ok(found)
}

/// All files below a folder, by their paths in it, sorted; none if it is not there.
///
/// # Errors
/// When it cannot be read.
pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let (mut found, mut open) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(inner) = open.pop() {
        let path = folder.join(&inner);
        let entries = match fs::read_dir(&path) {
            // it may go while this looks
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            outcome => outcome.with_context(|| format!("cannot read {}", path.display()))?,
        };
        for entry in entries {
            let entry = entry.with_context(|| format!("cannot read {}", path.display()))?;
            let name = inner.join(entry.file_name());
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push(name.clone());
            } else {
                found.push(name);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// What has to be the same of a file.
#[derive(Debug, PartialEq)]
enum Content {
    Bytes(Vec<u8>),
    Rows(Vec<Map<String, Value>>),
    Numbers(Vec<tailguard_report::LogRow>),
    Events(Vec<Vec<u8>>),
    Sound,
}

fn content(run: &Path, name: &Path, page_of: PageOf<'_>) -> Result<Content> {
    let path = run.join(name);
    let bytes = fs::read(&path).context("cannot be read")?;
    let file_name = name.file_name().unwrap_or_default().to_string_lossy();
    Ok(match &*file_name {
        "processes.json" => {
            let processes: Vec<Process> = serde_json::from_slice(&bytes)?;
            ensure!(
                processes.last().is_some_and(|last| last.wall_s.is_some()),
                "the last process did not come to its end"
            );
            Content::Sound
        }
        // what each process told, and when
        "log.txt" => Content::Sound,
        "report.html" => {
            ensure!(bytes == page_of(run)?.as_bytes(), "is not the page of the files beside it");
            Content::Sound
        }
        "metrics.parquet" => {
            let mut rows = read_metrics(&path)?;
            rows.iter_mut().for_each(|row| row.values.retain(|name, _| !is_time(name)));
            Content::Numbers(rows)
        }
        other if other.contains("tfevents") => Content::Events(timeless_events(&bytes)?),
        other if other.ends_with(".jsonl") => {
            let text = String::from_utf8(bytes)?;
            ensure!(text.ends_with('\n'), "the last line has no end");
            let mut rows: Vec<Map<String, Value>> =
                text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
            rows.iter_mut().for_each(|row| row.retain(|name, _| !is_time(name)));
            Content::Rows(rows)
        }
        _ => Content::Bytes(bytes),
    })
}

/// Whether a number of a log is a time, by our name or by TRL's.
fn is_time(name: &str) -> bool {
    name.ends_with("_s") || name.starts_with("time/")
}

/// The data of the events of a file, with zeros for clock times and for numbers that are times.
fn timeless_events(mut bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
    let mut events = Vec::new();
    while !bytes.is_empty() {
        // eight bytes of length, four of checksum, the data, four of checksum
        let (head, rest) = bytes.split_at_checked(12).context("cut off")?;
        let length =
            head.iter().take(8).rev().fold(0_u64, |length, &byte| length << 8 | u64::from(byte));
        let length = usize::try_from(length)?;
        ensure!(rest.len() >= length.saturating_add(4), "cut off");
        let (data, rest) = rest.split_at(length);
        events.push(timeless(data)?);
        bytes = &rest[4..];
    }
    Ok(events)
}

fn timeless(data: &[u8]) -> Result<Vec<u8>> {
    let mut data = data.to_vec();
    // the first field is the clock time: its key, eight bytes
    ensure!(data.len() >= 9 && data[0] == 0x09, "an event without a clock time");
    data[1..9].fill(0);
    // a tag is its key, its length, its text; then come the number's key and four bytes
    let tags: Vec<usize> = data
        .windows(5)
        .enumerate()
        .filter(|(_, word)| word == b"time/")
        .map(|(place, _)| place)
        .collect();
    for place in tags {
        let number = place + usize::from(data[place - 1]) + 1;
        data.get_mut(number..number + 4).context("a tag without a number")?.fill(0);
    }
    Ok(data)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tailguard_report::{EventLog, LogRow, write_metrics, write_trl_metrics};

    use super::*;

    /// For runs without one.
    fn no_page(_: &Path) -> Result<String> {
        anyhow::bail!("no page")
    }

    fn row(kl: f64, update_s: f64) -> LogRow {
        let values = BTreeMap::from([("kl".to_owned(), kl), ("update_s".to_owned(), update_s)]);
        LogRow { method: "rlhf".into(), seed: 1, iteration: 1, values }
    }

    /// A run's files of some contents.
    fn run(folder: &Path, model: &[u8], kl: f64, update_s: f64) {
        fs::create_dir_all(folder.join("checkpoints")).unwrap();
        fs::write(folder.join("checkpoints/model"), model).unwrap();
        fs::write(folder.join("processes.json"), format!("[{{\"wall_s\": {update_s}}}]")).unwrap();
        fs::write(folder.join("log.txt"), format!("it took {update_s} s")).unwrap();
        write_metrics(&folder.join("metrics.parquet"), &[row(kl, update_s)]).unwrap();
        write_trl_metrics(&folder.join("metrics.jsonl"), &[row(kl, update_s)]).unwrap();
        EventLog::begin(&folder.join("tensorboard"), &[row(kl, update_s)]).unwrap();
    }

    #[test]
    fn times_may_differ_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let [whole, same, other] = ["whole", "same", "other"].map(|name| folder.path().join(name));
        run(&whole, b"weights", 0.5, 1.0);
        run(&same, b"weights", 0.5, 2.0);
        assert_eq!(differences(&whole, &same, &no_page).unwrap(), Vec::<String>::new());
        run(&other, b"weighty", 0.25, 2.0);
        fs::write(other.join("rest"), "").unwrap();
        let found = differences(&whole, &other, &no_page).unwrap();
        let places = [
            "rest: not in",
            "checkpoints/model",
            "metrics.jsonl",
            "metrics.parquet",
            "tensorboard/events",
        ];
        assert_eq!(found.len(), places.len(), "{found:?}");
        assert!(found.iter().zip(places).all(|(line, place)| line.starts_with(place)), "{found:?}");
    }

    #[test]
    fn files_that_are_not_whole_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let [whole, cut] = ["whole", "cut"].map(|name| folder.path().join(name));
        for path in [&whole, &cut] {
            run(path, b"weights", 0.5, 1.0);
        }
        fs::write(cut.join("processes.json"), "[{\"wall_s\": null}]").unwrap();
        for name in ["metrics.jsonl", "tensorboard/events.out.tfevents.tailguard"] {
            let bytes = fs::read(cut.join(name)).unwrap();
            fs::write(cut.join(name), &bytes[..bytes.len() - 1]).unwrap();
        }
        let found = differences(&whole, &cut, &no_page).unwrap();
        let words = [
            "metrics.jsonl: the last line has no end",
            "processes.json: the last process",
            "tensorboard/events",
        ];
        assert!(
            found.len() == 3 && found.iter().zip(words).all(|(line, word)| line.starts_with(word)),
            "{found:?}"
        );
    }
}
