use super::*;

fn fields(problems: &[Violation]) -> Vec<&str> {
    problems.iter().map(|problem| problem.field.as_str()).collect()
}

fn span(seconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos: 0 })
}

#[test]
fn dates_modes_and_labels_have_their_limits() {
    let labelled = |labels: &[(&str, &str)]| {
        let labels = labels.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned()));
        resolve(v1::ResolveRunRequest { labels: labels.collect(), ..Default::default() })
    };
    let longest = ["k".repeat(63), "ä".repeat(64)];
    let sound = labelled(&[("9a.b_c/d-e", ""), (&longest[0], &longest[1])]);
    assert!(sound.problems.is_empty());
    assert_eq!(sound.labels.len(), 2);
    for key in ["", "Team", "-a", ".a", "a b", "ä", &"k".repeat(64)] {
        let problems = labelled(&[(key, "x"), ("team", "x")]).problems;
        assert_eq!(fields(&problems), ["labels"], "{key}");
        assert!(key.is_empty() || !problems[0].description.contains(&format!("`{key}`")));
    }
    for text in ["a\nb", "\u{85}", &"x".repeat(129)] {
        assert_eq!(fields(&labelled(&[("team", text)]).problems), ["labels.team"]);
    }
    let many: Vec<_> = (0..33).map(|n| format!("k{n}")).collect();
    let many: Vec<_> = many.iter().map(|key| (key.as_str(), "x")).collect();
    assert!(labelled(&many[..32]).problems.is_empty());
    assert_eq!(fields(&labelled(&many).problems), ["labels"]);
    let request = resolve(v1::ResolveRunRequest { mode: 7, ..Default::default() });
    assert_eq!(fields(&request.problems), ["mode"]);
    let request = resolve(v1::ResolveRunRequest { mode: 2, ..Default::default() });
    assert_eq!(request.mode, Some(AttemptMode::Refresh));
    let late = prost_types::Timestamp { seconds: i64::MAX, nanos: 0 };
    let request = resolve(v1::ResolveRunRequest { logical_date: Some(late), ..Default::default() });
    assert_eq!(fields(&request.problems), ["logical_date"]);
    let day = prost_types::Timestamp { seconds: 86_400, nanos: 5 };
    let explained =
        explain(v1::ExplainRunRequest { logical_date: Some(day), ..Default::default() });
    assert_eq!(explained.logical_date.unwrap().to_string(), "1970-01-02T00:00:00.000000005Z");
}

#[test]
fn a_plain_request_has_no_problem() {
    let request = resolve(v1::ResolveRunRequest {
        run: Some(v1::RunName { pipeline: "p".into(), run_id: "r".into(), attempt: 1 }),
        environment: "dev".into(),
        preset: Some("smoke".into()),
        lifetime: span(60),
        ..Default::default()
    });
    assert!(request.problems.is_empty());
    assert_eq!(request.preset, "smoke");
    assert_eq!(request.lifetime, Some(Duration::from_secs(60)));
}

#[test]
fn a_run_that_is_not_there_has_empty_names() {
    let run = selector(None);
    assert_eq!((run.pipeline.as_str(), run.run_id.as_str(), run.attempt), ("", "", 0));
}

#[test]
fn a_lifetime_under_a_minute_or_out_of_range_is_refused() {
    for seconds in [-1, 0, 59, i64::MAX] {
        let request =
            resolve(v1::ResolveRunRequest { lifetime: span(seconds), ..Default::default() });
        assert_eq!(fields(&request.problems), ["lifetime"], "{seconds}");
        assert_eq!(request.lifetime, None);
    }
}

#[test]
fn more_than_a_thousand_names_are_refused_and_dropped() {
    let text = |count| (0..count).map(|n| (format!("n{n}"), String::new())).collect();
    let secret = |count| (0..count).map(|n| (format!("s{n}"), Default::default())).collect();
    let request = resolve(v1::ResolveRunRequest {
        text_overrides: text(600),
        secret_overrides: secret(600),
        ..Default::default()
    });
    assert_eq!(fields(&request.problems), ["text_overrides"]);
    assert_eq!(request.overrides.text.len() + request.overrides.secret.len(), 1_000);
    let request = resolve(v1::ResolveRunRequest {
        text_overrides: text(500),
        secret_overrides: secret(500),
        ..Default::default()
    });
    assert!(request.problems.is_empty());
}

#[test]
fn values_are_read_or_said_to_be_malformed() {
    let known = v1::Value { kind: Some(v1::value::Kind::IntValue(5)) };
    let request = resolve(v1::ResolveRunRequest {
        overrides: [("a".into(), known), ("b".into(), v1::Value { kind: None })].into(),
        ..Default::default()
    });
    assert_eq!(request.overrides.typed["a"], Ok(crate::value::Value::Integer(5)));
    assert!(request.overrides.typed["b"].is_err());
    assert!(request.problems.is_empty(), "the engine tells malformed values by name");
}

#[test]
fn a_secrets_encoding_is_known_left_out_or_unknown() {
    let read = |encoding| {
        let read = read_secret(v1::SecretPayload { data: vec![1], encoding });
        (read.encoding, read.unknown_encoding)
    };
    assert_eq!(read(0), (None, false));
    assert_eq!(read(2), (Some(SecretEncoding::Json), false));
    assert_eq!(read(9), (None, true));
}

#[test]
fn an_outcome_that_is_not_told_or_not_known_is_a_problem() {
    assert_eq!(outcome(1), Ok(RunEnd::Succeeded));
    assert_eq!(outcome(3), Ok(RunEnd::Cancelled));
    assert_eq!(outcome(0).unwrap_err().reason, ViolationReason::MissingField);
    for number in [4, -1, i32::MAX] {
        let violation = outcome(number).unwrap_err();
        assert_eq!(violation.field, "outcome");
        assert_eq!(violation.reason, ViolationReason::InvalidField);
    }
}
