//! `paramd schema`: the JSON Schema of a pipeline's file, for editors.

use super::App;
use super::exit::Exit;

/// What a schema can tell of a file alone; `paramd check` tells the rest.
const PIPELINE: &str = include_str!("schema/pipeline.json");

pub(crate) fn run(app: &App) -> Exit {
    app.printer.text(PIPELINE);
    Exit::Success
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use jsonschema::Validator;
    use serde_json::Value as Json;

    use super::PIPELINE;
    use crate::value::json::to_json;
    use crate::yaml::diagnostic::Problems;
    use crate::yaml::{FileId, parse};

    /// What only the whole configuration, or a reader of our own, can tell.
    const BEYOND: [&str; 14] = [
        "alias_taken",
        "default_against_schema",
        "default_not_base64",
        "default_not_of_type",
        "lifetime_over_maximum",
        "parameter_literals_against_schema",
        "parameter_pattern",
        "step_cycle",
        "step_twice",
        "step_unknown_need",
        "step_unknown_parameter",
        "unknown_environment",
        "wrong_ending",
        "wrong_name",
    ];

    /// A validator of draft 2020-12; the schema itself has to be one.
    fn validator() -> Validator {
        let schema: Json = serde_json::from_str(PIPELINE).unwrap();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        jsonschema::draft202012::new(&schema).unwrap()
    }

    fn root() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR"))
    }

    /// What is in a folder; nothing where there is none.
    fn inside(folder: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    }

    /// The problems of the pipelines of a configuration, and how many they are.
    fn told(validator: &Validator, config: &Path) -> (Vec<String>, usize) {
        let files = inside(&config.join("pipelines"));
        let mut told = Vec::new();
        for file in &files {
            let text = std::fs::read_to_string(file).unwrap();
            let mut problems = Problems::default();
            let node = parse(FileId(0), &text, &mut problems).unwrap();
            let json: Json = serde_json::from_str(&to_json(&node.value())).unwrap();
            let one = |error| format!("{}: {error}", file.display());
            told.extend(validator.iter_errors(&json).map(one));
        }
        (told, files.len())
    }

    #[test]
    fn good_pipelines_fit() {
        let validator = validator();
        let mut configs = vec![root().join("config"), root().join("config-vault")];
        configs.extend(inside(&root().join("tests/cases")).iter().map(|case| case.join("config")));
        let definitions = inside(&root().join("tests/definitions"));
        configs.extend(definitions.into_iter().filter(|path| folder(path).starts_with("ok_")));
        let mut count = 0;
        for config in configs {
            let (told, files) = told(&validator, &config);
            assert!(told.is_empty(), "{told:#?}");
            count += files;
        }
        assert!(count >= 12, "where are the pipelines? {count}");
    }

    #[test]
    fn wrong_pipelines_are_refused_but_for_what_no_schema_can_tell() {
        let validator = validator();
        let mut count = 0;
        for path in inside(&root().join("tests/definitions")) {
            let Some(name) = folder(&path).strip_prefix("err_pipeline_").map(str::to_owned) else {
                continue;
            };
            let (told, _) = told(&validator, &path);
            assert_eq!(told.is_empty(), BEYOND.contains(&name.as_str()), "{name}: {told:#?}");
            count += usize::from(!told.is_empty());
        }
        assert!(count >= 20, "where are the wrong ones? {count}");
    }

    fn folder(path: &Path) -> String {
        path.file_name().unwrap().to_str().unwrap().to_owned()
    }
}
