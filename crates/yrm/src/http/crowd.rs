//! Who is connected, and who makes room when there are too many: whoever has been quiet for longest, of the
//! address that has most connections. So a new request is always heard, however many are held open.
//!
//! Long answers have places of their own, and one address never has all of them; short ones, such as that
//! of `/livez`, need none.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use tokio::sync::Notify;

/// How many may be there at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Connections.
    pub(super) connections: usize,
    /// Long answers. Who has one is not asked to make room, so this is well below the number of connections.
    answers: usize,
    /// Of these for one address.
    answers_of_one: usize,
}

impl Limits {
    /// Of a service whose answers are an operator's, and a directory's files.
    pub(super) const FEW: Self = Self { connections: 512, answers: 256, answers_of_one: 128 };
    /// Of a gateway: a whole office, or all machines behind one router, are one address.
    pub(super) const MANY: Self = Self { connections: 2_048, answers: 1_024, answers_of_one: 512 };
}

/// How long a request waits for a place for its long answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Everybody who is connected.
#[derive(Debug, Clone)]
pub(super) struct Crowd(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limits: Limits,
    state: Mutex<State>,
    /// A long answer has ended.
    ended: Notify,
}

#[derive(Debug, Default)]
struct State {
    connections: HashMap<u64, Connection>,
    /// How many each address has.
    of: HashMap<IpAddr, Share>,
    /// Long answers, by who asks: behind a proxy not the address of the connection.
    answering: HashMap<IpAddr, usize>,
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
    pub(super) fn new(limits: Limits) -> Self {
        Self(Arc::new(Shared { limits, state: Mutex::default(), ended: Notify::new() }))
    }

    /// A connection from an address. Another one makes room for it where there are too many.
    pub(super) fn join(&self, address: IpAddr) -> Guest {
        let (address, from) = (address.to_canonical(), network(address));
        let mut state = self.state();
        if state.connections.len() >= self.0.limits.connections {
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

    /// A place for a long answer to who asks from an address, which is another than the connection's behind a proxy that is
    /// believed; `None` when there is none for too long.
    pub(super) async fn place(&self, asking: IpAddr) -> Option<Place> {
        let asking = network(asking);
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            let ended = self.0.crowd.0.ended.notified();
            if let Some(place) = self.try_place(asking) {
                return Some(place);
            }
            tokio::time::timeout_at(until, ended).await.ok()?;
        }
    }

    fn try_place(&self, asking: IpAddr) -> Option<Place> {
        let (mut state, limits) = (self.0.crowd.state(), self.0.crowd.0.limits);
        let of_this = state.answering.get(&asking).copied().unwrap_or(0);
        if state.answers >= limits.answers || of_this >= limits.answers_of_one {
            return None;
        }
        // One that was sent away meanwhile gets no answer, and needs no place.
        state.connections.get_mut(&self.0.id)?.answers += 1;
        state.answers += 1;
        state.share(self.0.from, |share| share.answers += 1);
        *state.answering.entry(asking).or_default() += 1;
        Some(Place { guest: self.clone(), asking })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.crowd.state().remove(self.id);
    }
}

/// A place for a long answer, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    guest: Guest,
    asking: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let seat = &self.guest.0;
        let mut state = seat.crowd.state();
        if let Some(connection) = state.connections.get_mut(&seat.id) {
            connection.answers -= 1;
        }
        state.answers -= 1;
        state.share(seat.from, |share| share.answers -= 1);
        if let Entry::Occupied(mut of_this) = state.answering.entry(self.asking) {
            *of_this.get_mut() -= 1;
            if *of_this.get() == 0 {
                of_this.remove();
            }
        }
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
        let crowd = Crowd::new(Limits::FEW);
        let lone = crowd.join(address(1));
        let many: Vec<Guest> = (1..Limits::FEW.connections).map(|_| crowd.join(address(2))).collect();
        many[0].heard();
        let late = crowd.join(address(3));
        assert!(is_sent_away(&many[1]), "it is the one that was heard first");
        assert!(!is_sent_away(&lone) && !is_sent_away(&many[0]) && !is_sent_away(&many[2]) && !is_sent_away(&late));
        assert_eq!(crowd.state().connections.len(), Limits::FEW.connections);
        drop((lone, many, late));
        let state = crowd.state();
        let counted = (state.connections.len(), state.of.len(), state.answers, state.answering.len());
        assert_eq!(counted, (0, 0, 0, 0), "nothing is counted for ever");
    }

    #[tokio::test(start_paused = true)]
    async fn one_address_never_has_all_places_and_who_has_one_stays() {
        let crowd = Crowd::new(Limits::FEW);
        let greedy: Vec<Guest> = (0..Limits::FEW.connections).map(|_| crowd.join(address(2))).collect();
        let mut places: Vec<Place> = greedy.iter().filter_map(|guest| guest.try_place(address(2))).collect();
        assert_eq!(places.len(), Limits::FEW.answers_of_one);
        assert!(greedy[Limits::FEW.answers_of_one].place(address(2)).await.is_none(), "after some patience");
        let other = crowd.join(address(3));
        assert!(other.place(address(3)).await.is_some());
        assert!(!is_sent_away(&greedy[0]) && is_sent_away(&greedy[Limits::FEW.answers_of_one]));
        // Behind a proxy everybody is who they are: this is the greedy one's connection, and another's answer.
        assert!(greedy[Limits::FEW.answers_of_one + 3].place(address(4)).await.is_some());
        // Who waits for a place gets the one that becomes free.
        let waiting = greedy[Limits::FEW.answers_of_one + 2].place(address(2));
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
