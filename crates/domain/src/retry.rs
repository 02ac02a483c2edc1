//! What an answer means, and whether to try again at once.
//!
//! Every request of this product may be repeated, also when it was sent and the answer was lost: reads change nothing, events
//! carry a `unique_id` under which Klaviyo keeps the first (<https://developers.klaviyo.com/en/reference/create_event>), and a
//! profile that is written twice is the same profile. So the decision does not ask how far a failed request got.

use std::time::Duration;

use crate::limits::Endpoint;

/// What a status says to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// It is for the caller to read: success, or one of the answers that the endpoint is known for.
    Answer,
    /// A limit is used up.
    Throttled,
    /// Key or address are wrong; nothing of the kind will succeed before a human did something.
    Denied {
        /// One sentence that names the setting to mend.
        reason: String,
        /// Whether every endpoint of the vendor is concerned.
        everywhere: bool,
    },
    /// Not allowed, and we can do without.
    Forbidden,
    /// Repeating it changes nothing.
    Refused,
    /// The vendor's trouble: try again.
    Failed,
}

/// Reads a status.
pub fn meaning(endpoint: Endpoint, status: u16) -> Meaning {
    use Endpoint::{IntercomContacts, IntercomMe, KlaviyoBulk, KlaviyoEvents, KlaviyoProfiles};
    let denied = |everywhere| Meaning::Denied { reason: denial(endpoint, status), everywhere };
    match (status, endpoint) {
        (401, _) => denied(true),
        (403, KlaviyoEvents | KlaviyoBulk | IntercomContacts) => denied(false),
        (403, _) => Meaning::Forbidden,
        (429, _) => Meaning::Throttled,
        // Deleted, merged and moved contacts.
        (301 | 308 | 404 | 410, IntercomContacts) => Meaning::Answer,
        // These paths exist under every right address and revision. `/me` speaks for all of Intercom.
        (300..=399 | 404 | 405 | 410 | 415, IntercomMe) => denied(true),
        (300..=399 | 404 | 405 | 410 | 415, KlaviyoEvents | KlaviyoBulk | KlaviyoProfiles) => denied(false),
        (200..=299, _) => Meaning::Answer,
        // Not from the API at all: a proxy, or a wrong address. No event may die of that.
        (300..=399 | 408, _) | (405 | 415, IntercomContacts) => Meaning::Failed,
        (400..=499, _) => Meaning::Refused,
        _ => Meaning::Failed,
    }
}

fn denial(endpoint: Endpoint, status: u16) -> String {
    use Endpoint::{IntercomContacts, IntercomMe, IntercomOther, IntercomSearch};
    let intercom = matches!(endpoint, IntercomMe | IntercomContacts | IntercomSearch | IntercomOther);
    match (intercom, status) {
        (false, 401) => {
            "Klaviyo answers 401: the API key is not valid; put a valid private key into KLAVIYO_API_KEY".to_owned()
        }
        (false, 403) => "Klaviyo answers 403 on events: the API key may not write them; put a key with the scopes \
                         events:write and profiles:write into KLAVIYO_API_KEY"
            .to_owned(),
        (false, status) => format!(
            "Klaviyo answers {status} on {}: KLAVIYO_API_URL is not Klaviyo's address, or the API revision {} is retired",
            if endpoint == Endpoint::KlaviyoProfiles { "profiles" } else { "events" },
            crate::klaviyo::REVISION
        ),
        (true, 401) => {
            "Intercom answers 401: the access token is not valid for this workspace or region; put a valid one \
                        into INTERCOM_ACCESS_TOKEN and check INTERCOM_API_URL"
                .to_owned()
        }
        (true, 403) => {
            "Intercom answers 403 on contacts: the access token may not read them; give the app the permission \
                        to read users (INTERCOM_ACCESS_TOKEN)"
                .to_owned()
        }
        (true, status) => {
            format!("Intercom answers {status} on /me: INTERCOM_API_URL is not the address of Intercom's API")
        }
    }
}

/// How often and how long to try in place. Longer waits belong to the queue.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Tries in all.
    pub tries: u32,
    /// No further try begins later than this after the first.
    pub within: Duration,
    /// Mean wait before the second try; doubles with each.
    pub first: Duration,
}

/// Three tries within three seconds.
pub const IN_PLACE: Policy = Policy { tries: 3, within: Duration::from_secs(3), first: Duration::from_millis(400) };

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Try again after this time.
    Again(Duration),
    /// Leave it to the caller.
    GiveUp,
}

