//! Addresses of objects in S3, kept for a part of the time that they are valid for: signing one anew takes longer than all
//! the rest of an answer, and a package that one client installs a hundred others install too.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::HeaderValue;
use tokio::time::Instant;

use crate::error::{Error, ErrorKind, Result};
use crate::store::links::{Links, Method};

/// Addresses are valid for so long: whoever is given one that was kept has four minutes to begin with it.
const VALID: Duration = Duration::from_mins(5);
/// How long an age lasts; an address is kept for two of them, which is under a minute.
const AGE: Duration = Duration::from_secs(29);
/// How many are kept, twice; an address has a kilobyte, with a session's token two.
const KEPT: usize = 2_048;

/// See the module.
#[derive(Debug)]
pub(super) struct Addresses {
    links: Arc<dyn Links>,
    known: Mutex<Known>,
}

/// In two ages, of which the older is dropped as a whole: so nothing has to be looked through.
#[derive(Debug)]
struct Known {
    since: Instant,
    young: [HashMap<String, HeaderValue>; 2],
    old: [HashMap<String, HeaderValue>; 2],
}

impl Addresses {
    pub(super) fn new(links: Arc<dyn Links>) -> Self {
        Self {
            links,
            known: Mutex::new(Known { since: Instant::now(), young: Default::default(), old: Default::default() }),
        }
    }

    /// The address of an object, for at most [`VALID`]. No log shows it.
    pub(super) async fn of(&self, method: Method, key: &str) -> Result<HeaderValue> {
        if let Some(address) = self.known_of(method, key) {
            return Ok(address);
        }
        let began = Instant::now();
        let link = self.links.link(method, key, VALID).await?;
        let mut address = HeaderValue::try_from(link.expose())
            .map_err(|error| Error::new(ErrorKind::Internal, "making an address").because(error))?;
        address.set_sensitive(true);
        // One that ends with the credentials is made anew: the next ones may be there.
        if link.valid() == VALID {
            self.known().keep(method, key, (address.clone(), began));
        }
        Ok(address)
    }

    /// The address, if it was made lately.
    pub(super) fn known_of(&self, method: Method, key: &str) -> Option<HeaderValue> {
        self.known().get(method, key)
    }

    /// S3 does not take this object's address any more.
    pub(super) fn forget(&self, method: Method, key: &str) {
        let mut known = self.known();
        let Known { young, old, .. } = &mut *known;
        for age in [young, old] {
            age[method as usize].remove(key);
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Every change is complete before anything can panic.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn get(&mut self, method: Method, key: &str) -> Option<HeaderValue> {
        self.age(Instant::now());
        let at = method as usize;
        self.young[at].get(key).or_else(|| self.old[at].get(key)).cloned()
    }

    fn keep(&mut self, method: Method, key: &str, (address, began): (HeaderValue, Instant)) {
        self.age(Instant::now());
        if self.young.iter().map(HashMap::len).sum::<usize>() >= KEPT {
            self.turn();
        }
        // It may have taken long; the age that it joins may have begun since.
        if began.elapsed() < Duration::from_secs(1) {
            self.young[method as usize].insert(key.to_owned(), address);
        }
    }

    fn age(&mut self, now: Instant) {
        if now.duration_since(self.since) >= AGE {
            self.turn();
            if now.duration_since(self.since) >= 2 * AGE {
                self.old = Default::default();
            }
            self.since = now;
        }
    }

    fn turn(&mut self) {
        self.old = std::mem::take(&mut self.young);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;

    use super::*;
    use crate::store::links::Link;

    /// Numbers what it makes.
    #[derive(Debug, Default)]
    struct Numbered {
        made: AtomicUsize,
        ends_after: Option<Duration>,
    }

    #[async_trait]
    impl Links for Numbered {
        async fn link(&self, method: Method, key: &str, valid: Duration) -> Result<Link> {
            let number = self.made.fetch_add(1, Ordering::Relaxed);
            let valid = self.ends_after.map_or(valid, |ends| ends.min(valid));
            Ok(Link::new(format!("{}/{key}?{number}", method.name()), valid))
        }
    }

    async fn told(addresses: &Addresses, method: Method, key: &str) -> String {
        addresses.of(method, key).await.unwrap().to_str().unwrap().to_owned()
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_is_given_again_for_a_minute_at_most() {
        let addresses = Addresses::new(Arc::new(Numbered::default()));
        assert_eq!(told(&addresses, Method::Get, "a").await, "GET/a?0");
        assert_eq!(told(&addresses, Method::Get, "a").await, "GET/a?0");
        assert_eq!(told(&addresses, Method::Head, "a").await, "HEAD/a?1", "an address is for one method");
        assert_eq!(told(&addresses, Method::Get, "b").await, "GET/b?2");
        addresses.forget(Method::Get, "b");
        assert_eq!(told(&addresses, Method::Get, "b").await, "GET/b?3");
        // However often it is asked for, no client has less than four minutes left.
        let (mut made, mut last) = (Instant::now(), "GET/a?0".to_owned());
        for _ in 0..1_000 {
            tokio::time::advance(Duration::from_secs(1)).await;
            let address = told(&addresses, Method::Get, "a").await;
            if address != last {
                (made, last) = (Instant::now(), address);
            }
            assert!(made.elapsed() <= Duration::from_mins(1), "{:?}", made.elapsed());
        }
        tokio::time::advance(Duration::from_hours(1)).await;
        assert_ne!(told(&addresses, Method::Get, "a").await, last);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_ends_with_the_credentials_is_not_given_again() {
        let links = Numbered { ends_after: Some(Duration::from_mins(1)), ..Numbered::default() };
        let addresses = Addresses::new(Arc::new(links));
        assert_eq!(told(&addresses, Method::Get, "a").await, "GET/a?0");
        assert_eq!(told(&addresses, Method::Get, "a").await, "GET/a?1");
    }

    #[tokio::test(start_paused = true)]
    async fn many_keys_take_little_memory() {
        let addresses = Addresses::new(Arc::new(Numbered::default()));
        for number in 0..5 * KEPT {
            told(&addresses, Method::Get, &number.to_string()).await;
        }
        let known = addresses.known();
        let kept: usize = known.young.iter().chain(&known.old).map(HashMap::len).sum();
        assert!((KEPT..=2 * KEPT).contains(&kept), "{kept}");
    }
}
