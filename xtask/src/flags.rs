//! The flags of the commands of this repository, held against a table of the ways to call them;
//! those of the program's own commands are held in crates/cli.

use std::collections::BTreeSet;

use clap::{CommandFactory, Parser};
use tailguard_flags::{CommandLine, Mode, commands};

use crate::args::Cli;

const SIZES: &str = "--size --layers --width --heads --vocab --batch --mini-batch --prompt-len \
    --gen-len --ppo-epochs --alpha-keep --iters --threads --seed --device --precision";

const MODES: &[Mode] = &[
    Mode {
        words: "pretrain tokenizer --out a",
        obeyed: "--home --threads --data-dir --vocab-size",
        needing: &[],
        refused: &[],
    },
    Mode {
        words: "pretrain lm --out a",
        obeyed: "--home --threads --seed --device --precision --data-dir --extra --from \
            --vocab-size --layers --width --heads --context --steps --batch-size --learning-rate \
            --save-every",
        needing: &["--train: --test", "--test: --train", "--text-column: --train"],
        refused: &[
            "--data-dir: --train --test --text-column",
            "--from: --vocab-size --layers --width --heads",
        ],
    },
    Mode {
        words: "pretrain classifier --out a",
        obeyed: "--home --threads --seed --device --precision --data-dir --label-names --half \
            --architecture --epochs",
        needing: &[
            "--train: --test",
            "--test: --train",
            "--text-column: --train",
            "--label-column: --train",
        ],
        refused: &["--data-dir: --train --test --text-column --label-column"],
    },
    Mode {
        words: "pretrain judge --out a",
        obeyed: "--home --threads --seed --data-dir --label-names --half --unit --min-n --max-n \
            --buckets --epochs --learning-rate --l2 --cut",
        needing: &[
            "--train: --test",
            "--test: --train",
            "--text-column: --train",
            "--label-column: --train",
        ],
        refused: &["--data-dir: --train --test --text-column --label-column"],
    },
    Mode {
        words: "pretrain prompts --out a --policy b --reward c",
        obeyed: "--threads --seed --device --precision --label --negate --forbid --add \
            --text-column --continuation-column --label-column --train --test --tokens \
            --min-tokens --min-chars",
        needing: &[
            "--forbid-column: --forbid",
            "--add-column: --add",
            "--prompt-tokens: --continuation-column",
        ],
        refused: &[],
    },
    Mode { words: "bench iteration", obeyed: SIZES, needing: &[], refused: &[] },
    Mode {
        words: "bench gpt2",
        obeyed: "--size --layers --width --heads --vocab --batch --mini-batch --prompt-len \
            --gen-len --ppo-epochs --alpha-keep --iters --threads --seed --device --precision \
            --product-seconds",
        needing: &[],
        refused: &[],
    },
    Mode {
        words: "bench compare",
        obeyed: "--size --alpha-keep --rounds --repeats --peers --out",
        needing: &["--python-env: --peers"],
        refused: &[],
    },
    Mode {
        words: "bench scaling",
        obeyed: "--alpha-keep --iters --threads --out",
        needing: &[],
        refused: &[],
    },
    Mode { words: "soak", obeyed: "--kills --seed", needing: &[], refused: &[] },
    Mode {
        words: "fuzz",
        obeyed: "--cases --seed --case --only --jobs --keep",
        needing: &[],
        refused: &["--case: --cases"],
    },
    Mode { words: "ci", obeyed: "--only --skip --require-tools", needing: &[], refused: &[] },
];

const COMMAND_LINE: CommandLine = CommandLine {
    definition: Cli::command,
    takes: |words| {
        Cli::try_parse_from(words)
            .map(|cli| cli.command.check(&crate::program(cli.options)).is_ok())
    },
    modes: MODES,
    may_be_zero: "--threads --seed --label --repeats --min-chars --prompt-tokens --train --test \
        --product-seconds --l2 --case --jobs",
    // what divides the sizes that are not given, and is no longer than they are; steps that there
    // are
    values: &[
        ("--width", "64"),
        ("--batch", "64"),
        ("--tokens", "48"),
        ("--only", "fmt"),
        ("--skip", "tidy"),
    ],
};

#[test]
fn every_command_has_its_modes_but_those_of_the_program() {
    assert_eq!(COMMAND_LINE.commands_without_modes(), commands(&tailguard::args::Cli::command()));
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

/// So that what holds for `tailguard` holds here.
#[test]
fn the_program_alone_has_the_same_commands_and_flags() {
    let flags = |command: &clap::Command| -> BTreeSet<String> {
        command.get_arguments().map(|arg| arg.get_id().to_string()).collect()
    };
    let (mut program, mut ours) = (tailguard::args::Cli::command(), Cli::command());
    program.build();
    ours.build();
    let names: Vec<&str> = program
        .get_subcommands()
        .map(clap::Command::get_name)
        .filter(|name| *name != "help")
        .collect();
    assert!(names.len() > 8, "{names:?}");
    for name in names {
        let [theirs, ours] =
            [&program, &ours].map(|command| flags(command.find_subcommand(name).unwrap()));
        assert_eq!(theirs, ours, "{name}");
    }
}
