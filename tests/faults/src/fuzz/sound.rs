//! Sound inputs, small enough that a case takes a few hundredths of a second, made by the program
//! itself and the fixtures.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::child::{self, End, Limits};
use super::inputs::{copy, make};

/// Calls of the program whose input is damaged.
pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "gpt2",
        words: "sample --model policy --prompt film --tokens 4 --threads 1",
        damaged: &["policy"],
        ..KIND
    },
    Kind {
        name: "distilbert",
        words: "evaluate --generations texts.csv --reward distilbert --label 1",
        damaged: &["distilbert"],
        besides: &["texts.csv"],
        ..KIND
    },
    Kind {
        name: "bert",
        words: "evaluate --generations texts.csv --reward bert --label 0",
        damaged: &["bert"],
        besides: &["texts.csv"],
        ..KIND
    },
    Kind {
        name: "roberta",
        words: "evaluate --generations texts.csv --reward roberta --label 0",
        damaged: &["roberta"],
        besides: &["texts.csv"],
        ..KIND
    },
    Kind {
        name: "judge",
        words: "evaluate --generations texts.csv --score-column reward --judge judge",
        damaged: &["judge"],
        besides: &["texts.csv"],
        ..KIND
    },
    Kind {
        name: "csv",
        words: "evaluate --generations texts.csv --score-column reward --prompt-score-column \
            prompt_score --group-by method,seed --baseline a --curve --out out",
        damaged: &["texts.csv"],
        ..KIND
    },
    Kind {
        name: "jsonl",
        words: "evaluate --generations texts.jsonl --prompt-column prompt.text --score-column \
            reward --group-by method --tokenizer policy --tail-threshold 0 --out out",
        damaged: &["texts.jsonl"],
        besides: &["policy"],
        ..KIND
    },
    Kind {
        name: "parquet",
        words: "evaluate --generations run/generations.parquet --out out",
        damaged: &["run/generations.parquet"],
        ..KIND
    },
    Kind {
        name: "settings",
        words: "train --config run.toml --out out",
        damaged: &["run.toml"],
        besides: OF_RUNS,
        taken: Some("out/config.toml"),
        ..KIND
    },
    Kind {
        name: "train-csv",
        words: "train --config run.toml --out out",
        damaged: &["data"],
        besides: OF_RUNS,
        ..KIND
    },
    Kind {
        name: "train-jsonl",
        words: "train --config run.toml --data-dir jsonl --out out",
        damaged: &["jsonl"],
        besides: OF_RUNS,
        ..KIND
    },
    Kind { name: "report", words: "report run", damaged: FINISHED, ..KIND },
    Kind {
        name: "compare",
        words: "compare run run-2 --out page.html",
        damaged: FINISHED,
        besides: &["run-2"],
        ..KIND
    },
    Kind {
        name: "resume",
        words: "train --out stopped --resume",
        damaged: &["stopped"],
        besides: OF_RUNS,
        results: Some("stopped/results.json"),
        ..KIND
    },
];

/// What `report` and `compare` read.
const FINISHED: &[&str] = &[
    "run/results.json",
    "run/run.json",
    "run/config.toml",
    "run/processes.json",
    "run/generations.parquet",
    "run/metrics.parquet",
    "run/tail_prompts.jsonl",
];
/// What a run reads.
const OF_RUNS: &[&str] = &["run.toml", "data", "policy", "distilbert", "judge"];
const KIND: Kind =
    Kind { name: "", words: "", damaged: &[], besides: &[], results: None, taken: None };

/// A call of the program.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    words: &'static str,
    /// Files and folders whose damage it must bear.
    damaged: &'static [&'static str],
    /// What else it reads.
    besides: &'static [&'static str],
    /// Results that are the same as of the sound input wherever the call comes to its end: what it
    /// reads was written with digests.
    results: Option<&'static str>,
    /// The settings that a run has taken, where damage may make it longer than a case may be: then
    /// it is one of other settings.
    taken: Option<&'static str>,
}

/// A kind whose sound input is there and passes.
#[derive(Debug)]
pub(super) struct Sound {
    pub(super) kind: &'static Kind,
    /// Holds the inputs of all kinds.
    ground: PathBuf,
    /// The files that may be damaged, as seen from there.
    pub(super) files: Vec<PathBuf>,
    /// Memory that the sound input suffices with.
    pub(super) kib: u64,
    /// What [`Kind::results`] names.
    results: Option<Vec<u8>>,
    /// What [`Kind::taken`] names.
    taken: Option<Vec<u8>>,
}

impl Sound {
    /// Reads one of the files.
    pub(super) fn read(&self, file: &Path) -> Result<Vec<u8>> {
        Ok(fs::read(self.ground.join(file))?)
    }

    /// Copies the input into a folder of its own, with one file replaced.
    pub(super) fn copy(&self, folder: &Path, file: &Path, bytes: &[u8]) -> Result<()> {
        self.kind.copy(&self.ground, folder)?;
        Ok(fs::write(folder.join(file), bytes)?)
    }

    /// How a case in a folder ended: as a fault, too, if it came to other results than the sound
    /// input, or hung without other settings.
    pub(super) fn judge(&self, folder: &Path, end: End) -> Result<End> {
        Ok(match (end, &self.results, self.kind.results) {
            (End::Code(0), Some(expected), Some(results))
                if fs::read(folder.join(results))? != *expected =>
            {
                End::Fault(format!("{results} has other numbers, and nothing was said"))
            }
            (End::Hung(what), ..) if !self.is_longer(folder) => End::Fault(what),
            (end, ..) => end,
        })
    }

