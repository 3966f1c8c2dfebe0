//! Which arms of an experiment are made, and whether each can be.

use crate::equal_kl::EQUAL_KL;
use crate::error::ExperimentError;
use crate::inputs::Inputs;
use crate::objectives::Objectives;
use crate::recipe::{Recipe, Recipes};
use crate::settings::{ArmSettings, Settings};
use tailguard_settings::nearest;

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
                needed.extend(arm.made_from());
                made.push(Planned { arm, settings: arm.over(settings)?, is_compared });
            }
        }
        made.reverse();
        Ok(Self { made, reference })
    }

    /// Refuses arms that cannot be made of these models and texts.
    ///
    /// # Errors
    /// What a recipe refuses.
    pub(crate) fn check(&self, recipes: &Recipes, inputs: &Inputs) -> Result<(), ExperimentError> {
        self.made.iter().try_for_each(|Planned { arm, settings, .. }| {
            recipes.get(&arm.recipe).map_or(Ok(()), |recipe| recipe.check(arm, settings, inputs))
        })
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
            || self.made[place + 1..].iter().any(|later| later.arm.made_from().any(|of| of == key))
    }

    /// An arm and all that it is made from, by however many others, each once.
    pub(crate) fn lineage<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a Planned<'s>> {
        let mut needed = vec![key];
        self.made.iter().rev().filter(move |planned| {
            let is_needed = needed.contains(&planned.arm.key.as_str());
            needed.extend(planned.arm.made_from().filter(|_| is_needed));
            is_needed
        })
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
    check_needs(arm, recipe)?;
    if arm.objective.is_some() && !recipe.has_objective() {
        return Err(arm
            .wrong(format!("it has an objective, but the recipe {:?} has none", arm.recipe))
            .into());
    }
    if let Some(key) = arm.set.keys().find(|key| !recipe.reads(key)) {
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
    let mut named = arm.made_from_by_name().filter(|_| recipe.needs_model());
    if let Some((what, key)) = named.find(|(_, key)| makes_no_model(key)) {
        let detail = format!(
            "{what} = {key:?}, but the recipe {:?} begins with a language model, and that is none",
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
    let own = arm.over(settings)?;
    check_held(arm, &own, recipe)?;
    if recipe.has_objective() {
        let objective = objectives.of(arm, &own)?;
        recipe.suits(&own, &*objective).map_err(|error| arm.wrong(error.to_string()))?;
    }
    Ok(())
}

/// Refuses an arm that does not name the arms that its recipe needs, or names others.
fn check_needs(arm: &ArmSettings, recipe: &dyn Recipe) -> Result<(), ExperimentError> {
    let (needs, name) = (recipe.needs(), &arm.recipe);
    if let Some(what) = arm.needs.keys().find(|what| !needs.contains(&what.as_str())) {
        let detail = if needs.is_empty() {
            format!("needs has {what}, but the recipe {name:?} needs no other arms")
        } else {
            let meant = nearest(what, needs).into_iter().map(|key| format!("`{key}`"));
            let meant = meant.collect::<Vec<_>>().join(" or ");
            let meant = if meant.is_empty() { meant } else { format!("; did you mean {meant}?") };
            let known = needs.join(", ");
            format!("needs has the key `{what}`, but the recipe {name:?} needs {known}{meant}")
        };
        return Err(arm.wrong(detail).into());
    }
    if let Some(what) = needs.iter().find(|what| !arm.needs.contains_key(**what)) {
        let detail = format!(
            "needs.{what} is missing: the recipe {name:?} needs another arm as its {what}, as in \
             needs = {{ {what} = \"sft\" }}"
        );
        return Err(arm.wrong(detail).into());
    }
    Ok(())
}

/// Refuses an arm that cannot be held at one KL with the others.
fn check_held(
    arm: &ArmSettings,
    own: &Settings,
    recipe: &dyn Recipe,
) -> Result<(), ExperimentError> {
    let Some(kl) = own.experiment.held_kl().filter(|_| recipe.reads(EQUAL_KL)) else {
        return Ok(());
    };
    if let Some(key) =
        ["ppo.kl_target", "ppo.kl_horizon"].into_iter().find(|key| arm.set.contains_key(*key))
    {
        return Err(arm
            .wrong(format!(
                "set has {key}, but {EQUAL_KL} = {kl} takes the place of ppo.kl_target and \
                 ppo.kl_horizon"
            ))
            .into());
    }
    let reference = &own.evaluation.reference;
    match &arm.from {
        Some(from) if from != reference => Err(arm
            .wrong(format!(
                "{EQUAL_KL} = {kl} holds its KL to {from:?}, with which it begins, but KL is \
                 measured to {reference:?} (evaluation.reference): expected the same"
            ))
            .into()),
        _ => Ok(()),
    }
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

    /// Arms whose last one needs two others, and which one of these is its anti-expert.
    fn steered(needs: &str) -> String {
        let tuned =
            |key: &str| format!("[[arm]]\nkey = \"{key}\"\nrecipe = \"sft\"\nfrom = \"a\"\n");
        format!(
            "{BASE}{}{}[[arm]]\nkey = \"steered\"\nrecipe = \"dexperts\"\nfrom = \"a\"\n{needs}\n",
            tuned("good"),
            tuned("bad")
        )
    }

    #[test]
    fn arms_that_others_need_are_made_with_them() {
        let arms = steered("needs = { expert = \"good\", anti_expert = \"bad\" }");
        let more = format!(
            "[run]\narms = [\"best\"]\n[evaluation]\nreference = \"a\"\n{arms}[[arm]]\nkey = \
             \"best\"\nrecipe = \"best_of_n\"\nfrom = \"steered\"\n"
        );
        let settings = settings(&more);
        let (recipes, objectives) = (Recipes::default(), Objectives::default());
        let plan = Plan::of(&settings, &recipes, &objectives).unwrap();
        let keys = |planned: &Planned<'_>| planned.arm.key.clone();
        let made: Vec<_> = plan.made.iter().map(keys).collect();
        assert_eq!(made, ["a", "good", "bad", "steered", "best"]);
        assert_eq!(plan.compared().map(keys).collect::<Vec<_>>(), ["best"]);
        // the base model is part of three of them, and is told once
        let lineage: Vec<_> = plan.lineage("best").map(keys).collect();
        assert_eq!(lineage, ["best", "steered", "bad", "good", "a"]);
        assert_eq!(plan.lineage("good").map(keys).collect::<Vec<_>>(), ["good", "a"]);
        let needed = |place, key| plan.is_needed_behind(place, key);
        assert!(needed(2, "good") && needed(2, "bad") && !needed(3, "good") && needed(3, "a"));
    }

    #[test]
    fn what_a_recipe_needs_is_named_by_its_arm_and_nothing_else_is() {
        let with = |needs: &str| refused(&steered(needs));
        assert_eq!(
            with("needs = { expert = \"good\" }"),
            "arm \"steered\": needs.anti_expert is missing: the recipe \"dexperts\" needs another \
             arm as its anti_expert, as in needs = { anti_expert = \"sft\" }"
        );
        assert_eq!(
            with("needs = { exprt = \"good\", anti_expert = \"bad\" }"),
            "arm \"steered\": needs has the key `exprt`, but the recipe \"dexperts\" needs expert, \
             anti_expert; did you mean `expert`?"
        );
        // in a circle, or not there at all
        for other in ["steered", "none"] {
            let needs = format!("needs = {{ expert = \"good\", anti_expert = \"{other}\" }}");
            assert_eq!(
                with(&needs),
                format!(
                    "arm \"steered\": needs.anti_expert = {other:?}, expected an arm that stands \
                     before it; the arms are a, good, bad, steered"
                )
            );
        }
        let last = |more: &str| {
            let needs = "needs = { expert = \"good\", anti_expert = \"bad\" }";
            refused(&format!("{}[[arm]]\nkey = \"last\"\n{more}", steered(needs)))
        };
        assert!(
            last("recipe = \"sft\"\nfrom = \"a\"\nneeds = { expert = \"good\" }")
                .contains("needs has expert, but the recipe \"sft\" needs no other arms")
        );
        // what answers and is no language model steers nothing, and nothing is trained from it
        assert!(
            last(
                "recipe = \"dexperts\"\nfrom = \"a\"\nneeds = { expert = \"steered\", anti_expert \
                 = \"bad\" }"
            )
            .contains(
                "needs.expert = \"steered\", but the recipe \"dexperts\" begins with a language \
                 model, and that is none"
            )
        );
        assert!(last("recipe = \"best_of_n\"").contains("from is missing"));
        let mistyped = last("recipe = \"best_of_n\"\nfrom = \"a\"\nset = { \"best_of_n.m\" = 2 }");
        assert!(mistyped.contains("unknown key `best_of_n.m`"), "{mistyped}");
        assert!(
            last("recipe = \"best_of_n\"\nfrom = \"a\"\nned = { a = \"b\" }")
                .contains("did you mean `arm.needs`?")
        );
    }

    #[test]
    fn a_tail_over_prompts_wants_several_responses_and_names_the_key() {
        let arm = |set: &str| {
            let arms = format!(
                "[evaluation]\nreference = \"a\"\n{BASE}[[arm]]\nkey = \"b\"\nfrom = \
                 \"a\"\nrecipe = \"ppo\"\nobjective = {{ cvar = {{ over = \"prompt\" }} \
                 }}\n{set}"
            );
            plan(&settings(&arms)).map(|made| made.len())
        };
        assert_eq!(
            arm(""),
            Err("arm \"b\": over = \"prompt\" and 1 response to each prompt: expected 2 \
                 responses or more, or over = \"batch\" (ppo.batch_size is 8, ppo.responses 1)"
                .to_owned())
        );
        assert_eq!(arm("set = { \"ppo.responses\" = 4 }"), Ok(2));
    }

    #[test]
    fn arms_are_held_at_one_kl_and_by_nothing_else() {
        let arms = |kl: &str, set: &str| {
            let text = format!(
                "[experiment]\nequal_kl = {kl}\n[evaluation]\nreference = \"a\"\n\
                 {BASE}[[arm]]\nkey = \"b\"\nfrom = \"a\"\nrecipe = \"ppo\"\nset = {{ {set} }}\n\
                 [[arm]]\nkey = \"c\"\nfrom = \"b\"\nrecipe = \"sft\""
            );
            plan(&settings(&text))
        };
        assert!(arms("0.0", "\"ppo.kl_target\" = 3.0").is_ok());
        assert!(arms("4", "\"ppo.kl_coef\" = 0.3").is_ok());
        // each for itself, or not at all
        assert!(arms("0.0", "\"experiment.equal_kl\" = 4.0").is_ok());
        assert!(arms("4", "\"experiment.equal_kl\" = 0, \"ppo.kl_target\" = 3").is_ok());
        assert_eq!(
            arms("4", "\"ppo.kl_target\" = 3").unwrap_err(),
            "arm \"b\": set has ppo.kl_target, but experiment.equal_kl = 4 takes the place of \
             ppo.kl_target and ppo.kl_horizon"
        );
        let elsewhere = format!(
            "[experiment]\nequal_kl = 4\n[evaluation]\nreference = \"a\"\n{BASE}[[arm]]\nkey = \
             \"b\"\nfrom = \"a\"\nrecipe = \"sft\"\n[[arm]]\nkey = \"c\"\nfrom = \"b\"\nrecipe = \
             \"ppo\""
        );
        assert_eq!(
            plan(&settings(&elsewhere)).unwrap_err(),
            "arm \"c\": experiment.equal_kl = 4 holds its KL to \"b\", with which it begins, but \
             KL is measured to \"a\" (evaluation.reference): expected the same"
        );
    }

    #[test]
    fn an_arm_that_cannot_be_made_is_named_with_what_is_wrong() {
        let with = |more: &str| refused(&format!("{BASE}[[arm]]\nkey = \"b\"\n{more}"));
        assert_eq!(
            with("recipe = \"dpo\"\nfrom = \"a\""),
            "arm \"b\": there is no recipe \"dpo\", expected one of base, best_of_n, dexperts, \
             distill, interpolate, ppo, prompted, quark, sft"
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
