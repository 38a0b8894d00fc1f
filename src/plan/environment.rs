//! A pipeline in one environment: which bindings win, what is granted, and what
//! is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::address::{covers, grants_for};
use super::compile::Input;
use super::constant::{Possible, addresses};
use super::graph::find_cycle;
use super::layers::Bound;
use super::revision::revision;
use super::secrecy::Secrecy;
use super::tally::Told;
use super::text::shown;
use super::winners::Winners;
use super::{
    Common, LayerBinding, Plan, PlannedBinding, PlannedParameter, PlannedSource, Site, Standby,
};
use crate::definition::{Bindable, Declaration, Grant, Preset};
use crate::name::{EnvironmentName, ParameterName};
use crate::provenance::Layer;
use crate::source::{Address, Ask};
use crate::yaml::Place;

/// The defaults that stand in for what a source doesn't have.
pub(super) type Standbys = BTreeMap<ParameterName, Standby>;

/// The defaults of parameters that ask something.
pub(super) fn standbys(input: &Input<'_>) -> Standbys {
    let declared = input.definition.parameters.values();
    declared
        .filter(|declaration| declaration.from.is_some())
        .filter_map(|declaration| {
            let default = declaration.default.as_ref()?;
            let place = shown(&default.place, input.files);
            let standby = Standby { value: default.value.clone(), place };
            Some((declaration.name.value.clone(), standby))
        })
        .collect()
}

/// The plan of a pipeline for an environment.
pub(super) fn plan_for(
    input: &mut Input<'_>,
    winners: &Winners<'_>,
    secrecy: &Secrecy,
    common: &Arc<Common>,
    standbys: &Standbys,
    environment: &EnvironmentName,
) -> Plan {
    let definition = input.definition;
    let mut here = Here { input, winners, secrecy, common, standbys, environment };
    let parameters: BTreeMap<ParameterName, PlannedParameter> = definition
        .parameters
        .values()
        .map(|declaration| (declaration.name.value.clone(), here.parameter(declaration)))
        .collect();
    here.refuse_locked_presets(&parameters);
    here.refuse_cycles();
    let mut plan = Plan {
        pipeline: definition.name.value.clone(),
        environment: environment.clone(),
        revision: String::new(),
        bundle: input.bundle.sha256.clone(),
        common: common.clone(),
        parameters,
    };
    plan.revision = revision(&plan);
    plan
}

/// What a plan is made of, in one environment.
struct Here<'a, 'i> {
    input: &'a mut Input<'i>,
    winners: &'a Winners<'a>,
    secrecy: &'a Secrecy,
    common: &'a Common,
    standbys: &'a Standbys,
    environment: &'a EnvironmentName,
}

impl Here<'_, '_> {
    fn tell(
        &mut self,
        code: &'static str,
        place: &Place,
        before: String,
        after: String,
        help: &str,
    ) {
        let told = Told { code, place: place.clone(), before, after, help: help.to_owned() };
        self.input.tally.add(self.environment, told);
    }

    fn parameter(&mut self, declaration: &Declaration) -> PlannedParameter {
        let mine = self.winners.here(&declaration.name.value, self.environment);
        let lock = self.lock(&mine);
        self.refuse_missing(declaration, &mine);
        self.refuse_ungranted(declaration, &mine);
        let bindings = mine
            .iter()
            .map(|bound| LayerBinding {
                layer: bound.layer,
                binding: bound.binding.clone(),
                grants: self.grants(bound),
                locked: bound.locked.is_some(),
                place: bound.shown.clone(),
            })
            .collect();
        let standby = self.standbys.get(&declaration.name.value).cloned();
        PlannedParameter { bindings, standby, lock }
    }

    /// The layer that locks the parameter; what binds it above is refused.
    fn lock(&mut self, mine: &[&Bound]) -> Option<Layer> {
        let (locking, place) =
            mine.iter().find_map(|bound| Some((bound, bound.locked.as_ref()?)))?;
        for above in mine.iter().filter(|bound| bound.layer > locking.layer) {
            let before = format!("`{}` is locked by a lower layer, at {place},", above.parameter);
            let help = "remove this binding, or the lock";
            self.tell("locked", &above.place, before, String::new(), help);
        }
        Some(locking.layer)
    }

    /// A preset can't bind what `global.yaml` locks for every environment. What
    /// single environments lock is told to whoever picks it there.
    fn refuse_locked_presets(&mut self, parameters: &BTreeMap<ParameterName, PlannedParameter>) {
        for (preset_name, preset) in &self.input.definition.presets {
            for (name, _) in &preset.values {
                let Some(known) = self.input.resolve(&name.value) else { continue };
                let lock = parameters.get(known).and_then(|parameter| parameter.lock);
                if !matches!(lock, Some(Layer::Global | Layer::GlobalPipeline)) {
                    continue;
                }
                let locking = self.winners.here(known, self.environment);
                let Some(at) = locking.iter().find_map(|bound| bound.locked.as_ref()) else {
                    continue;
                };
                self.input
                    .problems
                    .error(
                        "locked",
                        &name.place,
                        format!(
                            "the preset `{preset_name}` binds `{known}`, which is locked at {at}"
                        ),
                    )
                    .help("remove it from the preset, or unlock it");
            }
        }
    }

