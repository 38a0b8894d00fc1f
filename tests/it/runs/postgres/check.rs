//! Queries that are checked and not asked.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use paramd::schema::{Schema, Type};
use paramd::secret::SecretBytes;
use paramd::source::{Ask, Cause, Probe, registry};
use paramd::value::Value;
use paramd::yaml::FileId;
use paramd::yaml::diagnostic::Problems;
use serde_json::json;

use super::filled;
use crate::support::postgres::{PASSWORD, Postgres};

/// Binds by name.
type Binds<'b> = &'b [(&'b str, Type)];

/// What the source says of a query that isn't asked.
async fn told(
    server: &Postgres,
    query: &str,
    binds: Binds<'_>,
    shape: &str,
    declared: serde_json::Value,
) -> Result<Vec<String>, Cause> {
    let kind = registry::by_word("sql").unwrap();
    let text = format!("{{ url: \"{}\", password: {{ env: P }} }}", server.url("reader"));
    let mut problems = Problems::default();
    let node = paramd::yaml::parse(FileId(0), &text, &mut problems).unwrap();
    let settings = kind.read_settings(&node, Path::new("/"), &mut problems).unwrap();
    let password = SecretBytes::new(PASSWORD.into());
    let source = settings.connect(&BTreeMap::from([("P".to_owned(), password)])).unwrap();
    let texts = BTreeMap::from([("query", query.to_owned()), ("shape", shape.to_owned())]);
    let ask = Ask {
        address: BTreeMap::new(),
        texts: Arc::new(texts),
        binds: binds.iter().map(|(name, _)| ((*name).to_owned(), Value::Null)).collect(),
    };
    let read = kind.locate(&ask).unwrap().read;
    let schema = Schema::from_json(&declared).unwrap();
    let binds = binds.iter().map(|(name, kind)| ((*name).to_owned(), kind.clone())).collect();
    let probe = Probe { ask: &ask, read: &read, schema: &schema, binds };
    source.check(&probe).await.map_err(|error| error.cause)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_checked_without_being_asked() {
    let server = filled().await;
    let integer = || json!({ "type": "integer" });
    let good: [(&str, Binds<'_>, &str, serde_json::Value); 5] = [
        ("select i4 from kinds where name = :n", &[("n", Type::String)], "value", integer()),
        ("select 1 / 0", &[], "value", integer()),
        ("select write_it()", &[], "value", integer()),
        (
            "select i4 as a, name from kinds",
            &[],
            "rows",
            json!({ "type": "array", "items": { "type": "object", "properties": { "a": { "type": "integer" } }, "additionalProperties": true } }),
        ),
        (
            "select tags from kinds",
            &[],
            "value",
            json!({ "type": "array", "items": { "type": "string" } }),
        ),
    ];
    for (query, binds, shape, declared) in good {
        let told = told(&server, query, binds, shape, declared).await;
        assert_eq!(told, Ok(Vec::new()), "{query}");
    }
    let bad: [(&str, Binds<'_>, serde_json::Value, &str); 5] = [
        ("select i4 from kinds where i8 = :n", &[("n", Type::String)], integer(), "`:n`"),
        ("select name from kinds", &[], integer(), "column 1"),
        ("select amount from kinds", &[], json!({ "type": "number" }), "column 1"),
        ("select i4, i8 from kinds", &[], integer(), "several columns"),
        ("select absent from kinds", &[], integer(), "doesn't take the query"),
    ];
    for (query, binds, declared, word) in bad {
        let told = told(&server, query, binds, "value", declared).await.unwrap();
        assert!(told.len() == 1 && told[0].contains(word), "{query}: {told:?}");
        assert!(!told[0].contains("absent"), "{told:?}");
    }
    let secret = "select value from secrets where value = :v";
    let string = json!({ "type": "string" });
    let denied = told(&server, secret, &[("v", Type::String)], "value", string).await.unwrap();
    assert_eq!(denied, ["the role has no right to what the query names"]);
    assert_eq!(server.count("select count(*) from log").await, 0);
}
