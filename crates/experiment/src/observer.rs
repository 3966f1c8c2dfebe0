//! Who is told what an experiment does.

use std::path::Path;

use tailguard_ppo::IterationStats;

/// Is told what happens, and asked whether to go on. `()` listens to nothing and never stops.
pub trait Observer {
    /// Something has happened.
    fn tell(&mut self, event: Event<'_>);

    /// Whether to go on: asked between steps of training, where everything that is done is kept.
    fn goes_on(&mut self) -> bool {
        true
    }
}

impl Observer for () {
    fn tell(&mut self, _: Event<'_>) {}
}

/// What happens.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The run is about to begin, or to go on: from here on its directory stays, and is what to go
    /// on with.
    Begins,
    /// The run has begun, or goes on.
    Begun {
        /// Its directory.
        dir: &'a Path,
    },
    /// A training begins, or goes on.
    Training {
        /// The key of the arm.
        arm: &'a str,
        /// The seed.
        seed: u64,
        /// Its steps or iterations.
        total: usize,
        /// How many of them an earlier process has done.
        done: usize,
    },
    /// A step of supervised fine-tuning is done.
    Step {
        /// Counts from 1.
        step: usize,
        /// In nats per token.
        loss: f64,
    },
    /// An iteration of PPO is done.
    Iteration(&'a IterationStats),
    /// Responses to prompts are about to be sampled for the store of samples.
    Sampling {
        /// How many prompts.
        prompts: usize,
        /// Responses to each of them.
        total: usize,
        /// How many of these are there already.
        done: usize,
    },
    /// So many responses to each of the prompts are there.
    Sampled {
        /// Counts from 1.
        done: usize,
    },
    /// The training, or the sampling, has come to its end, or was stopped.
    Trained,
    /// Something to know.
    Info(&'a str),
    /// Something to look at.
    Warning(&'a str),
}
