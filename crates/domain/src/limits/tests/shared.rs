//! The shared document, move by move. Several holders at random are in `shared_simulation`.

use super::*;

fn klaviyo(holder: &str) -> Governor {
    Governor::klaviyo_shared(holder, "key")
}

/// The store: renews over the text and keeps it.
fn renew(governor: &mut Governor, text: &mut Option<String>, now: i64) {
    let plan = governor.plan(text.as_deref(), at(now)).expect("shared");
    assert_eq!(plan.unreadable, None);
    *text = plan.text.clone().or(text.take());
    governor.adopt(plan);
}

/// Asks for `count` places, and takes all it gets at once.
fn take(
    governor: &mut Governor,
    text: &mut Option<String>,
    (endpoint, count): (Endpoint, u32),
    now: i64,
) -> Vec<Ticket> {
    (0..count).for_each(|_| governor.waits(endpoint));
    renew(governor, text, now);
    (0..count).for_each(|_| governor.waits_no_more(endpoint));
    (0..count).map_while(|_| governor.admit(endpoint, at(now)).ok()).collect()
}

fn answer(governor: &mut Governor, tickets: &[Ticket], now: i64) {
    for ticket in tickets {
        governor.settle(ticket, Outcome::Answered, Some(Quota::default()), at(now));
    }
}

#[test]
fn nothing_goes_without_a_lease_and_nothing_after_it() {
    let (mut a, mut text) = (klaviyo("a"), None);
    assert_eq!(a.admit(Endpoint::KlaviyoEvents, at(0)).expect_err("no lease").kind, HoldKind::Lease);
    (0..3).for_each(|_| a.waits(Endpoint::KlaviyoEvents));
    renew(&mut a, &mut text, 0);
    assert_eq!(a.admit(Endpoint::KlaviyoBulk, at(0)).expect_err("not asked for").kind, HoldKind::Lease);
    let _first = a.admit(Endpoint::KlaviyoEvents, at(1_900)).expect("may go");
    assert_eq!(a.admit(Endpoint::KlaviyoEvents, at(2_000)).expect_err("over").kind, HoldKind::Lease);
}

#[test]
fn what_is_not_used_is_given_back_and_what_is_counts_from_its_arrival() {
    let (mut a, mut text) = (klaviyo("a"), None);
    let bulk = Endpoint::KlaviyoBulk;
    let mut sent = 0;
    let mut now = 0;
    while sent < 150 {
        // Asks for more each time than it sends.
        let tickets = take(&mut a, &mut text, (bulk, 8), now);
        let (send, leave) = tickets.split_at(tickets.len().div_ceil(2));
        answer(&mut a, send, now + 50);
        // The others were never sent: in this test they come back as answered at once as well.
        answer(&mut a, leave, now + 50);
        sent += tickets.len();
        now += 1_200;
    }
    assert_eq!(sent, 150);
    let hold = a.admit(bulk, at(now)).expect_err("the minute is used up");
    assert!(take(&mut a, &mut text, (bulk, 1), now).is_empty(), "{hold:?}");
    let hold = a.admit(bulk, at(now)).expect_err("the minute is used up");
    assert_eq!(hold.kind, HoldKind::Budget);
    assert!((60_100..66_000).contains(&(hold.until.as_millisecond() - at(0).as_millisecond())), "{hold:?}");
}

#[test]
fn a_holder_that_dies_holds_its_places_for_one_window_and_its_share_for_four_seconds() {
    let (mut a, mut b, mut text) = (klaviyo("a"), klaviyo("b"), None);
    let bulk = Endpoint::KlaviyoBulk;
    assert_eq!(take(&mut a, &mut text, (bulk, 10), 0).len(), 5, "half of the second is left to the next");
    assert_eq!(take(&mut b, &mut text, (bulk, 10), 10).len(), 3);
    drop(a);
    assert_eq!(b.room(bulk, at(3_000)), 5, "what the dead one had is still felt");
    assert_eq!(take(&mut b, &mut text, (bulk, 10), 7_000).len(), 5, "both are over: half of ten again");
}

#[test]
fn who_sees_another_without_a_share_gives_some_back() {
    let (mut a, mut b, mut text) = (klaviyo("a"), klaviyo("b"), None);
    let bulk = Endpoint::KlaviyoBulk;
    let mut now = 0;
    for _ in 0..6 {
        let tickets = take(&mut a, &mut text, (bulk, 20), now);
        answer(&mut a, &tickets, now + 10);
        now += 1_100;
    }
    assert!(take(&mut b, &mut text, (bulk, 4), now - 900).is_empty(), "the first has grown into all of it");
    let tickets = take(&mut a, &mut text, (bulk, 20), now);
    answer(&mut a, &tickets, now + 10);
    assert_eq!(tickets.len(), 5, "an equal part");
    assert!(take(&mut b, &mut text, (bulk, 4), now + 6_200).len() >= 3);
}

