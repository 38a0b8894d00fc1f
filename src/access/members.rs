//! Who is in which group by `paramd.yaml`.

use std::collections::{BTreeMap, BTreeSet};

use crate::definition::{Groups, Member};

/// The groups, by the names of those who are in them.
#[derive(Debug, Clone, Default)]
pub(super) struct Members {
    named: BTreeMap<String, Vec<String>>,
    /// The beginnings of names, each with its group.
    beginnings: Vec<(String, String)>,
}

impl Members {
    pub(super) fn of(groups: &Groups) -> Self {
        let mut members = Self::default();
        for (group, member) in
            groups.iter().flat_map(|(group, all)| all.iter().map(move |one| (group, one)))
        {
            match member {
                Member::Named(name) => {
                    members.named.entry(name.clone()).or_default().push(group.clone());
                }
                Member::Beginning(beginning) => {
                    members.beginnings.push((beginning.clone(), group.clone()));
                }
            }
        }
        members
    }

    /// All who are named, and all groups; beginnings end with a `*`.
    pub(super) fn all(&self) -> (impl Iterator<Item = String>, impl Iterator<Item = String>) {
        let begun = self.beginnings.iter().map(|(beginning, _)| format!("{beginning}*"));
        let groups = self.named.values().flatten().cloned();
        let groups = groups.chain(self.beginnings.iter().map(|(_, group)| group.clone()));
        (self.named.keys().cloned().chain(begun), groups)
    }

    /// The groups of a principal, and those that his credential vouches for.
    pub(super) fn groups<'a>(
        &'a self,
        principal: &str,
        vouched: &'a [String],
    ) -> BTreeSet<&'a str> {
        let named = self.named.get(principal).into_iter().flatten();
        let beginnings = self.beginnings.iter();
        let begun = beginnings.filter(|(beginning, _)| principal.starts_with(beginning));
        let all = named.chain(begun.map(|(_, group)| group)).chain(vouched);
        all.map(String::as_str).collect()
    }
}
