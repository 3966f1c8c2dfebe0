//! `tailguard front`: what the best policy could reach at each distance from a reference, and where
//! trained policies stand.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use tailguard_experiment::settings::{PrecisionName, Preset, Settings, Task, resolve};
use tailguard_experiment::{ExperimentError, FrontOptions, checkpoint, front};
use tailguard_files::write_file;
use tailguard_page::{front_csv, front_page};
use tailguard_report::{Front, RunDir, Style, front_table};

use crate::failure::{Failure, put_json, say};
use crate::program::Program;
use crate::progress::Told;
use crate::report::write_page;
use crate::run_args::RunArgs;
use crate::{device, interrupt, typed};

/// Settings that are those of the run with `--run`.
const OF_SETTINGS: [&str; 10] = [
    "task",
    "preset",
    "config",
    "set",
    "seed",
    "device",
    "precision",
    "reward",
    "judge",
    "data_dir",
];

/// `front`.
#[derive(Debug, Args)]
pub struct FrontArgs {
    /// The task whose held-out prompts, models and settings are taken
    #[arg(value_parser = typed::task(), required_unless_present_any = ["config", "run"])]
    pub(crate) task: Option<&'static Task>,
    /// The settings to start from [default: embedded]
    #[arg(long, value_parser = typed::preset())]
    pub(crate) preset: Option<Preset>,
    /// Responses to each prompt that are sampled from the reference
    #[arg(
        long,
        value_name = "K",
        default_value_t = 32,
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(2..=100_000)
    )]
    pub(crate) samples: usize,
    /// Held-out prompts [default: those of the settings, 500 at most]
    #[arg(long, value_name = "N", value_parser = typed::count())]
    pub(crate) prompts: Option<usize>,
    /// An objective as an arm of the settings writes it, such as `mean`, `cvar = 0.1` or
    /// `worst_of = { k = 4, over = "prompt" }`; may be repeated
    /// [default: mean, cvar at .1, .2 and .4, and those of the settings' arms]
    #[arg(long, value_name = "OBJECTIVE")]
    pub(crate) objective: Vec<String>,
    /// Coefficients of the KL [default: of each objective its own, as far as the samples reach]
    #[arg(long, value_name = "BETA", value_delimiter = ',', value_parser = typed::positive)]
    pub(crate) betas: Vec<f64>,
    /// Hugging Face directory of the reference, a GPT-2
    /// [default: the supervised model of the settings, which is trained]
    #[arg(long, value_name = "DIR", value_parser = typed::path())]
    pub(crate) reference: Option<PathBuf>,
    /// A run, whose settings and supervised model are taken and whose policies are placed in the
    /// front
    #[arg(
        long,
        value_name = "DIR",
        value_parser = typed::path(),
        conflicts_with = "reference",
        conflicts_with_all = OF_SETTINGS
    )]
    pub(crate) run: Option<PathBuf>,
    /// Hugging Face directory of a trained policy, or the checkpoint of a run, to place in the
    /// front; may be repeated
    #[arg(long, value_name = "DIR", value_parser = typed::path())]
    pub(crate) policy: Vec<PathBuf>,
    /// TOML file with settings that replace the preset's
    #[arg(long, value_name = "FILE", value_parser = typed::path())]
    pub(crate) config: Option<PathBuf>,
    /// One setting that replaces the preset's and the file's; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// The seed of training and samples [run.seed]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Threads; 0 takes one per core [run.threads]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<u64>,
    /// `flex` (the CPU), `wgpu[:n]` or `cuda[:n]` [run.device]
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Option<String>,
    /// What factors of products are rounded to on a GPU [run.precision]
    #[arg(long, value_name = "PRECISION", value_parser = typed::precision())]
    pub(crate) precision: Option<PrecisionName>,
    /// Hugging Face directory of the classifier that rewards [reward.dir]
    #[arg(long, value_name = "DIR", value_parser = typed::path())]
    pub(crate) reward: Option<PathBuf>,
    /// Directory of the scorer that judges [judge.dir]
    #[arg(long, value_name = "DIR", value_parser = typed::path())]
    pub(crate) judge: Option<PathBuf>,
    /// Directory with the task's data [data.dir]
    #[arg(long, value_name = "DIR", value_parser = typed::path())]
    pub(crate) data_dir: Option<PathBuf>,
    /// Directory of samples, tables and page, taken up if it is there
    /// [default: runs/front-TASK-PRESET in the home]
    #[arg(long, value_name = "DIR", value_parser = typed::path())]
    pub(crate) out: Option<PathBuf>,
}

