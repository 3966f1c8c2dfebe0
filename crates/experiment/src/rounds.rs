//! What a training in rounds leaves after each of them, so that another process can go on with the
//! next: the model that the round has made, and the log.

use std::path::PathBuf;

use tailguard_checkpoint::WeightType;
use tailguard_files::{FileError, remove_dir};
use tailguard_gpt2::Gpt2;
use tailguard_lm::CausalLm;
use tailguard_report::{EventLog, LogRow, ReportError, RunDir, TrainingLog, read_log};

use crate::error::ExperimentError;
use crate::observer::Event;
use crate::recipe::Work;

/// The rows of the rounds so far, beside the model of the last one.
const LOG_COPY: &str = "log.jsonl";

/// The log and events of a training in rounds.
pub(crate) struct Rounds {
    log: TrainingLog,
    events: EventLog,
}

impl Rounds {
    /// Opens what an earlier process has left, and gives the last round that it has finished with
    /// the model of that round; or begins anew, and gives 0 and none.
    ///
    /// # Errors
    /// A model that is not as it was written, or a file that cannot be read or written.
    pub(crate) fn open(
        work: &mut Work<'_>,
        rounds: usize,
    ) -> Result<(Self, usize, Option<Gpt2>), ExperimentError> {
        let (dir, arm, seed) = (work.dir, work.arm.key.as_str(), work.seed);
        let path = |round| model_path(dir, arm, seed, round);
        let mut done = (1..=rounds).rev().find(|&round| path(round).is_dir()).unwrap_or(0);
        let log_path = dir.log_path(arm, seed);
        let open =
            |done: usize| TrainingLog::resume(&log_path, done as u64, &path(done).join(LOG_COPY));
        let log = match open(done) {
            Err(error @ ReportError::MissingIteration { .. }) => {
                let note = format!("{error}; {arm}, seed {seed}, begins anew");
                work.observer.tell(Event::Warning(&note));
                remove_dir(&path(done))?;
                done = 0;
                open(0)?.0
            }
            outcome => outcome?.0,
        };
        let events = EventLog::begin(&dir.tensorboard_path(arm, seed), &read_log(&log_path)?)?;
        Ok((Self { log, events }, done, work.read_model(&path(done))?))
    }

    /// Keeps the model that a round has made, with its row of the log; that of the round before is
    /// needed no longer.
    ///
    /// # Errors
    /// When it cannot be written; the round before is there still.
    pub(crate) fn keep(
        &mut self,
        work: &Work<'_>,
        round: usize,
        model: &Gpt2,
        row: &LogRow,
    ) -> Result<(), ExperimentError> {
        self.log.append(row)?;
        self.events.append(row)?;
        self.log.sync()?;
        self.events.sync()?;
        let path = |round| model_path(work.dir, &work.arm.key, work.seed, round);
        work.write_model(&path(round), |dir| {
            model.save(dir, WeightType::F32)?;
            Ok::<_, ExperimentError>(self.log.copy(&dir.join(LOG_COPY))?)
        })?;
        Ok(remove_dir(&path(round - 1))?)
    }

    /// Removes the models of rounds of a training that has come to its end: the finished model is
    /// what a resumed run needs.
    ///
    /// # Errors
    /// When one cannot be removed.
    pub(crate) fn forget(work: &Work<'_>, rounds: usize) -> Result<(), FileError> {
        (1..=rounds).try_for_each(|round| {
            remove_dir(&model_path(work.dir, &work.arm.key, work.seed, round))
        })
    }
}

/// Where the model of a round is, or will be.
fn model_path(dir: &RunDir, arm: &str, seed: u64, round: usize) -> PathBuf {
    dir.checkpoint_path(arm, seed).join(format!("round-{round}"))
}
