//! Told waits, and the limits through the whole loop.

use app::ports::{CallError, VendorState};

use super::*;

pub(super) async fn bulk(api: &Klaviyo) -> Result<(), CallError> {
    api.bulk(Bytes::new()).await
}

#[tokio::test(start_paused = true)]
async fn a_short_told_wait_is_slept_in_place() {
    let (stage, api) = Stage::klaviyo([with(429, "retry-after", 1)]).await;
    bulk(&api).await.expect("accepted after the wait");
    let times = stage.times();
    assert!(times.len() == 2 && times[1] >= 1_010, "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn a_long_told_wait_holds_everybody_and_is_saved_first() {
    let (stage, api) = Stage::klaviyo([says(202), with(429, "retry-after", 30)]).await;
    bulk(&api).await.expect("accepted");
    let error = bulk(&api).await.expect_err("told to wait");
    let CallError::Wait { until, .. } = error else { panic!("{error}") };
    assert_eq!(Stage::since_start(until), 20 + 30_100);
    assert_eq!(stage.vendors.throttled_until(), Some(until));
    assert_eq!(api.caller.room(domain::limits::Endpoint::KlaviyoEvents), 0);
    let saved = stage.papers.get("limits/klaviyo").expect("saved").body;
    assert!(saved.contains(&until.to_string()), "{saved}");
    for _ in 0..10 {
        assert_eq!(api.one(Bytes::new()).await, Err(CallError::Wait { vendor: Vendor::Klaviyo, until }));
    }
    assert_eq!(stage.times().len(), 2);

    let (again, api) = Stage::klaviyo_on(stage.papers.clone(), []).await;
    // The restarted process has a clock of its own that starts over; the wait was told 20 ms after that.
    assert!(matches!(bulk(&api).await, Err(CallError::Wait { .. })));
    assert_eq!(again.times(), [0; 0]);
    tokio::time::sleep(Duration::from_millis(30_200)).await;
    bulk(&api).await.expect("accepted");
    assert_eq!(stage.vendors.throttled_until(), None);
}

#[tokio::test(start_paused = true)]
async fn when_it_ran_out_one_goes_first_and_the_others_follow_its_success() {
    let (stage, api) = Stage::klaviyo([says(202), with(429, "retry-after", 5)]).await;
    bulk(&api).await.expect("accepted");
    bulk(&api).await.expect_err("told to wait");
    tokio::time::sleep(Duration::from_millis(5_100)).await;
    let start = stage.clock.0.elapsed().as_millis();
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let api = shared(&api);
            tokio::spawn(async move { bulk(&api).await })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic").expect("accepted");
    }
    let times = stage.times();
    assert_eq!(times[2], start);
    assert!(times[3..].iter().all(|ms| *ms >= start + 10) && times.len() == 10, "{times:?}");
}

pub(super) fn shared(api: &Klaviyo) -> Klaviyo {
    Klaviyo { caller: api.caller.clone(), timeouts: api.timeouts }
}

#[tokio::test(start_paused = true)]
async fn what_another_worker_was_told_is_kept_and_obeyed() {
    let (other, api) = Stage::klaviyo([with(429, "retry-after", 90)]).await;
    bulk(&api).await.expect_err("told to wait");
    let theirs = other.papers.get("limits/klaviyo").expect("saved").body;

    let (stage, api) = Stage::klaviyo([with(429, "retry-after", 30)]).await;
    *stage.papers.interloper.lock().expect("sound") = Some(theirs);
    bulk(&api).await.expect_err("told to wait");
    let until = stage.vendors.throttled_until().expect("told");
    assert!(Stage::since_start(until) >= 90_000, "{until}");
    assert!(stage.papers.get("limits/klaviyo").expect("saved").body.contains(&until.to_string()));
}

