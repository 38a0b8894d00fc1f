//! Keeping a token alive: renewed when two thirds of its time are over, replaced
//! when it can't be. Only a read that was answered asks for this, so an idle
//! source does nothing, and a task of its own does it, so no read waits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::super::answer::{self, Lease};
use super::super::client::{Call, send};
use super::{Inner, Login, Session, look_up};
use crate::credential::Credential;
use crate::source::SourceError;

/// How often at most a used token is compared with its file.
const LOOK: Duration = Duration::from_secs(5);
/// The longest pause after failures; they begin with one second and double.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// When a token wants care.
pub(super) struct Plan {
    /// From when on a use of the token asks for care; none: never.
    next: Option<Instant>,
    /// Whether Vault was asked for the lease, or told it.
    is_known: bool,
    /// When two thirds of the lease are over; none: it has no end.
    ripe: Option<Instant>,
    renewable: bool,
    /// The longest lease so far: a shorter one means that the maximum is near.
    longest: Duration,
    failures: u32,
}

impl Plan {
    /// Of a token whose lease isn't known yet.
    pub(super) fn unknown(now: Instant) -> Self {
        Self {
            next: Some(now),
            is_known: false,
            ripe: None,
            renewable: false,
            longest: Duration::ZERO,
            failures: 0,
        }
    }

    /// Of a token with a lease that counts from `asked`.
    pub(super) fn leased(lease: Lease, asked: Instant) -> Self {
        let mut plan = Self::unknown(asked);
        plan.take(lease, asked);
        plan
    }

    fn take(&mut self, lease: Lease, asked: Instant) {
        self.is_known = true;
        self.ripe = (!lease.ttl.is_zero()).then(|| asked + lease.ttl * 2 / 3);
        self.renewable = lease.renewable && lease.ttl >= self.longest;
        self.longest = self.longest.max(lease.ttl);
        self.next = self.ripe;
    }

    fn is_due(&self, now: Instant) -> bool {
        self.next.is_some_and(|next| next <= now)
    }

    fn is_ripe(&self, now: Instant) -> bool {
        self.ripe.is_some_and(|ripe| ripe <= now)
    }

    fn pause(&mut self, now: Instant) {
        let pause = Duration::from_secs(1 << self.failures.min(6)).min(MAX_PAUSE);
        self.failures = self.failures.saturating_add(1);
        self.next = Some(now + pause);
    }
}

impl Inner {
    /// Begins to care for the session's token if that is due and nobody does.
    pub(super) fn tend(self: &Arc<Self>, session: &Arc<Session>) {
        let Ok(mut plan) = Arc::clone(&session.plan).try_lock_owned() else { return };
        if !plan.is_due(Instant::now()) {
            return;
        }
        let (store, session) = (Arc::clone(self), Arc::clone(session));
        tokio::spawn(async move {
            let outcome = match &store.login {
                Login::Token(credential) => store.keep_token(credential, &session, &mut plan).await,
                Login::AppRole { .. } => store.keep_login(&session, &mut plan).await,
            };
            match outcome {
                Ok(()) => plan.failures = 0,
                // The token is used as long as it lives; a dead one is replaced by a read.
                Err(_) => plan.pause(Instant::now()),
            }
        });
    }

    /// Renews what a login gave, or logs in anew.
    async fn keep_login(&self, session: &Session, plan: &mut Plan) -> Result<(), SourceError> {
        let lengthened = plan.renewable && session.renew(plan).await?;
        // One that the maximum cut short isn't worth waiting for.
        if lengthened && plan.renewable {
            return Ok(());
        }
        self.session(session.number).await?;
        plan.next = None;
        Ok(())
    }

    /// Takes another token where there is one, and renews this one otherwise.
    async fn keep_token(
        &self,
        credential: &Credential,
        session: &Session,
        plan: &mut Plan,
    ) -> Result<(), SourceError> {
        // A file that is being written or is gone says nothing against the token.
        if let Ok(token) = self.load_token(credential).await
            && *token != session.client.middle.token
            && self.change(&token, session).await?
        {
            plan.next = None;
            return Ok(());
        }
        if !plan.is_known {
            let asked = Instant::now();
            match answer::looked_up(&look_up(&session.client).await?)? {
                Some(lease) => plan.take(lease, asked),
                None => plan.is_known = true,
            }
        }
        let now = Instant::now();
        if plan.renewable && plan.is_ripe(now) && !session.renew(plan).await? {
            plan.renewable = false;
        }
        let look = now + LOOK;
        let ripe = plan.ripe.filter(|_| plan.renewable);
        plan.next = Some(ripe.map_or(look, |ripe| ripe.min(look)));
        Ok(())
    }

    /// Goes on with another token, if Vault knows it.
    async fn change(&self, token: &str, session: &Session) -> Result<bool, SourceError> {
        let asked = Instant::now();
        let reply = look_up(&self.api.client(token)).await?;
        let Some(lease) = answer::looked_up(&reply)? else { return Ok(false) };
        let _one = self.logins.lock().await;
        if self.newer(session.number).await.is_none() {
            let mut plan = Plan::leased(lease, asked);
            plan.next = Some(plan.ripe.map_or(asked + LOOK, |ripe| ripe.min(asked + LOOK)));
            self.begin(token, plan).await;
        }
        Ok(true)
    }
}

impl Session {
    /// Asks for a longer life; false: Vault won't give it.
    async fn renew(&self, plan: &mut Plan) -> Result<bool, SourceError> {
        let call = Call {
            path: "auth/token/renew-self".to_owned(),
            query: None,
            body: Some(Zeroizing::new(b"{}".to_vec())),
        };
        let asked = Instant::now();
        let Some(lease) = answer::renewed(&send(&self.client, call).await?)? else {
            return Ok(false);
        };
        plan.take(lease, asked);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(ttl: u64, renewable: bool) -> Lease {
        Lease { ttl: Duration::from_secs(ttl), renewable }
    }

    #[test]
    fn care_is_due_after_two_thirds_of_a_lease() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let plan = Plan::leased(lease(30, true), start);
        assert!(!plan.is_due(after(19)));
        assert!(plan.is_due(after(20)) && plan.renewable);
        let endless = Plan::leased(lease(0, false), start);
        assert!(!endless.is_due(after(1_000_000)));
    }

    #[test]
    fn a_lease_cut_short_by_the_maximum_is_not_renewed_again() {
        let start = Instant::now();
        let mut plan = Plan::leased(lease(30, true), start);
        plan.take(lease(30, true), start);
        assert!(plan.renewable);
        plan.take(lease(12, true), start);
        assert!(!plan.renewable);
        assert!(plan.is_due(start + Duration::from_secs(8)));
    }

    #[test]
    fn pauses_double_up_to_a_minute() {
        let start = Instant::now();
        let mut plan = Plan::unknown(start);
        let pauses: Vec<_> = (0..8)
            .map(|_| {
                plan.pause(start);
                plan.next.unwrap().duration_since(start).as_secs()
            })
            .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
    }
}
