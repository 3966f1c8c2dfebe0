#![doc = include_str!("../README.md")]
//!
//! ## What is here
//! A [`RunDir`] is made once, locked while a process works in it, and holds everything that
//! resuming and reporting need. The figures are [`Results`], one [`MethodResults`] per [`Arm`];
//! [`table()`] prints them as the paper does, and [`warnings()`] says where a reward rose and the
//! held-out judge saw nothing of it. What was judged without a run is an [`Evaluation`]. A
//! [`TailReport`] is about the worst texts of a method, of a run or of an evaluation.

mod adjusted;
mod arms;
mod columns;
mod comparison;
mod equal_kl;
mod error;
mod evaluation;
mod few;
mod figure;
mod files;
mod frame;
mod front;
mod front_table;
mod generations;
mod grid;
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
mod tail_figures;
mod tail_files;
mod tail_gains;
mod tail_report;
mod tail_table;
mod tensorboard;
mod terminal;
mod texts;
mod trl;
mod warnings;

pub use adjusted::adjust;
pub use arms::{Arm, title};
pub use columns::{TableColumn, table_columns};
pub use comparison::{Comparison, Values, Watched};
pub use equal_kl::HeldKl;
pub use error::ReportError;
pub use evaluation::{EvaluatedTail, Evaluation, Kind, LengthUnit};
pub use few::few_prompts;
pub use figure::{Figure, cell, gain, number, percent};
pub use front::{Front, FrontGains, FrontKind, FrontLine, FrontPoint, FrontRefused};
pub use front_table::front_table;
pub use generations::{
    Generation, GenerationRow, read_generations, write_generation_rows, write_generations,
};
pub use grid::Style;
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
pub use table::{evaluation_table, table};
pub use tail_figures::{Shown, TailFigure, TailKind};
pub use tail_files::{
    TAIL_GAINS, TAIL_PROMPTS, TAIL_TABLE, TailPromptRow, csv_cell, read_tail_prompts,
    write_tail_gains, write_tail_prompts, write_tail_table,
};
pub use tail_gains::{FailureGain, Gain, LevelGain, NamedGain, TailGains, WorstOfGain};
pub use tail_report::{
    AnyOf, Failures, Level, MAIN_SHARE, Precision, PromptCvar, Rate, RateRange, TailForecast,
    TailReport, Toxicity, WorstOf,
};
pub use tensorboard::EventLog;
pub use terminal::{harmless, one_line, turns_direction};
pub use texts::{TextRow, read_texts};
pub use trl::{trl_scalars, write_trl_metrics};
pub use warnings::{rises_alone, warnings};
