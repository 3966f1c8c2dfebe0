//! The flags of the program's commands, held against a table of the ways to call them.

use std::collections::BTreeSet;

use clap::{CommandFactory, Parser};
use tailguard::Program;
use tailguard::args::Cli;
use tailguard_flags::{CommandLine, Mode};

const RUN: &str = "--home --json --set --seed --seeds --threads --device --precision --policy \
    --reward --judge --data-dir --arms --out";

const MODES: &[Mode] = &[
    Mode {
        words: "reproduce imdb",
        obeyed: "--json --home --preset --config --set --seed --seeds --threads --device \
            --precision --policy --reward --judge --data-dir --arms --out",
        needing: &["--resume: --out"],
        refused: &[],
    },
    Mode {
        words: "train --config a.toml",
        obeyed: RUN,
        needing: &["--resume: --out"],
        refused: &[],
    },
    Mode {
        words: "sweep imdb --over a=1,2",
        obeyed: "--json --home --preset --config --set --seed --seeds --threads --device \
            --precision --policy --reward --judge --data-dir --arms --out",
        needing: &["--resume: --out"],
        refused: &[],
    },
    Mode {
        words: "sweep --config a.toml --over a=1,2",
        obeyed: RUN,
        needing: &["--resume: --out"],
        refused: &[],
    },
    Mode {
        words: "evaluate --generations a.csv",
        obeyed: "--json --home --reward --judge --tail-share --threads --out --prompt-column \
            --response-column --responses-include-prompt --text-column --method --score-column \
            --prompt-score-column --judge-column --group-by --tail-threshold --failure \
            --baseline --tokenizer",
        needing: &[
            "--device: --reward --judge",
            "--negate: --score-column --reward",
            "--prompt-negate: --prompt-score-column",
            "--judge-negate: --judge-column --judge",
            "--label: --reward",
            "--judge-label: --judge",
            "--truncation-side: --reward --judge",
            "--curve: --out",
            "--buckets: --out",
        ],
        refused: &[
            "--text-column: --prompt-column --response-column --responses-include-prompt \
             --baseline --method",
            "--method: --response-column --score-column --judge-column",
            "--score-column: --reward --label",
            "--judge-column: --judge --judge-label",
            "--tail-share: --tail-threshold",
        ],
    },
    Mode {
        words: "evaluate --model a --task imdb",
        obeyed: "--json --home --reward --judge --tail-share --threads --device --out --preset \
            --config --set --seed --seeds --data-dir",
        needing: &[],
        refused: &[],
    },
    Mode {
        words: "front imdb",
        obeyed: "--json --home --preset --samples --prompts --objective --betas --reference \
            --policy --config --set --seed --threads --device --precision --reward --judge \
            --data-dir --out",
        needing: &[],
        refused: &[],
    },
    Mode {
        words: "front --run a",
        obeyed: "--json --home --samples --prompts --objective --betas --policy --threads --out",
        needing: &[],
        refused: &[],
    },
    Mode {
        words: "sample --prompt a",
        obeyed: "--json --home --model --reward --task --tokens --temperature --seed --count \
            --threads --device",
        needing: &["--label: --reward --task", "--negate: --reward --task"],
        refused: &[],
    },
    Mode {
        words: "settings",
        obeyed: "--json --explain --schema --task --preset",
        needing: &[],
        refused: &["--schema: --explain --task --preset --json"],
    },
    Mode { words: "report a", obeyed: "--json", needing: &[], refused: &[] },
    Mode {
        words: "compare a b",
        obeyed: "--json --out --allow-different-prompts",
        needing: &[],
        refused: &[],
    },
    Mode { words: "completions bash", obeyed: "", needing: &[], refused: &[] },
    Mode { words: "man", obeyed: "--out", needing: &[], refused: &[] },
];

const COMMAND_LINE: CommandLine = CommandLine {
    definition: Cli::command,
    takes: |words| {
        Cli::try_parse_from(words)
            .map(|cli| cli.command.check(&Program::tailguard(cli.options)).is_ok())
    },
    modes: MODES,
    // --seeds is a setting, which has a range of its own
    may_be_zero: "--threads --seed --seeds --label --judge-label --temperature --tail-threshold \
        --failure",
    values: &[("--method", "a=b"), ("--samples", "8")],
};

#[test]
fn every_command_has_its_modes() {
    assert_eq!(COMMAND_LINE.commands_without_modes(), BTreeSet::new());
}

#[test]
fn every_flag_of_every_command_is_obeyed_or_refused() {
    COMMAND_LINE.check_flags();
}

#[test]
fn every_pair_of_flags_is_obeyed_or_refused() {
    COMMAND_LINE.check_pairs();
}

#[test]
fn values_that_no_command_can_use_are_refused_by_every_flag() {
    COMMAND_LINE.check_values();
}