#[tokio::test(start_paused = true)]
async fn without_a_store_that_works_the_wait_is_obeyed_all_the_same() {
    let (stage, api) = Stage::klaviyo([with(429, "retry-after", 30)]).await;
    *stage.papers.broken.lock().expect("sound") = true;
    assert!(matches!(bulk(&api).await, Err(CallError::Wait { .. })));
    assert!(matches!(bulk(&api).await, Err(CallError::Wait { .. })));
    assert_eq!(stage.times().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_later_version_saved_does_not_keep_us_from_starting() {
    let papers = Arc::new(Papers::default());
    papers.put("limits/klaviyo", r#"{"version":9}"#);
    let (_, api) = Stage::klaviyo_on(papers.clone(), [with(429, "retry-after", 30)]).await;
    bulk(&api).await.expect_err("told to wait");
    assert!(papers.get("limits/klaviyo").expect("saved").body.contains(r#""version":1"#));
}

#[tokio::test(start_paused = true)]
async fn an_overloaded_vendor_that_names_a_time_is_left_alone_until_then() {
    let (stage, api) = Stage::klaviyo([says(202), with(503, "retry-after", 20)]).await;
    bulk(&api).await.expect("accepted");
    let error = bulk(&api).await.expect_err("unavailable");
    let CallError::Unavailable { until, counts: true, .. } = error else { panic!("{error}") };
    assert_eq!(Stage::since_start(until), 20 + 20_100);
    assert!(matches!(bulk(&api).await, Err(CallError::Wait { .. })));
    assert_eq!(stage.times().len(), 2);
    assert!(stage.papers.get("limits/klaviyo").is_some());
}

#[tokio::test(start_paused = true)]
async fn intercom_is_waited_for_until_its_window_ends() {
    let reset = Virtual::start().as_second() + 8;
    let (stage, api) = Stage::intercom([with(429, "x-ratelimit-reset", reset), says(429)]).await;
    let error = api.names().await.expect_err("told to wait");
    assert!(matches!(&error, CallError::Wait { until, .. } if Stage::since_start(*until) == 8_100), "{error}");
    tokio::time::sleep(Duration::from_millis(8_100)).await;
    let error = api.names().await.expect_err("told to wait");
    let CallError::Wait { until, .. } = error else { panic!("{error}") };
    assert!(until.duration_since(stage.clock.now()).as_secs() >= 19, "the second in a row, and no header");
}

/// Klaviyo's fixed windows in virtual time: ten a second, 150 a minute.
#[derive(Default)]
pub(super) struct Windows {
    times: Mutex<Vec<u128>>,
    pub(super) refused: Mutex<u32>,
}

pub(super) struct Enforcing(pub(super) Arc<Windows>, pub(super) Instant, pub(super) u128);

impl Transport for Enforcing {
    async fn send(&self, request: &Outgoing) -> Result<Reply, Flaw> {
        let spread = (self.1.elapsed().as_micros() * 7_919 + request.path.len() as u128) % 60;
        tokio::time::sleep(Duration::from_millis(5 + u64::try_from(spread).expect("small"))).await;
        let now = self.1.elapsed().as_millis();
        let status = {
            let mut times = self.0.times.lock().expect("sound");
            let used = |span: u128| times.iter().filter(|ms| (**ms + self.2) / span == (now + self.2) / span).count();
            if used(1_000) < 10 && used(60_000) < 150 {
                times.push(now);
                202
            } else {
                429
            }
        };
        *self.0.refused.lock().expect("sound") += u32::from(status == 429);
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok(Reply { status, ..Reply::default() })
    }
}

#[tokio::test(start_paused = true)]
async fn a_hundred_bulk_requests_go_out_within_twelve_seconds_and_none_is_refused() {
    for phase in [0, 130, 470, 777, 999] {
        let (windows, started) = (Arc::new(Windows::default()), Instant::now());
        let ports = (Arc::new(Virtual(started)), Arc::new(Half), Arc::new(Papers::default()));
        let transport = Enforcing(windows.clone(), started, phase);
        let caller = Arc::new(Caller::new(Vendor::Klaviyo, transport, Governor::klaviyo(true), ports));
        let api = Arc::new(crate::klaviyo::Api { caller, timeouts: Timeouts::default() });
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                let api = api.clone();
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
        let took = started.elapsed();
        assert_eq!(*windows.refused.lock().expect("sound"), 0, "phase {phase}");
        assert!(took <= Duration::from_secs(12), "phase {phase}: {took:?}");
    }
}
