//! What names a plan: the SHA-256 of all that it is made of.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::digest::{Context, SHA256};

use serde_json::Value as Json;

use super::{Plan, PlannedBind, PlannedBinding};
use crate::name::StepName;
use crate::value::{Value, json};

/// The revision of a plan. Two plans that would resolve alike have one revision,
/// wherever they are written, in which order and however they are described.
/// Grants aren't part of it: what is permitted is always today's.
pub(super) fn revision(plan: &Plan) -> String {
    let mut hash = Hash(Context::new(&SHA256));
    hash.text("paramd plan 2");
    hash.text(plan.pipeline.as_str());
    hash.text(plan.environment.as_str());
    hash.text(&plan.common.lifetime.as_secs().to_string());
    parameters(&mut hash, plan);
    for (name, values) in &plan.common.presets {
        hash.section("preset", name.as_str());
        for (parameter, value) in values {
            hash.section("value", parameter.as_str());
            hash.value(value);
        }
    }
    for rule in &plan.common.rules {
        hash.section("rule", rule.condition.text());
        hash.text(&rule.message);
    }
    steps(&mut hash, plan);
    hex::encode(hash.0.finish())
}

fn parameters(hash: &mut Hash, plan: &Plan) {
    for (name, parameter) in &plan.parameters {
        hash.section("parameter", name.as_str());
        if let Some(interface) = plan.common.interface.parameters.get(name) {
            hash.schema(interface.schema.json());
            hash.text(if interface.secret { "secret" } else { "public" });
        }
        if let Some(declared) = plan.common.declared.get(name) {
            hash.text(&format!("{:?}", declared.bindable));
            if let Some(deprecated) = &declared.deprecated {
                hash.section("deprecated", deprecated);
            }
        }
        if let Some(standby) = &parameter.standby {
            hash.section("default", "");
            hash.value(&standby.value);
        }
        for binding in &parameter.bindings {
            hash.section("layer", &(binding.layer as i32).to_string());
            hash.text(if binding.locked { "locked" } else { "" });
            hash.binding(&binding.binding);
        }
    }
    for (alias, name) in &plan.common.interface.aliases {
        hash.section("alias", alias.as_str());
        hash.text(name.as_str());
    }
}

fn steps(hash: &mut Hash, plan: &Plan) {
    for step in &plan.common.steps {
        hash.section("step", step.name.as_str());
        let needs: BTreeSet<&str> = step.needs.iter().map(StepName::as_str).collect();
        needs.iter().for_each(|need| hash.section("needs", need));
        if let Some((_, text)) = &step.when {
            hash.section("when", text);
        }
        for (name, list) in &step.matrix {
            hash.section("matrix", name.as_str());
            hash.text(list.text());
        }
        step.sees.iter().for_each(|name| hash.section("sees", name.as_str()));
        step.run.iter().for_each(|template| hash.section("run", template.text()));
        for entry in sorted(step.env.iter(), |entry| &entry.name) {
            hash.section("env", &entry.name);
            hash.text(entry.template.text());
        }
        for (entry, mode) in sorted(step.files.iter(), |(entry, _)| &entry.name) {
            hash.section("file", &entry.name);
            hash.text(entry.template.text());
            hash.text(&mode.to_string());
        }
    }
}

/// Entries in the order of their names: that of the file means nothing.
fn sorted<'a, T: 'a>(
    entries: impl Iterator<Item = &'a T>,
    name: impl Fn(&'a T) -> &'a str,
) -> impl Iterator<Item = &'a T> {
    let by_name: BTreeMap<&str, &T> = entries.map(|entry| (name(entry), entry)).collect();
    by_name.into_values()
}

struct Hash(Context);

impl Hash {
    /// Each text goes in behind its length, so that no two sequences are alike.
    fn text(&mut self, text: &str) {
        self.0.update(&(text.len() as u64).to_be_bytes());
        self.0.update(text.as_bytes());
    }

    fn section(&mut self, kind: &str, name: &str) {
        self.text(kind);
        self.text(name);
    }

    /// A schema without what it says to people.
    fn schema(&mut self, schema: &Json) {
        let Json::Object(keywords) = schema else { return self.text(&schema.to_string()) };
        let keywords: BTreeMap<&String, &Json> = keywords.iter().collect();
        for (keyword, of) in keywords {
            match (keyword.as_str(), of) {
                ("title" | "description" | "examples", _) => {}
                ("items" | "additionalProperties", part) => {
                    self.section("keyword", keyword);
                    self.schema(part);
                }
                ("properties", Json::Object(properties)) => {
                    let properties: BTreeMap<&String, &Json> = properties.iter().collect();
                    for (name, part) in properties {
                        self.section("property", name);
                        self.schema(part);
                    }
                }
                _ => {
                    self.section("keyword", keyword);
                    self.text(&of.to_string());
                }
            }
        }
        self.text("end");
    }

    fn value(&mut self, value: &Value) {
        self.text(value.kind());
        self.text(&json::to_json(value));
    }

    fn binding(&mut self, binding: &PlannedBinding) {
        match binding {
            PlannedBinding::Literal(value) => {
                self.text("literal");
                self.value(value);
            }
            PlannedBinding::Template { text, .. } => self.section("template", text),
            PlannedBinding::Source(source) => {
                self.section(source.kind.kind().word(), source.source.as_str());
                for (field, template) in &source.address {
                    self.section(field, template.text());
                }
                for (field, text) in source.texts.as_ref() {
                    self.section(field, text);
                }
                for (name, bind) in &source.binds {
                    self.section("bind", name);
                    match bind {
                        PlannedBind::Template(template) => {
                            self.section("template", template.text());
                        }
                        PlannedBind::Literal(value) => self.value(value),
                    }
                }
            }
        }
    }
}
