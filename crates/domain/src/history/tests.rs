//! The whole decision against an Intercom made of a list of moments, with everything that it may do to a reader.

use proptest::prelude::*;

use super::*;

const NOW: i64 = 1_780_000_000;
const FIRST: i64 = NOW - 400 * 86_400;

/// How this Intercom answers.
#[derive(Clone, Copy, Debug, Default)]
struct Quirks {
    /// Its filter cuts both bounds down to the day.
    days_only: bool,
    /// Pages above this size fail.
    heavy_above: Option<u32>,
    /// Items come in an order of their own.
    unsorted: bool,
    /// A page with an item of this second fails.
    poison: Option<i64>,
    /// One answer in so many breaks off, whatever was asked; 0: none.
    breaks_off: usize,
}

struct Workspace {
    items: Vec<(u64, i64)>,
    quirks: Quirks,
    calls: usize,
}

impl Workspace {
    fn answer(&mut self, window: &Window) -> Result<(PageSeen, Vec<u64>), Trouble> {
        self.calls += 1;
        let chance = self.calls.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        if self.quirks.breaks_off > 0 && chance.is_multiple_of(self.quirks.breaks_off) {
            return Err(Trouble::TooHeavy);
        }
        if self.quirks.heavy_above.is_some_and(|most| window.per_page > most) {
            return Err(Trouble::TooHeavy);
        }
        let floor = |at: i64| if self.quirks.days_only { at.div_euclid(86_400) * 86_400 } else { at };
        let asked = Span::new(floor(window.asked.from), floor(window.asked.to));
        let mut found: Vec<(u64, i64)> = self.items.iter().copied().filter(|(_, at)| asked.contains(*at)).collect();
        match self.quirks.unsorted {
            true => found.sort_by_key(|(id, _)| id.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            false => found.sort_by_key(|(id, at)| (*at, *id)),
        }
        let start: usize = window.cursor.as_ref().map_or(0, |cursor| cursor.parse().expect("ours"));
        let page: Vec<_> = found.iter().skip(start).take(window.per_page as usize).copied().collect();
        if page.iter().any(|(_, at)| Some(*at) == self.quirks.poison) {
            return Err(Trouble::TooHeavy);
        }
        let end = start + page.len();
        let inside: Vec<u64> = page.iter().filter(|(_, at)| window.span.contains(*at)).map(|(id, _)| *id).collect();
        let seen = PageSeen {
            total: found.len() as u64,
            raw: page.len() as u64,
            inside: inside.len() as u64,
            far: 0,
            example: page.first().map(|(_, at)| *at),
            bytes: 4_000 * page.len() as u64,
            next: (end < found.len()).then(|| end.to_string()),
        };
        Ok((seen, inside))
    }
}

fn started(days: Option<u32>) -> Checkpoint {
    let mut checkpoint = Checkpoint::default();
    let facts = StartFacts { first_start: NOW - 3_600, days };
    checkpoint.steer(Wish::Start, facts, NOW).expect("legal");
    // The other stream has nothing to say here.
    checkpoint.stream_mut(StreamName::Tickets).skip("not in the plan".to_owned());
    checkpoint
}

/// Reads everything, several windows at a time; gives the items in the order in which they were taken.
fn read_all(workspace: &mut Workspace, mut checkpoint: Checkpoint, crash_every: usize) -> (Checkpoint, Vec<u64>) {
    let mut now = NOW;
    let mut taken = Vec::new();
    let mut busy: Vec<Window> = Vec::new();
    for round in 1..200_000 {
        match checkpoint.next(&busy, now) {
            Step::Read(window) => {
                assert!(!busy.contains(&window), "{window:?} twice at once");
                busy.push(window);
                if busy.len() < 4 {
                    continue;
                }
            }
            Step::Wait(until) if busy.is_empty() => {
                now = until;
                continue;
            }
            Step::Wait(_) => {}
            Step::Settle => return (checkpoint, taken),
            Step::Rest => panic!("it should run: {checkpoint:?}"),
        }
        if crash_every > 0 && round % crash_every == 0 {
            // What was on its way is forgotten, what is stored is read back.
            busy.clear();
            checkpoint = Checkpoint::from_text(&checkpoint.to_text()).expect("readable");
            continue;
        }
        let window = busy.remove(round % busy.len());
        let stream = checkpoint.stream_mut(window.stream);
        match workspace.answer(&window) {
            Err(trouble) => stream.failed(&window, trouble, now + 1),
            Ok((seen, inside)) => {
                let judgement = stream.judge(&window, seen);
                if judgement.takes_items() {
                    taken.extend(inside);
                }
                stream.apply(&window, judgement.clone());
                let after = stream.clone();
                if !matches!(judgement, Judgement::Doubt | Judgement::Part(_) | Judgement::Narrow { .. }) {
                    stream.apply(&window, judgement);
                    assert_eq!(stream.read(), after.read(), "applied twice counts once");
                }
            }
        }
    }
    panic!("it never ends: {checkpoint:?}");
}

fn workspace(moments: impl IntoIterator<Item = i64>, quirks: Quirks) -> Workspace {
    Workspace { items: (1..).zip(moments).collect(), quirks, calls: 0 }
}

fn check_complete(workspace: &mut Workspace, crash_every: usize) {
    let (checkpoint, mut taken) = read_all(workspace, started(None), crash_every);
    let bound = checkpoint.bound;
    let stream = checkpoint.stream(StreamName::Conversations);
    let wanted: Vec<u64> = workspace.items.iter().filter(|(_, at)| *at < bound).map(|(id, _)| *id).collect();
    taken.sort_unstable();
    taken.dedup();
    assert_eq!(taken, wanted);
    assert_eq!(stream.read(), wanted.len() as u64);
    assert_eq!(stream.differences, []);
    assert_eq!(stream.counted().map(|(_, items)| items).sum::<u64>(), wanted.len() as u64);
}

#[test]
fn an_even_history_costs_little_more_than_its_pages() {
    let mut workspace = workspace((0..20_000).map(|n| FIRST + n * 1_700), Quirks::default());
    check_complete(&mut workspace, 0);
    assert!(workspace.calls < 20_000 / 50 * 3, "{}", workspace.calls);
}

#[test]
fn days_and_nights_and_a_second_with_hundreds() {
    let day = |n: i64| (FIRST + n * 86_400..).step_by(97).take(if n % 7 < 5 { 300 } else { 3 });
    let import = std::iter::repeat_n(FIRST + 30 * 86_400, 700);
    let mut workspace = workspace((0..120).flat_map(day).chain(import), Quirks::default());
    check_complete(&mut workspace, 0);
    check_complete(&mut workspace, 7);
}

#[test]
fn a_filter_that_knows_days_only_hides_nothing() {
    let moments = (0..2_000).map(|n| FIRST + n * 9_001);
    let mut workspace = workspace(moments, Quirks { days_only: true, unsorted: true, ..Quirks::default() });
    check_complete(&mut workspace, 0);
}

/// Chance makes no page small for long, and no window of many pages is taken for unreadable: the test against the binary found both.
#[test]
fn answers_that_break_off_now_and_then_cost_little_and_hide_nothing() {
    for quirks in [Quirks::default(), Quirks { days_only: true, unsorted: true, ..Quirks::default() }] {
        let calls = |breaks_off| {
            let moments = (0..5_000).map(|n| FIRST + n * 6_000);
            let mut workspace = workspace(moments, Quirks { breaks_off, ..quirks });
            check_complete(&mut workspace, 0);
            workspace.calls
        };
        let (well, badly) = (calls(0), calls(12));
        assert!(badly < well * 2, "{badly} calls instead of {well}");
    }
}

#[test]
fn pages_that_fail_become_smaller() {
    for most in [1, 3, 20] {
        let moments = (0..300).map(|n| FIRST + n * 50_000);
        let mut workspace = workspace(moments, Quirks { heavy_above: Some(most), ..Quirks::default() });
        check_complete(&mut workspace, 0);
    }
}

#[test]
fn an_item_that_cannot_be_read_is_listed_and_stops_nothing() {
    let moments = (0..40).map(|n| FIRST + n * 500_000);
    let mut workspace = workspace(moments, Quirks { poison: Some(FIRST + 10 * 500_000), ..Quirks::default() });
    let (checkpoint, taken) = read_all(&mut workspace, started(None), 0);
    let stream = checkpoint.stream(StreamName::Conversations);
    assert_eq!((taken.len(), stream.read()), (39, 39));
    let poison = FIRST + 10 * 500_000;
    assert_eq!(stream.differences, [Difference { span: Span::new(poison, poison + 1), total: 1, given: 0 }]);
}

#[test]
fn an_outage_lists_nothing() {
    let mut workspace = workspace([FIRST, FIRST + 5], Quirks { heavy_above: Some(0), ..Quirks::default() });
    let mut checkpoint = started(Some(1_000));
    let learned = PageSeen { total: 2, ..PageSeen::default() };
    let count = checkpoint.stream(StreamName::Conversations).window(&[], NOW).expect("count");
    checkpoint.stream_mut(StreamName::Conversations).apply(&count, Judgement::Learned(learned));
    for second in 0..500 {
        let Step::Read(window) = checkpoint.next(&[], NOW + 2 * second) else { continue };
        let trouble = workspace.answer(&window).expect_err("it is down");
        checkpoint.stream_mut(window.stream).failed(&window, trouble, NOW + 2 * second + 1);
    }
    workspace.quirks.heavy_above = None;
    let (checkpoint, taken) = read_all(&mut workspace, checkpoint, 0);
    assert_eq!((taken.len(), checkpoint.stream(StreamName::Conversations).differences.len()), (2, 0));
}

#[test]
fn a_window_that_differs_is_read_again_and_then_listed() {
    let mut checkpoint = started(None);
    let stream = checkpoint.stream_mut(StreamName::Conversations);
    let count = stream.window(&[], NOW).expect("count");
    stream.apply(&count, Judgement::Learned(PageSeen { total: 9, ..PageSeen::default() }));
    let window = stream.window(&[], NOW).expect("a window");
    let short = PageSeen { total: 9, raw: 8, inside: 8, ..PageSeen::default() };
    assert_eq!(stream.judge(&window, short.clone()), Judgement::Doubt);
    stream.apply(&window, Judgement::Doubt);
    let again = stream.window(&[], NOW).expect("a window");
    assert_eq!(again.span, window.span);
    let judgement = stream.judge(&again, short);
    assert!(judgement.takes_items());
    stream.apply(&again, judgement);
    assert_eq!(stream.differences, [Difference { span: window.span, total: 9, given: 8 }]);
    assert_eq!(stream.read(), 8);
}

#[test]
fn moves_that_are_illegal_change_nothing() {
    let facts = StartFacts { first_start: NOW - 10 * 86_400, days: Some(30) };
    let mut checkpoint = Checkpoint::default();
    for (wish, refusal) in
        [(Wish::Pause, Illegal::NotRunning), (Wish::Resume, Illegal::NotPaused), (Wish::Restart, Illegal::NeverStarted)]
    {
        assert_eq!(checkpoint.steer(wish, facts, NOW), Err(refusal));
        assert_eq!(checkpoint, Checkpoint::default());
    }
    checkpoint.steer(Wish::Start, facts, NOW).expect("legal");
    assert_eq!((checkpoint.run, checkpoint.bound), (1, NOW - 86_400), "a day is left to live");
    assert_eq!(checkpoint.range, Span::new(NOW - 30 * 86_400, NOW - 86_400));
    assert_eq!(checkpoint.steer(Wish::Start, facts, NOW), Err(Illegal::AlreadyStarted));
    checkpoint.steer(Wish::Pause, facts, NOW).expect("legal");
    assert_eq!(checkpoint.next(&[], NOW), Step::Rest);
    assert!(!checkpoint.lease("me", NOW, 60), "nobody works on what is paused");
    checkpoint.steer(Wish::Resume, facts, NOW).expect("legal");
    checkpoint.fail("401".to_owned(), NOW);
    checkpoint.steer(Wish::Resume, facts, NOW).expect("legal");
    assert_eq!(checkpoint.error, None);
    checkpoint.steer(Wish::Restart, facts, NOW).expect("legal");
    assert_eq!(checkpoint.run, 2);
}

/// The refusal that somebody was just about to mend may still be the one that is remembered.
#[test]
fn a_refused_key_is_asked_once_more_after_a_resume() {
    let facts = StartFacts { first_start: NOW, days: None };
    let mut checkpoint = started(None);
    checkpoint.came();
    checkpoint.refused("401", NOW + 30, NOW);
    assert_eq!((checkpoint.state, checkpoint.error.as_deref()), (State::Failed, Some("401")));
    checkpoint.steer(Wish::Resume, facts, NOW).expect("legal");
    checkpoint.refused("401", NOW + 30, NOW);
    checkpoint.refused("401", NOW + 30, NOW + 1);
    assert_eq!(checkpoint.next(&[], NOW + 5), Step::Wait(NOW + 31));
    let mut mended = checkpoint.clone();
    mended.came();
    assert_eq!(mended.state, State::Running);
    checkpoint.refused("401", NOW + 90, NOW + 31);
    assert_eq!(checkpoint.state, State::Failed);
}

#[test]
fn live_keeps_what_is_younger_than_the_first_start() {
    let mut checkpoint = Checkpoint::default();
    let facts = StartFacts { first_start: NOW - 600, days: None };
    checkpoint.steer(Wish::Start, facts, NOW).expect("legal");
    assert_eq!(checkpoint.bound, NOW - 600);
}

#[test]
fn one_owner_at_a_time() {
    let mut checkpoint = started(None);
    assert!(checkpoint.lease("a", NOW, 60));
    assert!(checkpoint.lease("a", NOW + 10, 60));
    assert!(!checkpoint.lease("b", NOW + 69, 60));
    assert!(checkpoint.lease("b", NOW + 70, 60), "a's has run out");
    assert!(!checkpoint.is_owned_by("a"));
    checkpoint.release("b");
    assert!(checkpoint.lease("a", NOW + 70, 60));
    assert!(checkpoint.lease("b", NOW - 500, 60), "the clock was set back: such a lease is not believed");
}

#[test]
fn it_is_done_when_every_item_has_a_fate() {
    let mut workspace = workspace((0..100).map(|n| FIRST + n * 50_000), Quirks::default());
    let (mut checkpoint, _) = read_all(&mut workspace, started(None), 0);
    assert!(!checkpoint.settle([99, 0], false, NOW));
    assert!(!checkpoint.settle([99, 0], false, NOW + 10_000));
    assert_eq!(checkpoint.state, State::Running, "the queue still has something");
    assert!(checkpoint.settle([100, 0], true, NOW + 10_001));
    assert_eq!(checkpoint.state, State::Done);
}

/// What the queue lost is read once more after minutes, not hours, and what it loses twice is said.
#[test]
fn what_the_queue_lost_is_read_again_and_then_listed() {
    let mut workspace = workspace((0..100).map(|n| FIRST + n * 50_000), Quirks::default());
    let (mut checkpoint, _) = read_all(&mut workspace, started(None), 0);
    assert!(checkpoint.settle([97, 0], true, NOW), "notes since when the queue is empty");
    assert!(!checkpoint.settle([97, 0], true, NOW + 299));
    assert!(checkpoint.settle([97, 0], false, NOW + 301), "something came back onto the queue");
    assert!(checkpoint.settle([97, 0], true, NOW + 302));
    assert!(checkpoint.settle([97, 0], true, NOW + 100), "a clock that was set back counts anew");
    assert!(checkpoint.settle([97, 0], true, NOW + 400));
    assert_eq!((checkpoint.state, checkpoint.stream(StreamName::Conversations).is_read()), (State::Running, false));
    assert!(checkpoint.stream(StreamName::Tickets).is_read(), "nothing of it is missing");
    let (mut checkpoint, taken) = read_all(&mut workspace, checkpoint, 0);
    assert_eq!((taken.len(), checkpoint.stream(StreamName::Conversations).read()), (100, 100));
    assert!(checkpoint.settle([98, 0], true, NOW + 1_000));
    assert!(checkpoint.settle([98, 0], true, NOW + 1_300));
    assert_eq!(checkpoint.state, State::Failed);
    assert!(checkpoint.error.as_deref().is_some_and(|error| error.starts_with("2 conversations got lost")));
    let facts = StartFacts { first_start: FIRST, days: None };
    checkpoint.steer(Wish::Resume, facts, NOW + 2_000).expect("resumes");
    assert!(checkpoint.settle([100, 0], true, NOW + 2_001));
    assert_eq!(checkpoint.state, State::Done);
}

/// Where the same item came on two pages, the counts differ, which is listed; nothing waits for a second fate of it.
#[test]
fn a_window_that_differs_twice_does_not_keep_the_import_from_its_end() {
    let mut checkpoint = started(None);
    let stream = checkpoint.stream_mut(StreamName::Conversations);
    *stream = Stream::for_sweep(StreamName::Conversations, Span::new(FIRST, FIRST + 1), false);
    let seen = PageSeen { total: 3, raw: 4, inside: 4, ..PageSeen::default() };
    for _ in 0..2 {
        let window = stream.window(&[], NOW).expect("unread");
        let judgement = stream.judge(&window, seen.clone());
        stream.apply(&window, judgement);
    }
    assert_eq!((stream.is_read(), stream.read(), stream.differences.len()), (true, 4, 1));
    assert!(checkpoint.settle([3, 0], true, NOW));
    assert_eq!(checkpoint.state, State::Done);
}

/// Neither a pause nor a night without a process counts for the rate.
#[test]
fn only_time_in_which_somebody_works_counts() {
    let mut checkpoint = started(None);
    let facts = StartFacts { first_start: FIRST, days: None };
    assert!(checkpoint.lease("a", NOW, 90));
    assert!(checkpoint.lease("a", NOW + 60, 90));
    checkpoint.steer(Wish::Pause, facts, NOW + 70).expect("pauses");
    checkpoint.steer(Wish::Resume, facts, NOW + 10_000).expect("resumes");
    assert!(checkpoint.lease("a", NOW + 10_000, 90));
    assert!(checkpoint.lease("a", NOW + 10_030, 90));
    assert_eq!(checkpoint.worked(), 90);
    assert!(checkpoint.lease("b", NOW + 40_000, 90), "the process was gone for hours");
    assert_eq!(checkpoint.worked(), 180, "of which a lease at most counts");
    assert!(checkpoint.lease("b", NOW + 39_000, 90), "the clock was set back");
    assert_eq!(checkpoint.worked(), 180);
}

#[test]
fn another_version_is_refused_in_words() {
    let text = Checkpoint::default().to_text().replace(r#""version":1"#, r#""version":2"#);
    let error = Checkpoint::from_text(&text).expect_err("newer").to_string();
    assert_eq!(error, "the import's checkpoint cannot be read: version 2 instead of 1");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Whatever the density, the quirks and the crashes: every item is taken, none is missing, and the numbers agree.
    #[test]
    fn it_is_complete(
        clusters in prop::collection::vec((0i64..34_000_000, 1i64..200_000, 1usize..120), 0..12),
        days_only: bool,
        unsorted: bool,
        heavy in prop::option::of(1u32..30),
        crash_every in prop_oneof![Just(0usize), 7usize..30],
        breaks_off in prop_oneof![Just(0usize), 10usize..60],
    ) {
        let moments = clusters.into_iter().flat_map(|(from, step, count)| {
            (0..count as i64).map(move |n| (FIRST + from + n * (step / 100)).min(NOW))
        });
        let quirks = Quirks { days_only, unsorted, heavy_above: heavy, poison: None, breaks_off };
        check_complete(&mut workspace(moments, quirks), crash_every);
    }
}
