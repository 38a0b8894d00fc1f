//! Signed tokens of others (JWT, RFC 7519): whom they name, and in which groups.
//!
//! What comes in is a token's text. It goes through [`compact`] (its form and its
//! header), the keys of the issuer that it names ([`keys`], kept in a [`book`])
//! and [`claims`]. A refusal is one word of a closed list: neither the token nor a
//! claim is ever in a message.
//!
//! Accepted are RS256, ES256 and EdDSA (RFC 8725 tells what befell those who
//! accepted more). The signatures are aws-lc's; the little around them is here, so
//! that each rule is: a key given twice is refused, a key is of one algorithm, and
//! nothing that the token says of keys but its `kid` is listened to.

mod book;
mod claims;
mod compact;
mod fetch;
mod keys;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;

use crate::name::IssuerName;
use book::{Book, Found};
use compact::Compact;
use keys::Key;

pub use claims::{Claim, GroupRule, Naming, Required};
pub use keys::{Algorithm, KeySet, KeysError};
pub use settings::{IssuerSettings, KeyPlace, read};

/// The most bytes of a token.
pub const MAX_TOKEN: usize = 8 << 10;
/// The most bytes of a set of keys.
pub const MAX_KEYS_MIB: u64 = 1;
/// The most keys of a set.
pub const MAX_KEYS: usize = 100;
/// The most groups of a caller.
pub const MAX_GROUPS: usize = 100;
/// The most characters of a group's name.
pub const MAX_GROUP: usize = 256;
/// The most characters of a principal's name.
const MAX_NAME: usize = 512;

/// Why a token isn't good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Not a signed token of three parts, each of which can be read.
    Malformed,
    /// Longer than any that is looked at.
    TooLong,
    /// Signed by a way that isn't taken.
    Algorithm,
    /// Another kind of token, or one with rules that aren't known here.
    Kind,
    /// No issuer of this name is set up.
    UnknownIssuer,
    /// The issuer's keys can't be had.
    NoKeys,
    /// The issuer has no such key, or none that fits.
    UnknownKey,
    /// The signature isn't the issuer's.
    BadSignature,
    /// A claim that has to be there isn't, or isn't what it should be.
    BadClaim,
    /// For somebody else.
    WrongAudience,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// Not one of those that `require` takes.
    NotRequired,
    /// Its groups are too many, or not fit to be names.
    BadGroup,
}

impl Refused {
    /// The words for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Malformed => "malformed JWT",
            Self::TooLong => "JWT too long",
            Self::Algorithm => "JWT with an algorithm that isn't taken",
            Self::Kind => "JWT of a kind that isn't taken",
            Self::UnknownIssuer => "JWT of an unknown issuer",
            Self::NoKeys => "JWT of an issuer whose keys can't be had",
            Self::UnknownKey => "JWT with an unknown key",
            Self::BadSignature => "JWT with a wrong signature",
            Self::BadClaim => "JWT with a claim that is missing or wrong",
            Self::WrongAudience => "JWT for another audience",
            Self::Expired => "expired JWT",
            Self::NotYetValid => "JWT that isn't valid yet",
            Self::NotRequired => "JWT that the issuer's `require` doesn't take",
            Self::BadGroup => "JWT with groups that can't be names",
        }
    }
}

/// Whom a token names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The principal's name: `jwt:ISSUER:SUBJECT`.
    pub name: String,
    /// The groups that its claims make, in order, each once.
    pub groups: Vec<String>,
}

/// Why the keys of an issuer can't be looked for, in our own words.
#[derive(Debug, thiserror::Error)]
#[error("the keys of the issuer `{issuer}` can't be asked for: {why}")]
pub struct ConnectError {
    /// Whose.
    pub issuer: IssuerName,
    /// Why.
    pub why: String,
}

/// Whether a bearer credential has the form of a JWT: no other has a dot.
pub fn is_jwt(token: &[u8]) -> bool {
    token.contains(&b'.')
}

/// The issuers whose tokens are good. Can be replaced while serving.
#[derive(Default)]
pub struct Issuers(ArcSwap<Vec<Issuer>>);

impl std::fmt::Debug for Issuers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Issuers")
    }
}

#[derive(Clone)]
struct Issuer {
    settings: Arc<IssuerSettings>,
    book: Arc<Book>,
}

/// Issuers that are not in force yet.
pub struct Next(Vec<Issuer>);

impl Issuers {
    /// Begins to look for the keys of these issuers. Those of one that stays as it
    /// was are kept.
    ///
    /// # Errors
    /// A file of authorities can't be used. Keys that can't be had are none: they
    /// are looked for again.
    pub fn next(
        &self,
        settings: &BTreeMap<IssuerName, Arc<IssuerSettings>>,
    ) -> Result<Next, ConnectError> {
        let old = self.0.load();
        let mut next = Vec::with_capacity(settings.len());
        for (name, settings) in settings {
            let failed = |why| ConnectError { issuer: name.clone(), why };
            let kept = old.iter().find(|one| one.settings.name == *name).map(|one| &one.book);
            let book = Book::open(settings, kept).map_err(failed)?;
            next.push(Issuer { settings: Arc::clone(settings), book });
        }
        Ok(Next(next))
    }

    /// Puts them in force.
    pub fn replace(&self, next: Next) {
        self.0.store(Arc::new(next.0));
    }

    /// Whether what is in force is what these settings, and the files that they
    /// name, say.
    pub fn are_of(&self, settings: &BTreeMap<IssuerName, Arc<IssuerSettings>>) -> bool {
        let held = self.0.load();
        held.len() == settings.len()
            && held
                .iter()
                .zip(settings.values())
                .all(|(one, wanted)| one.settings == *wanted && one.book.is_of(wanted))
    }

    /// Whom a token names now.
    ///
    /// # Errors
    /// It isn't good.
    pub async fn known(&self, token: &[u8]) -> Result<Known, Refused> {
        let token = Compact::read(token)?;
        let name = token.issuer()?;
        let issuers = self.0.load_full();
        let issuer = issuers.iter().find(|one| one.settings.issuer == name);
        let issuer = issuer.ok_or(Refused::UnknownIssuer)?;
        if !issuer.settings.algorithms.contains(&token.algorithm) {
            return Err(Refused::Algorithm);
        }
        let key = issuer.key(&token).await?;
        key.verify(token.signed, &token.signature).map_err(|()| Refused::BadSignature)?;
        claims::check(&issuer.settings, &token.claims, Timestamp::now())
    }
}

impl Issuer {
    /// The key that a token names; asked for anew where it isn't known.
    async fn key(&self, token: &Compact<'_>) -> Result<Key, Refused> {
        let find = |keys: &KeySet| keys.find(token.kid.as_deref(), token.algorithm);
        match self.book.find(find) {
            Found::Here(key) => Ok(key),
            Found::Stale(asking) => {
                asking.await;
                match self.book.find(find) {
                    Found::Here(key) => Ok(key),
                    Found::Stale(_) | Found::Not(Refused::UnknownKey) => Err(Refused::UnknownKey),
                    Found::Not(refused) => Err(refused),
                }
            }
            Found::Not(refused) => Err(refused),
        }
    }
}
