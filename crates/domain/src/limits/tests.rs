//! The gate and the governor as a whole. The simulation against a vendor is in `simulation`.

mod shared;
mod shared_simulation;
mod simulation;

use super::*;

const KEY: &str = "the key is not valid";

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(1_700_000_000_000 + ms).expect("in range")
}

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn denied() -> Outcome {
    Outcome::Denied { reason: KEY.to_owned(), everywhere: true }
}

/// A governor, a clock, and requests that are answered at once.
struct Bench {
    governor: Governor,
    now: i64,
}

impl Bench {
    fn new(governor: Governor) -> Self {
        Self { governor, now: 0 }
    }

    /// Past the first request of each group, which goes alone.
    fn warm(governor: Governor) -> Self {
        let mut bench = Self::new(governor);
        for endpoint in [Endpoint::KlaviyoEvents, Endpoint::KlaviyoBulk] {
            bench.does(endpoint, Outcome::Answered);
        }
        bench.now += 61_000;
        bench
    }

    fn send(&mut self, endpoint: Endpoint) -> Ticket {
        self.governor.admit(endpoint, at(self.now)).expect("may go")
    }

    #[track_caller]
    fn held(&mut self, endpoint: Endpoint) -> Hold {
        let room = self.governor.room(endpoint, at(self.now));
        assert_eq!(room, 0, "room although it is held");
        self.governor.admit(endpoint, at(self.now)).expect_err("must wait")
    }

    fn answer(&mut self, ticket: &Ticket, outcome: Outcome) -> Vec<Change> {
        let quota = (!matches!(outcome, Outcome::Abandoned | Outcome::Failed(_))).then(Quota::default);
        self.governor.settle(ticket, outcome, quota, at(self.now))
    }

    fn does(&mut self, endpoint: Endpoint, outcome: Outcome) -> Vec<Change> {
        let ticket = self.send(endpoint);
        self.answer(&ticket, outcome)
    }
}

#[test]
fn a_told_wait_holds_every_endpoint_and_one_request_goes_first() {
    let mut bench = Bench::warm(Governor::klaviyo(true));
    let stray = bench.send(Endpoint::KlaviyoEvents);
    let changes = bench.does(Endpoint::KlaviyoBulk, Outcome::Throttled(Some(s(5))));
    let until = at(bench.now + 5_100);
    assert_eq!(changes, [Change::Told(until)]);
    assert_eq!(bench.governor.told_until(at(bench.now)), Some(until));
    bench.now += 3_000;
    assert_eq!(bench.answer(&stray, Outcome::Answered), [], "a request that was on its way ends no wait");
    for _ in 0..2 {
        assert_eq!(bench.held(Endpoint::KlaviyoEvents), Hold { kind: HoldKind::Told, until });
    }
    bench.now += 2_100;
    assert_eq!(bench.governor.told_until(at(bench.now)), None);
    assert_eq!(bench.governor.room(Endpoint::KlaviyoEvents, at(bench.now)), 1);
    let first = bench.send(Endpoint::KlaviyoEvents);
    assert!(first.is_probe());
    assert_eq!(bench.held(Endpoint::KlaviyoBulk).kind, HoldKind::Probing);
    bench.answer(&first, Outcome::Answered);
    let (one, two) = (bench.send(Endpoint::KlaviyoBulk), bench.send(Endpoint::KlaviyoBulk));
    assert!(!one.is_probe() && !two.is_probe());
}

#[test]
fn a_dropped_probe_lets_the_next_one_go() {
    let mut bench = Bench::warm(Governor::klaviyo(true));
    bench.does(Endpoint::KlaviyoEvents, Outcome::Throttled(Some(s(1))));
    bench.now += 1_100;
    bench.does(Endpoint::KlaviyoEvents, Outcome::Abandoned);
    assert!(bench.send(Endpoint::KlaviyoEvents).is_probe());
}

