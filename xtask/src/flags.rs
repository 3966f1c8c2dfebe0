//! The table of all flags: for each command and each way to call it, which flags it obeys, what these need, and which two of them
//! contradict each other. Everything else is refused with exit code 2. It is held against clap's own definition, so that a new flag
//! is in neither list only until this test runs.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, CommandFactory, Parser, value_parser};

use crate::args::Cli;
use crate::failure::USAGE;

/// A way to call a command.
struct Mode {
    /// What is always typed.
    words: &'static str,
    /// Flags that are obeyed as they are.
    obeyed: &'static str,
    /// Flags that are obeyed beside another: any one of those behind the colon.
    needing: &'static [&'static str],
    /// Pairs that contradict each other, or of which one would leave the other nothing to do.
    refused: &'static [&'static str],
}

const RUN: &str =
    "--home --json --set --seed --seeds --threads --device --precision --policy --reward --judge --data-dir --arms --out";
const SIZES: &str = "--size --layers --width --heads --vocab --batch --mini-batch --prompt-len --gen-len --ppo-epochs --alpha-keep \
                     --iters --threads --seed --device --precision";

const MODES: &[Mode] = &[
    Mode {
        words: "reproduce imdb",
        obeyed: "--json --home --preset --config --set --seed --seeds --threads --device --precision --policy --reward --judge --data-dir --arms --out",
        needing: &["--resume: --out"],
        refused: &[],
    },
    Mode { words: "train --config a.toml", obeyed: RUN, needing: &["--resume: --out"], refused: &[] },
    Mode {
        words: "evaluate --generations a.csv",
        obeyed: "--json --home --reward --judge --tail-share --threads --out --prompt-column --response-column --responses-include-prompt --text-column \
                 --method --score-column --prompt-score-column --judge-column --group-by --tail-threshold --baseline --tokenizer",
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
            "--text-column: --prompt-column --response-column --responses-include-prompt --baseline --method",
            "--method: --response-column --score-column --judge-column",
            "--score-column: --reward --label",
            "--judge-column: --judge --judge-label",
            "--tail-share: --tail-threshold",
        ],
    },
    Mode {
        words: "evaluate --model a --task imdb",
        obeyed: "--json --home --reward --judge --tail-share --threads --device --out --preset --config --set --seed --seeds --data-dir",
        needing: &[],
        refused: &[],
    },
    Mode {
        words: "sample --prompt a",
        obeyed: "--json --home --model --reward --task --tokens --temperature --seed --count --threads --device",
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
    Mode { words: "compare a b", obeyed: "--json --out --allow-different-prompts", needing: &[], refused: &[] },
    Mode { words: "completions bash", obeyed: "", needing: &[], refused: &[] },
    Mode { words: "man", obeyed: "--out", needing: &[], refused: &[] },
    Mode { words: "pretrain tokenizer --out a", obeyed: "--home --threads --data-dir --vocab-size", needing: &[], refused: &[] },
    Mode {
        words: "pretrain lm --out a",
        obeyed: "--home --threads --seed --device --precision --data-dir --extra --from --vocab-size --layers --width --heads --context --steps \
                 --batch-size --learning-rate --save-every",
        needing: &["--train: --test", "--test: --train", "--text-column: --train"],
        refused: &["--data-dir: --train --test --text-column", "--from: --vocab-size --layers --width --heads"],
    },
    Mode {
        words: "pretrain classifier --out a",
        obeyed: "--home --threads --seed --device --precision --data-dir --label-names --half --architecture --epochs",
        needing: &["--train: --test", "--test: --train", "--text-column: --train", "--label-column: --train"],
        refused: &["--data-dir: --train --test --text-column --label-column"],
    },
    Mode {
        words: "pretrain judge --out a",
        obeyed: "--home --threads --seed --data-dir --label-names --half --unit --min-n --max-n --buckets --epochs --learning-rate --l2 --cut",
        needing: &["--train: --test", "--test: --train", "--text-column: --train", "--label-column: --train"],
        refused: &["--data-dir: --train --test --text-column --label-column"],
    },
    Mode {
        words: "pretrain prompts --out a --policy b --reward c",
        obeyed: "--threads --seed --device --precision --label --negate --forbid --add --text-column --continuation-column --label-column --train \
                 --test --tokens --min-tokens --min-chars",
        needing: &["--forbid-column: --forbid", "--add-column: --add", "--prompt-tokens: --continuation-column"],
        refused: &[],
    },
    Mode { words: "bench iteration", obeyed: SIZES, needing: &[], refused: &[] },
    Mode {
        words: "bench gpt2",
        obeyed: "--size --layers --width --heads --vocab --batch --mini-batch --prompt-len --gen-len --ppo-epochs --alpha-keep --iters \
                 --threads --seed --device --precision --product-seconds",
        needing: &[],
        refused: &[],
    },
    Mode {
        words: "bench compare",
        obeyed: "--size --alpha-keep --rounds --repeats --peers --out",
        needing: &["--python-env: --peers"],
        refused: &[],
    },
    Mode { words: "bench scaling", obeyed: "--alpha-keep --iters --threads --out", needing: &[], refused: &[] },
    Mode { words: "soak", obeyed: "--kills --seed", needing: &[], refused: &[] },
    Mode { words: "fuzz", obeyed: "--cases --seed --case --only --jobs --keep", needing: &[], refused: &["--case: --cases"] },
    Mode { words: "ci", obeyed: "--only --skip --require-tools", needing: &[], refused: &[] },
];

