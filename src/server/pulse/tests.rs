//! Which connections are ended, and which make room.

use super::*;
use crate::server::accept::Peer;

fn place(uid: u32) -> Place {
    Place::of(Some(&Peer {
        uid: Some(uid),
        certificate: None,
        address: None,
        pulse: Arc::default(),
    }))
}

fn entered(crowd: &Crowd, uid: u32, most: usize) -> Option<Arc<Pulse>> {
    let pulse = Arc::<Pulse>::default();
    crowd.enter(place(uid), &pulse, most).then_some(pulse)
}

#[test]
fn the_oldest_stranger_of_a_place_gives_way_then_who_is_idle() {
    let crowd = Crowd::default();
    let [first, second, other] =
        [1, 1, 2].map(|uid| entered(&crowd, uid, 2).expect("there is room"));
    first.known();
    let third = entered(&crowd, 1, 2).expect("a stranger gives way");
    assert!(second.is_over() && !first.is_over() && !third.is_over() && !other.is_over());
    third.known();
    let busy = Pulse::begin(Some(&third));
    let fourth = entered(&crowd, 1, 2).expect("who is idle gives way");
    assert!(first.is_over() && !third.is_over());
    fourth.known();
    let also = Pulse::begin(Some(&fourth));
    assert!(entered(&crowd, 1, 2).is_none(), "all are used");
    drop(busy);
    assert!(entered(&crowd, 1, 2).is_some());
    assert!(third.is_over() && !fourth.is_over() && !other.is_over());
    assert!(crowd.make_room(), "a stranger of another place");
    assert!(other.is_over());
    drop(also);
}

#[test]
fn those_that_are_gone_take_up_no_room() {
    let crowd = Crowd::default();
    for _ in 0..1_000 {
        drop(entered(&crowd, 1, 1).expect("there is room"));
    }
    assert!(crowd.0.lock().unwrap().len() <= 1);
    assert!(!crowd.make_room(), "there is nobody");
}

#[test]
fn a_connection_is_idle_where_nothing_is_asked() {
    let limits =
        Limits { idle: Duration::ZERO, strange: Duration::from_secs(60), ..<_>::default() };
    let pulse = Arc::<Pulse>::default();
    pulse.look(&limits);
    assert!(!pulse.is_over(), "a stranger has his time");
    pulse.known();
    let begun = Pulse::begin(Some(&pulse));
    pulse.look(&limits);
    assert!(!pulse.is_over(), "it is used");
    let answer = begun.answered();
    pulse.look(&limits);
    assert!(!pulse.is_over(), "its answer is being taken");
    drop(answer);
    let other = Pulse::begin_other(Some(&pulse), 1).unwrap();
    assert!(Pulse::begin_other(Some(&pulse), 1).is_none());
    pulse.look(&limits);
    assert!(!pulse.is_over(), "its health is being watched");
    drop(other);
    pulse.look(&limits);
    assert!(pulse.is_over());
}

#[test]
fn an_answer_has_a_turn_and_what_is_left_of_its_own() {
    let pulse = Arc::<Pulse>::default();
    let in_time = Pulse::begin(Some(&pulse)).answered();
    pulse.next_turn();
    let late = Pulse::begin(Some(&pulse)).answered();
    drop(in_time);
    pulse.next_turn();
    assert!(!pulse.is_over());
    pulse.next_turn();
    assert!(pulse.is_over());
    drop(late);
    assert_eq!(pulse.begun.load(Ordering::Relaxed), 0);
}

#[test]
fn bytes_on_their_way_are_bounded_and_small_messages_free() {
    let limits =
        Limits { small_message: 10, arriving: 100, all_arriving: 150, ..Limits::default() };
    let all = Arc::<Arriving>::default();
    let (one, two) = (Arc::<Pulse>::default(), Arc::<Pulse>::default());
    let mut first = Arrived::new(&all, Some(&one));
    assert!(first.more(10, &limits) && first.more(100, &limits));
    let mut second = Arrived::new(&all, Some(&one));
    assert!(second.more(10, &limits), "a small one");
    assert!(!second.more(1, &limits), "too many of the connection");
    drop(second);
    let mut third = Arrived::new(&all, Some(&two));
    assert!(third.more(60, &limits));
    assert!(!third.more(1, &limits), "too many of all");
    drop(first);
    drop(third);
    assert_eq!(all.0.load(Ordering::Relaxed), 0);
    assert_eq!(one.arriving.load(Ordering::Relaxed), 0);
}