#[test]
fn a_longer_wait_of_a_stray_counts_and_a_shorter_one_does_not() {
    let mut bench = Bench::warm(Governor::klaviyo(true));
    let strays = [(); 2].map(|()| bench.send(Endpoint::KlaviyoEvents));
    bench.does(Endpoint::KlaviyoEvents, Outcome::Throttled(Some(s(10))));
    assert_eq!(bench.answer(&strays[0], Outcome::Throttled(Some(s(3)))), []);
    assert_eq!(bench.held(Endpoint::KlaviyoEvents).until, at(bench.now + 10_100));
    assert_eq!(bench.answer(&strays[1], Outcome::Throttled(Some(s(30)))).len(), 1);
    assert_eq!(bench.held(Endpoint::KlaviyoEvents).until, at(bench.now + 30_100));
}

#[track_caller]
fn waits_without_a_header(governor: Governor, endpoint: Endpoint, expected: &[u64]) {
    let mut bench = Bench::warm(governor);
    for seconds in expected {
        bench.does(endpoint, Outcome::Throttled(None));
        let until = bench.held(endpoint).until;
        assert_eq!(until, at(bench.now + 100) + s(*seconds));
        bench.now = until.as_millisecond() - at(0).as_millisecond();
    }
    bench.does(endpoint, Outcome::Answered);
    bench.now += 10_100;
    bench.does(endpoint, Outcome::Throttled(None));
    assert_eq!(bench.held(endpoint).until, at(bench.now + 100) + s(expected[0]), "a success starts it over");
}

#[test]
fn a_refusal_that_tells_nothing_is_waited_out_longer_each_time() {
    waits_without_a_header(Governor::klaviyo(true), Endpoint::KlaviyoBulk, &[1, 2, 4, 8, 16, 32, 60, 60]);
    waits_without_a_header(Governor::intercom(true), Endpoint::IntercomOther, &[10, 20, 40, 60]);
}

#[test]
fn ten_that_are_refused_together_double_nothing() {
    let mut bench = Bench::warm(Governor::klaviyo(true));
    let ten: Vec<Ticket> = (0..10).map(|_| bench.send(Endpoint::KlaviyoBulk)).collect();
    let changes: Vec<Change> = ten.iter().flat_map(|ticket| bench.answer(ticket, Outcome::Throttled(None))).collect();
    assert_eq!(changes.len(), 1);
    assert_eq!(bench.held(Endpoint::KlaviyoEvents).until, at(bench.now + 1_100));
}

#[test]
fn a_told_wait_outlives_the_process() {
    let mut bench = Bench::warm(Governor::klaviyo(true));
    bench.does(Endpoint::KlaviyoBulk, Outcome::Throttled(Some(s(40))));
    let saved = bench.governor.saved();
    let mut after = Bench::new(Governor::klaviyo(true));
    after.now = bench.now + 10_000;
    after.governor.merge(&saved, at(after.now)).expect("readable");
    assert_eq!(after.held(Endpoint::KlaviyoEvents).until, at(bench.now + 40_100));
    after.now = bench.now + 40_100;
    assert!(after.send(Endpoint::KlaviyoEvents).is_probe());
}

#[test]
fn the_later_of_two_saved_waits_holds() {
    let saved = |seconds| {
        let mut bench = Bench::warm(Governor::klaviyo(true));
        bench.does(Endpoint::KlaviyoBulk, Outcome::Throttled(Some(s(seconds))));
        (bench.governor.saved(), bench.now)
    };
    let ((short, now), (long, _)) = (saved(5), saved(50));
    for order in [[&short, &long], [&long, &short]] {
        let mut bench = Bench::new(Governor::klaviyo(true));
        bench.now = now;
        order.into_iter().for_each(|saved| bench.governor.merge(saved, at(now)).expect("readable"));
        assert_eq!(bench.held(Endpoint::KlaviyoEvents).until, at(now + 50_100));
    }
}

