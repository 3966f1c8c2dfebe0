//! A small run is killed again and again, and has to come to the files of a run that was left
//! alone.

mod compare;
mod life;
mod tally;
mod texts;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tailguard_files::create_dirs;

pub use compare::PageOf;
pub use life::OUT;
pub use tally::Tally;

use life::{End, Life, Moment, is_half_written};

/// Settings of the run: all methods with two seeds, and so long that a state is saved on the way.
const SETTINGS: [&str; 3] =
    ["ppo.iterations=21", "evaluation.prompts=24", "evaluation.perplexity_texts=8"];
/// A process is killed in one of its first writes, so that a run is killed often before it comes to
/// its end.
const MOST_WRITES: usize = 12;
/// Processes that were killed one after another before anything more was finished: the next is left
/// alone.
const MOST_IN_VAIN: usize = 6;

/// What to kill, and how often.
pub struct Soak<'a> {
    /// The program that has `reproduce`.
    pub program: &'a Path,
    /// Makes a page of the files of a run.
    pub page_of: PageOf<'a>,
    /// How many processes to kill.
    pub kills: usize,
    /// Decides the moments.
    pub seed: u64,
}

impl Soak<'_> {
    /// Kills and resumes runs in a folder of its own, which is removed if all is well.
    ///
    /// # Errors
    /// A run that cannot go on or that comes to other files than one that was left alone: the
    /// folder is kept, and named.
    pub fn run(&self) -> Result<Tally> {
        let folder = tempfile::Builder::new()
            .prefix("tailguard-soak-")
            .tempdir()
            .context("cannot make a temporary folder")?;
        self.run_in(folder.path()).map_err(|error| {
            error.context(format!("soak failed; the runs are kept in {}", folder.keep().display()))
        })
    }

    fn run_in(&self, folder: &Path) -> Result<Tally> {
        let (undisturbed, begun) = (folder.join("undisturbed"), Instant::now());
        tracing::info!("the run that is left alone");
        create_dirs(&undisturbed)?;
        let texts = folder.join("texts");
        texts::write(&texts)?;
        let words = words(&texts);
        Life::begin(self.program, &undisturbed, &words)?.end(Moment::Never)?.succeeded()?;
        let mut moments = Moments {
            rng: ChaCha8Rng::seed_from_u64(self.seed),
            whole: begun.elapsed(),
            in_vain: 0,
        };
        let mut tally = Tally::default();
        while tally.kills < self.kills || self.kills == 0 && tally.runs == 0 {
            let folder = folder.join(format!("run-{}", tally.runs + 1));
            create_dirs(&folder)?;
            self.one_run((&folder, &words), &mut moments, &mut tally)?;
            let differences =
                compare::differences(&undisturbed.join(OUT), &folder.join(OUT), self.page_of)?;
            if !differences.is_empty() {
                bail!(
                    "{} is not as the run that was left alone:\n{}",
                    folder.display(),
                    differences.join("\n")
                );
            }
            tally.runs += 1;
            tracing::info!(
                "run {}: same files; {} of {} kills",
                tally.runs,
                tally.kills,
                self.kills
            );
            std::fs::remove_dir_all(&folder)
                .with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        Ok(tally)
    }

    /// Kills and resumes a run until it comes to its end.
    fn one_run(
        &self,
        (folder, words): (&Path, &[OsString]),
        moments: &mut Moments,
        tally: &mut Tally,
    ) -> Result<()> {
        loop {
            let before = finished_parts(&folder.join(OUT))?;
            let moment = if tally.kills < self.kills { moments.next() } else { Moment::Never };
            let life = Life::begin(self.program, folder, words)?;
            tally.resumes += usize::from(life.is_resumed());
            match life.end(moment)? {
                End::Killed { phase, inside } => {
                    tally.note(&phase, inside);
                    tracing::info!(
                        "kill {}: {phase}{}",
                        tally.kills,
                        if inside { ", inside a write" } else { "" }
                    );
                }
                ended => return ended.succeeded(),
            }
            let has_moved = finished_parts(&folder.join(OUT))? != before;
            moments.in_vain = if has_moved { 0 } else { moments.in_vain + 1 };
        }
    }
}

/// The command of the run.
fn words(texts: &Path) -> Vec<OsString> {
    let fixed =
        ["reproduce", "imdb", "--preset", "smoke", "--out", OUT, "--data-dir"].map(OsString::from);
    let settings = SETTINGS.iter().flat_map(|setting| ["--set".into(), OsString::from(setting)]);
    fixed.into_iter().chain([texts.into()]).chain(settings).collect()
}

/// When processes are killed.
struct Moments {
    rng: ChaCha8Rng,
    /// How long a run takes that is left alone.
    whole: Duration,
    /// Processes killed since something was finished.
    in_vain: usize,
}

impl Moments {
    /// Half of them in a write, the others at any time; later ones if nothing has come of the last
    /// few.
    fn next(&mut self) -> Moment {
        let in_write = self.rng.random_bool(0.5);
        let (share, write): (f64, usize) =
            (self.rng.random(), self.rng.random_range(1..=MOST_WRITES));
        let delay = Duration::from_micros(self.rng.random_range(0..3_000));
        if self.in_vain >= MOST_IN_VAIN {
            return Moment::Never;
        }
        let patience = 1.0 + self.in_vain as f64;
        if in_write {
            Moment::InWrite { write: write + 4 * self.in_vain, delay }
        } else {
            Moment::After(self.whole.mul_f64(share * share * patience))
        }
    }
}

/// What a run has finished so far: models, states by their last iteration, evaluations.
fn finished_parts(out: &Path) -> Result<Vec<(PathBuf, u64)>> {
    let is_part = |path: &Path| {
        let name = path.file_name().unwrap_or_default();
        let is_result = path.starts_with("evaluation")
            || name == "model.safetensors"
            || name == "progress.json";
        is_result && !is_half_written(path)
    };
    let mut parts = Vec::new();
    for path in compare::files(out)?.into_iter().filter(|path| is_part(path)) {
        let text = if path.ends_with("progress.json") {
            std::fs::read(out.join(&path)).unwrap_or_default()
        } else {
            Vec::new()
        };
        parts.push((
            path,
            text.into_iter()
                .fold(0, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(byte.into())),
        ));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_half_written_is_not_finished() {
        let out = tempfile::tempdir().unwrap();
        let model = |folder: &str| {
            let folder = out.path().join("checkpoints").join(folder);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("model.safetensors"), "").unwrap();
        };
        model(".model.0123456789abcdef.tailguard-new");
        assert!(finished_parts(out.path()).unwrap().is_empty());
        model("model");
        let model = PathBuf::from("checkpoints/model/model.safetensors");
        assert_eq!(finished_parts(out.path()).unwrap(), [(model, 0)]);
    }
}
