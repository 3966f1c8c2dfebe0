//! What a run leaves behind: its directory, the log of its training, the texts it was judged by, and its figures.
//!
//! A [`RunDir`] is made once, locked while a process works in it, and holds everything that resuming and reporting need. The
//! figures are [`Results`], one [`MethodResults`] per [`Arm`]; [`table`] prints them as the paper does, and [`warnings`] says
//! where a reward rose and the held-out judge saw nothing of it. Nothing here knows a model or a tensor: a run can be reported on
//! another machine than the one it was made on. What was judged without a run is an [`Evaluation`].
//!
//! ```
//! use tailguard_report::{About, NewRunDir, Results, ResultsFile, Style, Tail, table};
//!
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("run");
//! let about = About {
//!     version: "0.1.0".into(),
//!     commit: None,
//!     device: "flex".into(),
//!     seeds: vec![1],
//!     program: "tailguard".into(),
//!     command: vec![],
//!     inputs: [].into(),
//!     scores: [].into(),
//!     places: [].into(),
//!     negated: vec![],
//! };
//! let run = NewRunDir::reserve(&path)?.begin("task = \"imdb\"\n", &about)?;
//! let results = Results {
//!     task: "imdb".into(),
//!     preset: "smoke".into(),
//!     data: "embedded".into(),
//!     split: "test".into(),
//!     notice: None,
//!     seeds: vec![1],
//!     device: "flex".into(),
//!     tail: Tail { threshold: -2.5, prompts: 190 },
//!     arms: vec![],
//!     methods: [].into(),
//!     diverged: vec![],
//!     comparisons: vec![],
//! };
//! results.write(&run.results_path())?;
//! print!("{}", table(&Results::read(&run.results_path())?, Style::Plain));
//!
//! // a second run is not written over the first
//! assert!(NewRunDir::reserve(&path).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod arms;
mod columns;
mod comparison;
mod error;
mod evaluation;
mod few;
mod files;
mod frame;
mod generations;
mod log;
mod older;
mod order;
mod processes;
mod results;
mod results_file;
mod rows;
mod run_dir;
mod table;
mod tensorboard;
mod terminal;
mod trl;
mod warnings;

pub use arms::{Arm, title};
pub use columns::{TableColumn, table_columns};
pub use comparison::{Comparison, Values, gain};
pub use error::ReportError;
pub use evaluation::{EvaluatedMethod, EvaluatedTail, Evaluation, Kind, LeftOut, LengthUnit, PromptBucket, QuantilePoint};
pub use few::few_prompts;
pub use generations::{Generation, GenerationRow, read_generations, write_generation_rows, write_generations};
pub use log::{LogRow, Resumed, TrainingLog, read_log, write_metrics};
pub use older::upgrade;
pub use order::by_name;
pub use processes::Process;
pub use results::{Diverged, Figure, MethodResults, OtherTail, Results, Tail};
pub use results_file::ResultsFile;
pub use rows::{MetricRow, TextRow, read_metrics, read_texts};
pub use run_dir::{About, NewRunDir, RunDir, ScoreAbout, Traces};
pub use table::{Style, cell, evaluation_table, number, percent, table};
pub use tensorboard::EventLog;
pub use terminal::{harmless, one_line};
pub use trl::{trl_scalars, write_trl_metrics};
pub use warnings::{hacking, warnings};
