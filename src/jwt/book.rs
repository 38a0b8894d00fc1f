//! The keys of one issuer as they are known now.
//!
//! A file is looked at again once a second at most, like that of tokens. An address
//! is asked by one task alone: every so often, and when a token names a key that
//! isn't known, which strangers can cause as often as they like and which counts
//! once in a while. Who waits for it waits apart from all others.

use std::future::Future;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinHandle;

use super::fetch::{FetchError, Place, read_ca};
use super::keys::{Key, KeySet};
use super::{IssuerSettings, KeyPlace, MAX_KEYS_MIB, Refused};
use crate::credential::whole_file;
use crate::name::IssuerName;

/// How old the last look at a file may be.
const FRESH: Duration = Duration::from_secs(1);

/// How an address is treated.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manners {
    /// How often a token with an unknown key has it asked.
    pub(super) asked_every: Duration,
    /// How soon it is asked again after it gave nothing.
    pub(super) again_after: Duration,
    /// How long what it gave is believed while it gives nothing more.
    pub(super) believed_for: Duration,
    /// How many requests may wait for its answer.
    pub(super) waiters: usize,
}

pub(super) const MANNERS: Manners = Manners {
    asked_every: Duration::from_secs(10),
    again_after: Duration::from_secs(10),
    believed_for: Duration::from_secs(4 * 3_600),
    waiters: 64,
};

/// What a book says of a key.
pub(super) enum Found<'b> {
    /// It is here.
    Here(Key),
    /// It isn't, and the place is being asked: look again after this.
    Stale(Pin<Box<dyn Future<Output = ()> + Send + 'b>>),
    /// It isn't.
    Not(Refused),
}

/// The keys of an issuer.
pub(super) enum Book {
    /// From a file.
    File(FileBook),
    /// From an address.
    Url(UrlBook),
}

impl Book {
    /// The book of these settings: the one that is kept, if it is that.
    pub(super) fn open(
        settings: &IssuerSettings,
        kept: Option<&Arc<Self>>,
    ) -> Result<Arc<Self>, String> {
        if let Some(kept) = kept.filter(|kept| kept.is_of(settings)) {
            return Ok(Arc::clone(kept));
        }
        Ok(Arc::new(match &settings.keys {
            KeyPlace::File(path) => Self::File(FileBook::new(&settings.name, path)),
            KeyPlace::Url { url, ca, refresh } => {
                let pem = ca.as_deref().map(read_ca).transpose()?;
                let place = Place::new(url, pem.as_deref())?;
                let made_of = (settings.keys.clone(), pem);
                Self::Url(UrlBook::new(&settings.name, place, *refresh, MANNERS, made_of))
            }
        }))
    }

    /// Whether it is the book of these settings, and of the files that they name.
    pub(super) fn is_of(&self, settings: &IssuerSettings) -> bool {
        match (self, &settings.keys) {
            (Self::File(book), KeyPlace::File(path)) => book.path == *path,
            (Self::Url(book), KeyPlace::Url { ca, .. }) => {
                let pem = ca.as_deref().map(read_ca).transpose();
                pem.is_ok_and(|pem| book.made_of == (settings.keys.clone(), pem))
            }
            _ => false,
        }
    }

    /// The key that `find` finds.
    pub(super) fn find(&self, find: impl Fn(&KeySet) -> Result<Key, Refused>) -> Found<'_> {
        match self {
            Self::File(book) => match book.keys() {
                Some(keys) => find(&keys).map_or_else(Found::Not, Found::Here),
                None => Found::Not(Refused::NoKeys),
            },
            Self::Url(book) => book.find(find),
        }
    }
}

/// A file of keys.
pub(super) struct FileBook {
    issuer: IssuerName,
    path: PathBuf,
    seen: Mutex<Seen>,
}

/// What was seen of a file.
#[derive(Default)]
struct Seen {
    looked: Option<Instant>,
    stamp: Option<Stamp>,
    /// None: it can't be used, so that no token is good: what it says may be that a
    /// key is good no more.
    keys: Option<Arc<KeySet>>,
}

/// What tells one state of a file from another.
type Stamp = (u64, u64, i64, i64, i64, i64);

impl FileBook {
    fn new(issuer: &IssuerName, path: &Path) -> Self {
        let book = Self { issuer: issuer.clone(), path: path.to_owned(), seen: Mutex::default() };
        // What is wrong with it is told at the start, and not by the first token.
        book.keys();
        book
    }

