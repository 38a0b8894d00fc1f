//! `groups` of `paramd.yaml`: who is in which group of principals.

use std::collections::BTreeMap;

use crate::yaml::diagnostic::Problems;
use crate::yaml::fields;
use crate::yaml::{Node, Spanned};

/// The most groups, and members of each.
const MAX_GROUPS: usize = 1_000;
/// The most characters of a principal's name.
pub(super) const MAX_PRINCIPAL: usize = 512;

/// The groups by their names, each with its members.
pub type Groups = BTreeMap<String, Vec<Member>>;

/// Who is in a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Member {
    /// The principal of this name.
    Named(String),
    /// All principals whose names begin so; it ends with `/` or `:`.
    Beginning(String),
}

impl Member {
    fn parse(text: &str) -> Result<Self, &'static str> {
        if !is_principal(text) {
            return Err("a principal's name has 1 to 512 characters, none of them a control one");
        }
        match text.split_once('*') {
            None => Ok(Self::Named(text.to_owned())),
            // Within a part of a name a `*` would take in names that nobody thought of:
            // `spiffe://example.org*` those of `example.org.attacker.net` too.
            Some((before, "")) if before.ends_with(['/', ':']) => {
                Ok(Self::Beginning(before.to_owned()))
            }
            Some(_) => Err("a `*` stands at the end alone, after `/` or `:`"),
        }
    }
}

/// Reads the groups; what can't be read is told and left out.
pub(super) fn read(node: &Node, problems: &mut Problems) -> Groups {
    let entries = fields::mapping(node, "groups", MAX_GROUPS, problems).unwrap_or_default();
    let mut groups = Groups::new();
    for entry in entries {
        if !check_name(&entry.key, problems) {
            continue;
        }
        let texts = fields::texts(&entry.value, "the members", MAX_GROUPS, problems);
        let members = texts.iter().filter_map(|text| member(text, problems)).collect();
        groups.insert(entry.key.value.clone(), members);
    }
    groups
}

fn member(text: &Spanned<String>, problems: &mut Problems) -> Option<Member> {
    match Member::parse(&text.value) {
        Ok(member) => Some(member),
        Err(why) => {
            problems
                .error("invalid_member", &text.place, "this names no principal")
                .sensitive()
                .help(why);
            None
        }
    }
}

/// Whether a text can be a group's name; what is wrong with it is told.
pub(super) fn check_name(text: &Spanned<String>, problems: &mut Problems) -> bool {
    let good = is_group(&text.value);
    if !good {
        problems
            .error("invalid_group", &text.place, "this isn't the name of a group")
            .sensitive()
            .help("1 to 128 printable ASCII characters");
    }
    good
}

/// Whether a text can be a group's name in a file.
pub fn is_group(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|b| (0x20..=0x7e).contains(&b))
}

/// Whether a text can be a principal's name.
pub fn is_principal(text: &str) -> bool {
    (1..=MAX_PRINCIPAL).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_takes_in_whole_parts_of_names_alone() {
        for (text, expected) in [
            ("uid:1000", Some(Member::Named("uid:1000".into()))),
            ("token:*", Some(Member::Beginning("token:".into()))),
            ("spiffe://example.org/*", Some(Member::Beginning("spiffe://example.org/".into()))),
            ("CN=trainer,O=Example", Some(Member::Named("CN=trainer,O=Example".into()))),
            ("*", None),
            ("uid:1*", None),
            ("spiffe://example.org*", None),
            ("spiffe://*/a", None),
            ("spiffe://example.org/*/*", None),
            ("", None),
            ("uid:1\n", None),
        ] {
            assert_eq!(Member::parse(text).ok(), expected, "{text}");
        }
        assert!(Member::parse(&"ä".repeat(MAX_PRINCIPAL)).is_ok());
        assert!(Member::parse(&"ä".repeat(MAX_PRINCIPAL + 1)).is_err());
    }
}
