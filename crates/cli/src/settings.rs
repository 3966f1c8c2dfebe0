//! `tailguard settings`: what every key of the settings means, what it may be, and what a preset
//! sets it to.

use anyhow::Result;
use clap::Args;
use serde_json::json;
use tailguard_experiment::settings::{Overrides, Preset, Task, json_schema, resolve, schema};

use crate::failure::{Failure, pretty, put_json, say};
use crate::program::Program;
use crate::typed;

/// `settings`.
#[derive(Debug, Args)]
pub struct SettingsArgs {
    /// Keys or sections, such as `ppo.kl_coef` or `ppo` [default: all]
    #[arg(long, value_name = "KEY", num_args = 1.., conflicts_with = "schema")]
    pub(crate) explain: Vec<String>,
    /// Print a JSON schema of the settings, by which an editor completes and checks a file of them
    #[arg(long)]
    pub(crate) schema: bool,
    /// The task whose values are shown [default: imdb]
    #[arg(long, value_parser = typed::task(), conflicts_with = "schema")]
    pub(crate) task: Option<&'static Task>,
    /// The preset whose values are shown [default: embedded]
    #[arg(long, value_parser = typed::preset(), conflicts_with = "schema")]
    pub(crate) preset: Option<Preset>,
}

/// Refuses what contradicts each other.
///
/// # Errors
/// The flags.
pub(crate) fn check(args: &SettingsArgs, program: &Program) -> Result<(), Failure> {
    if args.schema && program.json() {
        return Err(Failure::usage("--json: what --schema prints is JSON").hint("leave --json out"));
    }
    Ok(())
}

/// Runs the command.
///
/// # Errors
/// A key that there is not, or standard output that is gone.
pub(crate) fn run(args: &SettingsArgs, program: &Program) -> Result<()> {
    if args.schema {
        say(serde_json::to_string_pretty(&json_schema())?)?;
        return Ok(());
    }
    let schema = schema();
    for name in &args.explain {
        if schema.key(name).is_none() && !schema.is_section(name) {
            let nearest: Vec<String> =
                schema.nearest(name).iter().map(|key| format!("`{key}`")).collect();
            let meant = if nearest.is_empty() {
                String::new()
            } else {
                format!("; did you mean {}?", nearest.join(" or "))
            };
            return Err(
                Failure::usage(format!("--explain {name}: there is no such key{meant}")).into()
            );
        }
    }
    let (task, preset) =
        (args.task.or_else(|| Task::named("imdb")), args.preset.unwrap_or(Preset::Embedded));
    let settings = resolve(task, Some(preset), &Overrides::default(), None)?;
    let is_asked = |name: &str| {
        let of = |asked: &String| {
            name == asked
                || name.strip_prefix(asked.as_str()).is_some_and(|rest| rest.starts_with('.'))
        };
        args.explain.is_empty() || args.explain.iter().any(of)
    };
    if program.json() {
        let keys = schema.keys().iter().filter(|key| is_asked(&key.name));
        let told = keys.map(|key| {
            let value = settings.value(&key.name).map(|value| json!(value));
            json!({
                "key": key.name,
                "value": value,
                "may_be": key.kind.to_string(),
                "about": key.doc,
            })
        });
        put_json(&pretty(&told.collect()))?;
        return Ok(());
    }
    say(format_args!("# values of {} --preset {}", settings.task, preset.name()))?;
    for key in schema.keys().iter().filter(|key| is_asked(&key.name)) {
        let value = settings.value(&key.name).map(|value| on_a_line(&value)).unwrap_or_default();
        say(format_args!("\n{} = {value}", key.name))?;
        for line in
            key.doc.lines().chain([key.kind.to_string().as_str()]).filter(|line| !line.is_empty())
        {
            say(format_args!("    {line}"))?;
        }
    }
    Ok(())
}

/// A value as TOML, a text of several lines, too.
fn on_a_line(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => json!(text).to_string(),
        other => other.to_string(),
    }
}
