//! Somebody who asked to be forgotten: what belongs to them.

use std::fmt;

use crate::ids::ContactId;

/// A person, by everything that is known to point at them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Person {
    contacts: Vec<ContactId>,
    /// In lower case.
    emails: Vec<String>,
}

/// Prints counts, never addresses.
impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Person").field("contacts", &self.contacts).field("emails", &self.emails.len()).finish()
    }
}

impl Person {
    /// Adds a contact. Blank ids point at nobody.
    pub fn add_contact(&mut self, id: ContactId) {
        if !id.as_str().trim().is_empty() && !self.contacts.contains(&id) {
            self.contacts.push(id);
        }
    }

    /// Adds an address, whatever its case. Without an `@` it points at nobody.
    pub fn add_email(&mut self, email: &str) {
        let email = email.trim().to_lowercase();
        if email.contains('@') && !self.emails.contains(&email) {
            self.emails.push(email);
        }
    }

    /// Their contacts in Intercom.
    pub fn contacts(&self) -> &[ContactId] {
        &self.contacts
    }

    /// Their addresses, in lower case.
    pub fn emails(&self) -> &[String] {
        &self.emails
    }

    /// Whether an address is theirs.
    pub fn has_email(&self, email: &str) -> bool {
        let email = email.trim().to_lowercase();
        self.emails.contains(&email)
    }

    /// Whether some JSON is about them: it holds one of the ids as a text or one of the addresses, whole, in any case. A notification
    /// about several people is about each of them.
    pub fn is_in(&self, body: &[u8]) -> bool {
        let text = String::from_utf8_lossy(body);
        let quoted = |id: &ContactId| text.contains(&format!("\"{id}\""));
        if self.contacts.iter().any(quoted) {
            return true;
        }
        let text = text.to_lowercase();
        self.emails.iter().any(|email| holds_whole(&text, email))
    }
}

/// `ann@acme.io` is not in `joann@acme.io`, nor in `ann@acme.io.example`.
fn holds_whole(text: &str, email: &str) -> bool {
    let part_of_address = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '%' | '+' | '-');
    text.match_indices(email).any(|(at, found)| {
        let before = text[..at].chars().next_back();
        let mut after = text[at + found.len()..].chars();
        let goes_on = match after.next() {
            // The dot at the end of a sentence belongs to the sentence.
            Some('.') => after.next().is_some_and(char::is_alphanumeric),
            Some(c) => c.is_alphanumeric() || matches!(c, '-' | '_'),
            None => false,
        };
        !before.is_some_and(part_of_address) && !goes_on
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ann() -> Person {
        let mut person = Person::default();
        person.add_contact(ContactId::new("6620f0d1"));
        person.add_contact(ContactId::new(" "));
        person.add_email("Ann@Acme.io");
        person.add_email("nobody");
        person
    }

    #[track_caller]
    fn check(body: &str, theirs: bool) {
        assert_eq!(ann().is_in(body.as_bytes()), theirs, "{body}");
    }

    #[test]
    fn ids_and_addresses_are_matched_whole() {
        check(r#"{"contacts":[{"id":"6620f0d1"}]}"#, true);
        check(r#"{"contacts":[{"id":"6620f0d17"}]}"#, false);
        check(r#"{"email":"ann@acme.io"}"#, true);
        check(r#"{"body":"<p>Write to ANN@ACME.IO.</p>"}"#, true);
        check(r#"{"email":"joann@acme.io"}"#, false);
        check(r#"{"email":"ann@acme.io.example"}"#, false);
        check(r#"{"email":"ann@acme.iota"}"#, false);
        check("ann@acme.io", true);
        check("", false);
    }

    #[test]
    fn nobody_is_in_nothing() {
        assert!(!Person::default().is_in(br#"{"id":"","email":""}"#));
        assert_eq!((ann().contacts().len(), ann().emails().len()), (1, 1));
    }

    #[test]
    fn it_prints_no_address() {
        assert!(!format!("{:?}", ann()).contains("acme"));
    }
}