    fn keys(&self) -> Option<Arc<KeySet>> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.looked.is_none_or(|looked| looked.elapsed() >= FRESH) {
            let is_first = seen.looked.is_none();
            seen.looked = Some(Instant::now());
            let stamp = stamp(&self.path);
            if is_first || stamp != seen.stamp {
                seen.stamp = stamp;
                seen.keys = self.read();
            }
        }
        seen.keys.clone()
    }

    fn read(&self) -> Option<Arc<KeySet>> {
        let text = whole_file(&self.path, MAX_KEYS_MIB);
        let keys = text.and_then(|text| KeySet::read(&text).map_err(|error| error.to_string()));
        let (issuer, file) = (&self.issuer, self.path.display());
        match keys {
            Ok(keys) => {
                tracing::info!(%issuer, keys = keys.count(), "an issuer's keys were read");
                Some(Arc::new(keys))
            }
            Err(why) => {
                tracing::warn!(%issuer, %file, why, "an issuer's keys can't be used: none of its tokens is good until this is mended");
                None
            }
        }
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let found = std::fs::metadata(path).ok()?;
    let (modified, changed) = (found.mtime_nsec(), found.ctime_nsec());
    Some((found.ino(), found.size(), found.mtime(), modified, found.ctime(), changed))
}

/// An address of keys.
pub(super) struct UrlBook {
    made_of: (KeyPlace, Option<Vec<u8>>),
    manners: Manners,
    held: watch::Receiver<Held>,
    pace: Arc<Mutex<Pace>>,
    wake: Arc<Notify>,
    waiters: Semaphore,
    task: JoinHandle<()>,
}

/// What the address gave.
#[derive(Clone, Default)]
struct Held {
    keys: Option<Arc<KeySet>>,
    /// When it gave them.
    given: Option<Instant>,
    /// How many answers there were.
    answers: u64,
}

/// How often tokens had it asked.
#[derive(Default)]
struct Pace {
    last: Option<Instant>,
    /// It was, and there is no answer yet.
    under_way: bool,
}

impl Drop for UrlBook {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl UrlBook {
    pub(super) fn new(
        issuer: &IssuerName,
        place: Place,
        refresh: Duration,
        manners: Manners,
        made_of: (KeyPlace, Option<Vec<u8>>),
    ) -> Self {
        let (sender, held) = watch::channel(Held::default());
        let (pace, wake) = (Arc::default(), Arc::default());
        let keeper = Keeper {
            issuer: issuer.clone(),
            place,
            refresh,
            again_after: manners.again_after.min(refresh),
            held: sender,
            pace: Arc::clone(&pace),
            wake: Arc::clone(&wake),
            failing: None,
        };
        let task = tokio::spawn(keeper.run());
        let waiters = Semaphore::new(manners.waiters);
        Self { made_of, manners, held, pace, wake, waiters, task }
    }

    fn find(&self, find: impl Fn(&KeySet) -> Result<Key, Refused>) -> Found<'_> {
        let held = self.held.borrow().clone();
        let believed = held.given.is_some_and(|at| at.elapsed() <= self.manners.believed_for);
        let refused = match held.keys.filter(|_| believed) {
            Some(keys) => match find(&keys) {
                Ok(key) => return Found::Here(key),
                Err(refused) => refused,
            },
            None => Refused::NoKeys,
        };
        let Ok(place) = self.waiters.try_acquire() else { return Found::Not(refused) };
        let Some(mut news) = self.news(held.answers) else { return Found::Not(refused) };
        Found::Stale(Box::pin(async move {
            // An error: nobody asks any more.
            let _ = news.changed().await;
            drop(place);
        }))
    }

    /// Tells of the next answer after so many, where one is to come.
    fn news(&self, seen: u64) -> Option<watch::Receiver<Held>> {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let mut news = self.held.clone();
        let answers = news.borrow_and_update().answers;
        if answers != seen {
            // It came in between.
            news.mark_changed();
        } else if answers > 0 && !pace.under_way {
            if pace.last.is_some_and(|last| last.elapsed() < self.manners.asked_every) {
                return None;
            }
            pace.last = Some(Instant::now());
            pace.under_way = true;
            self.wake.notify_one();
        }
        Some(news)
    }
}

/// Asks an address for ever.
struct Keeper {
    issuer: IssuerName,
    place: Place,
    refresh: Duration,
    again_after: Duration,
    held: watch::Sender<Held>,
    pace: Arc<Mutex<Pace>>,
    wake: Arc<Notify>,
    /// Why it gave nothing the last time; told once.
    failing: Option<FetchError>,
}

