//! Chance that can be repeated: everything random in a campaign comes from one seed, and every
//! actor has a stream of its own, so that one actor's haste does not change another's choices.

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rpmmd::checksum::Sha256;

/// The stream of `actor` under `seed`.
pub(super) fn stream(seed: u64, actor: &str) -> StdRng {
    StdRng::from_seed(*Sha256::of(format!("{seed}/{actor}").as_bytes()).as_bytes())
}

/// Another stream, chosen by this one.
pub(super) fn fork(random: &mut StdRng) -> StdRng {
    StdRng::from_rng(random)
}

/// Cards drawn until none is left, then shuffled anew: random as a die, and yet a short campaign
/// meets every card.
#[derive(Debug)]
pub(super) struct Deck<T> {
    cards: Vec<T>,
    left: Vec<T>,
    random: StdRng,
}

impl<T: Copy> Deck<T> {
    /// Each card as often as it says.
    pub(super) fn new(cards: &[(T, usize)], random: StdRng) -> Self {
        let cards: Vec<T> = cards.iter().flat_map(|(card, times)| std::iter::repeat_n(*card, *times)).collect();
        assert!(!cards.is_empty(), "a deck without cards");
        Self { cards, left: Vec::new(), random }
    }

    pub(super) fn draw(&mut self) -> T {
        if self.left.is_empty() {
            self.left.clone_from(&self.cards);
            self.left.shuffle(&mut self.random);
        }
        self.left.pop().expect("filled just now")
    }
}

#[test]
fn a_deck_gives_every_card_and_the_same_order_for_the_same_seed() {
    let draw = |seed| {
        let mut deck = Deck::new(&[('a', 3), ('b', 1)], stream(seed, "test"));
        (0..40).map(|_| deck.draw()).collect::<String>()
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
    assert_eq!(draw(1).matches('b').count(), 10);
}