/// Flags that every command obeys, and which of them contradict each other.
const EVERYWHERE: &str = "--quiet --verbose --color";
const REFUSED_EVERYWHERE: &str = "--quiet: --verbose";

/// Flags of which 0 has a meaning; --seeds is a setting, which has a range of its own.
const MAY_BE_ZERO: &str = "--threads --seed --seeds --label --judge-label --repeats --min-chars --prompt-tokens --train --test \
                           --temperature --product-seconds --l2 --tail-threshold --case --jobs";

fn list(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.split_whitespace()
}

/// `a: b c`
fn entry(text: &'static str) -> (&'static str, Vec<&'static str>) {
    let (flag, others) = text.split_once(':').unwrap();
    (flag, list(others).collect())
}

impl Mode {
    /// The command that clap knows.
    fn command(&self) -> clap::Command {
        let mut command = Cli::command();
        command.build();
        for word in list(self.words) {
            match command.find_subcommand(word) {
                Some(found) => command = found.clone(),
                None => break,
            }
        }
        command
    }

    /// All flags of the command but those that are typed anyway.
    fn flags(&self) -> Vec<Arg> {
        let command = self.command();
        let own = command.get_arguments().filter(|arg| {
            arg.get_long().is_some_and(|long| long != "help" && long != "version" && !self.words.contains(&format!("--{long}")))
        });
        own.cloned().collect()
    }

    fn parses(&self, words: Vec<OsString>) -> bool {
        let call = ["xtask"].into_iter().chain(list(self.words)).map(OsString::from).chain(words);
        match Cli::try_parse_from(call) {
            Ok(cli) => cli.command.check(&crate::program(cli.options)).is_ok(),
            Err(error) => {
                assert_eq!(error.exit_code(), i32::from(USAGE), "{error}");
                false
            }
        }
    }

    /// All flags that are obeyed as they are.
    fn obeyed(&self) -> impl Iterator<Item = &'static str> {
        list(self.obeyed).chain(list(EVERYWHERE))
    }

    fn needing(&self) -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
        self.needing.iter().copied().map(entry)
    }

    /// The call with what its flags need and it lacks, in every way that there is.
    fn completed<'a>(&self, call: Vec<&'a str>) -> Vec<Vec<&'a str>> {
        let lacking =
            self.needing().find(|(flag, others)| call.contains(flag) && !others.iter().any(|other| call.contains(other)));
        match lacking {
            None => vec![call],
            Some((_, others)) => others.into_iter().flat_map(|other| self.completed([&call[..], &[other]].concat())).collect(),
        }
    }

    /// Whether these flags can be typed together, with what they need.
    fn admits(&self, flags: &[Arg], typed: &[&str]) -> bool {
        let calls = self.completed(typed.to_vec());
        calls.into_iter().any(|call| self.parses(call.into_iter().flat_map(|flag| words(find(flags, flag))).collect()))
    }
}

fn name(arg: &Arg) -> String {
    format!("--{}", arg.get_long().unwrap_or_default())
}

fn find<'a>(flags: &'a [Arg], flag: &str) -> &'a Arg {
    flags.iter().find(|arg| name(arg) == flag).unwrap_or_else(|| panic!("there is no {flag}"))
}

/// A flag with a value that makes sense.
fn words(arg: &Arg) -> Vec<OsString> {
    let flag = name(arg);
    if !arg.get_action().takes_values() {
        return vec![flag.into()];
    }
    let possible = arg.get_possible_values().first().map(|value| value.get_name().to_owned());
    let count = arg.get_num_args().unwrap().min_values().max(1);
    let value = match flag.as_str() {
        "--method" => "a=b".to_owned(),
        // what divides the sizes that are not given, and is no longer than they are
        "--width" | "--batch" => "64".to_owned(),
        "--tokens" => "48".to_owned(),
        "--only" => "fmt".to_owned(),
        "--skip" => "tidy".to_owned(),
        _ => possible.unwrap_or_else(|| "1".to_owned()),
    };
    std::iter::once(flag.into()).chain(std::iter::repeat_n(value.into(), count)).collect()
}

