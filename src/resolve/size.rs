//! How large a frozen outcome is, as the contract encodes it: what is frozen
//! must fit into every answer that shows it.

use super::failure::Failure;
use crate::provenance::Provenance;
use crate::refusal::ViolationReason;
use crate::snapshot::{FrozenContent, Snapshot};
use crate::value::Value;

/// A run's public values together have at most 2 MiB.
const MAX_PUBLIC_BYTES: usize = 2 << 20;
/// A record fits into an answer of 3 MiB, with room for the run itself.
const MAX_RECORD_BYTES: usize = (3 << 20) - (64 << 10);
/// What a message costs beside its texts, at most.
const FRAME: usize = 64;

/// What is too large about an outcome.
pub fn excess(snapshot: &Snapshot) -> Option<Failure> {
    let told = |what: &str| {
        Failure::own("parameters", ViolationReason::InvalidValue, format!("{what} together"))
    };
    let values = public_bytes(snapshot);
    if values > MAX_PUBLIC_BYTES {
        return Some(told("the run's public values have more than 2 MiB"));
    }
    let whole = values.saturating_add(other_bytes(snapshot));
    (whole > MAX_RECORD_BYTES)
        .then(|| told("the run's values and where they came from are too large"))
}

/// The values of the parameters, and those that decided a step.
fn public_bytes(snapshot: &Snapshot) -> usize {
    let parameters = snapshot.parameters.values().map(|parameter| match &parameter.content {
        FrozenContent::Public(value) => encoded(value.get()),
        FrozenContent::Secret(_) | FrozenContent::NotNeeded => 0,
    });
    let deciding = snapshot.steps.iter().flat_map(|step| step.decision.deciding.values());
    parameters.chain(deciding.map(|value| encoded(value.get()))).sum()
}

/// All but the values.
fn other_bytes(snapshot: &Snapshot) -> usize {
    let parameters = snapshot.parameters.iter().map(|(name, parameter)| {
        let provenance = parameter.provenance.as_ref().map_or(0, provenance_bytes);
        FRAME + name.as_str().len() + provenance
    });
    let steps = snapshot.steps.iter().map(|step| {
        let condition = step.decision.condition.as_ref().map_or(0, String::len);
        let needs: usize = step.needs.iter().map(|name| name.as_str().len() + 2).sum();
        let deciding: usize = step.decision.deciding.keys().map(|name| name.len() + 16).sum();
        FRAME + step.name.as_str().len() + condition + needs + deciding
    });
    let warnings = snapshot
        .warnings
        .iter()
        .map(|warning| FRAME + warning.parameter.as_str().len() + warning.message.len());
    parameters.chain(steps).chain(warnings).sum()
}

fn provenance_bytes(provenance: &Provenance) -> usize {
    let read: usize = provenance.computed_from.iter().map(|name| name.as_str().len() + 2).sum();
    let source = provenance.source_name.as_ref().map_or(0, |name| name.as_str().len());
    let version = provenance.version.as_ref().map_or(0, String::len);
    FRAME + read + source + version + provenance.location.len()
}

/// The bytes of a value in the contract's encoding.
pub fn encoded(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 2,
        // Negative numbers take ten bytes: their sign is the highest bit.
        Value::Integer(number) => 1 + varint(number.cast_unsigned()),
        Value::Number(_) => 9,
        Value::String(text) => field(text.len()),
        Value::Bytes(bytes) => field(bytes.len()),
        Value::List(items) => field(items.iter().map(|item| field(encoded(item))).sum()),
        Value::Map(fields) => field(
            fields.iter().map(|(key, item)| field(field(key.len()) + field(encoded(item)))).sum(),
        ),
    }
}

/// A field of so many bytes, with its number and length.
fn field(length: usize) -> usize {
    1 + varint(u64::try_from(length).unwrap_or(u64::MAX)) + length
}

fn varint(number: u64) -> usize {
    let bits = 64 - number.leading_zeros().min(63);
    usize::try_from(bits.div_ceil(7)).unwrap_or(10)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::name::ParameterName;
    use crate::snapshot::{FORMAT, FrozenParameter};
    use crate::value::PublicValue;

    #[test]
    fn sizes_are_those_of_the_wire() {
        let text = |length: usize| Value::String("x".repeat(length));
        for (value, size) in [
            (Value::Null, 2),
            (Value::Bool(true), 2),
            (Value::Integer(0), 2),
            (Value::Integer(127), 2),
            (Value::Integer(128), 3),
            (Value::Integer(-1), 11),
            (Value::Number(0.5), 9),
            (text(0), 2),
            (text(127), 129),
            (text(128), 131),
            (Value::List(Vec::new()), 2),
            (Value::List(vec![Value::Integer(1)]), 6),
            (Value::Map(BTreeMap::from([("a".to_owned(), Value::Integer(1))])), 11),
        ] {
            assert_eq!(encoded(&value), size, "{value:?}");
        }
    }

    fn snapshot(sizes: &[usize]) -> Snapshot {
        let parameters = sizes.iter().enumerate().map(|(index, size)| {
            let value = PublicValue::declared_public(Value::String("x".repeat(*size)));
            let name = ParameterName::parse(&format!("p{index}")).unwrap();
            let content = FrozenContent::Public(value);
            (name, FrozenParameter { content, provenance: None })
        });
        Snapshot {
            format: FORMAT,
            parameters: parameters.collect(),
            steps: Vec::new(),
            warnings: Vec::new(),
            secret_origins: BTreeMap::new(),
        }
    }

    #[test]
    fn public_values_have_two_mebibytes_together() {
        let half = (1 << 20) - 4;
        assert!(excess(&snapshot(&[half, half])).is_none());
        let over = excess(&snapshot(&[half, half + 1])).unwrap();
        assert!(over.description.contains("2 MiB"), "{}", over.description);
    }
}
