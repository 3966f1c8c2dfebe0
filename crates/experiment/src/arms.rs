//! Which arms of an experiment are made, and whether each can be.

use tailguard_risk::BatchShape;

use crate::error::ExperimentError;
use crate::objectives::Objectives;
use crate::recipe::Recipes;
use crate::settings::{ArmSettings, Settings};

/// The arms of an experiment.
pub(crate) struct Plan<'s> {
    /// All that are made, each after what it is made from, with the settings that are its own.
    pub(crate) made: Vec<Planned<'s>>,
    /// What all KL is measured to; it is among those that are made.
    pub(crate) reference: &'s str,
}

/// An arm that is made.
pub(crate) struct Planned<'s> {
    pub(crate) arm: &'s ArmSettings,
    pub(crate) settings: Settings,
    /// Whether it is compared with others, or only needed by one that is.
    pub(crate) is_compared: bool,
}

impl Planned<'_> {
    /// Whether it may be lost in training, and the others go on.
    pub(crate) fn is_trained(&self, plan: &Plan<'_>) -> bool {
        self.arm.from.is_some() && self.arm.key != plan.reference
    }
}

impl<'s> Plan<'s> {
    /// The arms that `run.arms` names and those that they are made from, and the reference.
    ///
    /// # Errors
    /// A recipe or an objective that nobody knows, or that does not suit the arm.
    pub(crate) fn of(
        settings: &'s Settings,
        recipes: &Recipes,
        objectives: &Objectives,
    ) -> Result<Self, ExperimentError> {
        let reference = settings.evaluation.reference.as_str();
        let chosen = |key: &str| {
            settings.run.arms.is_empty() || settings.run.arms.iter().any(|arm| arm == key)
        };
        let mut needed: Vec<&str> = vec![reference];
        let mut made = Vec::new();
        // from the last to the first, as an arm stands behind what it is made from
        for arm in settings.arm.iter().rev() {
            check(arm, settings, recipes, objectives)?;
            let is_compared = chosen(&arm.key);
            if is_compared || needed.contains(&arm.key.as_str()) {
                needed.extend(arm.from.as_deref());
                made.push(Planned { arm, settings: arm.over(settings)?, is_compared });
            }
        }
        made.reverse();
        Ok(Self { made, reference })
    }

    /// The arms that are compared, in their order.
    pub(crate) fn compared(&self) -> impl Iterator<Item = &Planned<'s>> {
        self.made.iter().filter(|planned| planned.is_compared)
    }

    /// What arms are to be compared with that are not made.
    pub(crate) fn left_out(&self) -> impl Iterator<Item = String> {
        let is_compared = |key: &str| self.compared().any(|planned| planned.arm.key == key);
        let pairs = self.compared().flat_map(|planned| {
            planned.arm.compared_with.iter().map(|over| (&planned.arm.key, over))
        });
        let left_out: Vec<_> = pairs.filter(|(_, over)| !is_compared(over)).collect();
        left_out.into_iter().map(|(arm, over)| {
            format!("{arm} is not compared with {over}, which is not among the arms of this run")
        })
    }

    /// Whether an arm behind this place begins with the one of that key, or is measured against it.
    pub(crate) fn is_needed_behind(&self, place: usize, key: &str) -> bool {
        key == self.reference
            || self.made[place + 1..].iter().any(|later| later.arm.from.as_deref() == Some(key))
    }
}

