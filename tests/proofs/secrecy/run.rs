//! A run of a made-up pipeline, interpreted.

use std::collections::{BTreeMap, BTreeSet};

use super::generate::Known;
use super::interpret::{self, Labelled, Names, Stop, json, shown, truth};
use super::model::{Ask, Binding, Kind, Part, Pipeline, Place, Step, Template, V, named, named_in};
use super::world;

/// What a run is called with.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) environment: &'static str,
    pub(super) preset: Option<usize>,
    pub(super) overrides: BTreeMap<usize, V>,
}

/// What became of it.
pub(super) struct Outcome {
    pub(super) values: BTreeMap<usize, Labelled>,
    /// By step: the instances, or that it is skipped.
    pub(super) steps: Vec<Vec<Instance>>,
}

pub(super) struct Instance {
    pub(super) run: Vec<String>,
    /// Labelled texts; none where it isn't set.
    pub(super) env: Vec<Option<Labelled>>,
    pub(super) files: Vec<Option<Labelled>>,
}

pub(super) fn interpret(made: &Pipeline, known: &Known, call: &Call) -> Result<Outcome, Stop> {
    let mut run = Run { made, known, call, values: BTreeMap::new() };
    let mut decided = Vec::new();
    for step in &made.steps {
        decided.push(run.decide(step)?);
    }
    let mut needed: BTreeSet<usize> = BTreeSet::new();
    for rule in &made.rules {
        let mut read = Vec::new();
        named(rule, &mut read);
        needed.extend(read);
    }
    for (step, items) in made.steps.iter().zip(&decided).filter(|(_, items)| !items.is_empty()) {
        let templates = step.run.iter().chain(&step.env).chain(&step.files);
        needed.extend(step.params.iter().copied().chain(templates.flat_map(named_in)));
        debug_assert!(!items.is_empty());
    }
    if made.steps.is_empty() {
        needed.extend(0..made.parameters.len());
    }
    for index in needed {
        run.want(index)?;
    }
    for rule in &made.rules {
        let holds = truth(interpret::expression(rule, &run.names(None))?)?.0;
        if !holds {
            return Err(Stop("rule"));
        }
    }
    let mut steps = Vec::new();
    for (step, items) in made.steps.iter().zip(&decided) {
        let instances = items.iter().map(|item| run.instance(step, item.as_ref()));
        steps.push(instances.collect::<Result<_, _>>()?);
    }
    Ok(Outcome { values: run.values, steps })
}

struct Run<'a> {
    made: &'a Pipeline,
    known: &'a Known,
    call: &'a Call,
    values: BTreeMap<usize, Labelled>,
}

