//! Names: checked once, where they come in.
//!
//! The alphabets are those of the contract (`proto/README.md`, "Limits"). An
//! error tells what a name may look like and never repeats what was given: it
//! could be a misplaced password.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// A text that isn't a name of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a name of a {kind}: {expected}")]
pub struct NameError {
    /// What it should name, such as `parameter`.
    pub kind: &'static str,
    /// What such a name looks like.
    pub expected: &'static str,
}

const PARAMETER: &str = "1 to 63 of `a-z 0-9 _`, a letter first";
const ALIAS: &str = "1 to 63 of `a-z 0-9 _ -`, a letter first";
const DASHED: &str = "1 to 63 of `a-z 0-9 -`, a letter or digit first";
const RUN_ID: &str = "1 to 250 printable ASCII characters";

fn is_parameter(text: &str) -> bool {
    fits(
        text,
        |b| b.is_ascii_lowercase(),
        |b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_',
    )
}

fn is_alias(text: &str) -> bool {
    fits(
        text,
        |b| b.is_ascii_lowercase(),
        |b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-',
    )
}

fn is_dashed(text: &str) -> bool {
    fits(
        text,
        |b| b.is_ascii_lowercase() || b.is_ascii_digit(),
        |b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-',
    )
}

fn is_run_id(text: &str) -> bool {
    (1..=250).contains(&text.len()) && text.bytes().all(|b| (0x20..=0x7e).contains(&b))
}

fn fits(text: &str, first: fn(u8) -> bool, rest: fn(u8) -> bool) -> bool {
    text.len() <= 63 && text.bytes().next().is_some_and(first) && text.bytes().skip(1).all(rest)
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $kind:literal, $check:ident, $expected:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Arc<str>);

        impl $type {
            /// Takes a text that is such a name.
            ///
            /// # Errors
            /// Says what such a name looks like, without the text.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                if $check(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(NameError { kind: $kind, expected: $expected })
                }
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $type {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::parse(text)
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

name!(
    /// A parameter's declared name.
    ParameterName, "parameter", is_parameter, PARAMETER
);
name!(
    /// Another name of a parameter.
    AliasName, "parameter alias", is_alias, ALIAS
);
name!(
    /// A bearer token's name.
    TokenName, "token", is_dashed, DASHED
);
name!(
    /// The name of an issuer of JWTs in `paramd.yaml`.
    IssuerName, "issuer", is_dashed, DASHED
);
name!(
    /// A pipeline's name.
    PipelineName, "pipeline", is_dashed, DASHED
);
name!(
    /// An environment's name.
    EnvironmentName, "environment", is_dashed, DASHED
);
name!(
    /// A preset's name.
    PresetName, "preset", is_dashed, DASHED
);
name!(
    /// A step's name.
    StepName, "step", is_dashed, DASHED
);
name!(
    /// The name of a list that a matrix combines.
    MatrixName, "matrix list", is_parameter, PARAMETER
);
name!(
    /// A source's name in `paramd.yaml`.
    SourceName, "source", is_alias, ALIAS
);
name!(
    /// The caller's name for a run, unique in its pipeline.
    RunId, "run", is_run_id, RUN_ID
);

/// What names one execution: a pipeline, its run and the attempt, from 1.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct RunKey {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// The run.
    pub run_id: RunId,
    /// The attempt, from 1.
    pub attempt: u32,
}

impl fmt::Display for RunKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}#{}", self.pipeline, self.run_id, self.attempt)
    }
}

impl fmt::Debug for RunKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a step token is good for: one step of one execution.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StepKey {
    /// The execution.
    pub run: RunKey,
    /// The step.
    pub step: StepName,
}

/// The candidate that is spelt most like `wanted`, where one is near enough to
/// be what was meant.
pub fn nearest<'a>(wanted: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if wanted.len() > 128 {
        return None;
    }
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(wanted, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_to_their_alphabets() {
        assert!(ParameterName::parse("db_password2").is_ok());
        for bad in ["", "2a", "_a", "a-b", "A", "ä", "a b", "a\0", &"a".repeat(64)] {
            assert!(ParameterName::parse(bad).is_err());
        }
        assert!(AliasName::parse("git-url").is_ok());
        assert!(PipelineName::parse("2-fast").is_ok());
        assert!(PipelineName::parse("-a").is_err());
        assert!(RunId::parse("manual/2026 01").is_ok());
        assert!(RunId::parse("a\n").is_err());
        assert!(RunId::parse(&"x".repeat(251)).is_err());
    }

    #[test]
    fn an_error_does_not_repeat_the_text() {
        let error = ParameterName::parse("HUNTER2").unwrap_err();
        assert!(!error.to_string().contains("HUNTER2"));
        assert!(!format!("{error:?}").contains("HUNTER2"));
    }

    #[test]
    fn the_nearest_name_is_found() {
        assert_eq!(nearest("paramter1", ["parameter1", "epochs"]), Some("parameter1"));
        assert_eq!(nearest("zzz", ["parameter1", "epochs"]), None);
    }
}
