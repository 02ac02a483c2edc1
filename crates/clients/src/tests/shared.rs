//! Several processes over one document, through the whole loop.

use app::ports::{CallError, VendorState};

use super::limits::{Enforcing, Windows, bulk, shared};
use super::*;
use crate::vendors::stored_vendors;

const LEASE: Duration = Duration::from_millis(2_100);

async fn one(api: &Klaviyo) -> Result<(), CallError> {
    api.one(Bytes::new()).await
}

async fn watched(stage: &Stage) -> impl VendorState {
    stored_vendors(&*stage.papers, Virtual(stage.clock.0)).await.expect("readable")
}

fn counts(papers: &Papers) -> (u32, u32) {
    (*papers.loads.lock().expect("sound"), *papers.saves.lock().expect("sound"))
}

#[tokio::test(start_paused = true)]
async fn one_process_alone_asks_nobody() {
    let (stage, api) = Stage::klaviyo([]).await;
    for _ in 0..50 {
        one(&api).await.expect("accepted");
    }
    assert_eq!(counts(&stage.papers), (1, 0), "once, at the start");
}

#[tokio::test(start_paused = true)]
async fn ten_events_cost_one_read_and_one_write() {
    let papers = Arc::new(Papers::default());
    *papers.slow.lock().expect("sound") = Duration::from_millis(5);
    let (stage, api) = Stage::sharing(&papers, "a", "key", vec![]).await;
    assert!(api.caller.room(domain::limits::Endpoint::KlaviyoEvents) >= 10, "known before anything is sent");
    for batch in 1..=2 {
        let tasks: Vec<_> = (0..10)
            .map(|_| {
                let api = shared(&api);
                tokio::spawn(async move { one(&api).await })
            })
            .collect();
        for task in tasks {
            task.await.expect("no panic").expect("accepted");
        }
        assert_eq!(stage.seen().len(), batch * 10);
        assert_eq!(counts(&papers), (1 + u32::try_from(batch).expect("small"), u32::try_from(batch).expect("small")));
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
}

/// What the bill of AWS counts with (`cost`): in a busy hour a batch needs a lease every second time.
#[tokio::test(start_paused = true)]
async fn batches_that_follow_each_other_share_their_leases() {
    for gap in [700, 1_000, 1_500] {
        let papers = Arc::new(Papers::default());
        *papers.slow.lock().expect("sound") = Duration::from_millis(5);
        let (_, api) = Stage::sharing(&papers, "a", "key", vec![]).await;
        for _ in 0..40 {
            let tasks: Vec<_> = (0..10)
                .map(|_| {
                    let api = shared(&api);
                    tokio::spawn(async move { one(&api).await })
                })
                .collect();
            for task in tasks {
                task.await.expect("no panic").expect("accepted");
            }
            tokio::time::sleep(Duration::from_millis(gap)).await;
        }
        let (_, saves) = counts(&papers);
        assert!(saves <= 21, "every {gap} ms: {saves} leases for 40 batches");
    }
}

#[tokio::test(start_paused = true)]
async fn what_one_was_told_the_other_obeys_with_its_next_lease_and_a_watcher_sees() {
    let papers = Arc::new(Papers::default());
    let (a, first) = Stage::sharing(&papers, "a", "key", vec![with(429, "retry-after", 30)]).await;
    let (b, second) = Stage::sharing(&papers, "b", "key", vec![]).await;
    one(&second).await.expect("accepted");
    let error = one(&first).await.expect_err("told to wait");
    let CallError::Wait { until, .. } = error else { panic!("{error}") };
    assert_eq!(watched(&a).await.throttled_until(), Some(until));
    tokio::time::sleep(LEASE).await;
    for _ in 0..3 {
        assert_eq!(one(&second).await, Err(CallError::Wait { vendor: Vendor::Klaviyo, until }));
    }
    assert_eq!((a.times().len(), b.times().len()), (1, 1));
    assert_eq!(b.vendors.throttled_until(), Some(until));
    tokio::time::sleep(Duration::from_secs(31)).await;
    one(&second).await.expect("the probe");
    one(&first).await.expect("free again");
    assert_eq!(watched(&a).await.throttled_until(), None);
}

#[tokio::test(start_paused = true)]
async fn of_all_processes_one_probes_a_refused_key() {
    let papers = Arc::new(Papers::default());
    let (a, first) = Stage::sharing(&papers, "a", "key", vec![says(401), Step::Hangs]).await;
    let (b, second) = Stage::sharing(&papers, "b", "key", vec![]).await;
    assert!(matches!(one(&first).await, Err(CallError::Stopped { .. })));
    let blocked = watched(&b).await.blocked().expect("blocked");
    assert_eq!((blocked.vendor, blocked.reason.contains("KLAVIYO_API_KEY")), (Vendor::Klaviyo, true));
    assert!(matches!(one(&second).await, Err(CallError::Stopped { .. })), "known to who never asked");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let probe = tokio::spawn({
        let first = shared(&first);
        async move { one(&first).await }
    });
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(matches!(one(&second).await, Err(CallError::Stopped { .. })), "the probe is on its way");
    assert_eq!((a.times().len(), b.times().len()), (2, 0));

    // Whoever probes may die; the others wait for it as long as a request may take.
    probe.abort();
    tokio::time::sleep(Duration::from_secs(35)).await;
    one(&second).await.expect("the next probe");
    assert!(watched(&a).await.blocked().is_none());
    tokio::time::sleep(LEASE).await;
    one(&first).await.expect("free again");
}

#[tokio::test(start_paused = true)]
async fn a_new_key_is_tried_at_once() {
    let papers = Arc::new(Papers::default());
    let (_, old) = Stage::sharing(&papers, "a", "old key", vec![says(401), says(401), says(401)]).await;
    let (b, same) = Stage::sharing(&papers, "b", "old key", vec![]).await;
    let (c, new) = Stage::sharing(&papers, "c", "new key", vec![]).await;
    for wait in [1_100, 2_100] {
        assert!(matches!(one(&old).await, Err(CallError::Stopped { .. })));
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }
    assert!(matches!(one(&old).await, Err(CallError::Stopped { .. })));
    assert!(matches!(one(&same).await, Err(CallError::Stopped { .. })));
    one(&new).await.expect("accepted");
    assert_eq!((b.times().len(), c.times().len()), (0, 1));
    assert!(watched(&c).await.blocked().is_none());
    let stored = papers.get("limits/klaviyo").expect("saved").body;
    assert!(!stored.contains("key"), "neither key is in it: {stored}");
}

#[tokio::test(start_paused = true)]
async fn without_a_store_that_works_nothing_is_sent_and_what_was_told_is_told_later() {
    let papers = Arc::new(Papers::default());
    let (a, first) = Stage::sharing(&papers, "a", "key", vec![says(202), with(429, "retry-after", 60)]).await;
    *papers.broken.lock().expect("sound") = true;
    assert!(matches!(one(&first).await, Err(CallError::Wait { .. })));
    assert_eq!(a.times().len(), 0);
    *papers.broken.lock().expect("sound") = false;
    // Two at once have a lease for two.
    *papers.slow.lock().expect("sound") = Duration::from_millis(5);
    let other = shared(&first);
    let second = tokio::spawn(async move { one(&other).await });
    let results = [one(&first).await.is_ok(), second.await.expect("no panic").is_ok()];
    assert_eq!(results.iter().filter(|sent| **sent).count(), 1);
    assert!(watched(&a).await.throttled_until().is_some());

    let (b, next) = Stage::sharing(&papers, "b", "key", vec![]).await;
    assert!(matches!(one(&next).await, Err(CallError::Wait { .. })));
    assert_eq!(b.times().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn news_that_could_not_be_saved_are_saved_with_the_next_call() {
    let papers = Arc::new(Papers::default());
    let slow = vec![Step::Says(429, vec![("retry-after", "60".to_owned())], "")];
    let (a, first) = Stage::sharing(&papers, "a", "key", slow).await;
    let broken = papers.clone();
    let breaking = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(5)).await;
        *broken.broken.lock().expect("sound") = true;
    });
    assert!(matches!(one(&first).await, Err(CallError::Wait { .. })));
    breaking.await.expect("no panic");
    *papers.broken.lock().expect("sound") = false;
    assert!(watched(&a).await.throttled_until().is_none(), "the store was broken when it was told");
    assert!(matches!(one(&first).await, Err(CallError::Wait { .. })));
    assert!(watched(&a).await.throttled_until().is_some());
    assert_eq!(a.times().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lease_whose_answer_got_lost_is_given_back() {
    let papers = Arc::new(Papers::default());
    let (_, api) = Stage::sharing(&papers, "a", "key", vec![]).await;
    *papers.forgetful.lock().expect("sound") = true;
    for _ in 0..3 {
        assert!(matches!(bulk(&api).await, Err(CallError::Wait { .. })));
    }
    *papers.forgetful.lock().expect("sound") = false;
    let tasks: Vec<_> = (0..150)
        .map(|_| {
            let api = shared(&api);
            tokio::spawn(async move { while bulk(&api).await.is_err() {} })
        })
        .collect();
    let all = async {
        for task in tasks {
            task.await.expect("no panic");
        }
    };
    tokio::time::timeout(Duration::from_secs(58), all).await.expect("all 150 places of the minute are there");
}

#[tokio::test(start_paused = true)]
async fn a_document_that_cannot_be_read_costs_one_window() {
    let papers = Arc::new(Papers::default());
    papers.put("limits/klaviyo", r#"{"version":9,"told":null}"#);
    let (stage, api) = Stage::sharing(&papers, "a", "key", vec![]).await;
    let error = bulk(&api).await.expect_err("the windows may be full");
    let CallError::Wait { until, .. } = error else { panic!("{error}") };
    assert!((60_000..70_000).contains(&Stage::since_start(until)), "{until}");
    assert_eq!(stage.times().len(), 0);
    tokio::time::sleep(Duration::from_secs(64)).await;
    bulk(&api).await.expect("accepted");
}

#[tokio::test(start_paused = true)]
async fn both_ways_of_keeping_limits_read_what_the_other_told() {
    let (single, api) = Stage::klaviyo([with(429, "retry-after", 30)]).await;
    bulk(&api).await.expect_err("told to wait");
    let (stage, api) = Stage::sharing(&single.papers, "a", "key", vec![]).await;
    assert!(matches!(bulk(&api).await, Err(CallError::Wait { .. })));
    assert_eq!(stage.times().len(), 0);

    let papers = Arc::new(Papers::default());
    let (_, api) = Stage::sharing(&papers, "a", "key", vec![with(429, "retry-after", 30)]).await;
    bulk(&api).await.expect_err("told to wait");
    let (stage, api) = Stage::klaviyo_on(papers, []).await;
    assert!(matches!(bulk(&api).await, Err(CallError::Wait { .. })));
    assert_eq!(stage.times().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn four_processes_send_a_hundred_bulk_requests_and_none_is_refused() {
    for phase in [0, 470, 999] {
        let (windows, started, papers) = (Arc::new(Windows::default()), Instant::now(), Arc::new(Papers::default()));
        *papers.slow.lock().expect("sound") = Duration::from_millis(8);
        let processes: Vec<_> = (0..4)
            .map(|holder| {
                let ports = (Arc::new(Virtual(started)), Arc::new(Half), papers.clone());
                let governor = Governor::klaviyo_shared(&format!("process {holder}"), "key");
                let transport = Enforcing(windows.clone(), started, phase);
                let caller = Arc::new(Caller::new(Vendor::Klaviyo, transport, governor, ports));
                Arc::new(crate::klaviyo::Api { caller, timeouts: Timeouts::default() })
            })
            .collect();
        let tasks: Vec<_> = (0..100)
            .map(|index| {
                let api = processes[index % 4].clone();
                tokio::spawn(async move {
                    while let Err(error) = api.bulk(Bytes::new()).await {
                        let CallError::Wait { until, .. } = error else { panic!("{error}") };
                        let now = Virtual(started).now();
                        tokio::time::sleep(Duration::try_from(until.duration_since(now)).unwrap_or_default()).await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("no panic");
        }
        assert_eq!(*windows.refused.lock().expect("sound"), 0, "phase {phase}");
        assert!(started.elapsed() < Duration::from_secs(30), "phase {phase}: {:?}", started.elapsed());
    }
}
