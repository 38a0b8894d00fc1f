//! What the store keeps: as it was written, or refused. Also where whoever
//! changed it had the key.

use std::sync::LazyLock;

use paramd::name::RunKey;
use paramd::proto::v1::{ResolveRunRequest, RunName};
use paramd::resolve::record::Record;
use paramd::store::NewRun;
use paramd::value::binary;
use prost::Message as _;

use super::world::DAEMON;
use super::{Target, holds, send};
use crate::cases::Outcome;

const WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    ",",
    "null",
    "true",
    "-1",
    "1e9",
    "\"Public\"",
    "\"Secret\"",
    "\"plan\"",
    "\"format\":",
];

pub(super) const RECORDS: Target = Target { name: "records", seeds, words: WORDS, run: records };

/// A run as the daemon keeps it.
static KEPT: LazyLock<NewRun> = LazyLock::new(|| {
    // No other target knows this run, and could end it.
    let name = RunName { pipeline: "p".into(), run_id: "kept".into(), attempt: 0 };
    let request = ResolveRunRequest {
        run: Some(name.clone()),
        environment: "dev".into(),
        text_overrides: [("text".to_owned(), "kept".to_owned())].into(),
        ..ResolveRunRequest::default()
    };
    send("/paramd.v1.RunService/ResolveRun", request.encode_to_vec().into()).unwrap();
    let key = RunKey {
        pipeline: name.pipeline.parse().unwrap(),
        run_id: name.run_id.parse().unwrap(),
        attempt: 1,
    };
    let kept = DAEMON.store.run(&key).unwrap().expect("it was resolved").frozen;
    assert!(!kept.sealed.is_empty() && Record::of_run(&kept, &DAEMON.sealer).is_ok());
    kept
});

/// The length of the code before a record.
const CODE: usize = 32;

fn seeds() -> Vec<Vec<u8>> {
    let kept = &*KEPT;
    let opened = DAEMON.sealer.open(&kept.key, &kept.sealed).unwrap();
    let values = opened.iter().map(|(_, bytes)| bytes.expose().to_vec());
    [kept.record.clone(), kept.record[CODE..].to_vec(), kept.sealed.clone()]
        .into_iter()
        .chain(values)
        .collect()
}

fn records(bytes: &[u8]) -> Outcome {
    let kept = &*KEPT;
    let sealer = &DAEMON.sealer;
    let with = |record: Vec<u8>| NewRun { record, ..kept.clone() };

    // Without the key, only what was written is read.
    let read = Record::of_run(&with(bytes.to_vec()), sealer);
    holds(read.is_ok() == (bytes == kept.record), "a changed record is read")?;
    // A change of what stands beside it is found too.
    let moved = NewRun {
        key: RunKey { attempt: kept.key.attempt + 1, ..kept.key.clone() },
        ..with(bytes.to_vec())
    };
    holds(Record::of_run(&moved, sealer).is_err(), "a record of another run is read")?;

    // With the key, it is a record or it isn't; what is read is written again.
    let json = bytes.get(CODE..).filter(|_| bytes.first() != Some(&b'{')).unwrap_or(bytes);
    let signed = [&sealer.authenticate(&kept.key, json)[..], json].concat();
    let signed = with(signed);
    if let Ok(record) = Record::of_run(&signed, sealer) {
        let again = record.to_bytes(&signed, sealer).map_err(|_| "a record can't be written")?;
        let again = Record::of_run(&with(again), sealer);
        holds(again.is_ok(), "a record that was written again isn't read")?;
    }

    let opened = sealer.open(&kept.key, bytes);
    holds(opened.is_ok() == (bytes == kept.sealed), "a changed seal is opened")?;

    // A value has one form.
    if let Ok(value) = binary::decode(bytes) {
        holds(*binary::encode_secret(&value) == bytes, "a value has two forms")?;
    }
    Ok(1)
}
