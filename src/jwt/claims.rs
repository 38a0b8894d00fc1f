//! What a token says, once it is known that its issuer said it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::{IssuerSettings, Known, MAX_GROUP, MAX_GROUPS, MAX_NAME, Refused};
use crate::value::Value;

/// A claim, or one inside of another: the names on the way to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim(pub Vec<String>);

/// What makes groups of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRule {
    /// The claim: a text, a number, a boolean, or a list of these.
    pub claim: Claim,
    /// What its values are called.
    pub naming: Naming,
}

/// What a claim's values are called as groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Naming {
    /// Each value, after this.
    Prefix(String),
    /// These values by these names, and no others.
    Values(BTreeMap<String, String>),
}

/// What a claim has to be for a token to be good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Required {
    /// The claim.
    pub claim: Claim,
    /// One of these; of a list, one of its items.
    pub values: BTreeSet<String>,
}

type Claims = BTreeMap<String, Value>;

/// Whom the claims of a verified token name, if they are good now.
pub(super) fn check(
    settings: &IssuerSettings,
    claims: &Claims,
    now: Timestamp,
) -> Result<Known, Refused> {
    if claims.get("iss") != Some(&Value::String(settings.issuer.clone())) {
        return Err(Refused::UnknownIssuer);
    }
    check_audience(claims, &settings.audiences)?;
    check_times(claims, settings.leeway, now)?;
    for Required { claim, values } in &settings.require {
        if !claim.values(claims)?.iter().any(|value| values.contains(value)) {
            return Err(Refused::NotRequired);
        }
    }
    Ok(Known { name: name(settings, claims)?, groups: groups(&settings.groups, claims)? })
}

fn check_audience(claims: &Claims, wanted: &[String]) -> Result<(), Refused> {
    let is_wanted = |value: &Value| match value {
        Value::String(text) => Ok(wanted.contains(text)),
        _ => Err(Refused::BadClaim),
    };
    let found = match claims.get("aud").ok_or(Refused::WrongAudience)? {
        Value::List(all) => {
            let all: Result<Vec<bool>, Refused> = all.iter().map(is_wanted).collect();
            all?.contains(&true)
        }
        one => is_wanted(one)?,
    };
    if found { Ok(()) } else { Err(Refused::WrongAudience) }
}

fn check_times(claims: &Claims, leeway: Duration, now: Timestamp) -> Result<(), Refused> {
    let leeway = i64::try_from(leeway.as_secs()).unwrap_or(0);
    let now = now.as_second();
    let expires = time(claims, "exp")?.ok_or(Refused::BadClaim)?;
    if now >= expires.saturating_add(leeway) {
        return Err(Refused::Expired);
    }
    for begins in ["nbf", "iat"] {
        if time(claims, begins)?.is_some_and(|begins| begins > now.saturating_add(leeway)) {
            return Err(Refused::NotYetValid);
        }
    }
    Ok(())
}

/// Seconds since 1970, of which the parts are cut off.
fn time(claims: &Claims, name: &str) -> Result<Option<i64>, Refused> {
    /// The last second of the year 9999.
    const LAST: i64 = 253_402_300_799;
    let seconds = match claims.get(name) {
        None => return Ok(None),
        Some(Value::Integer(seconds)) => *seconds,
        #[expect(clippy::cast_possible_truncation, reason = "the bounds are looked at first")]
        Some(Value::Number(seconds)) if (0.0..=253_402_300_799.0).contains(seconds) => {
            *seconds as i64
        }
        Some(_) => return Err(Refused::BadClaim),
    };
    if (0..=LAST).contains(&seconds) { Ok(Some(seconds)) } else { Err(Refused::BadClaim) }
}

/// The principal. An issuer's name has no colon, so no two have one.
fn name(settings: &IssuerSettings, claims: &Claims) -> Result<String, Refused> {
    let Some(Value::String(subject)) = settings.subject.find(claims) else {
        return Err(Refused::BadClaim);
    };
    let name = format!("jwt:{}:{subject}", settings.name);
    if is_printable(subject) && name.len() <= MAX_NAME { Ok(name) } else { Err(Refused::BadClaim) }
}

/// Printable ASCII, and no blank at an end: what looks the same is the same.
pub(super) fn is_printable(text: &str) -> bool {
    let blank = text.starts_with(' ') || text.ends_with(' ');
    !text.is_empty() && !blank && text.bytes().all(|byte| (0x20..=0x7e).contains(&byte))
}

/// One that can't be a group's name refuses the token: a policy may forbid
/// something to those who are in it.
fn groups(rules: &[GroupRule], claims: &Claims) -> Result<Vec<String>, Refused> {
    let mut groups = BTreeSet::new();
    for GroupRule { claim, naming } in rules {
        let values = claim.values(claims).map_err(|_| Refused::BadGroup)?;
        let named = values.into_iter().filter_map(|value| match naming {
            Naming::Prefix(prefix) => Some(format!("{prefix}{value}")),
            Naming::Values(names) => names.get(&value).cloned(),
        });
        groups.extend(named);
    }
    let named = |group: &String| is_printable(group) && group.len() <= MAX_GROUP;
    if groups.len() > MAX_GROUPS || !groups.iter().all(named) {
        return Err(Refused::BadGroup);
    }
    Ok(groups.into_iter().collect())
}

impl Claim {
    /// Its value, where it is there.
    fn find<'c>(&self, claims: &'c Claims) -> Option<&'c Value> {
        let (first, rest) = self.0.split_first()?;
        rest.iter().try_fold(claims.get(first)?, |value, name| match value {
            Value::Map(fields) => fields.get(name),
            _ => None,
        })
    }

    /// Its values as texts; none where it isn't there.
    fn values(&self, claims: &Claims) -> Result<Vec<String>, Refused> {
        match self.find(claims) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::List(all)) => all.iter().map(as_text).collect(),
            Some(one) => Ok(vec![as_text(one)?]),
        }
    }
}

fn as_text(value: &Value) -> Result<String, Refused> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(flag.to_string()),
        _ => Err(Refused::BadClaim),
    }
}
