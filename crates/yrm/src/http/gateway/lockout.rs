//! Addresses that fail too often to show who they are wait for a while: nobody guesses a token that way, and nobody has the
//! bucket asked at no cost.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::http::crowd::network;

/// So many failures …
const FAILURES: u32 = 20;
/// … within this …
const WITHIN: Duration = Duration::from_mins(1);
/// … lock an address out for so long.
pub(super) const LOCKED: Duration = Duration::from_mins(1);
/// Addresses that are kept in mind, at most.
const ADDRESSES: usize = 10_000;

/// Who failed lately.
#[derive(Debug, Default)]
pub(super) struct Lockout(Mutex<HashMap<IpAddr, Failures>>);

#[derive(Debug)]
struct Failures {
    since: Instant,
    count: u32,
}

impl Failures {
    fn is_locked(&self) -> bool {
        self.count >= FAILURES && self.since.elapsed() < LOCKED
    }
}

impl Lockout {
    /// Whether this address has to wait.
    pub(super) fn is_locked(&self, from: IpAddr) -> bool {
        self.failures().get(&network(from)).is_some_and(Failures::is_locked)
    }

    /// Somebody there could not show who they are.
    pub(super) fn failed(&self, from: IpAddr) {
        let from = network(from);
        let mut all = self.failures();
        if all.len() >= ADDRESSES && !all.contains_key(&from) {
            all.retain(|_, failures| failures.since.elapsed() < WITHIN);
            if all.len() >= ADDRESSES {
                // So many at once are one attack; none of them has a memory to itself.
                all.clear();
            }
        }
        let failures = all.entry(from).or_insert(Failures { since: Instant::now(), count: 0 });
        if failures.since.elapsed() >= WITHIN {
            *failures = Failures { since: Instant::now(), count: 0 };
        }
        failures.count += 1;
        if failures.count == FAILURES {
            // The wait begins with the last of them.
            failures.since = Instant::now();
            tracing::warn!(%from, "failed {FAILURES} times to show who it is; it waits for {} s", LOCKED.as_secs());
        }
    }

    fn failures(&self) -> MutexGuard<'_, HashMap<IpAddr, Failures>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_address_that_fails_too_often_waits_and_others_do_not() {
        let lockout = Lockout::default();
        let [bad, good] = [1, 2].map(|last| IpAddr::from([192, 0, 2, last]));
        for _ in 1..FAILURES {
            lockout.failed(bad);
        }
        assert!(!lockout.is_locked(bad));
        lockout.failed(bad);
        assert!(lockout.is_locked(bad) && !lockout.is_locked(good));
        tokio::time::advance(LOCKED).await;
        assert!(!lockout.is_locked(bad));
        lockout.failed(bad);
        assert!(!lockout.is_locked(bad), "it begins anew");
        // A failure now and then locks nobody out.
        for _ in 0..3 * FAILURES {
            tokio::time::advance(WITHIN / 10).await;
            lockout.failed(good);
            assert!(!lockout.is_locked(good));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_ipv6_network_is_one_address() {
        let lockout = Lockout::default();
        for host in 0..u16::try_from(FAILURES).unwrap() {
            lockout.failed(IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, host]));
        }
        assert!(lockout.is_locked(IpAddr::from([0x2001, 0xdb8, 0, 0, 7, 7, 7, 7])));
        assert!(!lockout.is_locked(IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, 1])));
    }

    #[tokio::test(start_paused = true)]
    async fn many_addresses_take_little_memory() {
        let lockout = Lockout::default();
        for address in 0..3 * u32::try_from(ADDRESSES).unwrap() {
            lockout.failed(IpAddr::V4(address.into()));
        }
        assert!(lockout.failures().len() <= ADDRESSES);
    }
}
