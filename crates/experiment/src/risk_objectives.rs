//! The objectives that maximise a risk measure, as settings describe them.

use std::num::NonZeroUsize;

use tailguard_risk::{
    MeanShare, Measure, Mixture, Objective, Over, RiskAverse, RiskAversion, RiskMeasure,
    ScheduleConfig, SoftRiskSchedule, Spectrum,
};
use tailguard_settings::nearest;
use toml::Value;

use crate::objective_context::ObjectiveContext;
use crate::objective_value::{Keys, Wrong, count, fraction, number, numbers, parsed};

/// Those that a mixture may have besides the mean.
pub(crate) const NAMES: [&str; 4] = ["cvar", "entropic", "spectral", "worst_of"];

/// A measure, whichever it is.
type AnyMeasure = Box<dyn RiskMeasure + Send + Sync>;

/// The measure of each iteration.
type Measures = Box<dyn Fn(usize) -> AnyMeasure + Send + Sync>;

/// The objective of one of [`NAMES`].
pub(crate) fn objective(
    name: &str,
    context: ObjectiveContext<'_>,
) -> Result<Box<dyn Objective>, Wrong> {
    let (measures, over) = measures(name, context)?;
    Ok(Box::new(RiskAverse::scheduled(measures, over)))
}

/// The measure that an objective ends with, and over what it is taken; none for an objective that
/// maximises no measure.
pub(crate) fn last_measure(
    name: &str,
    context: ObjectiveContext<'_>,
) -> Result<Option<(AnyMeasure, Over)>, Wrong> {
    let (measures, over) = match name {
        "mean" => {
            return match context.value {
                None => Ok(Some((Box::new(Measure::Mean), Over::Batch))),
                Some(value) => Err(format!("mean has {value}, expected its name alone").into()),
            };
        }
        "mixture" => mixed(context)?,
        name if NAMES.contains(&name) => measures(name, context)?,
        _ => return Ok(None),
    };
    Ok(Some((measures(context.settings.ppo.iterations), over)))
}

/// `{ mixture = { mean = 0.3, of = { cvar = 0.2 } } }`: a share of the mean, the rest of another
/// measure.
pub(crate) fn mixture(context: ObjectiveContext<'_>) -> Result<Box<dyn Objective>, Wrong> {
    let (measures, over) = mixed(context)?;
    Ok(Box::new(RiskAverse::scheduled(measures, over)))
}

/// The measures of a mixture, and over what.
fn mixed(context: ObjectiveContext<'_>) -> Result<(Measures, Over), Wrong> {
    const EXAMPLE: &str = "{ mean = 0.3, of = { cvar = 0.2 } }";
    let keys = Keys::read("mixture", context.value, &["mean", "of"])?;
    let (_, of) = keys.needed("of", EXAMPLE)?;
    let share = parsed(keys.needed("mean", EXAMPLE)?, "a number from 0 to 1", |value| {
        MeanShare::new(number(value)?).ok()
    })?;
    let named = match of {
        Value::String(name) => Some((name.as_str(), None)),
        Value::Table(table) if table.len() == 1 => {
            table.iter().next().map(|(name, value)| (name.as_str(), Some(value)))
        }
        _ => None,
    };
    let Some((name, value)) = named else {
        return Err(format!("mixture.of = {of}, expected a measure, as in {{ cvar = 0.2 }}").into());
    };
    if !NAMES.contains(&name) {
        let meant = nearest(name, &NAMES)
            .first()
            .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        return Err(format!(
            "mixture.of is of {name:?}, expected one of {}{meant}",
            NAMES.join(", ")
        )
        .into());
    }
    let (measures, over) = measures(name, ObjectiveContext { value, ..context })?;
    let mixed: Measures =
        Box::new(move |iteration| Box::new(Mixture::new(share, measures(iteration))));
    Ok((mixed, over))
}

/// The measures of one of [`NAMES`], and over what.
fn measures(name: &str, context: ObjectiveContext<'_>) -> Result<(Measures, Over), Wrong> {
    let known: &[&str] = match name {
        "cvar" => &["level", "over", "warmup", "rho"],
        "entropic" => &["lambda", "over"],
        "spectral" => &["weights", "over"],
        _ => &["k", "over"],
    };
    let keys = Keys::read(name, context.value, known)?;
    let measures: Measures = match name {
        "cvar" => {
            let schedule = schedule(&keys, context)?;
            Box::new(move |iteration| {
                Box::new(Measure::CvarRockafellarUryasev(schedule.level(iteration)))
            })
        }
        "entropic" => {
            let parse = |value: &Value| RiskAversion::new(number(value)?).ok();
            let aversion = parsed(keys.needed("lambda", "0.5")?, "a number above 0", parse)?;
            Box::new(move |_| Box::new(Measure::Entropic(aversion)))
        }
        "spectral" => {
            let expected = "a list of numbers that never rise, as in [3, 2, 1]";
            let spectrum =
                Spectrum::new(&parsed(keys.needed("weights", "[3, 2, 1]")?, expected, numbers)?)?;
            Box::new(move |_| Box::new(spectrum.clone()))
        }
        _ => {
            let parse = |value: &Value| NonZeroUsize::new(count(value)?);
            let worst_of = parsed(keys.needed("k", "4")?, "a whole number of at least 1", parse)?;
            Box::new(move |_| Box::new(Measure::WorstOf(worst_of)))
        }
    };
    Ok((measures, keys.over()?))
}

/// The schedule of a level: that of `[risk]`, but for what stands with the name.
fn schedule(keys: &Keys<'_>, context: ObjectiveContext<'_>) -> Result<SoftRiskSchedule, Wrong> {
    let (risk, ppo) = (&context.settings.risk, &context.settings.ppo);
    let alpha = keys.parsed("level", "a number in (0, 1]", fraction)?.unwrap_or(risk.alpha);
    let rho = keys.parsed("rho", "a number in (0, 1]", fraction)?.unwrap_or(risk.rho);
    let own_warmup = keys.parsed("warmup", "a whole number", count)?;
    let warmup = own_warmup.unwrap_or(risk.warmup);
    if warmup >= ppo.iterations {
        let key = if own_warmup.is_some() { "cvar.warmup" } else { "risk.warmup" };
        let iterations = ppo.iterations;
        return Err(format!(
            "{key} is {warmup} and ppo.iterations {iterations}: expected less, or the \
                level never comes down"
        )
        .into());
    }
    Ok(SoftRiskSchedule::new(ScheduleConfig {
        batch: ppo.batch_size,
        alpha,
        warmup,
        rho,
        iterations: ppo.iterations,
    })?)
}
