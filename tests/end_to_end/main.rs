//! Tests of the whole program: one file per subject, one binary.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on says so by panicking"
)]

mod arms;
mod bench;
mod browser;
mod command_line;
mod damaged_input;
mod distill;
mod diverged;
mod equal_kl;
mod evaluate;
mod evaluate_flags;
mod evaluate_golden;
mod front;
mod interrupted;
mod models;
mod own_task;
mod pretrain;
mod program;
mod quark;
mod report;
mod sample;
mod settings;
mod smoke;
mod streams;
mod sweep;
mod tails;
mod truncation;
