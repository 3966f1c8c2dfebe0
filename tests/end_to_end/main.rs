//! Tests of the whole program: one file per subject, one binary.

mod command_line;
mod program;
