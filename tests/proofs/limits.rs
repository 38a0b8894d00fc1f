//! Every field of every request at, below and over its limit. The fields come
//! from the descriptors: one that has no row here fails the test.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use paramd::proto::v1;
use prost::Message as _;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value,
};
use tonic::Status;
use tonic_types::StatusExt as _;

use crate::targets::{MARK, is_late, send};

/// What a field may hold.
#[derive(Clone, Copy)]
enum Limit {
    /// `[a-z0-9][a-z0-9-]{0,62}`.
    Name,
    /// The same, or nothing.
    NameOrNothing,
    /// One of the pipeline, or nothing.
    Preset,
    /// 1 to 250 printable ASCII characters.
    RunId,
    /// The same, or nothing.
    RunIdOrNothing,
    /// Up to 512 characters.
    Short,
    /// Any text: what it is compared with has none like it.
    Text,
    /// Text that only the daemon makes, or nothing.
    Token,
    /// Text that only the daemon makes.
    Place,
    /// Any number of 32 bits.
    Number,
    /// From 0, and large ones are as the largest.
    PageSize,
    /// One of these numbers.
    Enum(&'static [i32]),
    /// At most 64 of these numbers.
    Choices(&'static [i32]),
    /// From the year 1 to 9999.
    Time,
    /// The same without its last day, which templates can't count with.
    Date,
    /// From a minute to the cap.
    Span,
    /// The same without a least: shorter than now changes nothing.
    AnySpan,
    /// From a second to an hour.
    TokenSpan,
    /// 32 bytes.
    Bytes32,
    /// 32 labels, keys of 63 and values of 128 bytes.
    Labels,
    /// 1,000 names with the other overrides, values of 1 MiB.
    Values,
    Texts,
    Secrets,
    /// 1,000 names.
    Names,
    /// Whom to seal to: a key of 32 bytes.
    Recipient,
}

use Limit::{
    AnySpan, Bytes32, Choices, Date, Enum, Labels, Name, NameOrNothing, Names, Number, PageSize,
    Place, Preset, Recipient, RunId, RunIdOrNothing, Secrets, Short, Span, Text, Texts, Time,
    Token, TokenSpan, Values,
};

const ROWS: &[(&str, Limit)] = &[
    ("ListPipelines.page_size", PageSize),
    ("ListPipelines.page_token", Token),
    ("GetPipeline.pipeline", Name),
    ("ResolveRun.run.pipeline", Name),
    ("ResolveRun.run.run_id", RunId),
    ("ResolveRun.run.attempt", Number),
    ("ResolveRun.environment", Name),
    ("ResolveRun.preset", Preset),
    ("ResolveRun.overrides", Values),
    ("ResolveRun.text_overrides", Texts),
    ("ResolveRun.secret_overrides", Secrets),
    ("ResolveRun.logical_date", Date),
    ("ResolveRun.mode", Enum(&[0])),
    ("ResolveRun.labels", Labels),
    ("ResolveRun.lifetime", Span),
    ("ResolveRun.expected_revision", Text),
    ("ExplainRun.pipeline", Name),
    ("ExplainRun.environment", Name),
    ("ExplainRun.preset", Preset),
    ("ExplainRun.overrides", Values),
    ("ExplainRun.text_overrides", Texts),
    ("ExplainRun.secret_overrides", Secrets),
    ("ExplainRun.logical_date", Date),
    ("GetRun.run.pipeline", Name),
    ("GetRun.run.run_id", RunId),
    ("GetRun.run.attempt", Number),
    ("ListRuns.page_size", PageSize),
    ("ListRuns.page_token", Token),
    ("ListRuns.pipeline", NameOrNothing),
    ("ListRuns.run_id", RunIdOrNothing),
    ("ListRuns.environment", NameOrNothing),
    ("ListRuns.states", Choices(&[1, 2, 3])),
    ("ListRuns.labels", Labels),
    ("ListRuns.start_time", Time),
    ("ListRuns.end_time", Time),
    ("ListFailures.run.pipeline", Name),
    ("ListFailures.run.run_id", RunId),
    ("ListFailures.run.attempt", Number),
    ("DiffRuns.base.pipeline", Name),
    ("DiffRuns.base.run_id", RunId),
    ("DiffRuns.base.attempt", Number),
    ("DiffRuns.other.pipeline", Name),
    ("DiffRuns.other.run_id", RunId),
    ("DiffRuns.other.attempt", Number),
    ("ExtendRun.run.pipeline", Name),
    ("ExtendRun.run.run_id", RunId),
    ("ExtendRun.run.attempt", Number),
    ("ExtendRun.lifetime", AnySpan),
    ("CompleteRun.run.pipeline", Name),
    ("CompleteRun.run.run_id", RunId),
    ("CompleteRun.run.attempt", Number),
    ("CompleteRun.outcome", Enum(&[1, 2, 3])),
    ("MintStepToken.run.pipeline", Name),
    ("MintStepToken.run.run_id", RunId),
    ("MintStepToken.run.attempt", Number),
    ("MintStepToken.step", Name),
    ("MintStepToken.certificate_sha256", Bytes32),
    ("MintStepToken.public_key", Bytes32),
    ("MintStepToken.lifetime", TokenSpan),
    ("GetContext.run.pipeline", Name),
    ("GetContext.run.run_id", RunId),
    ("GetContext.run.attempt", Number),
    ("GetContext.step", Name),
    ("GetContext.instance", Number),
    ("GetContext.if_none_match", Text),
    ("RevealSecrets.run.pipeline", Name),
    ("RevealSecrets.run.run_id", RunId),
    ("RevealSecrets.run.attempt", Number),
    ("RevealSecrets.step", Name),
    ("RevealSecrets.instance", Number),
    ("RevealSecrets.names", Names),
    ("RevealSecrets.recipient", Recipient),
    ("ListEvents.page_size", PageSize),
    ("ListEvents.page_token", Token),
    ("ListEvents.filter.pipeline", NameOrNothing),
    ("ListEvents.filter.run_id", RunIdOrNothing),
    ("ListEvents.filter.environment", NameOrNothing),
    ("ListEvents.filter.step", NameOrNothing),
    ("ListEvents.filter.parameter", Short),
    ("ListEvents.filter.principal", Short),
    ("ListEvents.filter.actions", Choices(&[1, 9, 20, 24])),
    ("ListEvents.filter.outcomes", Choices(&[1, 2, 3])),
    ("ListEvents.start_time", Time),
    ("ListEvents.end_time", Time),
    ("WatchEvents.filter.pipeline", NameOrNothing),
    ("WatchEvents.filter.run_id", RunIdOrNothing),
    ("WatchEvents.filter.environment", NameOrNothing),
    ("WatchEvents.filter.step", NameOrNothing),
    ("WatchEvents.filter.parameter", Short),
    ("WatchEvents.filter.principal", Short),
    ("WatchEvents.filter.actions", Choices(&[1, 9, 20, 24])),
    ("WatchEvents.filter.outcomes", Choices(&[1, 2, 3])),
    ("WatchEvents.resume_token", Place),
    ("WatchEvents.start_time", Time),
    ("VerifyLog.chain", Text),
    ("VerifyLog.page_token", Token),
];

/// A method of the contract with what its requests look like.
struct Method {
    path: String,
    input: MessageDescriptor,
}

fn methods() -> BTreeMap<String, Method> {
    let pool = DescriptorPool::decode(paramd::proto::DESCRIPTORS).unwrap();
    let services = pool.services().filter(|one| one.package_name() == "paramd.v1");
    let all = services.flat_map(|service| service.methods().collect::<Vec<_>>());
    all.map(|method| {
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        (method.name().to_owned(), Method { path, input: method.input() })
    })
    .collect()
}

/// The fields of a request, those of its messages in their place.
fn fields(prefix: &str, message: &MessageDescriptor, found: &mut BTreeSet<String>) {
    for field in message.fields() {
        let path = format!("{prefix}.{}", field.name());
        match inner(&field) {
            Some(inner) => fields(&path, &inner, found),
            // Either is right.
            None if field.kind() == Kind::Bool => {}
            None => drop(found.insert(path)),
        }
    }
}

/// The message in a field, where its own fields are rows.
fn inner(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    let names = ["paramd.v1.RunName", "paramd.v1.EventFilter"];
    match field.kind() {
        Kind::Message(inner) if names.contains(&inner.full_name()) => Some(inner),
        _ => None,
    }
}

#[test]
fn every_field_of_every_request_has_a_row() {
    let mut found = BTreeSet::new();
    for (name, method) in methods() {
        fields(&name, &method.input, &mut found);
    }
    let rows: BTreeSet<String> = ROWS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(rows, found);
}

#[test]
fn every_field_keeps_to_its_limit() {
    let methods = methods();
    let mut wrong = Vec::new();
    let mut tried = 0;
    for (name, limit) in ROWS {
        let (method, path) = name.split_once('.').unwrap();
        let method = &methods[method];
        let (good, bad) = values(*limit, method, path);
        for (fits, value) in
            good.iter().map(|one| (true, one)).chain(bad.iter().map(|one| (false, one)))
        {
            tried += 1;
            let request = with(method, path, value, tried);
            let told = blamed(&send(&method.path, request), &method.path, path);
            if told.is_none() != fits {
                let shown: String = format!("{value:?}").chars().take(80).collect();
                wrong.push(format!("{name}: {shown} fits: {fits}, told: {told:?}"));
            }
        }
    }
    println!("limits: {} fields, {tried} requests", ROWS.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is told to be wrong with a field.
fn blamed(answer: &Result<(), Status>, method: &str, path: &str) -> Option<String> {
    let status = answer.as_ref().err()?;
    // A sound check of the log goes on for as long as the log is.
    if method.ends_with("VerifyLog") && is_late(status) {
        return None;
    }
    let details = status.get_error_details();
    let reason = details.error_info().map(|info| info.reason.clone()).unwrap_or_default();
    assert!(!reason.is_empty() && reason != "INTERNAL", "{status:?}");
    let violations =
        details.bad_request().map(|all| all.field_violations.clone()).unwrap_or_default();
    let found = violations.iter().find(|one| {
        let rest = one.field.strip_prefix(path);
        let own = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[', '/']));
        own && !one.field.contains("unknown-")
    })?;
    assert!(!found.description.contains(MARK), "{found:?}");
    Some(found.description.clone())
}

/// A sound request with a value at a path.
fn with(method: &Method, path: &str, value: &Value, tried: usize) -> Bytes {
    let mut message = DynamicMessage::new(method.input.clone());
    let sound: &[(&str, Value)] = &[
        ("pipeline", text("p")),
        ("environment", text("dev")),
        ("step", text("main")),
        ("outcome", Value::EnumNumber(1)),
        ("names", Value::List(vec![text("env.URL")])),
        ("public_key", Value::Bytes(vec![9; 32].into())),
    ];
    for (name, value) in sound {
        // Lists are of all pipelines.
        if method.input.get_field_by_name(name).is_some() && !method.path.contains("/List") {
            message.set_field_by_name(name, value.clone());
        }
    }
    let resolves = method.path.ends_with("/ResolveRun");
    for name in ["run", "base", "other"] {
        if method.input.get_field_by_name(name).is_some() {
            let run_id = format!("limits-{tried}");
            put(&mut message, &format!("{name}.pipeline"), text("p"));
            put(&mut message, &format!("{name}.run_id"), text(&run_id));
            // What is asked of a run is looked at once there is one.
            if ["lifetime", "outcome", "recipient"].contains(&path) && !resolves {
                let run = v1::RunName { pipeline: "p".into(), run_id, attempt: 0 };
                let environment = "dev".into();
                let request =
                    v1::ResolveRunRequest { run: Some(run), environment, ..Default::default() };
                send("/paramd.v1.RunService/ResolveRun", request.encode_to_vec().into()).unwrap();
            }
        }
    }
    put(&mut message, path, value.clone());
    message.encode_to_vec().into()
}

fn put(message: &mut DynamicMessage, path: &str, value: Value) {
    match path.split_once('.') {
        None => message.set_field_by_name(path, value),
        Some((name, rest)) => {
            let inside = message.get_field_by_name_mut(name).unwrap();
            put(inside.as_message_mut().unwrap(), rest, value);
        }
    }
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn texts(all: &[&str]) -> Vec<Value> {
    all.iter().map(|one| text(one)).collect()
}

fn numbers(all: &[i32]) -> Vec<Value> {
    all.iter().map(|one| Value::EnumNumber(*one)).collect()
}

/// The field at a path of a request.
fn field(method: &Method, path: &str) -> FieldDescriptor {
    let mut message = method.input.clone();
    let mut names = path.split('.').peekable();
    loop {
        let field = message.get_field_by_name(names.next().unwrap()).unwrap();
        match (names.peek(), field.kind()) {
            (Some(_), Kind::Message(inner)) => message = inner,
            _ => return field,
        }
    }
}

const MEBIBYTE: usize = 1 << 20;

/// Values that fit, and values that don't.
fn values(limit: Limit, method: &Method, path: &str) -> (Vec<Value>, Vec<Value>) {
    let field = field(method, path);
    let long = |length: usize| "a".repeat(length);
    let names = |more: &[&str]| [texts(&["a", "9-z", &long(62), &long(63)]), texts(more)].concat();
    let no_names = |more: &[&str]| {
        [
            texts(&["-a", "A", "a_b", "a/b", "a\0", "\u{e4}", MARK, &long(64), &long(MEBIBYTE)]),
            texts(more),
        ]
        .concat()
    };
    let run_ids = |more: &[&str]| {
        [texts(&["r", " ", "~", MARK, &long(249), &long(250)]), texts(more)].concat()
    };
    let no_run_ids = |more: &[&str]| {
        let wrong = ["a\n", "a\0", "\u{e4}", "\u{7f}", &long(251), &long(MEBIBYTE)];
        [texts(&wrong), texts(more)].concat()
    };
    let unknown = |all: &[i32]| all.iter().max().unwrap() + 1_000;
    match limit {
        Name => (names(&[]), no_names(&[""])),
        NameOrNothing => (names(&[""]), no_names(&[])),
        Preset => (texts(&["", "quick"]), no_names(&["a", &long(63)])),
        RunId => (run_ids(&[]), no_run_ids(&[""])),
        RunIdOrNothing => (run_ids(&[""]), no_run_ids(&[])),
        Short => {
            (texts(&["", "a", MARK, &long(511), &long(512)]), texts(&[&long(513), &long(MEBIBYTE)]))
        }
        Text => (texts(&["", "a", MARK, "\0", &long(MEBIBYTE)]), Vec::new()),
        Token => (texts(&[""]), texts(&["a", MARK, "AAAA", "%%%", &long(MEBIBYTE)])),
        Place => (Vec::new(), texts(&["", "a", MARK, "AAAA", "%%%", &long(MEBIBYTE)])),
        Number => ([0, 1, u32::MAX].map(Value::U32).into(), Vec::new()),
        PageSize => (
            [0, 1, 1_000, 1_001, i32::MAX].map(Value::I32).into(),
            [-1, i32::MIN].map(Value::I32).into(),
        ),
        Enum(all) => (numbers(all), numbers(&[unknown(all), -1, i32::MAX])),
        Choices(all) => {
            let many = |count: usize| Value::List(numbers(&vec![all[0]; count]));
            let one = |number: i32| Value::List(numbers(&[number]));
            let good = [numbers(&[]), numbers(all)].map(Value::List);
            (
                [good.to_vec(), vec![many(63), many(64)]].concat(),
                vec![many(65), one(0), one(unknown(all)), one(-1)],
            )
        }
        Time | Date => times(&field, matches!(limit, Time)),
        Span | AnySpan => {
            spans(&field, Duration::from_secs(if matches!(limit, Span) { 60 } else { 0 }))
        }
        TokenSpan => spans(&field, Duration::from_secs(1)),
        Bytes32 => {
            let bytes = |count: usize| Value::Bytes(vec![9; count].into());
            (vec![bytes(32)], [0, 31, 33, MEBIBYTE].map(bytes).into())
        }
        Labels => labels(),
        Values | Texts | Secrets => overrides(limit, &field),
        Names => {
            let many =
                |count: usize| Value::List((0..count).map(|at| text(&format!("n{at}"))).collect());
            (
                vec![many(1), many(999), many(1_000)],
                vec![many(0), many(1_001), Value::List(texts(&[""]))],
            )
        }
        Recipient => recipients(&field),
    }
}

fn recipients(field: &FieldDescriptor) -> (Vec<Value>, Vec<Value>) {
    let Kind::Message(inner) = field.kind() else { unreachable!("a message") };
    let with = |bytes: usize| {
        let mut recipient = DynamicMessage::new(inner.clone());
        recipient.set_field_by_name("suite", Value::EnumNumber(1));
        let key = Value::Bytes(vec![9; bytes].into());
        recipient.set_field_by_name("public_key", key);
        Value::Message(recipient)
    };
    (vec![with(32)], [0, 31, 33, MEBIBYTE].map(with).into())
}

/// What fits is within the first second that the contract has and the last, or
/// the last that the calendar has.
fn times(field: &FieldDescriptor, whole: bool) -> (Vec<Value>, Vec<Value>) {
    let time = |seconds, nanos| moment(field, seconds, nanos);
    let first = -62_135_596_800;
    let last = if whole { 253_402_300_799 } else { 253_402_207_200 };
    (
        vec![time(0, 0), time(first, 0), time(last, 0), time(last, 999_999_999)],
        vec![
            time(first - 1, 999_999_999),
            time(last + 1, 0),
            time(0, -1),
            time(0, 1_000_000_000),
            time(i64::MIN, i32::MIN),
            time(i64::MAX, i32::MAX),
        ],
    )
}

/// The cap of the daemon here is an hour.
fn spans(field: &FieldDescriptor, least: Duration) -> (Vec<Value>, Vec<Value>) {
    let span = |seconds, nanos| moment(field, seconds, nanos);
    let mut good = vec![span(60, 0), span(3_600, 0)];
    let mut bad = vec![
        span(3_600, 1),
        span(-60, 0),
        span(60, -1),
        span(60, 1_000_000_000),
        span(i64::MAX, 0),
        span(i64::MIN, i32::MIN),
    ];
    for short in [59_999_999_999, 1_000_000_000, 999_999_999, 0] {
        let short = Duration::from_nanos(short);
        let value =
            span(short.as_secs().try_into().unwrap(), short.subsec_nanos().try_into().unwrap());
        if short < least { bad.push(value) } else { good.push(value) }
    }
    (good, bad)
}

fn moment(field: &FieldDescriptor, seconds: i64, nanos: i32) -> Value {
    let Kind::Message(inner) = field.kind() else { unreachable!("a message") };
    let mut message = DynamicMessage::new(inner);
    message.set_field_by_name("seconds", Value::I64(seconds));
    message.set_field_by_name("nanos", Value::I32(nanos));
    Value::Message(message)
}

fn map(pairs: impl IntoIterator<Item = (String, Value)>) -> Value {
    Value::Map(pairs.into_iter().map(|(key, value)| (MapKey::String(key), value)).collect())
}

fn labels() -> (Vec<Value>, Vec<Value>) {
    let many = |count: usize| map((0..count).map(|at| (format!("k{at}"), text("v"))));
    let one = |key: &str, value: &str| map([(key.to_owned(), text(value))]);
    let long = |length: usize| "a".repeat(length);
    (
        vec![
            many(0),
            many(31),
            many(32),
            one("a", ""),
            one("0._/-z", "\u{e4}"),
            one(&long(63), &long(128)),
        ],
        vec![
            many(33),
            one("", "v"),
            one("-a", "v"),
            one("A", "v"),
            one(MARK, "v"),
            one(&long(64), "v"),
            one("a", &long(129)),
            one("a", "\n"),
            one("a", "\u{e4}".repeat(65).as_str()),
        ],
    )
}

/// Names that aren't declared are told as such: that isn't about the limit.
fn overrides(limit: Limit, field: &FieldDescriptor) -> (Vec<Value>, Vec<Value>) {
    let Kind::Message(entry) = field.kind() else { unreachable!("a map") };
    let of = |value: &str| match (limit, entry.map_entry_value_field().kind()) {
        (Texts, _) => text(value),
        (Values, Kind::Message(inner)) => {
            let mut message = DynamicMessage::new(inner);
            message.set_field_by_name("string_value", text(value));
            Value::Message(message)
        }
        (_, Kind::Message(inner)) => {
            let mut message = DynamicMessage::new(inner);
            let bytes = Bytes::copy_from_slice(value.as_bytes());
            message.set_field_by_name("data", Value::Bytes(bytes));
            Value::Message(message)
        }
        _ => unreachable!("a map of messages or texts"),
    };
    let name = if matches!(limit, Secrets) { "key" } else { "text" };
    let one = |length: usize| map([(name.to_owned(), of(&"a".repeat(length)))]);
    let many = |count: usize| map((0..count).map(|at| (format!("unknown-{at}"), of("x"))));
    let good = vec![one(1), one(MEBIBYTE - 1), one(MEBIBYTE), many(0), many(1_000)];
    (good, vec![one(MEBIBYTE + 1), many(1_001)])
}