    /// Whether a run in a folder has begun with other settings than the sound ones.
    fn is_longer(&self, folder: &Path) -> bool {
        let taken = self.kind.taken.and_then(|path| fs::read(folder.join(path)).ok());
        taken.is_some_and(|taken| self.taken.as_ref().is_some_and(|sound| taken != *sound))
    }
}

impl Kind {
    /// The words of the call.
    pub(super) fn words(&self) -> Vec<String> {
        self.words.split_whitespace().map(str::to_owned).collect()
    }

    fn copy(&self, ground: &Path, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder)?;
        self.damaged
            .iter()
            .chain(self.besides)
            .try_for_each(|name| copy(&ground.join(name), &folder.join(name)))
    }
}

/// Makes the sound inputs of all kinds in a folder, and runs each.
///
/// # Errors
/// A sound input that does not pass.
pub(super) fn prepare(
    program: &Path,
    folder: &Path,
    kinds: &[&'static Kind],
) -> Result<Vec<Sound>> {
    let ground = folder.join("sound");
    fs::create_dir(&ground)?;
    make(program, &ground)?;
    kinds
        .iter()
        .map(|kind| {
            sound(program, kind, &ground, folder)
                .with_context(|| format!("the sound input of `{}`", kind.name))
        })
        .collect()
}

/// Memory that is tried first, in KiB.
const LEAST_KIB: u64 = 32 << 10;
/// More than a sound input may take. Products ask for twice the cache of the processor at once, of
/// which they use little: 600 MiB on a large one.
const TOO_MUCH_KIB: u64 = 1 << 23;

fn sound(program: &Path, kind: &'static Kind, ground: &Path, folder: &Path) -> Result<Sound> {
    let mut files = Vec::new();
    for target in kind.damaged {
        list(ground, Path::new(target), &mut files)?;
    }
    files.sort();
    ensure!(!files.is_empty(), "no files");
    let mut kib = LEAST_KIB;
    while kib < TOO_MUCH_KIB {
        let copied = folder.join(kind.name);
        kind.copy(ground, &copied)?;
        let end = child::run(program, &kind.words(), &copied, Limits::with_kib(kib))?;
        let read = |path: Option<&str>| path.map(|path| fs::read(copied.join(path))).transpose();
        let (results, taken) = (read(kind.results), read(kind.taken));
        fs::remove_dir_all(&copied)?;
        match end {
            End::Code(0) => {
                return Ok(Sound {
                    kind,
                    ground: ground.to_owned(),
                    files,
                    kib,
                    results: results?,
                    taken: taken?,
                });
            }
            End::Hung(what) => bail!("{what}"),
            // too little memory, perhaps
            _ if kib * 2 < TOO_MUCH_KIB => kib *= 2,
            other => bail!("ended as {other:?}"),
        }
    }
    bail!("takes more than {} MiB", TOO_MUCH_KIB >> 10)
}

fn list(root: &Path, inner: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let path = root.join(inner);
    if path.is_file() {
        // a lock is empty, and nobody reads a page
        let is_input = path.metadata()?.len() > 0
            && path.extension().is_none_or(|extension| extension != "html");
        files.extend(is_input.then(|| inner.to_owned()));
        return Ok(());
    }
    for entry in fs::read_dir(&path).with_context(|| format!("{} is not there", path.display()))? {
        list(root, &inner.join(entry?.file_name()), files)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kind of that name, whose sound input has come to these results and has taken these
    /// settings.
    fn sound(name: &str, results: Option<&str>, taken: Option<&str>) -> Sound {
        let kind = KINDS.iter().find(|kind| kind.name == name).unwrap();
        let [results, taken] =
            [results, taken].map(|text| text.map(|text| text.as_bytes().to_vec()));
        Sound { kind, ground: PathBuf::new(), files: Vec::new(), kib: 0, results, taken }
    }

    #[test]
    fn a_resumed_run_comes_to_its_end_and_to_the_same_results() {
        let folder = tempfile::tempdir().unwrap();
        let resume = sound("resume", Some("{}"), None);
        fs::create_dir(folder.path().join("stopped")).unwrap();
        let judged = |results: &str, end| {
            fs::write(folder.path().join("stopped/results.json"), results).unwrap();
            resume.judge(folder.path(), end).unwrap()
        };
        assert_eq!(judged("{}", End::Code(0)), End::Code(0));
        assert!(matches!(judged("[]", End::Code(0)), End::Fault(_)));
        assert!(matches!(judged("{}", End::Hung("it hangs".to_owned())), End::Fault(_)));
    }

    #[test]
    fn only_a_run_of_other_settings_may_be_longer() {
        let folder = tempfile::tempdir().unwrap();
        let hung = || End::Hung("it hangs".to_owned());
        let settings = sound("settings", None, Some("iterations = 4"));
        assert!(
            matches!(settings.judge(folder.path(), hung()).unwrap(), End::Fault(_)),
            "it has not begun"
        );
        fs::create_dir(folder.path().join("out")).unwrap();
        fs::write(folder.path().join("out/config.toml"), "iterations = 4").unwrap();
        assert!(
            matches!(settings.judge(folder.path(), hung()).unwrap(), End::Fault(_)),
            "a comment was damaged"
        );
        fs::write(folder.path().join("out/config.toml"), "iterations = 4000").unwrap();
        assert_eq!(settings.judge(folder.path(), hung()).unwrap(), hung());
        // more rows make no longer run
        let table = sound("train-csv", None, None);
        assert!(matches!(table.judge(folder.path(), hung()).unwrap(), End::Fault(_)));
    }
}
