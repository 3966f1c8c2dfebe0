//! Progress on standard error: a bar on a terminal, one line per iteration elsewhere.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tailguard_experiment::{Event, Observer};
use tailguard_ppo::IterationStats;

use crate::interrupt;
use crate::logging::{self, BARS};
use crate::terminal;

/// Tells of an experiment: bars and lines, and Ctrl-C.
#[derive(Default)]
pub(crate) struct Told {
    /// Of the training that goes on.
    progress: Option<Progress>,
    /// Steps of that.
    total: usize,
    /// Whether there is a run to go on with.
    pub(crate) has_begun: bool,
}

/// Supervised steps between two lines of progress.
const TELL_EVERY: usize = 10;

impl Observer for Told {
    fn tell(&mut self, event: Event<'_>) {
        match event {
            Event::Begins => interrupt::begun(),
            Event::Begun { dir } => {
                self.has_begun = true;
                if let Err(error) = logging::begin_log(dir) {
                    tracing::warn!("no log.txt: {error}: {}", error.source);
                }
                tracing::info!("run directory: {}", dir.display());
            }
            Event::Training { arm, seed, total, done } => {
                let mut progress = Progress::new(total, format!("{arm}, seed {seed}"));
                progress.skip(done);
                (self.progress, self.total) = (Some(progress), total);
            }
            Event::Step { step, loss } => {
                if let Some(progress) =
                    self.progress.as_mut().filter(|_| step % TELL_EVERY == 0 || step == self.total)
                {
                    progress.reach(step, &format!("loss {loss:.3}"));
                }
            }
            Event::Iteration(stats) => {
                if let Some(progress) = &mut self.progress {
                    progress.reach(stats.iteration, &line(stats));
                }
            }
            Event::Sampling { prompts, total, done } => {
                let mut progress =
                    Progress::new(total, format!("responses to each of {prompts} prompts"));
                progress.skip(done);
                self.progress = Some(progress);
            }
            Event::Sampled { done } => {
                if let Some(progress) = &mut self.progress {
                    progress.reach(done, "");
                }
            }
            Event::Trained => {
                if let Some(progress) = self.progress.take() {
                    progress.finish();
                }
            }
            Event::Info(text) => tracing::info!("{text}"),
            Event::Warning(text) => tracing::warn!("{text}"),
            _ => {}
        }
    }

    fn goes_on(&mut self) -> bool {
        !interrupt::requested()
    }
}

/// How an iteration went.
fn line(stats: &IterationStats) -> String {
    let IterationStats { reward, reward_tail, kl, kept, episodes, .. } = stats;
    // adding 0 turns -0 into 0
    let kl = (10.0 * kl).round() / 10.0 + 0.0;
    format!("reward {reward:.2}  tail {reward_tail:.2}  kl {kl:.1}  keep {kept}/{episodes}")
}

/// The progress of one phase, such as the training of one method with one seed.
pub(crate) struct Progress {
    phase: String,
    total: usize,
    done: usize,
    /// When the first iteration of this process began, and how many were done before.
    begun: Instant,
    skipped: usize,
    last: Instant,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// A phase of `total` iterations.
    pub(crate) fn new(total: usize, phase: impl Into<String>) -> Self {
        let (phase, now) = (phase.into(), Instant::now());
        let shows_bars = io::stderr().is_terminal() && !logging::is_quiet();
        let bar = shows_bars.then(|| {
            let bar = BARS.add(ProgressBar::new(u64::try_from(total).unwrap_or(u64::MAX)));
            let template = if terminal::on_stderr() {
                "{prefix} {wide_bar:.cyan/dim} {msg}"
            } else {
                "{prefix} {wide_bar} {msg}"
            };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.set_prefix(phase.clone());
            bar
        });
        Self { phase, total, done: 0, begun: now, skipped: 0, last: now, bar }
    }

    /// Iterations that an earlier process has done.
    pub(crate) fn skip(&mut self, done: usize) {
        (self.done, self.skipped) = (done, done);
        self.begun = Instant::now();
        self.last = self.begun;
    }

    /// One more iteration is done.
    pub(crate) fn iteration(&mut self, stats: &str) {
        self.reach(self.done + 1, stats);
    }

    /// So many iterations are done; `stats` says how the last one went, as in
    /// `reward 0.83  tail -1.20  kl 2.1  keep 117/128`.
    pub(crate) fn reach(&mut self, done: usize, stats: &str) {
        let now = Instant::now();
        let steps = done.saturating_sub(self.done).max(1);
        self.done = done;
        let line = self.line(
            stats,
            (now - self.last) / u32::try_from(steps).unwrap_or(u32::MAX),
            now - self.begun,
        );
        self.last = now;
        match &self.bar {
            Some(bar) => {
                logging::note(&format!("{} {line}", self.phase));
                bar.set_message(line);
                bar.set_position(u64::try_from(self.done).unwrap_or(u64::MAX));
            }
            None => tracing::info!("{} {line}", self.phase),
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
            BARS.remove(&bar);
        }
    }

    fn line(&self, stats: &str, iteration: Duration, elapsed: Duration) -> String {
        let counted = self.done - self.skipped;
        let left = self.total.saturating_sub(self.done);
        let mean = elapsed.as_secs_f64() / counted.max(1) as f64;
        let gap = if stats.is_empty() { "" } else { "  " };
        let (seconds, left) = (iteration.as_secs_f64(), time_left(mean * left as f64));
        format!("{}/{}{gap}{stats}  {seconds:.1} s{left}", self.done, self.total)
    }
}

/// `"  left 3 min"`; nothing when it is over.
fn time_left(seconds: f64) -> String {
    if seconds <= 0.0 { String::new() } else { format!("  left {}", duration(seconds)) }
}

/// Seconds in a fitting unit: `40 s`, `3 min`, `2.5 h`.
pub(crate) fn duration(seconds: f64) -> String {
    match seconds {
        short if short < 99.5 => format!("{short:.0} s"),
        medium if medium < 99.5 * 60.0 => format!("{:.0} min", medium / 60.0),
        long => format!("{:.1} h", long / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_where_how_and_how_long() {
        let mut progress = Progress::new(194, "rlhf");
        progress.done = 12;
        let line = progress.line(
            "reward 0.83  kl 2.1",
            Duration::from_millis(3400),
            Duration::from_secs(48),
        );
        assert_eq!(line, "12/194  reward 0.83  kl 2.1  3.4 s  left 12 min");
    }

    #[test]
    fn a_resumed_phase_judges_by_its_own_iterations() {
        let mut progress = Progress::new(20, "rlhf");
        progress.skip(10);
        progress.done = 12;
        assert_eq!(
            progress.line("", Duration::from_secs(1), Duration::from_secs(2)),
            "12/20  1.0 s  left 8 s"
        );
    }

    #[test]
    fn time_left_has_a_fitting_unit() {
        assert_eq!(time_left(0.0), "");
        assert_eq!(time_left(59.6), "  left 60 s");
        assert_eq!(time_left(600.0), "  left 10 min");
        assert_eq!(time_left(7_200.0), "  left 2.0 h");
    }
}
