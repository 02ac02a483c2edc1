//! What the simulation has to show, with its figures.

use super::*;

const SEEDS: u64 = 4;

/// Prints what a setting comes to; shown by `cargo test -- --nocapture`.
#[expect(clippy::print_stdout, reason = "the figures are for people")]
fn show(name: &str, setting: &Setting, seed: u64) -> Tally {
    let tally = run(seed, setting);
    let (accepted, refused, others) = (tally.accepted, tally.refused, tally.others);
    let least = (0..setting.holders).map(|index| tally.by_holder.get(&index).copied().unwrap_or(0)).min();
    println!(
        "{name}: {} holders, seed {seed}: {accepted} sent, {refused} refused, {others} of others, least {} of a holder; \
         {} loads, {} saves, text at most {} bytes",
        setting.holders,
        least.unwrap_or(0),
        tally.loads,
        tally.saves,
        tally.longest_text
    );
    tally
}

#[test]
fn alone_with_the_account_no_request_is_refused_and_nearly_all_is_used() {
    for seed in 0..SEEDS {
        for holders in [1, 2, 4, 8] {
            let tally = show("bulk", &Setting { holders, ..Setting::default() }, seed);
            assert_eq!(tally.refused, 0, "seed {seed}, {holders} holders");
            assert!(tally.accepted >= 1_500 * 85 / 100, "seed {seed}, {holders} holders: {}", tally.accepted);
            assert!(tally.longest_text < 1_024, "{}", tally.longest_text);
        }
    }
}

#[test]
fn crashes_and_lost_answers_of_the_store_cost_a_little_rate_and_no_refusal() {
    for seed in 0..SEEDS {
        for holders in [1, 3, 8] {
            let setting = Setting { holders, crash_every: 20, lost_saves: 20, ..Setting::default() };
            let tally = show("faults", &setting, seed);
            assert_eq!(tally.refused, 0, "seed {seed}, {holders} holders");
            assert!(tally.accepted >= 1_500 * 80 / 100, "seed {seed}, {holders} holders: {}", tally.accepted);
        }
    }
}

#[test]
fn slow_answers_of_the_vendor_cost_neither_refusals_nor_much_rate() {
    for seed in 0..SEEDS {
        for holders in [1, 8] {
            let latency = 500 * MS..1_400 * MS;
            let setting = Setting { holders, latency, concurrency: 16, ..Setting::default() };
            let tally = show("slow", &setting, seed);
            assert_eq!(tally.refused, 0, "seed {seed}, {holders} holders");
            assert!(tally.accepted >= 1_500 * 85 / 100, "seed {seed}, {holders} holders: {}", tally.accepted);
        }
    }
}

#[test]
fn nobody_starves() {
    for seed in 0..SEEDS {
        // More than there are places in the vendor's second, and one that is greedy among those that are not.
        for (holders, concurrency) in [(8, 2), (8, 16), (16, 4)] {
            let tally = show("fair", &Setting { holders, concurrency, ..Setting::default() }, seed);
            for index in 0..holders {
                let sent = tally.by_holder.get(&index).copied().unwrap_or(0);
                assert!(sent * holders * 3 >= tally.accepted, "seed {seed}: holder {index} of {holders} sent {sent}");
            }
        }
    }
}

#[test]
fn another_app_that_eats_half_the_budget_is_left_its_half() {
    for holders in [1, 4, 8] {
        let (mut sent, mut refused, mut least) = (0, 0, usize::MAX);
        for seed in 0..SEEDS {
            let tally = show("others", &Setting { holders, others: 75, seconds: 1_800, ..Setting::default() }, seed);
            assert_eq!(tally.early, 0, "seed {seed}: sent before a told wait ran out");
            sent += tally.accepted;
            refused += tally.refused;
            least = least.min(tally.accepted + tally.others);
        }
        assert!(refused * 1_000 <= sent, "{holders} holders: {refused} of {sent} refused");
        assert!(least * 100 >= 4_500 * 85, "{holders} holders: both together sent {least} of 4500");
    }
}

#[test]
fn what_one_was_told_the_others_obey_one_lease_later_and_one_probe_goes_at_a_time() {
    for seed in 0..SEEDS {
        let setting = Setting { holders: 8, refuses: (100 * SEC, 150 * SEC), seconds: 300, ..Setting::default() };
        let tally = show("told", &setting, seed);
        assert_eq!(tally.early, 0, "seed {seed}");
        // Two of each holder can be under way, or be sent before the news is there.
        assert!((1..=32).contains(&tally.refused), "seed {seed}: {} refused", tally.refused);
        assert!(tally.accepted > 450, "seed {seed}: {}", tally.accepted);
    }
}

#[test]
fn single_events_need_one_read_and_one_write_for_ten() {
    for seed in 0..SEEDS {
        let windows: &[(u32, u64)] = &[(350, SEC), (3_500, 60 * SEC)];
        for (holders, concurrency) in [(1, 16), (8, 10)] {
            let endpoint = Endpoint::KlaviyoEvents;
            let setting = Setting { endpoint, windows, holders, concurrency, seconds: 300, ..Setting::default() };
            let tally = show("singles", &setting, seed);
            assert_eq!(tally.refused, 0, "seed {seed}, {holders} holders");
            assert!(tally.accepted >= 17_500 * 85 / 100, "seed {seed}, {holders} holders: {}", tally.accepted);
            assert!(tally.saves * 10 <= tally.accepted, "seed {seed}: {} saves for {}", tally.saves, tally.accepted);
            assert!(tally.loads * 7 <= tally.accepted, "seed {seed}: {} loads for {}", tally.loads, tally.accepted);
            assert!(tally.longest_text < 1_024, "{}", tally.longest_text);
        }
    }
}

#[test]
fn intercoms_ten_seconds_are_used_well_by_several() {
    for seed in 0..SEEDS {
        for holders in [1, 4] {
            let setting = Setting {
                endpoint: Endpoint::IntercomOther,
                windows: &[(1_667, 10 * SEC)],
                holders,
                concurrency: 40,
                seconds: 120,
                latency: 20 * MS..80 * MS,
                ..Setting::default()
            };
            let tally = show("intercom", &setting, seed);
            assert_eq!(tally.refused, 0, "seed {seed}, {holders} holders");
            assert!(tally.accepted >= 20_004 * 80 / 100, "seed {seed}, {holders} holders: {}", tally.accepted);
        }
    }
}
