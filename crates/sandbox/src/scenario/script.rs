//! The script itself.

use super::{
    CREATED_CONVERSATION, CREATED_TICKET, ExpectedEvent, MARKED_TICKET_ON_HOLD, RATED_CONVERSATION, READ_CONVERSATION,
    REPLIED_TO_CONVERSATION, REPLIED_TO_TICKET, RESOLVED_TICKET, SUBMITTED_TICKET,
};
use crate::intercom::{Acted, ActionError, Category, ContactSpec, IntercomSandbox, PartRef, TicketSpec};

/// First names of the shop's regular customers.
const CAST: [&str; 9] = ["Ada", "Bruno", "Chloé", "Dmitri", "Emeka", "Freya", "Giulia", "Hana", "Ivo"];
const FAMILY: [&str; 9] = ["Byron", "Costa", "Durand", "Orlov", "Obi", "Lind", "Conti", "Kimura", "Novak"];
/// Every so many notifications, one is delivered a second time.
const REPEAT_EVERY: usize = 5;
/// Seconds of the clock until an anonymous lead's address is known.
const ADDRESS_AFTER: i64 = 3;

#[derive(Clone, Debug)]
struct Person {
    id: String,
    email: Option<String>,
    phone: Option<String>,
}

/// Plays `rounds` rounds in the workspace and returns what Klaviyo should hold afterwards.
///
/// Each round has every one of the nine metrics at least once, besides things that must not become events: notes,
/// back-office tickets, a teammate's own conversations, moves between states of one category, a lead who never says
/// who it is. Some notifications are delivered twice. The events' times begin at `from` (Unix seconds) and advance by
/// some seconds a step, about three minutes a round; notifications go out at once all the same, and the address of
/// the lead who gives it late is known three seconds of the clock after its round.
///
/// # Errors
/// Never, as long as nobody else deletes what the script is using.
pub fn nine_metrics(intercom: &IntercomSandbox, rounds: usize, from: i64) -> Result<Vec<ExpectedEvent>, ActionError> {
    let mut script = Script { intercom, time: from, expected: Vec::new(), notified: 0 };
    let cast: Vec<Person> = CAST.iter().zip(FAMILY).map(|(first, family)| script.regular(first, family)).collect();
    let by_phone = script.add(ContactSpec {
        name: Some("Jonas Feld".into()),
        phone: Some("+491512345678".into()),
        ..ContactSpec::default()
    });
    for round in 0..rounds {
        let who = |offset: usize| cast.get((round + offset) % cast.len()).unwrap_or(&by_phone);
        script.conversation(who(0))?;
        script.ticket(who(1))?;
        script.converted(who(2))?;
        script.started_by_the_team(who(3))?;
        script.group(who(4), who(5))?;
        script.not_for_klaviyo()?;
        script.late_address(round)?;
        script.merged(who(6))?;
        script.ticket(&by_phone)?;
    }
    Ok(script.expected)
}

struct Script<'a> {
    intercom: &'a IntercomSandbox,
    time: i64,
    expected: Vec<ExpectedEvent>,
    notified: usize,
}

type Step = Result<(), ActionError>;

