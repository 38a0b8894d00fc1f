//! Sealing a run's secrets for the store.
//!
//! A sealed record is format 1: a byte 1, the key's id (4 bytes), a random seed
//! (32 bytes), the number of items, and for each item its name and its
//! ciphertext, each behind its length of 4 bytes, big-endian. Each item has a
//! key of its own, HKDF-SHA256 of the sealing key with the seed as salt and the
//! run, the item's place and its name as info, used once with ChaCha20-Poly1305;
//! the same names are its associated data. The plaintext is its length, the
//! bytes, and zeros up to a multiple of 32: the length of a password doesn't
//! show.

use std::collections::HashMap;

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{hmac, rand};
use zeroize::Zeroizing;

use super::keys::SealingKey;
use crate::name::RunKey;
use crate::secret::SecretBytes;
use crate::value::binary::wire::{Malformed, Reader, put_bytes, put_count, put_u32};

const FORMAT: u8 = 1;
const SEED_BYTES: usize = 32;
const TAG_BYTES: usize = 16;
const BLOCK_BYTES: usize = 32;

/// Seals values, and authenticates the records beside them.
#[derive(Debug)]
pub struct Sealer {
    key: SealingKey,
}

/// The library can't seal: no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secrets can't be sealed: no random bytes")]
pub struct Unsealable;

/// Why what was sealed can't be had back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It needs another sealing key than the daemon has.
    #[error("the secrets were sealed with another sealing key than the one in `keys.sealing`")]
    KeyGone,
    /// It was changed, or belongs to another run.
    #[error("the sealed secrets were changed, or belong to another run")]
    Changed,
    /// A later release made it.
    #[error("the secrets were sealed by a later release of paramd")]
    NewerFormat,
    /// There is no such item in it.
    #[error("there is no such sealed item")]
    NoSuchItem,
}

impl From<Malformed> for Unreadable {
    fn from(_: Malformed) -> Self {
        Self::Changed
    }
}

impl Sealer {
    /// With this key.
    pub fn new(key: SealingKey) -> Self {
        Self { key }
    }

    /// The sealing key's id: 8 hex digits.
    pub fn key_id(&self) -> &str {
        self.key.id()
    }

