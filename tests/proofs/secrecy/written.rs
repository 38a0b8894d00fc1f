//! A made-up pipeline as the files that paramd reads. JSON is YAML.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::model::{Ask, Binding, E, Kind, Override, Part, Pipeline, Place, T, TYPES, Template, V};

pub(super) const ENVIRONMENTS: [&str; 3] = ["dev", "staging", "prod"];

/// The same for all: one source of each kind, all granted.
pub(super) fn settings() -> String {
    let names: Vec<String> = TYPES
        .iter()
        .flat_map(|of| ["A", "GONE", "dev", "staging", "prod"].map(|at| variable(*of, at)))
        .collect();
    let public: Vec<String> = TYPES.iter().map(|of| format!("pub_{}", of.tag())).collect();
    let all = json!([{ "pipelines": ["*"] }]);
    json!({ "sources": {
        "e": { "env": { "names": names }, "grants": all },
        "f": { "file": { "root": "." }, "grants": [{ "pipelines": ["*"], "paths": ["*"] }] },
        "s": { "sql": { "url": "sqlite:x.db" }, "grants": all },
        "v": {
            "vault": { "address": "https://v.example", "mounts": { "secret": "kv-v2" }, "auth": { "token": { "env": "T" } } },
            "grants": [{ "pipelines": ["*"], "paths": ["*"], "declassify": public }],
        },
    } })
    .to_string()
}

fn variable(of: T, at: &str) -> String {
    format!("{}_{at}", of.tag().to_uppercase())
}

/// `pipelines/p.yaml`.
pub(super) fn pipeline(made: &Pipeline) -> String {
    let mut parameters = Map::new();
    for (index, one) in made.parameters.iter().enumerate() {
        let mut said = schema(one.of);
        if let Some(secret) = one.secret {
            said["secret"] = secret.into();
        }
        match one.bindable {
            Override::Unsaid => {}
            Override::None => said["override"] = "none".into(),
            Override::Environment => said["override"] = "environment".into(),
            Override::Run => said["override"] = "run".into(),
        }
        if one.beside_secrets {
            said["beside_secrets"] = true.into();
        }
        if !one.choices.is_empty() {
            said["enum"] = one.choices.iter().map(literal).collect();
        }
        if let Some(value) = &one.default {
            said["default"] = literal(value);
        }
        if let Some(from) = &one.from {
            said["from"] = binding(from);
        }
        parameters.insert(format!("p{index}"), said);
    }
    let presets: Map<String, Json> = made
        .presets
        .iter()
        .enumerate()
        .map(|(at, values)| (format!("preset-{at}"), by_name(values)))
        .collect();
    let rules: Vec<Json> = made
        .rules
        .iter()
        .map(|rule| json!({ "assert": expression(rule), "message": "no" }))
        .collect();
    let mut whole = json!({
        "name": "p",
        "environments": made.environments,
        "parameters": parameters,
        "presets": presets,
        "rules": rules,
    });
    if !made.steps.is_empty() {
        whole["steps"] = made.steps.iter().enumerate().map(|(at, one)| step(at, one)).collect();
    }
    whole.to_string()
}

fn step(at: usize, one: &super::model::Step) -> Json {
    let params: Vec<String> = one.params.iter().map(|index| format!("p{index}")).collect();
    let mut said = json!({ "name": format!("step-{at}"), "params": params });
    if let Some(when) = &one.when {
        said["when"] = expression(when).into();
    }
    if let Some(list) = one.matrix {
        said["matrix"] = json!({ "m": format!("params.p{list}") });
    }
    said["run"] = one.run.iter().map(template).collect();
    let env = one.env.iter().enumerate();
    said["env"] =
        Json::Object(env.map(|(at, one)| (format!("E{at}"), template(one).into())).collect());
    let files = one.files.iter().enumerate();
    said["files"] = Json::Object(
        files.map(|(at, one)| (format!("f{at}"), json!({ "template": template(one) }))).collect(),
    );
    said
}

fn by_name(values: &BTreeMap<usize, V>) -> Json {
    Json::Object(values.iter().map(|(at, value)| (format!("p{at}"), literal(value))).collect())
}

/// `global.yaml`, or that of an environment.
pub(super) fn layer(made: &Pipeline, environment: Option<&'static str>) -> String {
    let block = |own: bool| {
        let (mut values, mut from) = (Map::new(), Map::new());
        for (index, one) in made.parameters.iter().enumerate() {
            match one.layers.get(&Place { environment, own }) {
                None => {}
                Some(Binding::Literal(value)) => {
                    values.insert(format!("p{index}"), literal(value));
                }
                Some(other) => {
                    from.insert(format!("p{index}"), binding(other));
                }
            }
        }
        json!({ "values": values, "from": from })
    };
    let mut whole = block(false);
    whole["pipelines"] = json!({ "p": block(true) });
    whole.to_string()
}

