//! A believable past, the same for the same seed.

mod people;
mod tickets;

use serde::{Deserialize, Serialize};

use crate::{
    clock::LATEST,
    intercom::{
        ConversationState, IntercomSandbox, Model,
        model::{Author, Origin, Part, PartKind, Text, Thread},
    },
    rng::Rng,
};

const DAY: i64 = 86_400;
const TWO_HOURS: i64 = 7_200;

/// How much past there is to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SeedSpec {
    /// Conversations, those converted into tickets included.
    pub conversations: usize,
    /// Tickets born as tickets.
    pub tickets: usize,
    /// Contacts; at least one is made.
    pub contacts: usize,
    /// Decides everything else.
    pub seed: u64,
    /// Unix seconds: no conversation or ticket is older.
    pub from: i64,
    /// Unix seconds: nothing happens later.
    pub to: i64,
    /// With what makes a real workspace hard to read: leads without address, shared addresses, merged and deleted
    /// contacts, conversations that the team or a campaign started, converted and reopened tickets, ratings asked for
    /// and never given, several contacts, tickets without contact or history, tickets with more parts than are shown.
    pub oddities: bool,
}

impl Default for SeedSpec {
    fn default() -> Self {
        Self {
            conversations: 200,
            tickets: 50,
            contacts: 80,
            seed: 1,
            from: 1_735_689_600,
            to: 1_767_225_600,
            oddities: true,
        }
    }
}

impl IntercomSandbox {
    /// Fills the workspace with a past. Nothing is notified.
    pub fn seed_history(&self, spec: &SeedSpec) {
        // Specs also come over HTTP: times that no sum can bring to overflow.
        let from = spec.from.clamp(0, LATEST);
        let spec = &SeedSpec { from, to: spec.to.clamp(from, LATEST), ..spec.clone() };
        let mut model = self.model();
        let mut past = Past { model: &mut model, rng: Rng::new(spec.seed), spec, contacts: Vec::new() };
        past.people();
        for _ in 0..spec.conversations {
            past.conversation();
        }
        for number in 0..spec.tickets {
            past.ticket(number);
        }
        past.later_fates();
    }
}

const OPENERS: [&str; 10] = [
    "<p>Hi, where is my order?</p>",
    "<p>The size I got does not fit, can I exchange it?</p>",
    "<p>Do you ship to Norway?</p>",
    "<p>My discount code does not work.</p>",
    "<p>One item was missing from the parcel.</p>",
    "<p>Can I change the delivery address?</p>",
    "<p>When will the green one be back in stock?</p>",
    "<p>I was charged twice.</p>",
    "<p>How do I wash this?</p>",
    "<p>I would like to return two things.</p>",
];
const CONTACT_WORDS: [&str; 6] = [
    "<p>Thanks, the number is 10-2231.</p>",
    "<p>Any news?</p>",
    "<p>That would be great.</p>",
    "<p>No, the other one.</p>",
    "<p>Perfect, thank you!</p>",
    "<p>I am still waiting.</p>",
];
const ADMIN_WORDS: [&str; 5] = [
    "<p>Let me check that for you.</p>",
    "<p>Your parcel left our warehouse this morning.</p>",
    "<p>I have sent you a return label.</p>",
    "<p>The refund is on its way.</p>",
    "<p>Is there anything else I can do?</p>",
];
const REMARKS: [&str; 4] = ["Quick and friendly", "Took too long", "Solved it in one go", "Not what I asked"];

struct Past<'a> {
    model: &'a mut Model,
    rng: Rng,
    spec: &'a SeedSpec,
    contacts: Vec<usize>,
}

