//! How the run came about: command, source, device, time and memory, settings.

use maud::{Markup, html};
use tailguard_report::Process;

use crate::clean;
use crate::run::Run;

/// The section.
pub(crate) fn section(run: &Run) -> Markup {
    html! {
        section #run {
            h2 { "The run" }
            dl.facts {
                @for (name, value) in facts(run) { dt { (name) } dd { (clean::line(&value)) } }
            }
            @if !run.settings.is_empty() {
                details {
                    summary { "All " (run.settings.len()) " settings" }
                    div.scroll tabindex="0" role="region" aria-label="Settings" {
                        table.settings {
                            thead { tr { th scope="col" { "setting" } th scope="col" { "value" } } }
                            tbody {
                                @for (key, value) in &run.settings {
                                    tr {
                                        th scope="row" { (clean::line(key)) }
                                        td { (clean::line(value)) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
            @if let Some(about) = run.about.as_ref().filter(|about| !about.inputs.is_empty()) {
                details {
                    summary { "Digests of what it read" }
                    div.scroll tabindex="0" role="region" aria-label="Digests" {
                        table.settings {
                            thead { tr { th scope="col" { "input" } th scope="col" { "SHA-256" } } }
                            tbody {
                                @for (name, digest) in &about.inputs {
                                    tr {
                                        th scope="row" { (clean::line(name)) }
                                        td { code { (clean::line(digest)) } }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Names and values, of what is known.
fn facts(run: &Run) -> Vec<(&str, String)> {
    let results = &run.results;
    let mut facts = vec![("name", run.name.clone())];
    let mut put = |name, value: String| {
        if !value.is_empty() {
            facts.push((name, value));
        }
    };
    put("task", results.task.clone());
    put("preset", results.preset.clone());
    put("data", data_words(&results.data));
    put("split", results.split.clone());
    put("seeds", results.seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", "));
    // what a program or a flag has brought takes the place of what settings name
    let place = |name: &str| run.about.as_ref()?.places.get(name).map(String::as_str);
    let named = [("policy", "policy.dir"), ("reward model", "reward.dir"), ("judge", "judge.dir")];
    for (name, key) in named {
        put(name, place(name).or_else(|| run.word(key)).unwrap_or_default().to_owned());
    }
    put("device", results.device.clone());
    if let Some(about) = &run.about {
        let others =
            about.places.iter().filter(|(name, _)| named.iter().all(|(known, _)| known != name));
        others.for_each(|(name, place)| put(name, place.clone()));
        put("negated", about.negated.join(", "));
        put("version", format!("tailguard {}", about.version));
        put(
            "commit",
            about
                .commit
                .clone()
                .unwrap_or_else(|| "not recorded (the source was outside git)".to_owned()),
        );
        // before runs noted it there was one program
        let program = if about.program.is_empty() { "cargo xtask" } else { &about.program };
        put(
            "command",
            if about.command.is_empty() {
                String::new()
            } else {
                format!("{program} {}", about.command.join(" "))
            },
        );
    }
    let [time, memory, machine, begun] = costs(&run.processes);
    put("begun", begun);
    put("time", time);
    put("memory", memory);
    put("machine", machine);
    facts
}

/// Where the evaluation prompts came from.
pub(crate) fn data_words(data: &str) -> String {
    match data {
        "embedded" => "embedded in the repository".to_owned(),
        "data-dir" => "a directory that the user named (data.dir)".to_owned(),
        "env" => "the directory of TAILGUARD_DATA".to_owned(),
        "cache" => "the Hugging Face cache".to_owned(),
        other => other.to_owned(),
    }
}

/// Wall time, peak memory, machine and begin, as far as they were noted.
fn costs(processes: &[Process]) -> [String; 4] {
    let seconds: f64 = processes.iter().filter_map(|process| process.wall_s).sum();
    let unknown = processes.iter().filter(|process| process.wall_s.is_none()).count();
    let mut time = if unknown < processes.len() { duration(seconds) } else { String::new() };
    if processes.len() > 1 && !time.is_empty() {
        time += &format!(" in {} processes", processes.len() - unknown);
    }
    if unknown > 0 && !time.is_empty() {
        time += &format!(", and {unknown} more that did not come to their end");
    }
    let peak = processes
        .iter()
        .filter_map(|process| process.peak_mib)
        .fold(None, |most: Option<f64>, mib| Some(most.map_or(mib, |most| most.max(mib))));
    let memory = peak.map(|mib| format!("{mib:.0} MiB at most")).unwrap_or_default();
    let mut machines: Vec<String> = processes.iter().filter_map(machine).collect();
    machines.dedup();
    let begun = processes.first().and_then(|process| process.begun).map(date).unwrap_or_default();
    [time, memory, machines.join("; "), begun]
}

fn machine(process: &Process) -> Option<String> {
    let threads = process
        .threads
        .map(|threads| format!("{threads} thread{}", if threads == 1 { "" } else { "s" }));
    match (&process.cpu, threads) {
        (Some(cpu), Some(threads)) => Some(format!("{cpu}, {threads}")),
        (Some(cpu), None) => Some(cpu.clone()),
        (None, threads) => threads,
    }
}

/// `48 s`, `12 min`, `3.5 h`.
pub(crate) fn duration(seconds: f64) -> String {
    match seconds {
        short if short < 119.5 => format!("{short:.0} s"),
        medium if medium < 119.5 * 60.0 => format!("{:.0} min", medium / 60.0),
        long => format!("{:.1} h", long / 3600.0),
    }
}

/// The day and minute of seconds since 1970, in UTC: the proleptic Gregorian calendar, from the
/// days of eras of 400 years.
fn date(seconds: u64) -> String {
    let (days, minutes) = (seconds / 86_400 + 719_468, seconds % 86_400 / 60);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day_of_month = day - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    format!(
        "{}-{month:02}-{day_of_month:02} {:02}:{:02} UTC",
        era * 400 + year + carry,
        minutes / 60,
        minutes % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(0), "1970-01-01 00:00 UTC");
        assert_eq!(date(951_827_696), "2000-02-29 12:34 UTC");
        assert_eq!(date(1_735_689_599), "2024-12-31 23:59 UTC");
        assert_eq!(date(4_107_542_400), "2100-03-01 00:00 UTC");
    }

    #[test]
    fn time_is_the_sum_and_memory_the_most_of_all_processes() {
        let process = |wall_s, peak_mib| Process {
            wall_s,
            peak_mib,
            cpu: Some("EPYC".into()),
            threads: Some(2),
            begun: Some(0),
        };
        let [time, memory, machine, begun] = costs(&[
            process(Some(100.0), Some(10.0)),
            process(None, None),
            process(Some(200.0), Some(612.4)),
        ]);
        assert_eq!(time, "5 min in 2 processes, and 1 more that did not come to their end");
        assert_eq!(
            (memory.as_str(), machine.as_str(), begun.as_str()),
            ("612 MiB at most", "EPYC, 2 threads", "1970-01-01 00:00 UTC")
        );
        assert_eq!(costs(&[]), [const { String::new() }; 4]);
        assert_eq!(
            (duration(48.2), duration(720.0), duration(12_600.0)),
            ("48 s".into(), "12 min".into(), "3.5 h".into())
        );
    }
}
