//! Who is connected, and who makes room when there are too many: whoever has been quiet for longest, of the
//! address that has most connections. So a new request is always heard, however many are held open.
//!
//! Long answers have places of their own, and one address never has all of them; short ones, such as that
//! of `/livez`, need none.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use tokio::sync::Notify;

/// Connections at once.
pub(super) const MAX_CONNECTIONS: usize = 512;
/// Long answers at once. Who has one is not asked to make room, so this is well below the number of connections.
const MAX_ANSWERS: usize = 256;
/// Of these for one address.
const MAX_ANSWERS_OF_ONE: usize = 128;
/// How long a request waits for a place for its long answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Everybody who is connected.
#[derive(Debug, Clone, Default)]
pub(super) struct Crowd(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// A long answer has ended.
    ended: Notify,
}

#[derive(Debug, Default)]
struct State {
    connections: HashMap<u64, Connection>,
    /// How many each address has.
    of: HashMap<IpAddr, Share>,
    answers: usize,
    /// Counts arrivals and requests: what was heard later has the higher number.
    clock: u64,
}

#[derive(Debug, Default)]
struct Share {
    connections: usize,
    answers: usize,
}

#[derive(Debug)]
struct Connection {
    from: IpAddr,
    heard: u64,
    answers: usize,
    leave: Arc<Notify>,
}

/// One connection; it is counted until the last of these is dropped, or it has made room.
#[derive(Debug, Clone)]
pub(super) struct Guest(Arc<Seat>);

#[derive(Debug)]
struct Seat {
    crowd: Crowd,
    id: u64,
    from: IpAddr,
    address: IpAddr,
    leave: Arc<Notify>,
}

