//! Secrecy, compared with a naive oracle that knows only the words of the docs.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use proptest::prelude::*;

use super::{compiled, folder};
use crate::plan::SecrecyReason;

/// How many parameters there are, `p0` and so on.
const COUNT: usize = 7;

/// What a layer binds a parameter to.
#[derive(Debug, Clone)]
enum Bound {
    Nothing,
    Literal,
    Vault,
    Template(Vec<usize>, bool),
    Query(Vec<usize>),
}

/// A parameter: whether it says `secret: true`, an `enum` or an `override`, and
/// what the definition, `global.yaml`, dev and prod bind it to.
#[derive(Debug, Clone)]
struct Parameter {
    secret: bool,
    listed: bool,
    narrow: bool,
    bounds: [Bound; 4],
}

fn bounds() -> impl Strategy<Value = Bound> {
    let some = || prop::collection::vec(0..COUNT, 0..3);
    prop_oneof![
        6 => Just(Bound::Nothing),
        2 => Just(Bound::Literal),
        1 => Just(Bound::Vault),
        4 => (some(), prop::bool::weighted(0.1)).prop_map(|(from, id)| Bound::Template(from, id)),
        2 => some().prop_map(Bound::Query),
    ]
}

fn parameters() -> impl Strategy<Value = Vec<Parameter>> {
    let flag = || prop::bool::weighted(0.15);
    let one = (flag(), flag(), flag(), [bounds(), bounds(), bounds(), bounds()])
        .prop_map(|(secret, listed, narrow, bounds)| Parameter { secret, listed, narrow, bounds });
    prop::collection::vec(one, COUNT)
}

fn written(bound: &Bound) -> Option<String> {
    let texts = |from: &[usize]| -> String {
        from.iter().map(|one| format!("{{{{ params.p{one} }}}}")).collect()
    };
    Some(match bound {
        Bound::Nothing | Bound::Literal => return None,
        Bound::Vault => "{ vault: { mount: secret, path: a, field: a } }".to_owned(),
        Bound::Template(from, id) => {
            let id = if *id { "{{ run.id }}" } else { "" };
            format!("{{ template: \"x{id}{}\" }}", texts(from))
        }
        Bound::Query(from) if from.is_empty() => "{ sql: { query: select 1 } }".to_owned(),
        Bound::Query(from) => {
            format!("{{ sql: {{ query: \"select :a\", bind: {{ a: \"{}\" }} }} }}", texts(from))
        }
    })
}

fn layer(parameters: &[Parameter], at: usize) -> String {
    let mut text = String::from("values:\n  x: x\nfrom:\n  y: { template: x }\n");
    for (index, parameter) in parameters.iter().enumerate() {
        if let Some(from) = written(&parameter.bounds[at]) {
            let _ = writeln!(text, "  p{index}: {from}");
        } else if matches!(parameter.bounds[at], Bound::Literal) {
            text = text.replace("  x: x\n", &format!("  x: x\n  p{index}: x\n"));
        }
    }
    text
}

fn pipeline(parameters: &[Parameter]) -> String {
    let mut text = String::from(
        "name: train\nenvironments: [dev]\nparameters:\n  x: { type: string }\n  y: { type: string }\n",
    );
    for (index, parameter) in parameters.iter().enumerate() {
        let _ = write!(text, "  p{index}: {{ type: string");
        for (said, word) in [
            (parameter.secret, "secret: true"),
            (parameter.listed, "enum: [x]"),
            (parameter.narrow, "override: environment"),
            (matches!(parameter.bounds[0], Bound::Literal), "default: x"),
        ] {
            text.push_str(&if said { format!(", {word}") } else { String::new() });
        }
        if let Some(from) = written(&parameter.bounds[0]) {
            let _ = write!(text, ", from: {from}");
        }
        text.push_str(" }\n");
    }
    text
}

