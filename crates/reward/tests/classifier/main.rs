//! A classifier from a directory: what it promises, and what it refuses.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on shall say where")]

mod directories;
mod fixtures;
mod scores;