    /// What a run can't bind, every environment must.
    fn refuse_missing(&mut self, declaration: &Declaration, mine: &[&Bound]) {
        let name = &declaration.name.value;
        let declared = self.common.declared.get(name);
        let by_run = declared.is_some_and(|one| one.bindable == Bindable::Run);
        let layers = &self.input.bundle;
        let unread = layers.unread.global
            || layers.global.as_ref().is_some_and(|layer| !layer.sound)
            || layers.environments.get(self.environment).is_some_and(|layer| !layer.sound)
            || !declaration.sound
            || self.input.failed_in(name, self.environment);
        if by_run || !mine.is_empty() || unread {
            return;
        }
        let help = if self.secrecy.is_secret(name) {
            "bind it to a source in its declaration or in that environment"
        } else {
            "bind it in its declaration or in that environment, or let a run bind it"
        };
        let before = format!("nothing binds `{name}`");
        let after = ", and no run can".to_owned();
        self.tell("missing_binding", &declaration.name.place, before, after, help);
    }

    /// Cycles among the bindings that win, each told once.
    fn refuse_cycles(&mut self) {
        let mut edges: BTreeMap<ParameterName, BTreeSet<ParameterName>> = BTreeMap::new();
        for name in self.input.definition.parameters.keys() {
            let Some(bound) = self.winners.of(name, self.environment) else { continue };
            if !self.input.failed_in(name, self.environment) {
                edges.insert(name.clone(), bound.binding.computed_from());
            }
        }
        while let Some(cycle) = find_cycle(&edges) {
            let Some(start) = cycle.first() else { return };
            let Some(bound) = self.winners.of(start, self.environment) else { return };
            let path: Vec<String> = cycle.iter().map(|name| format!("`{name}`")).collect();
            let before = "parameters are computed from each other".to_owned();
            let after = format!(": {}", path.join(" → "));
            let help = "break the circle at one of them";
            self.tell("cycle", &bound.written, before, after, help);
            cycle.iter().for_each(|name| {
                edges.remove(name);
            });
        }
    }

    fn grants(&self, bound: &Bound) -> Vec<Grant> {
        let PlannedBinding::Source(source) = bound.binding.as_ref() else { return Vec::new() };
        let entry = self.input.bundle.settings.sources.get(&source.source);
        let pipeline = &self.input.definition.name.value;
        entry.map(|entry| grants_for(&entry.grants, pipeline, self.environment)).unwrap_or_default()
    }

    /// The binding that holds has to be granted; one that a higher layer
    /// replaces here asks nobody.
    fn refuse_ungranted(&mut self, declaration: &Declaration, mine: &[&Bound]) {
        let Some(bound) = mine.last() else { return };
        let PlannedBinding::Source(source) = bound.binding.as_ref() else { return };
        let failed = self.input.failed_in(&declaration.name.value, self.environment);
        if failed || self.input.bundle.unread.settings {
            return;
        }
        let grants = self.grants(bound);
        let addresses = addresses(self.input, self.secrecy, self.winners, source, self.environment);
        for Possible { preset, address } in addresses {
            let known = address.as_ref().and_then(|address| address.as_ref().ok().cloned());
            self.note(declaration, bound, preset, known);
            match address {
                Some(Ok(address)) => self.check_path(bound, source, &grants, address),
                Some(Err(error)) => {
                    let why = format!(": {}", error.message);
                    self.refuse_address(bound, why);
                }
                // Where is known at the fetch alone: it is decided there again.
                None if grants.is_empty() => self.not_granted(bound, source, None),
                None => {}
            }
        }
    }

    /// Notes where the binding reads, for whoever asks its source about it.
    fn note(
        &mut self,
        declaration: &Declaration,
        bound: &Bound,
        preset: Option<&Preset>,
        address: Option<Address>,
    ) {
        let binds = |preset: &Preset| {
            let mut names = preset.values.iter();
            names.any(|(name, _)| self.input.resolve(&name.value) == Some(&bound.parameter))
        };
        // A preset that gives the value itself keeps the source from being asked.
        if preset.is_some_and(binds) {
            return;
        }
        self.input.sites.push(Site {
            pipeline: self.input.definition.name.value.clone(),
            environment: self.environment.clone(),
            preset: preset.map(|preset| preset.name.value.clone()),
            parameter: bound.parameter.clone(),
            place: bound.written.clone(),
            has_default: self.standbys.contains_key(&bound.parameter),
            schema: declaration.schema.clone(),
            binding: bound.binding.clone(),
            address,
        });
    }

    fn check_path(
        &mut self,
        bound: &Bound,
        source: &PlannedSource,
        grants: &[Grant],
        address: Address,
    ) {
        let ask = Ask { address, texts: source.texts.clone(), binds: Vec::new() };
        let located = match source.kind.locate(&ask) {
            Ok(located) => located,
            Err(error) => return self.refuse_address(bound, format!(": {error}")),
        };
        if !covers(grants, located.grant_path.as_deref()) {
            self.not_granted(bound, source, located.grant_path.as_deref());
        }
        let entry = self.input.bundle.settings.sources.get(&source.source);
        if let Some(why) = entry.and_then(|entry| entry.settings.refuses(&located.read)) {
            let before = format!("`{}` can't be read from `{}`", bound.parameter, source.source);
            let help = "mend the binding, or let the operator add it to the source in paramd.yaml";
            self.tell("address", &bound.written, before, format!(": {why}"), help);
        }
    }

    fn refuse_address(&mut self, bound: &Bound, why: String) {
        let before = format!("the address of `{}` can't be one", bound.parameter);
        let help = "write it without `.`, `..`, empty or encoded segments";
        self.tell("address", &bound.written, before, why, help);
    }

    fn not_granted(&mut self, bound: &Bound, source: &PlannedSource, path: Option<&str>) {
        let (name, pipeline) = (&bound.parameter, &self.input.definition.name.value);
        let before =
            format!("no grant of the source `{}` covers `{name}` of `{pipeline}`", source.source);
        let after = path.map(|path| format!(", at `{path}`")).unwrap_or_default();
        let help = "the operator grants it in paramd.yaml, under `grants` of the source";
        self.tell("not_granted", &bound.written, before, after, help);
    }
}
