//! What a training leaves while it goes on, so that another process can go on with it: its log, its
//! events, and every now and then its state.

use std::path::PathBuf;

use anyhow::Result;
use tailguard_files::{FileError, remove_dir, write_dir};
use tailguard_ppo::{PpoError, TrainingState};
use tailguard_report::{EventLog, LogRow, Method, ReportError, Resumed, TrainingLog, read_log};

use crate::run::Run;

/// The rows that a state demands, beside it.
const LOG_COPY: &str = "log.jsonl";

/// The log, events and state of one training.
pub(super) struct Record {
    state_path: PathBuf,
    log: TrainingLog,
    events: EventLog,
}

impl Record {
    /// Opens what an earlier process has left, or begins anew, and gives the state to go on from. `fresh` makes the one before
    /// iteration 1.
    ///
    /// # Errors
    /// A state that is damaged or of another model, or a file that cannot be read or written.
    pub(super) fn open(
        run: &Run,
        (method, seed): (Method, u64),
        fresh: impl Fn() -> Result<TrainingState, PpoError>,
    ) -> Result<(TrainingState, Self)> {
        let (state_path, path) = (state_path(run, method, seed), run.dir.log_path(method, seed));
        let mut state = fresh()?;
        if state_path.is_dir() {
            state = state.load(&state_path)?;
        }
        let open = |done| TrainingLog::resume(&path, done, &state_path.join(LOG_COPY));
        let (log, resumed) = match open(state.iteration as u64) {
            Err(error @ ReportError::MissingIteration { .. }) => {
                tracing::warn!("{error}; {method}, seed {seed}, begins anew");
                remove_dir(&state_path)?;
                state = fresh()?;
                open(0)?
            }
            outcome => outcome?,
        };
        tell(resumed, &path.display().to_string(), state.iteration);
        let events = EventLog::begin(&run.dir.tensorboard_path(method, seed), &read_log(&path)?)?;
        Ok((state, Self { state_path, log, events }))
    }

    /// Notes an iteration.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn note(&mut self, row: &LogRow) -> Result<(), PpoError> {
        self.log.append(row).and_then(|()| self.events.append(row)).map_err(observed)
    }

    /// Writes the state with the rows that it demands, over an earlier one.
    ///
    /// # Errors
    /// When it cannot be written; the earlier state is there still.
    pub(super) fn save(&mut self, state: &TrainingState) -> Result<(), PpoError> {
        self.sync()?;
        write_dir(&self.state_path, |dir| {
            state.write_into(dir)?;
            // beside the digests: rows that are lost cost this training, and not the run
            self.log.copy(&dir.join(LOG_COPY)).map_err(observed)
        })
    }

    /// Returns when log and events would survive a power cut: before a state, or the finished model, says that they are there.
    ///
    /// # Errors
    /// When the system cannot say so.
    pub(super) fn sync(&mut self) -> Result<(), PpoError> {
        self.log.sync().and_then(|()| self.events.sync()).map_err(observed)
    }

    /// Removes the state of a training that has come to its end: the finished model is what a resumed run needs.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub(super) fn forget_state(run: &Run, (method, seed): (Method, u64)) -> Result<(), FileError> {
        remove_dir(&state_path(run, method, seed))
    }
}

fn state_path(run: &Run, method: Method, seed: u64) -> PathBuf {
    run.dir.checkpoint_path(method, seed).join("state")
}

fn observed(error: ReportError) -> PpoError {
    PpoError::Observer(Box::new(error))
}

/// Says what was not as a process leaves it that comes to its end.
fn tell(Resumed { cut, restored }: Resumed, log: &str, done: usize) {
    let lines = |count: usize| if count == 1 { "1 line".to_owned() } else { format!("{count} lines") };
    if restored > 0 {
        tracing::warn!("{log} had lost {} before iteration {done}: they are back from the saved state", lines(restored));
    }
    if cut > 0 {
        tracing::info!("{log}: {} after iteration {done} cut off, for the state is of that iteration", lines(cut));
    }
}
