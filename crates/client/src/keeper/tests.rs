use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// Clocks that go when they are told to.
#[derive(Debug, Clone)]
struct Hands(Arc<Mutex<(SystemTime, Instant)>>);

impl Hands {
    fn new() -> Self {
        let noon = SystemTime::UNIX_EPOCH + Duration::from_hours(500_000);
        Self(Arc::new(Mutex::new((noon, Instant::now()))))
    }

    fn pass(&self, time: Duration) {
        let mut both = self.0.lock().unwrap();
        both.0 += time;
        both.1 += time;
    }

    /// The machine sleeps, or somebody sets the clock forwards.
    fn sleep(&self, time: Duration) {
        self.0.lock().unwrap().0 += time;
    }

    fn set_back(&self, time: Duration) {
        self.0.lock().unwrap().0 -= time;
    }
}

impl Clock for Hands {
    fn wall(&self) -> SystemTime {
        self.0.lock().unwrap().0
    }

    fn steady(&self) -> Instant {
        self.0.lock().unwrap().1
    }
}

/// Gives numbered credentials that are good for so long, or none.
#[derive(Clone)]
struct Spring {
    hands: Hands,
    good_for: Arc<Mutex<Option<Duration>>>,
    is_dry: Arc<Mutex<bool>>,
    asked: Arc<AtomicUsize>,
}

impl Source for Spring {
    async fn ask(&self) -> Result<Credentials, Complaint> {
        let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        // Others get a turn, as they would while the network is asked.
        tokio::task::yield_now().await;
        if *self.is_dry.lock().unwrap() {
            return Err(Complaint::new(format!("nothing here ({number})")));
        }
        let expiry = self.good_for.lock().unwrap().map(|good_for| self.hands.wall() + good_for);
        Ok(Credentials::new(number.to_string(), "secret", None, expiry, "test"))
    }
}

fn spring(good_for: Option<Duration>) -> (Hands, Spring, Keeper<Spring, Hands>) {
    let hands = Hands::new();
    let spring = Spring {
        hands: hands.clone(),
        good_for: Arc::new(Mutex::new(good_for)),
        is_dry: Arc::default(),
        asked: Arc::default(),
    };
    (hands.clone(), spring.clone(), Keeper::new(spring, hands))
}

async fn which(keeper: &Keeper<Spring, Hands>) -> String {
    match keeper.credentials().await {
        Ok(credentials) => credentials.access_key_id().to_owned(),
        Err(complaint) => complaint.what().to_owned(),
    }
}

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn nothing_is_asked_before_it_is_needed_and_then_once() {
    let (_, spring, keeper) = spring(Some(HOUR));
    assert_eq!(spring.asked.load(Ordering::SeqCst), 0);
    let all = tokio::join!(which(&keeper), which(&keeper), which(&keeper), which(&keeper));
    assert_eq!(all, ("1".into(), "1".into(), "1".into(), "1".into()));
    assert_eq!(spring.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn credentials_are_renewed_before_they_expire_and_used_while_they_are_good() {
    let (hands, spring, keeper) = spring(Some(HOUR));
    assert_eq!(which(&keeper).await, "1");
    hands.pass(Duration::from_mins(54));
    assert_eq!(which(&keeper).await, "1");
    *spring.is_dry.lock().unwrap() = true;
    hands.pass(Duration::from_mins(2));
    assert_eq!(which(&keeper).await, "1", "their source is away, and they are still good");
    assert_eq!(spring.asked.load(Ordering::SeqCst), 2);
    assert_eq!(which(&keeper).await, "1");
    assert_eq!(spring.asked.load(Ordering::SeqCst), 2, "it was asked a moment ago");
    *spring.is_dry.lock().unwrap() = false;
    hands.pass(Duration::from_secs(31));
    assert_eq!(which(&keeper).await, "3");
}

#[tokio::test]
async fn within_the_last_minute_nobody_gets_the_old_ones_if_there_are_new_ones() {
    let (hands, spring, keeper) = spring(Some(HOUR));
    assert_eq!(which(&keeper).await, "1");
    hands.pass(Duration::from_secs(3600 - 59));
    assert_eq!(which(&keeper).await, "2");
    hands.pass(Duration::from_secs(3600 - 59));
    *spring.is_dry.lock().unwrap() = true;
    assert_eq!(which(&keeper).await, "2", "there are none, and these are good for 59 seconds");
    hands.pass(Duration::from_secs(58));
    assert_eq!(which(&keeper).await, "nothing here (4)", "they are good for no more than a second");
}

#[tokio::test]
async fn credentials_are_asked_for_anew_after_the_machine_slept() {
    let (hands, _, keeper) = spring(Some(12 * HOUR));
    assert_eq!(which(&keeper).await, "1");
    hands.sleep(8 * HOUR);
    assert_eq!(which(&keeper).await, "2", "they would be good for hours, but what was reckoned is not");
    hands.sleep(13 * HOUR);
    assert_eq!(which(&keeper).await, "3");
    hands.pass(Duration::from_mins(1));
    assert_eq!(which(&keeper).await, "3");
}

#[tokio::test]
async fn a_clock_that_is_set_back_does_not_make_credentials_live_longer() {
    let (hands, spring, keeper) = spring(Some(Duration::from_mins(10)));
    // The machine begins with a clock that is a day ahead.
    hands.sleep(24 * HOUR);
    assert_eq!(which(&keeper).await, "1");
    hands.set_back(24 * HOUR);
    assert_eq!(which(&keeper).await, "2");
    *spring.is_dry.lock().unwrap() = true;
    hands.set_back(HOUR);
    assert_eq!(which(&keeper).await, "2", "there are no others");
    let asked = spring.asked.load(Ordering::SeqCst);
    assert_eq!(which(&keeper).await, "2");
    assert_eq!(spring.asked.load(Ordering::SeqCst), asked, "a step is answered once");
}

#[tokio::test]
async fn keys_without_an_end_are_read_again() {
    let (hands, spring, keeper) = spring(None);
    assert_eq!(which(&keeper).await, "1");
    hands.pass(Duration::from_mins(14));
    assert_eq!(which(&keeper).await, "1");
    hands.pass(Duration::from_mins(1));
    assert_eq!(which(&keeper).await, "2");
    *spring.is_dry.lock().unwrap() = true;
    hands.pass(HOUR);
    assert_eq!(which(&keeper).await, "2");
}

#[tokio::test]
async fn where_there_are_none_a_hundred_requests_make_one_attempt() {
    let (hands, spring, keeper) = spring(Some(HOUR));
    *spring.is_dry.lock().unwrap() = true;
    for _ in 0..100 {
        assert_eq!(which(&keeper).await, "nothing here (1)");
    }
    hands.pass(Duration::from_secs(2));
    let all = tokio::join!(which(&keeper), which(&keeper), which(&keeper));
    assert_eq!(all.2, "nothing here (2)");
    *spring.is_dry.lock().unwrap() = false;
    hands.pass(Duration::from_secs(2));
    assert_eq!(which(&keeper).await, "3");
}

#[tokio::test]
async fn a_source_that_gives_what_has_expired_is_no_source() {
    let (hands, spring, keeper) = spring(Some(Duration::ZERO));
    assert!(which(&keeper).await.contains("have expired"));
    *spring.good_for.lock().unwrap() = Some(HOUR);
    hands.pass(Duration::from_secs(1));
    assert_eq!(which(&keeper).await, "2");
}
