//! Variables of the daemon's own environment, as they were at its start.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::{
    ABSENT, Address, AddressError, Answer, Ask, Cause, ConnectError, Environment, Field, Kind,
    Located, Pending, PickError, Probe, Raw, Read, Role, Settings, Source, SourceError, typed,
};
use crate::process::sandbox::Needs;
use crate::provenance::SourceKind;
use crate::schema::Schema;
use crate::secret::SecretBytes;
use crate::value::Value;
use crate::yaml::Node;
use crate::yaml::diagnostic::Problems;
use crate::yaml::fields::{Fields, texts};

const NAME: &str = "name";
const FIELDS: [Field; 1] = [Field { name: NAME, role: Role::Address, required: true }];

/// The kind `env`.
pub(super) struct Env;

impl Kind for Env {
    fn kind(&self) -> SourceKind {
        SourceKind::Env
    }

    fn fields(&self) -> &'static [Field] {
        &FIELDS
    }

    fn locate(&self, ask: &Ask) -> Result<Located, AddressError> {
        let name = ask.address.get(NAME).map_or("", String::as_str);
        if !is_variable(name) {
            return Err(AddressError(EXPECTED));
        }
        Ok(Located {
            location: name.to_owned(),
            grant_path: Some(name.to_owned()),
            read: Read {
                address: Address::from([(NAME, name.to_owned())]),
                query: None,
                binds: Vec::new(),
            },
        })
    }

    fn pick(&self, raw: &Raw, _ask: &Ask, schema: &Schema) -> Result<Value, PickError> {
        match raw {
            Raw::Bytes(bytes) => typed::text(typed::utf8(bytes)?, schema),
            Raw::Text(text) => typed::text(text, schema),
            Raw::Value(_) | Raw::Rows { .. } => Err(PickError::Failed(Cause::BadAnswer)),
        }
    }

    fn read_settings(
        &self,
        node: &Node,
        _base: &Path,
        problems: &mut Problems,
    ) -> Option<Arc<dyn Settings>> {
        let before = problems.list.len();
        let mut fields = Fields::of(node, "an `env` source", problems)?;
        let listed = fields.required("names");
        fields.finish(problems);
        let mut names = BTreeSet::new();
        for name in texts(listed?, "names", MAX_NAMES, problems) {
            if !is_variable(&name.value) {
                problems.error("invalid_name", &name.place, EXPECTED).sensitive();
            } else if !names.insert(name.value) {
                problems.error("duplicate_name", &name.place, "`names` has this name twice");
            }
        }
        (problems.list.len() == before).then(|| Arc::new(Listed { names }) as Arc<dyn Settings>)
    }
}

const MAX_NAMES: usize = 1_000;
const EXPECTED: &str =
    "a variable's name is 1 to 128 of `A-Z a-z 0-9 _`, and no digit stands first";
const UNLISTED: &str = "the source doesn't list this variable under `names`";

fn is_variable(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The variables that `paramd.yaml` lists.
#[derive(Debug)]
struct Listed {
    names: BTreeSet<String>,
}

impl Settings for Listed {
    fn connect(&self, environment: &Environment) -> Result<Arc<dyn Source>, ConnectError> {
        let variables =
            self.names.iter().map(|name| (name.clone(), environment.get(name).cloned())).collect();
        Ok(Arc::new(Variables { variables }))
    }

    fn needs(&self, _needs: &mut Needs) {}

    fn refuses(&self, read: &Read) -> Option<&'static str> {
        let name = read.address.get(NAME)?;
        (!self.names.contains(name)).then_some(UNLISTED)
    }
}

/// The listed variables, each with what it was set to, if it was.
struct Variables {
    variables: std::collections::BTreeMap<String, Option<SecretBytes>>,
}

impl Source for Variables {
    fn read<'a>(&'a self, read: &'a Read) -> Pending<'a, Result<Answer, SourceError>> {
        Box::pin(async move {
            let name = read.address.get(NAME).map_or("", String::as_str);
            match self.variables.get(name) {
                None => Err(Cause::NotGranted.into()),
                Some(None) => Ok(Answer::Missing),
                Some(Some(variable)) => {
                    Ok(Answer::Found { raw: Raw::Bytes(copy(variable)), version: None })
                }
            }
        })
    }

    fn check<'a>(&'a self, probe: &'a Probe<'a>) -> Pending<'a, Result<Vec<String>, SourceError>> {
        Box::pin(async move {
            Ok(match self.read(probe.read).await {
                Ok(Answer::Found { .. }) => Vec::new(),
                Ok(_) => vec![ABSENT.to_owned()],
                Err(error) => vec![format!("it gives no answer: {}", error.cause.word())],
            })
        })
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a listed variable's value is what this source gives"
)]
fn copy(variable: &SecretBytes) -> Vec<u8> {
    variable.expose().to_vec()
}

#[cfg(test)]
mod tests;
