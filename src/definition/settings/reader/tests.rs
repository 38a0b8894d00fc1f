//! Settings as they are meant to be written.

use super::*;
use crate::definition::settings::Listen;
use crate::name::{EnvironmentName, PipelineName};
use crate::provenance::SourceKind;
use crate::yaml::diagnostic::{Files, lines};

fn read_text(text: &str) -> (Option<ServerSettings>, Vec<String>) {
    let (mut files, mut problems) = (Files::default(), Problems::default());
    let file = files.add("paramd.yaml".to_owned(), text.into());
    let known = Known {
        environments: ["dev"].map(|name| EnvironmentName::parse(name).unwrap()).into(),
        pipelines: ["train"].map(|name| PipelineName::parse(name).unwrap()).into(),
    };
    let node = crate::yaml::parse(file, text, &mut problems).unwrap();
    let settings = read(&node, Path::new("/etc/paramd"), &known, &mut problems);
    (settings, lines(&problems, &files))
}

#[test]
fn everything_has_a_default() {
    for text in ["", "{}"] {
        let (settings, problems) = read_text(text);
        let settings = settings.unwrap();
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(settings.listen, [Listen::Unix("/etc/paramd/run/paramd.sock".into())]);
        assert_eq!(settings.keys.sealing.file().unwrap(), "/etc/paramd/state/sealing.key");
        assert_eq!(settings.resolve_timeout, Duration::from_secs(30));
    }
}

#[test]
fn whole_settings_are_read() {
    let (settings, problems) = read_text(
        "listen: [\"unix:run/x.sock\", \"unix:/run/y.sock\"]\n\
         store: { sqlite: /var/lib/p.db }\n\
         keys: { sealing: a.key, fingerprints: b.key, tokens: c.key }\n\
         tokens: tokens.yaml\n\
         lifetime: { default: 2h, maximum: 3d }\n\
         resolve_timeout: 10s\n\
         sources:\n  \
           build:\n    \
             env: { names: [CI_COMMIT] }\n    \
             grants: [{ pipelines: [tr*], environments: [dev], paths: [\"CI_*\"], declassify: [x] }]\n",
    );
    assert_eq!(problems, Vec::<String>::new());
    let settings = settings.unwrap();
    assert_eq!(settings.listen[1], Listen::Unix("/run/y.sock".into()));
    assert_eq!(settings.store, Path::new("/var/lib/p.db"));
    assert_eq!(settings.default_lifetime, Duration::from_secs(7_200));
    let source = &settings.sources["build"];
    assert_eq!(source.kind, SourceKind::Env);
    assert_eq!(source.grants[0].pipelines, ["tr*"]);
    assert_eq!(source.grants[0].paths.as_deref(), Some(&["CI_*".to_owned()][..]));
    assert_eq!(source.grants[0].environments.as_ref().unwrap()[0].as_str(), "dev");
}

#[test]
fn a_key_is_in_a_file_or_handed_over_and_never_a_variable() {
    let keys = |text: &str| {
        let (settings, problems) = read_text(&format!("keys: {{ sealing: {text} }}\n"));
        (settings.unwrap().keys.sealing, problems.join("\n"))
    };
    let file = KeyPlace::File("/etc/paramd/a".into());
    assert_eq!(keys("a"), (file.clone(), String::new()));
    assert_eq!(keys("{ file: a }"), (file, String::new()));
    let credential = KeyPlace::Credential("sealing.key".to_owned());
    assert_eq!(keys("{ credential: sealing.key }"), (credential, String::new()));
    let refused = |text: &str, told: &str| {
        let (_, problems) = keys(text);
        assert!(problems.contains(told), "{text}: {problems}");
        assert!(!problems.contains("hunter2"), "{problems}");
    };
    refused("{ env: hunter2 }", "`sealing` isn't read from a variable");
    refused("{ credential: hunter2/.. }", "`credential` must be a name");
    refused("{ value: hunter2 }", "value");
    refused("{ credential: a }, tokens: { credential: a }", "are the same file");
}

#[test]
fn limits_of_all_lower_those_of_each() {
    let (settings, problems) = read_text(
        "limits: { principal: { streams: 2, reveals: 6000 }, all: { requests: 100, new_runs: 1000000 } }\n",
    );
    assert_eq!(problems, Vec::<String>::new());
    let Limits { principal, all } = settings.unwrap().limits;
    let usual = Limits::default();
    assert_eq!((principal.streams, principal.requests), (2, 100));
    assert_eq!((all.requests, all.new_runs), (100, 1_000_000));
    assert_eq!(principal.new_runs, usual.principal.new_runs);
    assert_eq!(all.streams, usual.all.streams);
    assert_eq!((principal.reveals, all.reveals), (6_000, 6_000), "an operator's word counts");
}

#[test]
fn a_lower_maximum_lowers_the_default() {
    let settings = read_text("lifetime: { maximum: 1h }").0.unwrap();
    assert_eq!(settings.default_lifetime, Duration::from_secs(3_600));
}