#[test]
fn what_another_version_saved_is_an_error_and_changes_nothing() {
    let mut governor = Governor::klaviyo(true);
    for text in ["", "{", r#"{"version":2,"told":null,"refusals":0}"#, "[]"] {
        assert!(governor.merge(text, at(0)).is_err(), "{text}");
    }
    assert!(governor.admit(Endpoint::KlaviyoEvents, at(0)).is_ok());
}

#[test]
fn a_refused_key_stops_all_and_probes_at_growing_distances() {
    let mut bench = Bench::warm(Governor::klaviyo(true));
    assert_eq!(bench.does(Endpoint::KlaviyoEvents, denied()), [Change::Stopped(KEY.to_owned())]);
    let since = at(bench.now);
    let mut waits = Vec::new();
    for _ in 0..12 {
        assert_eq!(bench.governor.stopped(), Some((KEY, since)));
        let hold = bench.held(Endpoint::KlaviyoBulk);
        assert_eq!(hold.kind, HoldKind::Stopped(KEY.to_owned()));
        waits.push(hold.until.duration_since(at(bench.now)).as_secs());
        bench.now = hold.until.as_millisecond() - at(0).as_millisecond();
        let probe = bench.send(Endpoint::KlaviyoEvents);
        assert!(matches!(bench.held(Endpoint::KlaviyoBulk).kind, HoldKind::Stopped(_)));
        assert_eq!(bench.answer(&probe, denied()), []);
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
    bench.now += 900_000;
    assert_eq!(bench.does(Endpoint::KlaviyoBulk, Outcome::Answered), [Change::Resumed]);
    assert_eq!(bench.governor.stopped(), None);
    let _ = (bench.send(Endpoint::KlaviyoEvents), bench.send(Endpoint::KlaviyoEvents));
}

#[test]
fn only_the_endpoint_that_was_refused_shows_that_it_is_allowed_again() {
    let mut bench = Bench::warm(Governor::intercom(true));
    let reason = "contacts".to_owned();
    bench.does(Endpoint::IntercomContacts, Outcome::Denied { reason, everywhere: false });
    bench.now += 1_000;
    assert_eq!(bench.does(Endpoint::IntercomOther, Outcome::Answered), []);
    assert_eq!(bench.does(Endpoint::IntercomOther, Outcome::Forbidden), []);
    assert!(bench.governor.stopped().is_some());
    bench.now += 1_000;
    assert_eq!(bench.does(Endpoint::IntercomContacts, Outcome::Answered), [Change::Resumed]);
}

#[test]
fn a_probe_that_fails_otherwise_proves_nothing_about_the_key() {
    for outcome in [Outcome::Failed(None), Outcome::Forbidden, Outcome::Throttled(Some(s(1)))] {
        let mut bench = Bench::warm(Governor::klaviyo(true));
        bench.does(Endpoint::KlaviyoEvents, denied());
        bench.now += 1_000;
        bench.does(Endpoint::KlaviyoReads, outcome);
        assert!(bench.governor.stopped().is_some());
        let wait = bench.held(Endpoint::KlaviyoEvents).until.duration_since(at(bench.now)).as_millis();
        assert!((1_000..=1_100).contains(&wait), "{wait}");
    }
}

#[test]
fn five_failures_in_a_row_open_the_breaker() {
    let mut bench = Bench::warm(Governor::klaviyo(true));
    let stray = bench.send(Endpoint::KlaviyoBulk);
    for _ in 0..4 {
        assert_eq!(bench.does(Endpoint::KlaviyoEvents, Outcome::Failed(None)), []);
    }
    bench.does(Endpoint::KlaviyoEvents, Outcome::Answered);
    for _ in 0..4 {
        assert_eq!(bench.does(Endpoint::KlaviyoEvents, Outcome::Failed(None)), []);
        assert!(!bench.governor.failing());
    }
    assert_eq!(bench.does(Endpoint::KlaviyoEvents, Outcome::Failed(None)), [Change::Failing]);
    let mut waits = Vec::new();
    assert_eq!(bench.answer(&stray, Outcome::Failed(None)), [], "strays do not double the wait");
    for _ in 0..8 {
        let hold = bench.held(Endpoint::KlaviyoBulk);
        assert_eq!(hold.kind, HoldKind::Failing);
        waits.push(hold.until.duration_since(at(bench.now)).as_secs());
        bench.now = hold.until.as_millisecond() - at(0).as_millisecond();
        bench.does(Endpoint::KlaviyoEvents, Outcome::Failed(None));
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    bench.now += 60_000;
    assert_eq!(bench.does(Endpoint::KlaviyoEvents, Outcome::Answered), [Change::Recovered]);
    let _ = (bench.send(Endpoint::KlaviyoEvents), bench.send(Endpoint::KlaviyoEvents));
}

#[test]
fn the_first_request_of_a_process_goes_alone() {
    let mut bench = Bench::new(Governor::klaviyo(true));
    assert_eq!(bench.governor.room(Endpoint::KlaviyoBulk, at(0)), 1);
    let first = bench.send(Endpoint::KlaviyoBulk);
    assert_eq!(bench.held(Endpoint::KlaviyoBulk).kind, HoldKind::Probing);
    let quota = Quota { remaining: Some(3), resets_in: Some(s(30)), ..Quota::default() };
    bench.governor.settle(&first, Outcome::Answered, Some(quota), at(0));
    assert_eq!(bench.governor.room(Endpoint::KlaviyoBulk, at(0)), 3, "others used the rest of this minute");
    let _three = [(); 3].map(|()| bench.send(Endpoint::KlaviyoBulk));
    assert_eq!(bench.held(Endpoint::KlaviyoBulk).kind, HoldKind::Probing);
    assert_eq!(bench.governor.room(Endpoint::KlaviyoEvents, at(0)), 1, "another budget");
    bench.now = 30_000;
    assert_eq!(bench.governor.room(Endpoint::KlaviyoBulk, at(30_000)), 10);
}

#[test]
fn limits_that_the_vendor_tells_replace_the_documented_ones() {
    let mut bench = Bench::new(Governor::intercom(true));
    for (limit, room) in [(83, 83), (5_000, 5_000), (1_667, 1_667)] {
        let ticket = bench.send(Endpoint::IntercomContacts);
        let quota = Quota { steady: Some(limit), ..Quota::default() };
        bench.governor.settle(&ticket, Outcome::Answered, Some(quota), at(bench.now));
        bench.now += 10_100;
        assert_eq!(bench.governor.room(Endpoint::IntercomContacts, at(bench.now)), room);
    }
}

#[test]
fn without_limits_told_waits_still_hold() {
    let mut bench = Bench::new(Governor::klaviyo(false));
    assert_eq!(bench.governor.room(Endpoint::KlaviyoBulk, at(0)), UNLIMITED);
    let _many: Vec<Ticket> = (0..1_000).map(|_| bench.send(Endpoint::KlaviyoBulk)).collect();
    bench.does(Endpoint::KlaviyoBulk, Outcome::Throttled(Some(s(7))));
    assert_eq!(bench.held(Endpoint::KlaviyoBulk).kind, HoldKind::Told);
}

#[test]
fn a_clock_that_is_set_back_keeps_nothing_waiting() {
    let mut bench = Bench::warm(Governor::klaviyo(true));
    let ten: Vec<Ticket> = (0..10).map(|_| bench.send(Endpoint::KlaviyoBulk)).collect();
    ten.iter().for_each(|ticket| drop(bench.answer(ticket, Outcome::Answered)));
    bench.does(Endpoint::KlaviyoEvents, Outcome::Throttled(Some(s(5))));
    bench.now -= 3_600_000;
    assert_eq!(bench.held(Endpoint::KlaviyoBulk).until, at(bench.now + 5_100));
    bench.now += 5_100;
    bench.does(Endpoint::KlaviyoBulk, Outcome::Answered);
    assert_eq!(bench.governor.room(Endpoint::KlaviyoBulk, at(bench.now)), 9);
}
