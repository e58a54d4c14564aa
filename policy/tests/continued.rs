//! Facts over several logs of one seat.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::Node;
use escrow_core::{Digest, SeatIndex};
use escrow_policy::{Event, Facts};

fn seat(n: u8) -> SeatIndex {
    SeatIndex::new(n).unwrap()
}

fn on(seat: SeatIndex, size: u64) -> Event {
    Event::Continued { seat, log: "old".into(), size, root: Digest([1; 32]) }
}

#[test]
fn a_later_log_goes_on_exactly_where_the_one_before_ends() {
    let (mut node, _) = Node::with(|_| {});
    node.record(None, Event::Ready { peers: vec![] }).unwrap();
    let (own, size) = (node.facts.seat().unwrap(), node.facts.size());
    let before = format!("{:?}", node.facts);
    for wrong in [on(own, size - 1), on(own, size + 1), on(own, 0), on(seat(200), size)] {
        assert!(node.record(None, wrong.clone()).is_err(), "{wrong:?}");
        assert_eq!(format!("{:?}", node.facts), before, "{wrong:?} left something");
    }
    node.record(None, on(own, size)).unwrap();
    assert!(node.facts.genesis().is_some(), "what is known goes on");
    // The third log goes on from the second, whose entries alone are counted.
    node.record(None, Event::Ready { peers: vec![] }).unwrap();
    assert!(node.record(None, on(own, node.facts.size())).is_err());
    node.record(None, on(own, 2)).unwrap();
}

#[test]
fn of_a_seat_that_lost_everything_the_genesis_comes_next() {
    let (node, genesis) = Node::with(|_| {});
    let mut node = Node { facts: Facts::new(), ..node };
    assert!(node.record(None, on(seat(1), 3)).is_err(), "there is nothing to go on from");
    node.record(None, on(seat(1), 0)).unwrap();
    node.record(Some(&genesis), Event::Genesis { seat: seat(1) }).unwrap();
    assert_eq!(node.facts.seat(), Some(seat(1)));
}