/// What each parameter can be reached from, itself included, over all bindings.
fn reached(parameters: &[Parameter]) -> Vec<BTreeSet<usize>> {
    let direct = |at: usize| {
        parameters[at].bounds.iter().flat_map(|bound| match bound {
            Bound::Template(from, _) | Bound::Query(from) => from.clone(),
            _ => Vec::new(),
        })
    };
    let mut all: Vec<BTreeSet<usize>> = (0..COUNT).map(|at| BTreeSet::from([at])).collect();
    for _ in 0..COUNT {
        for at in 0..COUNT {
            let more: BTreeSet<usize> = direct(at).flat_map(|from| all[from].clone()).collect();
            all[at].extend(more);
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn secrecy_is_what_can_be_reached(parameters in parameters()) {
        let settings = "sources:\n  v: { vault: { address: \"https://v.example\", mounts: { secret: kv-v2 }, auth: { token: { env: T } } }, grants: [{ pipelines: [train] }] }\n  s: { sql: { url: \"sqlite:x.db\" }, grants: [{ pipelines: [train] }] }\n";
        let (train, global) = (pipeline(&parameters), layer(&parameters, 1));
        let (dev, prod) = (layer(&parameters, 2), layer(&parameters, 3));
        let folder = folder(&[
            ("paramd.yaml", settings),
            ("pipelines/train.yaml", &train),
            ("global.yaml", &global),
            ("environments/dev.yaml", &dev),
            ("environments/prod.yaml", &prod),
        ]);
        let (plans, told) = compiled(folder.path());
        let common = &plans.pipelines["train"].common;
        let name = |at: usize| format!("p{at}");
        let reached = reached(&parameters);

        let own = |at: usize| {
            parameters[at].secret
                || parameters[at].bounds.iter().any(|bound| matches!(bound, Bound::Vault))
        };
        let secret = |at: usize| reached[at].iter().any(|from| own(*from));
        for (at, from) in reached.iter().enumerate() {
            let found = &common.interface.parameters[name(at).as_str()];
            prop_assert_eq!(found.secret, secret(at), "p{}\n{}{}{}{}", at, train, global, dev, prod);
            let links = &common.declared[name(at).as_str()].secrecy;
            prop_assert_eq!(links.is_empty(), !secret(at));
            if let Some(last) = links.last() {
                prop_assert!(last.reason != SecrecyReason::Computed);
            }
            let origins: BTreeSet<String> = common
                .secret_origins
                .get(name(at).as_str())
                .map(|all| all.iter().map(ToString::to_string).collect())
                .unwrap_or_default();
            let expected: BTreeSet<String> = from
                .iter()
                .filter(|from| secret(at) && secret(**from))
                .map(|from| name(*from))
                .collect();
            prop_assert_eq!(origins, expected);
        }

        // A run's text goes from text to text; an `enum` lets none through.
        let free = |at: usize| !parameters[at].listed;
        let reads_id = |at: usize| {
            parameters[at].bounds.iter().any(|bound| matches!(bound, Bound::Template(_, true)))
        };
        let mut texts: BTreeSet<usize> = (0..COUNT)
            .filter(|at| free(*at))
            .filter(|at| (!parameters[*at].narrow && !secret(*at)) || reads_id(*at))
            .collect();
        for _ in 0..COUNT {
            for at in (0..COUNT).filter(|at| free(*at)) {
                let from = parameters[at].bounds.iter().any(|bound| match bound {
                    Bound::Template(from, _) | Bound::Query(from) => {
                        from.iter().any(|from| texts.contains(from))
                    }
                    _ => false,
                });
                if from {
                    texts.insert(at);
                }
            }
        }
        let expected: BTreeSet<String> = texts.iter().map(|at| name(*at)).collect();
        let found: BTreeSet<String> =
            common.run_texts.iter().map(ToString::to_string).filter(|one| one.starts_with('p')).collect();
        prop_assert_eq!(&found, &expected, "{}{}{}{}", train, global, dev, prod);

        // A template or bind is refused where such a text stands beside a secret.
        let mixed = parameters.iter().flat_map(|one| &one.bounds).any(|bound| match bound {
            Bound::Template(from, id) => {
                let secrets = from.iter().filter(|from| secret(**from));
                let beside = |text: usize| from.iter().any(|other| *other != text && secret(*other));
                (*id && secrets.count() > 0)
                    || from.iter().any(|text| texts.contains(text) && beside(*text))
            }
            Bound::Query(from) => from.iter().any(|text| {
                texts.contains(text) && from.iter().any(|other| other != text && secret(*other))
            }),
            _ => false,
        });
        let refused = told.iter().any(|line| line.contains("stands in one template with the secret"));
        prop_assert_eq!(refused, mixed, "{:?}\n{}{}{}{}", told, train, global, dev, prod);
    }
}
