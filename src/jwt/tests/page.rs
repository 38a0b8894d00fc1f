//! The examples of docs/identity.md do what the page says.

use super::*;
use crate::access::{Action, Policies, Request, Resource};
use crate::audit::{Principal, PrincipalKind};
use crate::definition::PolicyFile;

/// The blocks of the page in this language that begin so.
fn blocks<'p>(page: &'p str, language: &str, begin: &str) -> Vec<&'p str> {
    let found =
        page.split("\n```").filter_map(|part| part.strip_prefix(language)?.strip_prefix('\n'));
    found.filter(|block| block.trim_start().starts_with(begin)).collect()
}

#[test]
fn the_examples_of_the_page_do_what_it_says() {
    let page = include_str!("../../../docs/identity.md");
    let (settings_of, policies) = (blocks(page, "yaml", "jwt:"), blocks(page, "cedar", "@id"));
    let kubernetes = json!({ "sub": "system:serviceaccount:ml:trainer", "kubernetes.io": {
        "namespace": "ml", "serviceaccount": { "name": "trainer", "uid": "1" } } });
    let github = json!({ "sub": "repo:octo-org/models:environment:production",
        "repository": "octo-org/models", "repository_owner_id": "65",
        "ref": "refs/heads/main", "environment": "production" });
    let gitlab = json!({ "sub": "project_path:my-group/my-project:ref_type:branch:ref:main",
        "namespace_id": "72", "project_path": "my-group/my-project", "ref_protected": "true" });
    let action = Action::Resolve;
    let cases = [
        (kubernetes, Action::Reveal, ["account:trainer", "namespace:ml"].as_slice()),
        (
            github,
            action,
            &["environment:production", "ref:refs/heads/main", "repository:octo-org/models"],
        ),
        (gitlab, action, &["project:my-group/my-project", "protected-refs"]),
    ];
    assert_eq!((settings_of.len(), policies.len()), (cases.len() + 1, cases.len()));
    for ((text, policy), (claims, action, groups)) in
        settings_of[1..].iter().zip(policies).zip(cases)
    {
        let text = text.strip_prefix("jwt:").unwrap();
        let issuers = settings(text, std::path::Path::new("/nowhere"));
        let settings = issuers.values().next().unwrap();
        let issued =
            json!({ "iss": settings.issuer, "aud": settings.audiences[0], "exp": now() + 60 });
        let mut all = issued;
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        let known = |claims: &Json| {
            let text = claims.to_string();
            let Ok(crate::value::Value::Map(claims)) =
                crate::value::json::from_json(text.as_bytes())
            else {
                panic!()
            };
            claims::check(settings, &claims, Timestamp::now())
        };
        let told = known(&all).unwrap();
        assert_eq!(told.groups, groups);
        let name = format!("jwt:{}:{}", settings.name, claims["sub"].as_str().unwrap());
        assert!(page.contains(&format!("`{name}`")) && told.name == name, "{name}");
        // Without what `require` asks for it is nobody's.
        let first = &settings.require[0].claim.0[0];
        assert_eq!(known(&without(all.clone(), first)), Err(Refused::NotRequired), "{name}");
        assert!(permits(policy, &name, action, &told.groups), "{policy}");
        assert!(!permits(policy, &name, action, &told.groups[1..]), "{policy}");
    }
}

/// Whether a policy lets the principal of this name, in these groups, act on a run of
/// `churn-training` in `prod`, or on its step `train` where that is to reveal.
fn permits(policy: &str, name: &str, action: Action, groups: &[String]) -> bool {
    let file = PolicyFile { file: FileId(0), name: "page".to_owned(), text: policy.into() };
    let mut problems = Problems::default();
    let policies = Policies::read(&[file], &mut problems);
    assert!(problems.list.is_empty(), "{:?}", problems.list);
    let principal = Principal { name: name.to_owned(), kind: PrincipalKind::Jwt };
    let (pipeline, environment) = ("churn-training".parse().unwrap(), "prod".parse().unwrap());
    let resource = match action {
        Action::Reveal => Resource::Step { pipeline: &pipeline, run_id: "r", step: "train" },
        _ => Resource::Run { pipeline: &pipeline, run_id: "r" },
    };
    let request = Request {
        principal: &principal,
        groups,
        step: None,
        action,
        resource,
        environment: Some(&environment),
        preset: None,
        overridden: &[],
        time: Timestamp::now(),
    };
    policies.decide(&request).is_ok()
}
