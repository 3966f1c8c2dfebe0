#![doc = include_str!("../README.md")]
//!
//! ## What is here
//! A [`RunDir`] is made once, locked while a process works in it, and holds everything that
//! resuming and reporting need. The figures are [`Results`], one [`MethodResults`] per [`Arm`];
//! [`table()`] prints them as the paper does, and [`warnings()`] says where a reward rose and the
//! held-out judge saw nothing of it. What was judged without a run is an [`Evaluation`].

mod arms;
mod columns;
mod comparison;
mod error;
mod evaluation;
mod few;
mod figure;
mod files;
mod frame;
mod front;
mod front_table;
mod generations;
mod log;
mod methods;
mod metrics;
mod older;
mod order;
mod processes;
mod results;
mod results_file;
mod run_dir;
mod samples;
mod table;
mod tensorboard;
mod terminal;
mod texts;
mod trl;
mod warnings;

pub use arms::{Arm, title};
pub use columns::{TableColumn, table_columns};
pub use comparison::{Comparison, Values, Watched, gain};
pub use error::ReportError;
pub use evaluation::{EvaluatedTail, Evaluation, Kind, LengthUnit};
pub use few::few_prompts;
pub use figure::{Figure, cell, number, percent};
pub use front::{Front, FrontGains, FrontKind, FrontLine, FrontPoint, FrontRefused};
pub use front_table::front_table;
pub use generations::{
    Generation, GenerationRow, read_generations, write_generation_rows, write_generations,
};
pub use log::{LogRow, Resumed, TrainingLog, read_log};
pub use methods::{
    EvaluatedMethod, LeftOut, MethodResults, OtherTail, PromptBucket, QuantilePoint,
};
pub use metrics::{read_metrics, write_metrics};
pub use older::upgrade;
pub use order::by_name;
pub use processes::Process;
pub use results::{Diverged, Results, Tail};
pub use results_file::ResultsFile;
pub use run_dir::{About, NewRunDir, RunDir, ScoreAbout, Traces};
pub use samples::{SampleRow, read_samples, write_samples};
pub use table::{Style, evaluation_table, table};
pub use tensorboard::EventLog;
pub use terminal::{harmless, one_line, turns_direction};
pub use texts::{TextRow, read_texts};
pub use trl::{trl_scalars, write_trl_metrics};
pub use warnings::{rises_alone, warnings};
