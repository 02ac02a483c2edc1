//! The recent events, filtered and page by page, for people who look for one.

use jiff::Timestamp;
use serde::Serialize;

use crate::ports::{Overview, RecentEvent, StoreResult};

/// How many of the recent events a search goes through: the newest ones.
pub const MOST_LOOKED_AT: usize = 5_000;

/// Which events are wanted; what is `None` does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WantedEvents {
    /// Full metric name.
    pub metric: Option<String>,
    /// `sent`, `skipped`, `parked` or `dead`.
    pub fate: Option<String>,
    /// Intercom's contact id.
    pub contact: Option<String>,
}

/// A page of recent events, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RecentPage {
    /// The page.
    pub items: Vec<RecentEvent>,
    /// Cursor of the next page.
    pub next: Option<String>,
}

/// The next `limit` wanted events after the cursor. A cursor whose event is no longer listed gives an empty page.
pub async fn recent_page(
    store: &impl Overview,
    wanted: &WantedEvents,
    after: Option<&str>,
    limit: usize,
) -> StoreResult<RecentPage> {
    let filtered = *wanted != WantedEvents::default();
    let look_at = if filtered || after.is_some() { MOST_LOOKED_AT } else { limit.saturating_add(1) };
    Ok(page(store.recent_events(look_at).await?, wanted, after, limit))
}

fn page(events: Vec<RecentEvent>, wanted: &WantedEvents, after: Option<&str>, limit: usize) -> RecentPage {
    let Some(skipped) = after.map_or(Some(0), |cursor| position_after(&events, cursor)) else {
        return RecentPage::default();
    };
    let mut page = RecentPage::default();
    let mut last = None;
    for (index, event) in events.iter().enumerate().skip(skipped).filter(|(_, event)| wanted.fits(event)) {
        if page.items.len() == limit {
            page.next = last.map(|last| cursor(&events, last));
            break;
        }
        last = Some(index);
        page.items.push(event.clone());
    }
    page
}

impl WantedEvents {
    fn fits(&self, event: &RecentEvent) -> bool {
        let same = |wanted: &Option<String>, is: Option<&str>| wanted.is_none() || wanted.as_deref() == is;
        same(&self.metric, Some(&event.metric))
            && same(&self.fate, Some(&event.fate))
            && same(&self.contact, event.contact.as_deref())
    }
}

/// The moment, and which one of that moment's events it is: newer events that come meanwhile do not move it.
fn cursor(events: &[RecentEvent], index: usize) -> String {
    let at = events.get(index).map_or(Timestamp::MIN, |event| event.at);
    let older = events.iter().skip(index + 1).filter(|event| event.at == at).count();
    format!("{}_{older}", at.as_microsecond())
}

fn position_after(events: &[RecentEvent], cursor: &str) -> Option<usize> {
    let (at, older) = cursor.split_once('_')?;
    let (at, older): (i64, usize) = (at.parse().ok()?, older.parse().ok()?);
    let mut same: Vec<usize> = events
        .iter()
        .enumerate()
        .filter(|(_, event)| event.at.as_microsecond() == at)
        .map(|(index, _)| index)
        .collect();
    same.reverse();
    same.get(older).map(|index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(second: i64, key: &str, fate: &str) -> RecentEvent {
        RecentEvent {
            at: Timestamp::from_second(second).expect("in range"),
            metric: "Intercom Created Ticket".to_owned(),
            key: key.to_owned(),
            contact: Some(format!("contact-of-{key}")),
            time: None,
            fate: fate.to_owned(),
            reason: None,
        }
    }

    fn keys(page: &RecentPage) -> Vec<&str> {
        page.items.iter().map(|event| event.key.as_str()).collect()
    }

    #[test]
    fn pages_follow_each_other_though_newer_events_come() {
        let mut events = vec![
            event(9, "f", "sent"),
            event(8, "e", "sent"),
            event(8, "d", "sent"),
            event(8, "c", "sent"),
            event(7, "b", "sent"),
            event(1, "a", "sent"),
        ];
        let first = page(events.clone(), &WantedEvents::default(), None, 2);
        assert_eq!(keys(&first), ["f", "e"]);
        events.insert(0, event(10, "g", "sent"));
        events.insert(2, event(8, "late", "sent"));
        let second = page(events.clone(), &WantedEvents::default(), first.next.as_deref(), 3);
        assert_eq!(keys(&second), ["d", "c", "b"]);
        let third = page(events.clone(), &WantedEvents::default(), second.next.as_deref(), 3);
        assert_eq!((keys(&third), &third.next), (vec!["a"], &None));
        assert_eq!(page(events, &WantedEvents::default(), Some("5_0"), 3), RecentPage::default());
    }

    #[test]
    fn filters_hold_together() {
        let events = vec![event(3, "c", "dead"), event(2, "b", "sent"), event(1, "a", "dead")];
        let dead = WantedEvents { fate: Some("dead".to_owned()), ..WantedEvents::default() };
        assert_eq!(keys(&page(events.clone(), &dead, None, 9)), ["c", "a"]);
        let of_a = WantedEvents { contact: Some("contact-of-a".to_owned()), ..dead };
        assert_eq!(keys(&page(events.clone(), &of_a, None, 9)), ["a"]);
        let other = WantedEvents { metric: Some("Other".to_owned()), ..of_a };
        assert_eq!(page(events, &other, None, 9), RecentPage::default());
    }
}