impl Crowd {
    /// A connection from an address. Another one makes room for it where there are too many.
    pub(super) fn join(&self, address: IpAddr) -> Guest {
        let (address, from) = (address.to_canonical(), network(address));
        let mut state = self.state();
        if state.connections.len() >= MAX_CONNECTIONS {
            state.make_room();
        }
        let (id, leave) = (state.tick(), Arc::new(Notify::new()));
        let connection = Connection { from, heard: id, answers: 0, leave: Arc::clone(&leave) };
        state.connections.insert(id, connection);
        state.of.entry(from).or_default().connections += 1;
        Guest(Arc::new(Seat { crowd: self.clone(), id, from, address, leave }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is complete before anything can panic.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// Sends away whoever has been quiet for longest: of the busiest address, if it has one that gets no long answer.
    fn make_room(&mut self) {
        let busiest = self.of.iter().max_by_key(|(_, share)| share.connections - share.answers.min(share.connections));
        let busiest = busiest.map(|(from, _)| *from);
        let quiet = self.connections.iter().filter(|(_, connection)| connection.answers == 0);
        let victim = quiet.min_by_key(|(_, connection)| (Some(connection.from) != busiest, connection.heard));
        if let Some(id) = victim.map(|(id, _)| *id) {
            self.remove(id);
        }
    }

    fn remove(&mut self, id: u64) {
        let Some(connection) = self.connections.remove(&id) else { return };
        connection.leave.notify_one();
        self.share(connection.from, |share| share.connections -= 1);
    }

    fn share(&mut self, from: IpAddr, change: impl FnOnce(&mut Share)) {
        let share = self.of.entry(from).or_default();
        change(share);
        if share.connections + share.answers == 0 {
            self.of.remove(&from);
        }
    }
}

impl Guest {
    /// Returns when this connection has to make room.
    pub(super) async fn sent_away(&self) {
        self.0.leave.notified().await;
    }

    /// The address that it comes from.
    pub(super) fn address(&self) -> IpAddr {
        self.0.address
    }

    /// A request came.
    pub(super) fn heard(&self) {
        let mut state = self.0.crowd.state();
        let now = state.tick();
        if let Some(connection) = state.connections.get_mut(&self.0.id) {
            connection.heard = now;
        }
    }

    /// A place for a long answer; `None` when there is none for too long.
    pub(super) async fn place(&self) -> Option<Place> {
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            let ended = self.0.crowd.0.ended.notified();
            if let Some(place) = self.try_place() {
                return Some(place);
            }
            tokio::time::timeout_at(until, ended).await.ok()?;
        }
    }

    fn try_place(&self) -> Option<Place> {
        let mut state = self.0.crowd.state();
        let of_this = state.of.get(&self.0.from).map_or(0, |share| share.answers);
        if state.answers >= MAX_ANSWERS || of_this >= MAX_ANSWERS_OF_ONE {
            return None;
        }
        // One that was sent away meanwhile gets no answer, and needs no place.
        state.connections.get_mut(&self.0.id)?.answers += 1;
        state.answers += 1;
        state.share(self.0.from, |share| share.answers += 1);
        Some(Place(self.clone()))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.crowd.state().remove(self.id);
    }
}

/// A place for a long answer, until it is dropped.
#[derive(Debug)]
pub(super) struct Place(Guest);

impl Drop for Place {
    fn drop(&mut self) {
        let seat = &self.0.0;
        let mut state = seat.crowd.state();
        if let Some(connection) = state.connections.get_mut(&seat.id) {
            connection.answers -= 1;
        }
        state.answers -= 1;
        state.share(seat.from, |share| share.answers -= 1);
        drop(state);
        seat.crowd.0.ended.notify_waiters();
    }
}

impl Place {
    /// The answer, which keeps the place until its last byte is handed on.
    pub(super) fn hold(self, answer: Response) -> Response {
        answer.map(|body| Body::new(Placed { body, _place: self }))
    }
}

struct Placed {
    body: Body,
    _place: Place,
}

impl hyper::body::Body for Placed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What counts as one address: with IPv6 everybody has a /64 of them.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    fn is_sent_away(guest: &Guest) -> bool {
        guest.sent_away().now_or_never().is_some()
    }

    #[test]
    fn whoever_is_quiet_longest_makes_room_in_the_busiest_address() {
        let crowd = Crowd::default();
        let lone = crowd.join(address(1));
        let many: Vec<Guest> = (1..MAX_CONNECTIONS).map(|_| crowd.join(address(2))).collect();
        many[0].heard();
        let late = crowd.join(address(3));
        assert!(is_sent_away(&many[1]), "it is the one that was heard first");
        assert!(!is_sent_away(&lone) && !is_sent_away(&many[0]) && !is_sent_away(&many[2]) && !is_sent_away(&late));
        assert_eq!(crowd.state().connections.len(), MAX_CONNECTIONS);
        drop((lone, many, late));
        let state = crowd.state();
        assert_eq!((state.connections.len(), state.of.len(), state.answers), (0, 0, 0), "nothing is counted for ever");
    }

    #[tokio::test(start_paused = true)]
    async fn one_address_never_has_all_places_and_who_has_one_stays() {
        let crowd = Crowd::default();
        let greedy: Vec<Guest> = (0..MAX_CONNECTIONS).map(|_| crowd.join(address(2))).collect();
        let mut places: Vec<Place> = greedy.iter().filter_map(Guest::try_place).collect();
        assert_eq!(places.len(), MAX_ANSWERS_OF_ONE);
        assert!(greedy[MAX_ANSWERS_OF_ONE].place().await.is_none(), "after some patience");
        let other = crowd.join(address(3));
        assert!(other.place().await.is_some());
        assert!(!is_sent_away(&greedy[0]) && is_sent_away(&greedy[MAX_ANSWERS_OF_ONE]));
        // Who waits for a place gets the one that becomes free.
        let waiting = greedy[MAX_ANSWERS_OF_ONE + 2].place();
        let ending = async { drop(places.pop()) };
        assert!(tokio::join!(waiting, ending).0.is_some());
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8:0:0:ffff::2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.2"), address(2));
    }
}
