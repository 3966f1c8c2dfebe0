//! What a training leaves while it goes on, so that another process can go on with it: its log, its
//! events, and every now and then its state.

use std::path::{Path, PathBuf};

use tailguard_files::{FileError, remove_dir, write_dir};
use tailguard_lm::{CausalLm, Steerable};
use tailguard_ppo::{PpoError, QuarkState, TrainingState};
use tailguard_report::{EventLog, LogRow, ReportError, Resumed, RunDir, TrainingLog, read_log};

use crate::error::ExperimentError;
use crate::observer::{Event, Observer};

/// The rows that a state demands, beside it.
const LOG_COPY: &str = "log.jsonl";

/// The state of a training, as it is between two rows of its log.
pub(crate) trait State: Sized {
    /// Rows of the log that belong to it.
    fn rows(&self) -> usize;

    /// Reads what [`write_into`](Self::write_into) wrote, into a fresh state.
    fn load(self, path: &Path) -> Result<Self, PpoError>;

    /// Writes its files into a directory.
    fn write_into(&self, dir: &Path) -> Result<(), PpoError>;
}

impl<M: CausalLm> State for TrainingState<M> {
    fn rows(&self) -> usize {
        self.iteration
    }

    fn load(self, path: &Path) -> Result<Self, PpoError> {
        Self::load(self, path)
    }

    fn write_into(&self, dir: &Path) -> Result<(), PpoError> {
        Self::write_into(self, dir)
    }
}

impl<M: Steerable> State for QuarkState<M> {
    fn rows(&self) -> usize {
        self.round
    }

    fn load(self, path: &Path) -> Result<Self, PpoError> {
        Self::load(self, path)
    }

    fn write_into(&self, dir: &Path) -> Result<(), PpoError> {
        Self::write_into(self, dir)
    }
}

/// The log, events and state of one training.
pub(crate) struct Record {
    state_path: PathBuf,
    log: TrainingLog,
    events: EventLog,
}

impl Record {
    /// Opens what an earlier process has left, or begins anew, and gives the state to go on from.
    /// `fresh` makes the one before iteration 1.
    ///
    /// # Errors
    /// A state that is damaged or of another model, or a file that cannot be read or written.
    pub(crate) fn open<S: State>(
        dir: &RunDir,
        (arm, seed): (&str, u64),
        observer: &mut dyn Observer,
        fresh: impl Fn() -> Result<S, PpoError>,
    ) -> Result<(S, Self), ExperimentError> {
        let (state_path, path) = (state_path(dir, arm, seed), dir.log_path(arm, seed));
        let mut state = fresh()?;
        if state_path.is_dir() {
            state = state.load(&state_path)?;
        }
        let open = |done| TrainingLog::resume(&path, done, &state_path.join(LOG_COPY));
        let (log, resumed) = match open(state.rows() as u64) {
            Err(error @ ReportError::MissingIteration { .. }) => {
                observer.tell(Event::Warning(&format!("{error}; {arm}, seed {seed}, begins anew")));
                remove_dir(&state_path)?;
                state = fresh()?;
                open(0)?
            }
            outcome => outcome?,
        };
        tell(resumed, &path.display().to_string(), state.rows(), observer);
        let events = EventLog::begin(&dir.tensorboard_path(arm, seed), &read_log(&path)?)?;
        Ok((state, Self { state_path, log, events }))
    }

    /// Notes an iteration.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn note(&mut self, row: &LogRow) -> Result<(), PpoError> {
        self.log.append(row).and_then(|()| self.events.append(row)).map_err(observed)
    }

    /// Writes the state with the rows that it demands, over an earlier one.
    ///
    /// # Errors
    /// When it cannot be written; the earlier state is there still.
    pub(crate) fn save(&mut self, state: &impl State) -> Result<(), PpoError> {
        self.sync()?;
        write_dir(&self.state_path, |dir| {
            state.write_into(dir)?;
            // beside the digests: rows that are lost cost this training, and not the run
            self.log.copy(&dir.join(LOG_COPY)).map_err(observed)
        })
    }

    /// Returns when log and events would survive a power cut: before a state, or the finished
    /// model, says that they are there.
    ///
    /// # Errors
    /// When the system cannot say so.
    pub(crate) fn sync(&mut self) -> Result<(), PpoError> {
        self.log.sync().and_then(|()| self.events.sync()).map_err(observed)
    }

    /// Removes the state of a training that has come to its end: the finished model is what a
    /// resumed run needs.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub(crate) fn forget_state(dir: &RunDir, (arm, seed): (&str, u64)) -> Result<(), FileError> {
        remove_dir(&state_path(dir, arm, seed))
    }
}

fn state_path(dir: &RunDir, arm: &str, seed: u64) -> PathBuf {
    dir.checkpoint_path(arm, seed).join("state")
}

fn observed(error: ReportError) -> PpoError {
    PpoError::Observer(Box::new(error))
}

/// Says what was not as a process leaves it that comes to its end.
fn tell(Resumed { cut, restored }: Resumed, log: &str, done: usize, observer: &mut dyn Observer) {
    let lines =
        |count: usize| if count == 1 { "1 line".to_owned() } else { format!("{count} lines") };
    if restored > 0 {
        let lost = lines(restored);
        observer.tell(Event::Warning(&format!(
            "{log} had lost {lost} before iteration {done}: they are back from the saved state"
        )));
    }
    if cut > 0 {
        let cut = lines(cut);
        observer.tell(Event::Info(&format!(
            "{log}: {cut} after iteration {done} cut off, for the state is of that iteration"
        )));
    }
}