impl Script<'_> {
    fn regular(&mut self, first: &str, family: &str) -> Person {
        let plain: String = first.to_lowercase().chars().filter(char::is_ascii).collect();
        let email = format!("{plain}.{}@customers.sandbox-shop.co", family.to_lowercase());
        let mut spec = ContactSpec::user(email, format!("{first} {family}"));
        spec.city = Some("Dublin".into());
        spec.country = Some("Ireland".into());
        spec.tags = vec!["vip".into()];
        spec.custom_attributes.insert("plan".into(), "pro".into());
        self.add(spec)
    }

    fn add(&mut self, spec: ContactSpec) -> Person {
        let (email, phone) = (spec.email.clone(), spec.phone.clone());
        let id = self.now().add_contact(spec);
        Person { id, email, phone }
    }

    /// A handle at the script's time.
    fn now(&self) -> IntercomSandbox {
        self.intercom.at(self.time)
    }

    /// Lets some seconds pass, and delivers some of what was notified a second time.
    fn done(&mut self, acted: &Acted) {
        let last = acted.parts.iter().map(|part| part.at).max().unwrap_or(acted.at);
        self.time = last.max(self.time) + 4;
        for notification in &acted.notifications {
            self.notified += 1;
            if self.notified.is_multiple_of(REPEAT_EVERY) {
                self.intercom.redeliver(notification);
            }
        }
    }

    fn expect(&mut self, metric: &str, rest: String, time: i64, person: &Person) {
        let key = format!("intercom:{}:{rest}", self.intercom.workspace_id());
        let (email, phone) = (person.email.clone(), person.phone.clone());
        self.expected.push(ExpectedEvent { metric: metric.to_owned(), key, time, email, phone });
    }

    /// A contact writes first; the conversation's id.
    fn starts(&mut self, person: &Person, text: &str) -> Result<String, ActionError> {
        let acted = self.now().start_conversation(&person.id, text)?;
        self.done(&acted);
        self.expect(CREATED_CONVERSATION, format!("conversation-created:{}", acted.id), acted.at, person);
        Ok(acted.id)
    }

    fn replied(&mut self, acted: &Acted, metric: &str, slug: &str, person: &Person) {
        self.done(acted);
        if let Some(part) = acted.parts.first() {
            self.expect(metric, format!("{slug}:{}", part.id), part.at, person);
        }
    }

    fn reads(&mut self, conversation: &str, newest: Option<&PartRef>, person: &Person) -> Step {
        let acted = self.now().contact_reads(conversation)?;
        self.done(&acted);
        let newest = newest.map_or("start", |part| part.id.as_str());
        self.expect(READ_CONVERSATION, format!("conversation-read:{conversation}:{newest}"), acted.at, person);
        Ok(())
    }

    /// What the state parts of an action mean.
    fn states(&mut self, acted: &Acted, person: &Person) {
        self.done(acted);
        for part in &acted.parts {
            let (metric, slug) = match part.state {
                Some(Category::Submitted) => (SUBMITTED_TICKET, "ticket-submitted"),
                Some(Category::WaitingOnCustomer) => (MARKED_TICKET_ON_HOLD, "ticket-on-hold"),
                Some(Category::Resolved) => (RESOLVED_TICKET, "ticket-resolved"),
                Some(Category::InProgress) | None => continue,
            };
            self.expect(metric, format!("{slug}:{}:{}", acted.id, part.id), part.at, person);
        }
    }

    fn ticket_is_there(&mut self, acted: &Acted, person: &Person) {
        let at = acted.parts.first().map_or(acted.at, |part| part.at);
        self.expect(CREATED_TICKET, format!("ticket-created:{}", acted.id), at, person);
        self.states(acted, person);
    }

    /// From the first word to the rating.
    fn conversation(&mut self, person: &Person) -> Step {
        let id = self.starts(person, "Where is my parcel?")?;
        self.reads(&id, None, person)?;
        let answered = self.now().admin_replies(&id, "Let me look. May I have the order number?")?;
        self.done(&answered);
        self.reads(&id, answered.parts.last(), person)?;
        let acted = self.now().contact_replies(&id, "It is 10-4711.")?;
        self.replied(&acted, REPLIED_TO_CONVERSATION, "conversation-replied", person);
        let acted = self.now().contact_replies_with_attachment(&id)?;
        self.replied(&acted, REPLIED_TO_CONVERSATION, "conversation-replied", person);
        let acted = self.now().add_note(&id, "Courier says tomorrow.")?;
        self.done(&acted);
        let acted = self.now().admin_replies(&id, "It will be with you tomorrow.")?;
        self.done(&acted);
        let acted = self.now().close_conversation(&id)?;
        self.done(&acted);
        let asked = self.now().request_rating(&id)?;
        self.done(&asked);
        self.rates(&id, asked.at, 5, person)
    }

    fn rates(&mut self, conversation: &str, asked_at: i64, score: u8, person: &Person) -> Step {
        let acted = self.now().rate(conversation, score, Some("Quick and kind"))?;
        self.done(&acted);
        self.expect(RATED_CONVERSATION, format!("conversation-rated:{conversation}:{asked_at}"), acted.at, person);
        Ok(())
    }

    /// A ticket with everything that can happen to one, reopened once.
    fn ticket(&mut self, person: &Person) -> Step {
        let created = self.now().create_ticket(&person.id, "Order problem", "Wrong size")?;
        self.ticket_is_there(&created, person);
        let id = created.id;
        let acted = self.now().admin_replies_to_ticket(&id, "Which size do you need?")?;
        self.done(&acted);
        let acted = self.now().set_ticket_state(&id, Category::WaitingOnCustomer)?;
        self.states(&acted, person);
        let acted = self.now().contact_replies_to_ticket(&id, "Size 42, please.")?;
        self.replied(&acted, REPLIED_TO_TICKET, "ticket-replied", person);
        // Between two custom states of one category: no event.
        let acted = self.now().set_ticket_state(&id, Category::InProgress)?;
        self.states(&acted, person);
        let acted = self.now().set_ticket_state(&id, Category::Resolved)?;
        self.states(&acted, person);
        let acted = self.now().contact_replies_to_ticket(&id, "It is still the wrong one.")?;
        self.replied(&acted, REPLIED_TO_TICKET, "ticket-replied", person);
        let acted = self.now().set_ticket_state(&id, Category::Resolved)?;
        self.states(&acted, person);
        Ok(())
    }

    /// A conversation that becomes a ticket: replies before belong to the one, replies after to the other.
    fn converted(&mut self, person: &Person) -> Step {
        let id = self.starts(person, "The zip is broken.")?;
        let acted = self.now().contact_replies(&id, "I can send a photo.")?;
        self.replied(&acted, REPLIED_TO_CONVERSATION, "conversation-replied", person);
        let acted = self.now().convert_to_ticket(&id, "Broken zip")?;
        self.ticket_is_there(&acted, person);
        let acted = self.now().contact_replies_to_ticket(&id, "Here it is.")?;
        self.replied(&acted, REPLIED_TO_TICKET, "ticket-replied", person);
        let acted = self.now().set_ticket_state(&id, Category::Resolved)?;
        self.states(&acted, person);
        Ok(())
    }

    /// No Created Conversation; the answer and the rating count.
    fn started_by_the_team(&mut self, person: &Person) -> Step {
        let acted = self.now().admin_starts_conversation(&person.id, "How do the boots fit?")?;
        self.done(&acted);
        let id = acted.id;
        let acted = self.now().contact_replies(&id, "Like a glove.")?;
        self.replied(&acted, REPLIED_TO_CONVERSATION, "conversation-replied", person);
        let asked = self.now().request_rating(&id)?;
        self.done(&asked);
        self.rates(&id, asked.at, 4, person)
    }

    /// The one who acts gets the event.
    fn group(&mut self, person: &Person, second: &Person) -> Step {
        let id = self.starts(person, "We ordered together.")?;
        let acted = self.now().attach_contact(&id, &second.id)?;
        self.done(&acted);
        let acted = self.now().this_contact_replies(&id, &second.id, "And mine is missing.")?;
        self.replied(&acted, REPLIED_TO_CONVERSATION, "conversation-replied", second);
        Ok(())
    }

    /// A back-office ticket, and a lead whom nothing identifies.
    fn not_for_klaviyo(&mut self) -> Step {
        let acted = self.now().create_ticket_with(TicketSpec {
            ticket_type: "Warehouse task".into(),
            title: "Count the boots".into(),
            ..TicketSpec::default()
        })?;
        self.done(&acted);
        let lead = self.now().add_lead();
        let acted = self.now().start_conversation(&lead, "Do you ship to Iceland?")?;
        self.done(&acted);
        Ok(())
    }

    fn late_address(&mut self, round: usize) -> Step {
        let email = format!("late.{round}.{}@customers.sandbox-shop.co", self.time);
        let mut lead = self.add(ContactSpec::lead());
        lead.email = Some(email.clone());
        self.starts(&lead, "Is the blue one coming back?")?;
        let appears = self.intercom.clock().now() + ADDRESS_AFTER;
        let acted = self.intercom.email_appears_at(&lead.id, &email, appears)?;
        self.done(&acted);
        Ok(())
    }

    /// A lead turns out to be a known customer: the event is the customer's.
    fn merged(&mut self, person: &Person) -> Step {
        let mut lead = self.add(ContactSpec::lead());
        (lead.email, lead.phone) = (person.email.clone(), person.phone.clone());
        self.starts(&lead, "I was not signed in just now.")?;
        let acted = self.now().merge_contacts(&lead.id, &person.id)?;
        self.done(&acted);
        Ok(())
    }
}