/// What settings, models and a run come to.
struct Chosen {
    settings: Settings,
    reference: Option<PathBuf>,
    policies: Vec<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// Settings, objectives, models or texts that cannot be used; a directory that cannot be written.
/// What was asked to stop says how to go on.
pub(crate) fn run(args: &FrontArgs, program: &Program) -> Result<()> {
    let Chosen { settings, reference, policies } = chosen(args, program)?;
    device::set_threads(settings.run.threads)?;
    let device = device::select_with(&settings.run.device, settings.run.precision, program)?;
    let home = program.home_for(&settings)?;
    let out = match &args.out {
        Some(out) => out.clone(),
        None => program.runs()?.join(format!("front-{}-{}", settings.task, settings.preset)),
    };
    let options = FrontOptions {
        prompts: args.prompts,
        responses: args.samples,
        objectives: args.objective.clone(),
        betas: args.betas.clone(),
        reference,
        policies,
    };
    // each response to all prompts is kept, so there is something to go on with at once
    interrupt::listen(Vec::new())?;
    interrupt::begun();
    let mut told = Told::default();
    let found = front(&settings, &options, &out, (&home, &device, &program.origin()), &mut told);
    let found = found.map_err(|error| match error {
        ExperimentError::Stopped => {
            let hint = format!("the same command goes on from what is in {}", out.display());
            anyhow::Error::from(Failure::stopped().hint(hint))
        }
        error => error.into(),
    })?;
    // whoever reads no further than the first line has all files
    found.write(&out.join("front.json"))?;
    write_file(&out.join("front.csv"), front_csv(&found).as_bytes())?;
    let page = out.join("front.html");
    write_page(&page, &front_page(&found)?)?;
    tell(&found, &settings, &page, program)
}

/// The settings, the reference and the policies that were asked for.
fn chosen(args: &FrontArgs, program: &Program) -> Result<Chosen> {
    let named = |path: &PathBuf, flag: &str| {
        program.directory(&checkpoint(path).display().to_string(), flag)
    };
    let policies = args.policy.iter().map(|path| named(path, "--policy"));
    let mut policies = policies.collect::<Result<Vec<_>>>()?;
    let overrides = args.run_args().overrides()?;
    let Some(run) = &args.run else {
        let settings = resolve(args.task, args.preset, &overrides, None)?;
        let reference = args.reference.as_ref().map(|path| named(path, "--reference"));
        return Ok(Chosen { settings, reference: reference.transpose()?, policies });
    };
    let run = RunDir::open(run)?;
    let (path, text) = (run.config_path(), run.config()?);
    let settings = resolve(None, None, &overrides, Some((&path, &text)))?;
    let model = |arm: &str| run.checkpoint_path(arm, settings.run.seed).join("model");
    let reference = model(&settings.evaluation.reference);
    if !reference.is_dir() {
        let message = format!("{}: the run has not come so far", reference.display());
        let hint = format!(
            "it is the model of the arm {:?} (evaluation.reference); --reference DIR names another",
            settings.evaluation.reference
        );
        return Err(Failure::usage(message).hint(hint).into());
    }
    let of_run = settings.arm.iter().filter(|arm| arm.key != settings.evaluation.reference);
    let of_run: Vec<PathBuf> =
        of_run.map(|arm| model(&arm.key)).filter(|model| model.is_dir()).collect();
    policies.splice(0..0, of_run);
    Ok(Chosen { settings, reference: Some(reference), policies })
}

impl FrontArgs {
    /// As `reproduce` has them.
    fn run_args(&self) -> RunArgs {
        RunArgs {
            config: self.config.clone(),
            set: self.set.clone(),
            seed: self.seed,
            threads: self.threads,
            device: self.device.clone(),
            precision: self.precision,
            reward: self.reward.clone(),
            judge: self.judge.clone(),
            data_dir: self.data_dir.clone(),
            ..RunArgs::default()
        }
    }
}

/// Prints what has come out.
fn tell(
    found: &Front,
    settings: &Settings,
    page: &std::path::Path,
    program: &Program,
) -> Result<()> {
    let smoke = "The preset smoke shows that everything works; its figures mean nothing.";
    let is_smoke = settings.preset.ends_with(Preset::Smoke.name());
    let notes = is_smoke.then_some(smoke).into_iter().chain(found.notice.as_deref());
    if program.json() {
        put_json(&found.to_json()?)?;
        notes.for_each(|note| tracing::info!("{note}"));
        return Ok(());
    }
    say(front_table(found, Style::Plain))?;
    notes.into_iter().try_for_each(say)?;
    say(format_args!("report: {}", page.display()))?;
    let folder = page.parent().unwrap_or(page);
    say(format_args!("written: front.json, front.csv in {}", folder.display()))?;
    Ok(())
}