#[test]
fn every_flag_of_every_command_is_obeyed_or_refused() {
    for mode in MODES {
        let flags = mode.flags();
        let needing: Vec<&str> = mode.needing().map(|(flag, _)| flag).collect();
        for arg in &flags {
            let flag = name(arg);
            let (is_obeyed, needs) = (mode.obeyed().any(|name| name == flag), needing.contains(&flag.as_str()));
            assert_eq!(mode.parses(words(arg)), is_obeyed, "{} {flag}", mode.words);
            assert!(!needs || mode.admits(&flags, &[&flag]), "{} {flag} with what it needs", mode.words);
        }
        // and what is listed is there
        for flag in mode.obeyed().chain(needing) {
            find(&flags, flag);
        }
    }
}

#[test]
fn every_pair_of_flags_is_obeyed_or_refused() {
    for mode in MODES {
        let flags = mode.flags();
        let known: Vec<&str> = mode.obeyed().chain(mode.needing().map(|(flag, _)| flag)).collect();
        let refused: Vec<(&str, Vec<&str>)> = mode.refused.iter().copied().chain([REFUSED_EVERYWHERE]).map(entry).collect();
        let is_refused = |a: &str, b: &str| refused.iter().any(|(flag, others)| *flag == a && others.contains(&b));
        for (place, a) in known.iter().enumerate() {
            for b in &known[..place] {
                let expected = !is_refused(a, b) && !is_refused(b, a);
                assert_eq!(mode.admits(&flags, &[a, b]), expected, "{} {a} {b}", mode.words);
            }
        }
    }
}

#[test]
fn every_command_has_its_modes() {
    fn leaves(command: &clap::Command, path: &str, found: &mut BTreeSet<String>) {
        for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
            leaves(inner, format!("{path} {}", inner.get_name()).trim(), found);
        }
        if !command.has_subcommands() {
            found.insert(path.to_owned());
        }
    }
    let mut commands = BTreeSet::new();
    leaves(&Cli::command(), "", &mut commands);
    let has_mode = |command: &&String| MODES.iter().any(|mode| mode.words.starts_with(command.as_str()));
    assert_eq!(commands.iter().filter(|command| !has_mode(command)).collect::<Vec<_>>(), Vec::<&String>::new());
}

/// So that what holds here holds for `tailguard`.
#[test]
fn the_program_alone_has_the_same_commands_and_flags() {
    let flags =
        |command: &clap::Command| -> BTreeSet<String> { command.get_arguments().map(|arg| arg.get_id().to_string()).collect() };
    let (mut program, mut ours) = (tailguard::args::Cli::command(), Cli::command());
    program.build();
    ours.build();
    let names: Vec<&str> = program.get_subcommands().map(clap::Command::get_name).filter(|name| *name != "help").collect();
    assert!(names.len() > 8, "{names:?}");
    for name in names {
        let [theirs, ours] = [&program, &ours].map(|command| flags(command.find_subcommand(name).unwrap()));
        assert_eq!(theirs, ours, "{name}");
    }
}

#[test]
fn values_that_no_command_can_use_are_refused_by_every_flag() {
    for mode in MODES {
        let flags = mode.flags();
        for arg in flags.iter().filter(|arg| arg.get_action().takes_values()) {
            let (flag, kind) = (name(arg), arg.get_value_parser().type_id());
            let count = arg.get_num_args().unwrap().min_values().max(1);
            let companions = mode.completed(vec![&flag]).swap_remove(0).into_iter().skip(1);
            let companion: Vec<OsString> = companions.flat_map(|other| words(find(&flags, other))).collect();
            let admits = |value: OsString| {
                let typed = std::iter::once(OsString::from(&flag)).chain(std::iter::repeat_n(value, count));
                mode.parses(companion.iter().cloned().chain(typed).collect())
            };
            if kind == value_parser!(PathBuf).type_id() {
                assert!(!admits(OsString::new()), "{} {flag} ''", mode.words);
                #[cfg(unix)]
                assert!(!admits(std::os::unix::ffi::OsStringExt::from_vec(b"a\xff".to_vec())), "{} {flag} a\\xff", mode.words);
            }
            let floats: [ValueParser; 2] = [value_parser!(f64).into(), value_parser!(f32).into()];
            if floats.iter().any(|float| kind == float.type_id()) {
                for value in ["nan", "inf", "-inf"] {
                    assert!(!admits(value.into()), "{} {flag} {value}", mode.words);
                }
            }
            let is_number = ["x", "-", "1.5.2"].iter().all(|value| !admits((*value).into())) && admits("1".into());
            if is_number && !list(MAY_BE_ZERO).any(|name| name == flag) {
                assert!(!admits("0".into()), "{} {flag} 0", mode.words);
            }
            if matches!(arg.get_action(), ArgAction::Set) {
                let twice = [companion.clone(), words(arg), words(arg)].concat();
                assert!(!mode.parses(twice), "{} {flag} {flag}", mode.words);
            }
        }
    }
}