/// Decides after try number `tries` (from 1) failed, `elapsed` after the first began. `unit` in `0.0..1.0` spreads the wait
/// between one half and one and a half of its mean, so that those who failed together do not come back together.
pub fn decide(policy: Policy, tries: u32, elapsed: Duration, unit: f64) -> Decision {
    if tries >= policy.tries {
        return Decision::GiveUp;
    }
    let mean = policy.first.saturating_mul(1 << (tries.clamp(1, 16) - 1));
    let delay = mean.mul_f64(0.5 + unit.clamp(0.0, 1.0));
    if elapsed + delay > policy.within { Decision::GiveUp } else { Decision::Again(delay) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[track_caller]
    fn check(tries: u32, elapsed: u64, unit: f64, expected: Decision) {
        assert_eq!(decide(IN_PLACE, tries, ms(elapsed), unit), expected);
    }

    #[test]
    fn waits_double_and_spread() {
        check(1, 0, 0.5, Decision::Again(ms(400)));
        check(1, 0, 0.0, Decision::Again(ms(200)));
        check(2, 500, 0.5, Decision::Again(ms(800)));
        check(2, 500, 1.0, Decision::Again(ms(1200)));
    }

    #[test]
    fn gives_up_after_three_tries_or_three_seconds() {
        check(3, 1_500, 0.5, Decision::GiveUp);
        check(1, 10_000, 0.5, Decision::GiveUp);
        check(1, 2_700, 0.5, Decision::GiveUp);
        check(1, 2_600, 0.5, Decision::Again(ms(400)));
    }

    fn kind(meaning: &Meaning) -> &'static str {
        match meaning {
            Meaning::Answer => "answer",
            Meaning::Throttled => "throttled",
            Meaning::Denied { everywhere: true, .. } => "denied everywhere",
            Meaning::Denied { .. } => "denied",
            Meaning::Forbidden => "forbidden",
            Meaning::Refused => "refused",
            Meaning::Failed => "failed",
        }
    }

    #[track_caller]
    fn means(endpoint: Endpoint, statuses: &[u16], expected: &str) {
        for status in statuses {
            assert_eq!(kind(&meaning(endpoint, *status)), expected, "{status} on {endpoint:?}");
        }
    }

    #[test]
    fn statuses_of_the_event_endpoints() {
        for endpoint in [Endpoint::KlaviyoEvents, Endpoint::KlaviyoBulk] {
            means(endpoint, &[200, 201, 202, 204], "answer");
            means(endpoint, &[400, 402, 409, 413, 422], "refused");
            means(endpoint, &[403, 301, 302, 307, 308, 404, 405, 410, 415], "denied");
            means(endpoint, &[401], "denied everywhere");
            means(endpoint, &[429], "throttled");
            means(endpoint, &[408, 500, 502, 503, 504, 520, 524, 599], "failed");
        }
    }

    #[test]
    fn statuses_of_intercom() {
        means(Endpoint::IntercomContacts, &[200, 301, 404, 410], "answer");
        means(Endpoint::IntercomContacts, &[403], "denied");
        means(Endpoint::IntercomContacts, &[400, 422], "refused");
        means(Endpoint::IntercomContacts, &[302, 307, 405, 415], "failed");
        means(Endpoint::IntercomMe, &[404, 301, 405, 401], "denied everywhere");
        means(Endpoint::IntercomMe, &[403], "forbidden");
        means(Endpoint::IntercomOther, &[403], "forbidden");
        means(Endpoint::IntercomOther, &[404], "refused");
        means(Endpoint::IntercomOther, &[500, 503, 504], "failed");
        means(Endpoint::KlaviyoReads, &[403], "forbidden");
        means(Endpoint::KlaviyoLookups, &[403], "forbidden");
        means(Endpoint::KlaviyoReads, &[404], "refused");
        means(Endpoint::KlaviyoReads, &[301], "failed");
    }

    #[test]
    fn reasons_name_the_setting_to_mend() {
        for (endpoint, status, setting) in [
            (Endpoint::KlaviyoEvents, 401, "KLAVIYO_API_KEY"),
            (Endpoint::KlaviyoBulk, 403, "events:write"),
            (Endpoint::KlaviyoEvents, 404, "KLAVIYO_API_URL"),
            (Endpoint::IntercomContacts, 401, "INTERCOM_ACCESS_TOKEN"),
            (Endpoint::IntercomContacts, 403, "INTERCOM_ACCESS_TOKEN"),
            (Endpoint::IntercomMe, 404, "INTERCOM_API_URL"),
        ] {
            let Meaning::Denied { reason, .. } = meaning(endpoint, status) else { panic!("{status} does not stop") };
            assert!(reason.contains(setting) && reason.contains(&status.to_string()), "{reason}");
        }
    }
}