#[test]
fn the_clocks_of_two_holders_may_differ_a_little_and_a_wrong_one_holds_nobody() {
    let (mut a, mut b, mut text) = (klaviyo("a"), klaviyo("b"), None);
    let bulk = Endpoint::KlaviyoBulk;
    assert_eq!(take(&mut a, &mut text, (bulk, 2), 700).len(), 2);
    assert_eq!(take(&mut b, &mut text, (bulk, 2), 0).len(), 2, "700 ms behind");
    let mut wrong = klaviyo("c");
    let tickets = take(&mut wrong, &mut text, (bulk, 1), 3_600_000);
    wrong.settle(&tickets[0], Outcome::Throttled(Some(s(5))), None, at(3_600_000));
    renew(&mut wrong, &mut text, 3_600_000);
    let mut d = klaviyo("d");
    assert!(take(&mut d, &mut text, (bulk, 1), 10_000).is_empty());
    assert_eq!(d.told_until(at(10_000)), Some(at(15_100)), "its length holds, not its moment");
    let probe = take(&mut d, &mut text, (bulk, 1), 16_000);
    assert!(probe.len() == 1 && probe[0].is_probe());
}

#[test]
fn the_document_stays_small_whatever_happens() {
    let (mut text, mut longest) = (None, 0);
    let groups = [Endpoint::KlaviyoEvents, Endpoint::KlaviyoBulk, Endpoint::KlaviyoProfiles];
    let mut holders: Vec<Governor> = (0..40).map(|index| klaviyo(&format!("holder {index}"))).collect();
    for now in (0..120_000_i64).step_by(70) {
        let index = usize::try_from(now / 70 * 7 % 40).expect("small");
        let endpoint = groups[index % 3];
        let tickets = take(&mut holders[index], &mut text, (endpoint, 3), now);
        let quota = Quota { remaining: Some(100), resets_in: Some(s(30)), burst: Some(350), steady: Some(3_500) };
        for ticket in &tickets {
            holders[index].settle(ticket, Outcome::Answered, Some(quota), at(now + 30));
        }
        longest = longest.max(text.as_ref().map_or(0, String::len));
    }
    assert!((500..1_280).contains(&longest), "{longest}");
}

#[test]
fn documents_of_other_versions() {
    let told = r#"{"version":1,"told":{"since":"2023-11-14T22:13:20Z","until":"2023-11-14T22:13:50Z"},"refusals":2,"new":[1]}"#;
    let mut a = klaviyo("a");
    assert_eq!(a.look(Some(told), at(1_000)), None, "the first version, and fields of a later one");
    assert_eq!(a.told_until(at(1_000)), Some(at(30_000)));

    let (mut b, mut text) = (klaviyo("b"), None);
    let tickets = take(&mut b, &mut text, (Endpoint::KlaviyoEvents, 1), 0);
    b.settle(&tickets[0], Outcome::Throttled(Some(s(9))), None, at(0));
    renew(&mut b, &mut text, 0);
    let mut single = Governor::klaviyo(true);
    single.merge(text.as_deref().expect("saved"), at(0)).expect("readable for the first version");
    assert_eq!(single.told_until(at(0)), Some(at(9_100)));

    let mut c = klaviyo("c");
    c.waits(Endpoint::KlaviyoBulk);
    let plan = c.plan(Some(r#"{"version":2}"#), at(0)).expect("shared");
    assert_eq!(plan.unreadable.as_deref(), Some("version 2 instead of 1"));
    c.adopt(plan);
    let hold = c.admit(Endpoint::KlaviyoBulk, at(0)).expect_err("the windows may be full");
    assert!(hold.until > at(60_000), "{hold:?}");
    assert_eq!(Stored::read(Some("{"), at(0)).stopped(), None);
}

#[test]
fn five_failures_of_one_process_are_the_failing_of_all() {
    let (mut a, mut b, mut text) = (klaviyo("a"), klaviyo("b"), None);
    for ticket in take(&mut a, &mut text, (Endpoint::KlaviyoEvents, 5), 0) {
        a.settle(&ticket, Outcome::Failed(None), None, at(10));
    }
    assert!(a.failing() && a.has_news());
    renew(&mut a, &mut text, 20);
    assert!(!a.has_news());
    b.look(text.as_deref(), at(30));
    assert_eq!(b.admit(Endpoint::KlaviyoBulk, at(30)).expect_err("failing").kind, HoldKind::Failing);
    let probe = take(&mut b, &mut text, (Endpoint::KlaviyoBulk, 4), 1_100);
    assert!(probe.len() == 1 && probe[0].is_probe());
    assert!(take(&mut a, &mut text, (Endpoint::KlaviyoEvents, 4), 1_200).is_empty(), "one probe at a time");
    b.settle(&probe[0], Outcome::Answered, Some(Quota::default()), at(1_300));
    renew(&mut b, &mut text, 1_310);
    assert_eq!(take(&mut a, &mut text, (Endpoint::KlaviyoEvents, 4), 1_800).len(), 4);
}