fn schema(of: T) -> Json {
    match of {
        T::Str => json!({ "type": "string" }),
        T::Int => json!({ "type": "integer" }),
        T::Bool => json!({ "type": "boolean" }),
        T::Num => json!({ "type": "number" }),
        T::Strs => json!({ "type": "array", "items": { "type": "string" } }),
        T::Ints => json!({ "type": "array", "items": { "type": "integer" } }),
        T::Obj => json!({
            "type": "object",
            "properties": { "host": { "type": "string" }, "port": { "type": "integer" } },
            "required": ["host", "port"],
        }),
        T::May => json!({ "type": ["string", "null"] }),
    }
}

/// A value as JSON.
pub(super) fn literal(value: &V) -> Json {
    match value {
        V::Null => Json::Null,
        V::Bool(flag) => (*flag).into(),
        V::Int(number) => (*number).into(),
        V::Num(number) => (*number).into(),
        V::Str(text) => text.as_str().into(),
        V::List(items) => items.iter().map(literal).collect(),
        V::Map(fields) => {
            Json::Object(fields.iter().map(|(name, one)| (name.clone(), literal(one))).collect())
        }
    }
}

fn binding(binding: &Binding) -> Json {
    match binding {
        Binding::Literal(value) => literal(value),
        Binding::Template(parts) => json!({ "template": template(parts) }),
        Binding::Ask(ask) => source(ask),
    }
}

fn source(ask: &Ask) -> Json {
    let (tag, at) = (ask.of.tag(), template(&ask.at));
    let gone = if ask.gone { "gone/" } else { "" };
    match ask.kind {
        Kind::Env => json!({ "env": { "name": format!("{}_{at}", tag.to_uppercase()) } }),
        Kind::File => json!({ "file": { "path": format!("{gone}{tag}/{at}.txt") } }),
        Kind::Vault => {
            let field = if ask.public { format!("pub_{tag}") } else { tag.to_owned() };
            json!({ "vault": { "mount": "secret", "path": format!("{gone}app/{at}"), "field": field } })
        }
        Kind::Sql => {
            let binds: Vec<String> = (0..ask.binds.len()).map(|at| format!("b{at}")).collect();
            let list: String = binds.iter().map(|name| format!(", :{name}")).collect();
            let values: Map<String, Json> = binds
                .iter()
                .zip(&ask.binds)
                .map(|(name, one)| (name.clone(), template(one).into()))
                .collect();
            json!({ "sql": { "query": format!("select '{gone}{tag}'{list}"), "bind": values } })
        }
    }
}

pub(super) fn template(parts: &Template) -> String {
    parts
        .iter()
        .map(|part| match part {
            Part::Text(text) => text.clone(),
            Part::Expression(one) => format!("{{{{ {} }}}}", expression(one)),
        })
        .collect()
}

pub(super) fn expression(one: &E) -> String {
    let e = |one: &E| expression(one);
    match one {
        E::Lit(value) => constant(value),
        E::Param(index) => format!("params.p{index}"),
        E::Environment => "environment".into(),
        E::Pipeline => "pipeline".into(),
        E::RunId => "run.id".into(),
        E::RunAttempt => "run.attempt".into(),
        E::RunStarted => "run.started_at".into(),
        E::Matrix => "matrix.m".into(),
        E::List(items) => format!("[{}]", items.iter().map(e).collect::<Vec<_>>().join(", ")),
        E::Property(a, name) => format!("{}.{name}", e(a)),
        E::Index(a, at) => format!("{}[{at}]", e(a)),
        E::If(test, a, b) => format!("({} if {} else {})", e(a), e(test), e(b)),
        E::Not(a) => format!("(not {})", e(a)),
        E::Both(how, a, b) | E::Compare(how, a, b) | E::Arithmetic(how, a, b) => {
            format!("({} {how} {})", e(a), e(b))
        }
        E::In(a, b) => format!("({} in {})", e(a), e(b)),
        E::IsNone(a) => format!("({} is none)", e(a)),
        E::Negate(a) => format!("(-{})", e(a)),
        E::Join(a, b) => format!("({} ~ {})", e(a), e(b)),
        E::Filter(name, a, more) if more.is_empty() => format!("({} | {name})", e(a)),
        E::Filter(name, a, more) => {
            let more: Vec<String> = more.iter().map(e).collect();
            format!("({} | {name}({}))", e(a), more.join(", "))
        }
        E::DateAdd(a, days, None) => format!("({} | date_add(days={days}))", e(a)),
        E::DateAdd(a, days, Some(seconds)) => {
            format!("({} | date_add(days={days}, seconds={seconds}))", e(a))
        }
    }
}

fn constant(value: &V) -> String {
    match value {
        V::Null => "none".into(),
        V::Str(text) => format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'")),
        V::Int(number) if *number < 0 => format!("({number})"),
        V::List(items) => {
            format!("[{}]", items.iter().map(constant).collect::<Vec<_>>().join(", "))
        }
        other => literal(other).to_string(),
    }
}
