//! Files below a directory that `paramd.yaml` names, also through symlinks.

mod beneath;
mod content;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::lanes::Lanes;
use super::{
    ABSENT, Address, AddressError, Answer, Ask, ConnectError, Environment, Field, Kind, Located,
    Pending, PickError, Probe, Raw, Read, Role, Settings, Source, SourceError,
};
use crate::process::sandbox::{Access, Needs};
use crate::provenance::SourceKind;
use crate::schema::Schema;
use crate::source::Cause;
use crate::value::Value;
use crate::yaml::Node;
use crate::yaml::diagnostic::Problems;
use crate::yaml::fields::{Fields, path};

const PATH: &str = "path";
const FIELDS: [Field; 1] = [Field { name: PATH, role: Role::Address, required: true }];
/// The most bytes of a path: what the contract has for a location.
const MAX_PATH: usize = 1_024;

/// The kind `file`.
pub(super) struct File;

impl Kind for File {
    fn kind(&self) -> SourceKind {
        SourceKind::File
    }

    fn fields(&self) -> &'static [Field] {
        &FIELDS
    }

    fn version_tells_content(&self) -> bool {
        true
    }

    fn locate(&self, ask: &Ask) -> Result<Located, AddressError> {
        let path = ask.address.get(PATH).map_or("", String::as_str);
        check_path(path).map_err(AddressError)?;
        Ok(Located {
            location: path.to_owned(),
            grant_path: Some(path.to_owned()),
            read: Read {
                address: Address::from([(PATH, path.to_owned())]),
                query: None,
                binds: Vec::new(),
            },
        })
    }

    fn pick(&self, raw: &Raw, ask: &Ask, schema: &Schema) -> Result<Value, PickError> {
        let Raw::Bytes(bytes) = raw else {
            return Err(PickError::Failed(Cause::BadAnswer));
        };
        content::pick(bytes, ask.address.get(PATH).map_or("", String::as_str), schema)
    }

    fn read_settings(
        &self,
        node: &Node,
        base: &Path,
        problems: &mut Problems,
    ) -> Option<Arc<dyn Settings>> {
        let before = problems.list.len();
        let mut fields = Fields::of(node, "a `file` source", problems)?;
        let root = fields.required("root");
        fields.finish(problems);
        let root = base.join(path(root?, "root", problems)?.value);
        let source = Root { root, lanes: Lanes::default() };
        (problems.list.len() == before).then(|| Arc::new(source) as Arc<dyn Settings>)
    }
}

/// Why a text isn't a plain path below a directory.
fn check_path(path: &str) -> Result<(), &'static str> {
    if path.is_empty() {
        Err("a file's path is empty")
    } else if path.len() > MAX_PATH {
        Err("a file's path has more than 1,024 bytes")
    } else if path.contains(char::is_control) {
        Err("a file's path has a control character")
    } else if path.starts_with('/') {
        Err("a file's path starts at the source's `root`, without a leading slash")
    } else if path.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        Err("a file's path has an empty segment, `.` or `..`")
    } else {
        Ok(())
    }
}

/// The directory that a source's files are below.
#[derive(Debug, Clone)]
struct Root {
    root: PathBuf,
    lanes: Lanes,
}

impl Settings for Root {
    fn connect(&self, _environment: &Environment) -> Result<Arc<dyn Source>, ConnectError> {
        Ok(Arc::new(self.clone()))
    }

    fn needs(&self, needs: &mut Needs) {
        needs.folder(&self.root, Access::Read);
    }
}

impl Source for Root {
    fn read<'a>(&'a self, read: &'a Read) -> Pending<'a, Result<Answer, SourceError>> {
        let root = self.root.clone();
        let path = read.address.get(PATH).cloned().unwrap_or_default();
        Box::pin(async move {
            // Checked again: what comes here has passed `locate`, and must have.
            check_path(&path).map_err(|_| Cause::Refused)?;
            match self.lanes.run(move || beneath::read(&root, &path)).await? {
                None => Ok(Answer::Missing),
                Some(bytes) => {
                    let version = Some(sha256(&bytes));
                    Ok(Answer::Found { raw: Raw::Bytes(bytes), version })
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

fn sha256(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    format!("sha256:{}", hex::encode(digest))
}

#[cfg(test)]
mod tests;