impl Past<'_> {
    /// Whether something odd happens here; never when oddities are off.
    fn odd(&mut self, share: f64) -> bool {
        self.spec.oddities && self.rng.chance(share)
    }

    fn text(&mut self, phrases: &'static [&'static str]) -> Text {
        Text::Borrowed(self.rng.pick(phrases).copied().unwrap_or_default())
    }

    fn anybody(&mut self) -> usize {
        self.rng.pick(&self.contacts).copied().unwrap_or(0)
    }

    fn anyone_of_the_team(&mut self) -> usize {
        1 + usize::try_from(self.rng.below(3)).unwrap_or(0)
    }

    /// When something begins: early enough to have an end before the past is over.
    fn beginning(&mut self) -> i64 {
        let latest = (self.spec.to - 3 * DAY).max(self.spec.from);
        self.rng.between(self.spec.from, latest)
    }

    /// Some time after `at`, at most `longest` seconds, and never past the end.
    fn later(&mut self, at: i64, longest: i64) -> i64 {
        (at + self.rng.between(1, longest.max(1))).min(self.spec.to)
    }

    fn say(&mut self, thread: usize, author: Author, kind: PartKind, at: i64) {
        let body = match author {
            Author::Contact(_) => self.text(&CONTACT_WORDS),
            Author::Admin(_) | Author::Bot => self.text(&ADMIN_WORDS),
        };
        let mut part = Part::new(kind, author, at).with_body(body);
        if matches!(author, Author::Contact(_)) && self.odd(0.04) {
            // A photo and no word.
            part.body = None;
            part.attachments = 1;
        }
        self.model.add_part(thread, part);
    }

    fn conversation(&mut self) {
        let (at, contact, id) = (self.beginning(), self.anybody(), self.model.thread_id());
        let origin = match () {
            () if self.odd(0.12) => Origin::Admin(self.anyone_of_the_team()),
            () if self.odd(0.08) => Origin::Campaign,
            () => Origin::Contact(contact),
        };
        let mut thread = Thread::new(id, origin, vec![contact], at);
        thread.text = self.text(&OPENERS);
        thread.by_email = self.rng.chance(0.2);
        thread.priority = self.rng.chance(0.05);
        if self.rng.chance(0.3) {
            let tag = self.rng.below(self.model.tags.len() as u64);
            thread.tags.push(usize::try_from(tag).unwrap_or(0));
        }
        if self.rng.chance(0.3) {
            thread.title = Text::Borrowed("Question about an order");
        }
        if self.odd(0.03) {
            let other = self.anybody();
            // In front: the first of several is not always the one who wrote.
            thread.contacts.insert(0, other);
        }
        let index = self.model.add_thread(thread);
        let end = self.exchange(index, contact, at);
        if self.odd(0.06) && matches!(origin, Origin::Contact(_)) {
            self.converted(index, contact, end);
        } else {
            self.ending(index, end);
        }
    }

    /// Question and answer, some times over. Returns when it ended.
    fn exchange(&mut self, index: usize, contact: usize, mut at: i64) -> i64 {
        if self.rng.chance(0.4) {
            at = self.later(at, 5);
            self.model.add_part(index, Part::new(PartKind::LanguageDetection, Author::Bot, at));
            let expectation = Part::new(PartKind::ReplyTime, Author::Bot, at);
            self.model.add_part(index, expectation.with_body("<p>We usually answer within an hour.</p>"));
        }
        let admin = self.anyone_of_the_team();
        for turn in 0..self.rng.below(4) {
            at = self.later(at, TWO_HOURS);
            let kind = if turn == 0 { PartKind::Assignment } else { PartKind::Comment };
            self.model.threads[index].admin = Some(admin);
            self.model.threads[index].team = self.model.admins[admin].team;
            self.say(index, Author::Admin(admin), kind, at);
            if self.rng.chance(0.1) {
                let note = Part::new(PartKind::Note, Author::Admin(admin), at);
                self.model.add_part(index, note.with_body("<p>Called the courier.</p>"));
            }
            if self.rng.chance(0.7) {
                at = self.later(at, TWO_HOURS);
                self.say(index, Author::Contact(contact), PartKind::Comment, at);
            }
        }
        at
    }

    fn ending(&mut self, index: usize, mut at: i64) {
        let admin = Author::Admin(self.model.threads[index].admin.unwrap_or(1));
        if self.rng.chance(0.15) {
            self.model.threads[index].read = true;
            return;
        }
        at = self.later(at, TWO_HOURS);
        self.model.add_part(index, Part::new(PartKind::Close, admin, at));
        self.model.threads[index].state = ConversationState::Closed;
        if self.odd(0.05) {
            at = self.later(at, DAY);
            self.model.add_part(index, Part::new(PartKind::Open, admin, at));
            self.model.threads[index].state = ConversationState::Open;
        }
        if self.rng.chance(0.5) {
            self.rating(index, at);
        }
    }

    /// Asked for; given more often than not.
    fn rating(&mut self, index: usize, at: i64) {
        if self.model.ask_for_rating(index, at).is_err() || self.odd(0.35) {
            return;
        }
        let given = self.later(at, DAY / 2);
        let score = [5, 5, 5, 4, 4, 3, 2, 1][usize::try_from(self.rng.below(8)).unwrap_or(0)];
        let remark = self.rng.chance(0.3).then(|| self.text(&REMARKS));
        if let Some(rating) = &mut self.model.threads[index].rating {
            (rating.score, rating.remark, rating.updated_at) = (Some(score), remark, given);
        }
        self.model.add_part(index, Part::new(PartKind::RatingChanged, Author::Bot, given));
    }
}

#[cfg(test)]
mod tests;