/// Refuses an arm that cannot be made, before anything is begun.
fn check(
    arm: &ArmSettings,
    settings: &Settings,
    recipes: &Recipes,
    objectives: &Objectives,
) -> Result<(), ExperimentError> {
    let Some(recipe) = recipes.get(&arm.recipe) else {
        let known = recipes.names().join(", ");
        return Err(arm
            .wrong(format!("there is no recipe {:?}, expected one of {known}", arm.recipe))
            .into());
    };
    match (recipe.needs_from(), &arm.from) {
        (true, None) => {
            return Err(arm
                .wrong(format!(
                    "from is missing: the recipe {:?} begins with another arm",
                    arm.recipe
                ))
                .into());
        }
        (false, Some(from)) => {
            let detail = format!(
                "from = {from:?}, but the recipe {:?} begins with no other arm",
                arm.recipe
            );
            return Err(arm.wrong(detail).into());
        }
        _ => {}
    }
    if arm.objective.is_some() && !recipe.has_objective() {
        return Err(arm
            .wrong(format!("it has an objective, but the recipe {:?} has none", arm.recipe))
            .into());
    }
    let is_read = |key: &str| {
        recipe
            .sections()
            .iter()
            .any(|section| key == *section || key.starts_with(&format!("{section}.")))
    };
    if let Some(key) = arm.set.keys().find(|key| !is_read(key)) {
        let read = recipe.sections().join(", ");
        let read = if read.is_empty() { "no settings".to_owned() } else { read };
        return Err(arm
            .wrong(format!(
                "set has {key}, but of what may differ between arms the recipe {:?} reads {read}",
                arm.recipe
            ))
            .into());
    }
    let recipe_of = |key: &str| {
        settings.arm.iter().find(|arm| arm.key == key).and_then(|arm| recipes.get(&arm.recipe))
    };
    let makes_no_model = |key: &str| recipe_of(key).is_some_and(|recipe| !recipe.makes_model());
    if let Some(from) =
        arm.from.as_deref().filter(|from| recipe.needs_model() && makes_no_model(from))
    {
        let detail = format!(
            "from = {from:?}, but the recipe {:?} begins with a language model, and that is none",
            arm.recipe
        );
        return Err(arm.wrong(detail).into());
    }
    if arm.key == settings.evaluation.reference && !recipe.makes_model() {
        return Err(arm
            .wrong(
                "evaluation.reference names it, but KL is measured to a language model, and it \
                 is none",
            )
            .into());
    }
    if recipe.has_objective() {
        let own = arm.over(settings)?;
        let shape = BatchShape::single(own.ppo.batch_size);
        objectives.of(arm, &own)?.check(shape).map_err(|error| arm.wrong(error.to_string()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(more: &str) -> Settings {
        Settings::from_toml(&format!("preset = \"imdb-smoke\"\n{more}")).unwrap()
    }

    fn plan(settings: &Settings) -> Result<Vec<(String, bool)>, String> {
        let plan = Plan::of(settings, &Recipes::default(), &Objectives::default());
        let named = |planned: &Planned<'_>| (planned.arm.key.clone(), planned.is_compared);
        plan.map(|plan| plan.made.iter().map(named).collect()).map_err(|error| error.to_string())
    }

    fn refused(arms: &str) -> String {
        let reference = "[evaluation]\nreference = \"a\"\n";
        match Settings::from_toml(&format!("preset = \"imdb-smoke\"\n{reference}{arms}")) {
            Ok(settings) => plan(&settings).unwrap_err(),
            Err(error) => error.to_string(),
        }
    }

    const BASE: &str = "[[arm]]\nkey = \"a\"\nrecipe = \"base\"\n";

    #[test]
    fn all_arms_are_made_or_those_that_are_named_with_what_they_need() {
        let owned = |arms: &[(&str, bool)]| {
            arms.iter().map(|(key, compared)| ((*key).to_owned(), *compared)).collect::<Vec<_>>()
        };
        let all = plan(&settings("")).unwrap();
        assert_eq!(all, owned(&[("gpt2", true), ("sft", true), ("rlhf", true), ("ra_rlhf", true)]));
        let some = plan(&settings("[run]\narms = [\"ra_rlhf\"]")).unwrap();
        assert_eq!(some, owned(&[("gpt2", false), ("sft", false), ("ra_rlhf", true)]));
        // all KL is measured to the reference
        let base = plan(&settings("[run]\narms = [\"gpt2\"]")).unwrap();
        assert_eq!(base, owned(&[("gpt2", true), ("sft", false)]));
    }

    #[test]
    fn an_arm_may_have_settings_of_its_own() {
        let arms = format!(
            "[evaluation]\nreference = \"a\"\n{BASE}[[arm]]\nkey = \"b\"\nfrom = \"a\"\nrecipe = \
             \"ppo\"\nset = {{ \"ppo.kl_coef\" = 0.75 }}"
        );
        let settings = settings(&arms);
        let plan = Plan::of(&settings, &Recipes::default(), &Objectives::default()).unwrap();
        assert!((plan.made[1].settings.ppo.kl_coef - 0.75).abs() < 1e-12);
        assert_eq!(plan.made[0].settings, settings);
    }

    #[test]
    fn an_arm_that_cannot_be_made_is_named_with_what_is_wrong() {
        let with = |more: &str| refused(&format!("{BASE}[[arm]]\nkey = \"b\"\n{more}"));
        assert_eq!(
            with("recipe = \"dpo\"\nfrom = \"a\""),
            "arm \"b\": there is no recipe \"dpo\", expected one of base, ppo, quark, sft"
        );
        assert!(with("recipe = \"ppo\"").contains("from is missing"));
        assert!(with("recipe = \"base\"\nfrom = \"a\"").contains("begins with no other arm"));
        assert!(
            with("recipe = \"sft\"\nfrom = \"c\"")
                .contains("expected an arm that stands before it; the arms are a, b")
        );
        assert!(
            with("recipe = \"sft\"\nfrom = \"a\"\nobjective = \"mean\"")
                .contains("the recipe \"sft\" has none")
        );
        assert!(
            with("recipe = \"ppo\"\nfrom = \"a\"\nobjective = \"men\"")
                .contains("there is no objective \"men\"")
        );
        assert!(
            with("recipe = \"sft\"\nfrom = \"a\"\nset = { \"ppo.clip\" = 0.1 }")
                .contains("set has ppo.clip")
        );
        let mistyped = with("recipe = \"ppo\"\nfrom = \"a\"\nset = { \"ppo.clp\" = 0.1 }");
        assert_eq!(mistyped, "arm b: unknown key `ppo.clp`; did you mean `ppo.clip`?");
        assert!(
            with("recipe = \"ppo\"\nfrom = \"a\"\nset = { \"ppo.clip\" = 2 }")
                .contains("expected a number in (0, 1)")
        );
        assert!(
            with("recipe = \"ppo\"\nfrom = \"a\"\ncompared_with = [\"b\"]")
                .contains("expected other arms")
        );
        assert!(with("recipe = \"base\"\nrecpie = 1").contains("did you mean `arm.recipe`?"));
        assert!(refused(&format!("{BASE}{BASE}")).contains("its key stands twice"));
        assert!(
            refused("[[arm]]\nkey = \"A b\"\nrecipe = \"base\"").contains("expected small letters")
        );
        let none =
            Settings::from_toml("preset = \"imdb-smoke\"\narm = []").unwrap_err().to_string();
        assert!(none.contains("at least one policy"), "{none}");
        assert!(
            refused("[[arm]]\nkey = \"b\"\nrecipe = \"base\"")
                .contains("evaluation.reference names \"a\"")
        );
    }
}
