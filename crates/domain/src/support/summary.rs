//! What a profile says.

use std::collections::BTreeMap;

use super::member::Member;
use super::stand::Version;
use crate::mapping::Properties;

/// The support state of one profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Conversations that are open or snoozed.
    pub open_conversations: u64,
    /// Tickets that are not resolved.
    pub open_tickets: u64,
    /// The last rating's score.
    pub last_rating: Option<u32>,
    /// When it was given, in Unix seconds.
    pub last_rating_at: Option<i64>,
    /// When the customer last wrote, in Unix seconds.
    pub last_contact_at: Option<i64>,
}

impl Summary {
    /// Of the contacts that share the profile. A thread that several of them take part in counts once.
    pub(super) fn of<'m>(members: impl Iterator<Item = &'m Member> + Clone) -> Self {
        let mut threads: BTreeMap<&str, Version> = BTreeMap::new();
        let there = members.clone().flat_map(|member| &member.threads).filter(|(_, stand)| !stand.version.left);
        for (thread, stand) in there {
            let newest = threads.entry(thread).or_insert(stand.version);
            *newest = (*newest).max(stand.version);
        }
        let open = |ticket| threads.values().filter(|version| version.is_open() && version.ticket == ticket).count();
        let rated = members.clone().filter_map(|member| member.rated.as_ref()).max();
        Self {
            open_conversations: open(false) as u64,
            open_tickets: open(true) as u64,
            last_rating: rated.map(|rated| rated.score),
            last_rating_at: rated.map(|rated| rated.at),
            last_contact_at: members.filter_map(|member| member.wrote_at).max(),
        }
    }

    /// Whether it says anything that a profile without it would not.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether something is open.
    pub fn is_open(&self) -> bool {
        self.open_conversations + self.open_tickets > 0
    }

    /// Writes the profile's properties. Zero is a value here: Klaviyo keeps it on profiles.
    pub fn write(&self, properties: &mut Properties) {
        let moment = |second: Option<i64>| second.and_then(|second| jiff::Timestamp::from_second(second).ok());
        properties.count("Intercom_open_conversations", Some(self.open_conversations));
        properties.count("Intercom_open_tickets", Some(self.open_tickets));
        properties.count("Intercom_last_rating", self.last_rating.map(u64::from));
        properties.time("Intercom_last_rating_at", moment(self.last_rating_at));
        properties.time("Intercom_last_contact_at", moment(self.last_contact_at));
    }
}