impl Keeper {
    async fn run(mut self) {
        loop {
            let answer = self.place.ask().await;
            let pause = if answer.is_ok() { self.refresh } else { self.again_after };
            self.take(answer);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.wake.notified() => {}
            }
        }
    }

    fn take(&mut self, answer: Result<KeySet, FetchError>) {
        let issuer = &self.issuer;
        let keys = match answer {
            Ok(keys) => {
                if self.failing.take().is_some() || self.held.borrow().keys.is_none() {
                    tracing::info!(%issuer, keys = keys.count(), "an issuer's keys were fetched");
                }
                Some(Arc::new(keys))
            }
            Err(why) => {
                if self.failing.replace(why) != Some(why) {
                    tracing::warn!(%issuer, %why, "an issuer's keys can't be fetched; the last ones are believed for 4 hours");
                }
                None
            }
        };
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        pace.under_way = false;
        self.held.send_modify(|held| {
            held.answers += 1;
            if let Some(keys) = keys {
                held.given = Some(Instant::now());
                held.keys = Some(keys);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::Algorithm;

    const KEYS: &[u8] = br#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

    /// A book whose address is this test.
    fn book(manners: Manners) -> (UrlBook, watch::Sender<Held>) {
        let (sender, held) = watch::channel(Held::default());
        let book = UrlBook {
            made_of: (KeyPlace::File("/nowhere".into()), None),
            manners,
            held,
            pace: Arc::default(),
            wake: Arc::default(),
            waiters: Semaphore::new(manners.waiters),
            task: tokio::spawn(std::future::pending()),
        };
        (book, sender)
    }

    fn answer(book: &UrlBook, sender: &watch::Sender<Held>, keys: Option<&[u8]>) {
        book.pace.lock().unwrap().under_way = false;
        sender.send_modify(|held| {
            held.answers += 1;
            if let Some(keys) = keys {
                held.keys = Some(Arc::new(KeySet::read(keys).unwrap()));
                held.given = Some(Instant::now());
            }
        });
    }

    fn find<'b>(book: &'b UrlBook, kid: &str) -> Found<'b> {
        book.find(|keys| keys.find(Some(kid), Algorithm::EdDsa))
    }

    #[tokio::test]
    async fn keys_are_believed_for_a_time() {
        let short = Duration::from_millis(200);
        let (book, sender) = book(Manners { believed_for: short, asked_every: short, ..MANNERS });
        answer(&book, &sender, Some(KEYS));
        assert!(matches!(find(&book, "k"), Found::Here(_)));
        answer(&book, &sender, None);
        assert!(matches!(find(&book, "k"), Found::Here(_)), "it gave none this time");
        tokio::time::sleep(2 * short).await;
        assert!(matches!(find(&book, "k"), Found::Stale(_)));
        answer(&book, &sender, None);
        assert!(matches!(find(&book, "k"), Found::Not(Refused::NoKeys)));
        answer(&book, &sender, Some(KEYS));
        assert!(matches!(find(&book, "k"), Found::Here(_)));
    }

    #[tokio::test]
    async fn an_unknown_key_has_the_address_asked_once_and_so_many_wait() {
        let (book, sender) = book(Manners { waiters: 2, ..MANNERS });
        let first = [find(&book, "k"), find(&book, "k")];
        assert!(first.iter().all(|one| matches!(one, Found::Stale(_))), "the first answer comes");
        assert!(matches!(find(&book, "k"), Found::Not(Refused::NoKeys)), "a third one waits");
        answer(&book, &sender, Some(KEYS));
        for one in first {
            let Found::Stale(asking) = one else { panic!() };
            asking.await;
        }
        assert!(matches!(find(&book, "k"), Found::Here(_)));
        let waiting = find(&book, "other");
        assert!(matches!(waiting, Found::Stale(_)));
        assert!(matches!(find(&book, "k"), Found::Here(_)), "who has a key that is known waits");
        answer(&book, &sender, Some(KEYS));
        let Found::Stale(asking) = waiting else { panic!() };
        asking.await;
        assert!(matches!(find(&book, "other"), Found::Not(Refused::UnknownKey)), "asked again");
        assert!(matches!(find(&book, "third"), Found::Not(Refused::UnknownKey)), "asked again");
    }
}