    /// Seals items of a run, each under its name.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn seal(&self, run: &RunKey, items: &[(String, &[u8])]) -> Result<Vec<u8>, Unsealable> {
        let mut seed = [0; SEED_BYTES];
        rand::fill(&mut seed).map_err(|_| Unsealable)?;
        let mut out = vec![FORMAT];
        out.extend_from_slice(&self.id_bytes());
        out.extend_from_slice(&seed);
        put_count(&mut out, items.len());
        for (index, (name, plain)) in items.iter().enumerate() {
            let place = Place { run, seed: &seed, index, count: items.len(), name };
            let mut text = padded(plain);
            let aad = Aad::from(self.bound(&place));
            self.item_key(&place)
                .ok_or(Unsealable)?
                .seal_in_place_append_tag(only_nonce(), aad, &mut *text)
                .map_err(|_| Unsealable)?;
            put_bytes(&mut out, name.as_bytes());
            put_bytes(&mut out, &text);
        }
        Ok(out)
    }

    /// Opens all items of a run, in the order in which they were sealed.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn open(
        &self,
        run: &RunKey,
        sealed: &[u8],
    ) -> Result<Vec<(String, SecretBytes)>, Unreadable> {
        let record = self.record(sealed)?;
        let open = |index: usize, item: &Item<'_>| {
            Ok((item.name.to_owned(), self.open_at(run, &record, index, item)?))
        };
        record.items.iter().enumerate().map(|(index, item)| open(index, item)).collect()
    }

    /// Opens one item of a run, and looks at no other.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn open_item(
        &self,
        run: &RunKey,
        sealed: &[u8],
        name: &str,
    ) -> Result<SecretBytes, Unreadable> {
        self.opener(run, sealed)?.open(name)
    }

    /// Reads where the items of a run are, for whoever opens several of them.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn opener<'a>(
        &'a self,
        run: &'a RunKey,
        sealed: &'a [u8],
    ) -> Result<Opener<'a>, Unreadable> {
        let record = self.record(sealed)?;
        let names = record.items.iter().enumerate().map(|(index, item)| (item.name, index));
        Ok(Opener { sealer: self, run, places: names.collect(), record })
    }

    /// Closes a few bytes for a caller to bring back who is not to read them.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn veil(&self, plain: &[u8]) -> Result<Vec<u8>, Unsealable> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).map_err(|_| Unsealable)?;
        let mut text = plain.to_vec();
        self.veil_key()
            .ok_or(Unsealable)?
            .seal_in_place_append_tag(Nonce::from(&nonce), Aad::empty(), &mut text)
            .map_err(|_| Unsealable)?;
        Ok([nonce.as_slice(), &text].concat())
    }

    /// The bytes that were closed; none: they were changed, or closed with another
    /// key.
    pub fn unveil(&self, veiled: &[u8]) -> Option<Vec<u8>> {
        let (nonce, text) = veiled.split_first_chunk::<NONCE_LEN>()?;
        let mut text = text.to_vec();
        let key = self.veil_key()?;
        let plain = key.open_in_place(Nonce::from(nonce), Aad::empty(), &mut text).ok()?;
        Some(plain.to_vec())
    }

    fn veil_key(&self) -> Option<LessSafeKey> {
        let key = self.key.derive(&[], &[b"veil"]);
        UnboundKey::new(&CHACHA20_POLY1305, key.as_slice()).ok().map(LessSafeKey::new)
    }

    /// What shows later that a record of a run is as it was: keep it beside the
    /// record.
    pub fn authenticate(&self, run: &RunKey, bytes: &[u8]) -> [u8; 32] {
        let tag = hmac::sign(&self.record_key(run), bytes);
        tag.as_ref().first_chunk().copied().unwrap_or_default()
    }

    /// Whether a record of a run is as it was when it was authenticated.
    pub fn verify(&self, run: &RunKey, bytes: &[u8], tag: &[u8; 32]) -> bool {
        hmac::verify(&self.record_key(run), bytes, tag).is_ok()
    }

    fn record_key(&self, run: &RunKey) -> hmac::Key {
        let derived = self.key.derive(&[], &[b"record", &run_bytes(run)]);
        hmac::Key::new(hmac::HMAC_SHA256, derived.as_slice())
    }

    fn id_bytes(&self) -> [u8; 4] {
        u32::from_str_radix(self.key.id(), 16).unwrap_or(0).to_be_bytes()
    }

    fn record<'a>(&self, sealed: &'a [u8]) -> Result<Record<'a>, Unreadable> {
        let mut reader = Reader::new(sealed);
        if reader.byte()? != FORMAT {
            return Err(Unreadable::NewerFormat);
        }
        if reader.array()? != self.id_bytes() {
            return Err(Unreadable::KeyGone);
        }
        let seed = reader.array()?;
        let item = |reader: &mut Reader<'a>| -> Result<Item<'a>, Malformed> {
            Ok(Item { name: reader.text()?, cipher: reader.bytes()? })
        };
        let items = (0..reader.count()?).map(|_| item(&mut reader)).collect::<Result<_, _>>()?;
        reader.end()?;
        Ok(Record { seed, items })
    }

    fn open_at(
        &self,
        run: &RunKey,
        record: &Record<'_>,
        index: usize,
        item: &Item<'_>,
    ) -> Result<SecretBytes, Unreadable> {
        let (seed, count) = (&record.seed, record.items.len());
        let place = Place { run, seed, index, count, name: item.name };
        let key = self.item_key(&place).ok_or(Unreadable::Changed)?;
        let mut text = Zeroizing::new(item.cipher.to_vec());
        let aad = Aad::from(self.bound(&place));
        let plain =
            key.open_in_place(only_nonce(), aad, &mut text).map_err(|_| Unreadable::Changed)?;
        Ok(SecretBytes::new(unpadded(plain)?.to_vec()))
    }

    fn item_key(&self, place: &Place<'_>) -> Option<LessSafeKey> {
        let info: [&[u8]; 2] = [b"item", &self.bound(place)];
        let derived = self.key.derive(place.seed, &info);
        let key = UnboundKey::new(&CHACHA20_POLY1305, derived.as_slice()).ok()?;
        Some(LessSafeKey::new(key))
    }

    /// All that an item is bound to, joined without doubt.
    fn bound(&self, place: &Place<'_>) -> Vec<u8> {
        let mut out = vec![FORMAT];
        out.extend_from_slice(&self.id_bytes());
        put_bytes(&mut out, &run_bytes(place.run));
        put_count(&mut out, place.index);
        put_count(&mut out, place.count);
        put_bytes(&mut out, place.name.as_bytes());
        out
    }
}

/// The items of a run, each opened when it is asked for.
pub struct Opener<'a> {
    sealer: &'a Sealer,
    run: &'a RunKey,
    record: Record<'a>,
    places: HashMap<&'a str, usize>,
}

impl Opener<'_> {
    /// Opens one item.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn open(&self, name: &str) -> Result<SecretBytes, Unreadable> {
        let index = *self.places.get(name).ok_or(Unreadable::NoSuchItem)?;
        let item = self.record.items.get(index).ok_or(Unreadable::NoSuchItem)?;
        self.sealer.open_at(self.run, &self.record, index, item)
    }
}

/// Where an item is.
struct Place<'a> {
    run: &'a RunKey,
    seed: &'a [u8; SEED_BYTES],
    index: usize,
    count: usize,
    name: &'a str,
}

struct Record<'a> {
    seed: [u8; SEED_BYTES],
    items: Vec<Item<'a>>,
}

struct Item<'a> {
    name: &'a str,
    cipher: &'a [u8],
}

/// Each key seals once, so that its nonce may be always the same.
fn only_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

fn run_bytes(run: &RunKey) -> Vec<u8> {
    let mut out = Vec::new();
    put_bytes(&mut out, run.pipeline.as_str().as_bytes());
    put_bytes(&mut out, run.run_id.as_str().as_bytes());
    put_u32(&mut out, run.attempt);
    out
}

fn padded(plain: &[u8]) -> Zeroizing<Vec<u8>> {
    let size = (4 + plain.len()).next_multiple_of(BLOCK_BYTES);
    // With room for the tag: growing would leave a copy behind.
    let mut text = Zeroizing::new(Vec::with_capacity(size + TAG_BYTES));
    put_bytes(&mut text, plain);
    text.resize(size, 0);
    text
}

fn unpadded(text: &[u8]) -> Result<&[u8], Malformed> {
    Reader::new(text).bytes()
}

#[cfg(test)]
mod tests;