impl Run<'_> {
    fn names<'n>(&'n self, matrix: Option<&'n Labelled>) -> Names<'n> {
        Names { environment: self.call.environment, parameters: &self.values, matrix }
    }

    /// Works a parameter out, and first all that its binding names.
    fn want(&mut self, index: usize) -> Result<(), Stop> {
        if self.values.contains_key(&index) {
            return Ok(());
        }
        let one = &self.made.parameters[index];
        let declared = one.secret == Some(true);
        let said = match (self.call.overrides.get(&index), self.call.preset) {
            // Whoever sends a secret sends it as one.
            (Some(value), _) => Some((value.clone(), self.known.secret[index])),
            (None, Some(preset)) => {
                self.made.presets[preset].get(&index).map(|value| (value.clone(), false))
            }
            (None, None) => None,
        };
        let mut found = match said {
            Some((value, secret)) => Labelled { value, secret },
            None => {
                let winner = self.winner(index);
                for name in winner.named() {
                    self.want(name)?;
                }
                self.bound(index, &winner)?
            }
        };
        found.secret |= declared;
        self.values.insert(index, found);
        Ok(())
    }

    /// The highest layer that binds it in this environment.
    fn winner(&self, index: usize) -> Binding {
        let one = &self.made.parameters[index];
        let places = [Some(self.call.environment), None]
            .into_iter()
            .flat_map(|environment| [true, false].map(|own| Place { environment, own }));
        let layer = places.into_iter().find_map(|place| one.layers.get(&place));
        layer
            .or(one.from.as_ref())
            .cloned()
            .unwrap_or_else(|| Binding::Literal(one.default.clone().expect("bound by its default")))
    }

    fn bound(&self, index: usize, binding: &Binding) -> interpret::Outcome {
        match binding {
            Binding::Literal(value) => Ok(Labelled { value: value.clone(), secret: false }),
            Binding::Template(parts) => interpret::template(parts, &self.names(None)),
            Binding::Ask(ask) => self.asked(index, ask),
        }
    }

    fn asked(&self, index: usize, ask: &Ask) -> interpret::Outcome {
        let one = &self.made.parameters[index];
        let (at, mut secret) = self.address(&ask.at)?;
        let tag = ask.of.tag();
        let address = match ask.kind {
            Kind::Env => format!("env {}_{at}", tag.to_uppercase()),
            Kind::File => format!("file {tag}/{at}.txt"),
            Kind::Vault => {
                secret |= one.secret != Some(false);
                let field = if ask.public { format!("pub_{tag}") } else { tag.to_owned() };
                format!("vault app/{at}#{field}")
            }
            Kind::Sql => {
                let mut binds = Vec::new();
                for bind in &ask.binds {
                    let bind = interpret::template(bind, &self.names(None))?;
                    secret |= bind.secret;
                    binds.push(bind.value);
                }
                format!("sql {tag} {}", json(&V::List(binds)))
            }
        };
        let value = if ask.gone {
            one.default.clone().ok_or(Stop("gone"))?
        } else {
            world::value(ask.of, &address)
        };
        Ok(Labelled { value, secret })
    }

    /// Each value in an address is one plain segment.
    fn address(&self, parts: &Template) -> Result<(String, bool), Stop> {
        let (mut text, mut secret) = (String::new(), false);
        for part in parts {
            match part {
                Part::Text(plain) => text += plain,
                Part::Expression(one) => {
                    let one = interpret::expression(one, &self.names(None))?;
                    let segment = shown(&one.value)?;
                    let fits = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
                    if segment.is_empty()
                        || [".", ".."].contains(&segment.as_str())
                        || !segment.chars().all(fits)
                    {
                        return Err(Stop("segment"));
                    }
                    secret |= one.secret;
                    text += &segment;
                }
            }
        }
        Ok((text, secret))
    }

    /// The items of the step's instances; none where it is skipped.
    fn decide(&mut self, step: &Step) -> Result<Vec<Option<Labelled>>, Stop> {
        if let Some(when) = &step.when {
            let mut read = Vec::new();
            named(when, &mut read);
            for index in read {
                self.want(index)?;
            }
            if !truth(interpret::expression(when, &self.names(None))?)?.0 {
                return Ok(Vec::new());
            }
        }
        let Some(list) = step.matrix else { return Ok(vec![None]) };
        self.want(list)?;
        let list = &self.values[&list];
        let V::List(items) = &list.value else { return Err(Stop("no list")) };
        let item = |value: &V| Some(Labelled { value: value.clone(), secret: list.secret });
        Ok(items.iter().map(item).collect())
    }

    fn instance(&self, step: &Step, item: Option<&Labelled>) -> Result<Instance, Stop> {
        let names = self.names(item);
        let entry = |parts: &Template| {
            let found = interpret::template(parts, &names)?;
            Ok(match found.value {
                V::Null => None,
                value => Some(Labelled { value: V::Str(shown(&value)?), secret: found.secret }),
            })
        };
        let mut run = Vec::new();
        for parts in &step.run {
            let found = interpret::template(parts, &names)?;
            if found.secret {
                return Err(Stop("a secret argument"));
            }
            match found.value {
                V::Null => {}
                V::List(items) => {
                    for item in &items {
                        run.push(shown(item)?);
                    }
                }
                other => run.push(shown(&other)?),
            }
        }
        Ok(Instance {
            run,
            env: step.env.iter().map(entry).collect::<Result<_, _>>()?,
            files: step.files.iter().map(entry).collect::<Result<_, _>>()?,
        })
    }
}
