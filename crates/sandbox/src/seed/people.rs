//! Contacts of the past.

use serde_json::json;

use super::{DAY, Past};
use crate::intercom::{ContactSpec, Role, model::Fate};

const FIRST: [&str; 16] = [
    "Ada", "Bruno", "Chloe", "Dmitri", "Emeka", "Freya", "Giulia", "Hana", "Ivo", "Jana", "Kofi", "Lena", "Mateo",
    "Nadia", "Omar", "Petra",
];
const LAST: [&str; 16] = [
    "Adler", "Byron", "Costa", "Durand", "Eriksen", "Fischer", "Gallo", "Horvat", "Ivanov", "Jensen", "Kimura",
    "Lopez", "Moreau", "Novak", "Okafor", "Peeters",
];
const PLACES: [(&str, &str, &str); 5] = [
    ("Dublin", "Leinster", "Ireland"),
    ("Lyon", "Auvergne-Rhône-Alpes", "France"),
    ("Porto", "Norte", "Portugal"),
    ("Malmö", "Skåne", "Sweden"),
    ("Graz", "Steiermark", "Austria"),
];

impl Past<'_> {
    pub(super) fn people(&mut self) {
        for number in 0..self.spec.contacts.max(1) {
            let spec = self.person(number);
            let before = self.spec.from - self.rng.between(1, 400) * DAY;
            let index = self.model.add_contact(spec, before);
            self.contacts.push(index);
        }
    }

    fn person(&mut self, number: usize) -> ContactSpec {
        let first = self.rng.pick(&FIRST).copied().unwrap_or_default();
        let last = self.rng.pick(&LAST).copied().unwrap_or_default();
        let (city, region, country) = self.rng.pick(&PLACES).copied().unwrap_or_default();
        let email = format!("{}.{}{number}@customers.sandbox-shop.co", first.to_lowercase(), last.to_lowercase());
        let mut spec = ContactSpec::user(email, format!("{first} {last}"));
        spec.city = Some(city.to_owned());
        spec.region = Some(region.to_owned());
        spec.country = Some(country.to_owned());
        spec.external_id = Some((10_000 + number).to_string());
        let plan = ["free", "plus", "pro"][number % 3];
        spec.custom_attributes.insert("plan".to_owned(), json!(plan));
        spec.custom_attributes.insert("orders".to_owned(), json!(self.rng.below(40)));
        if self.rng.chance(0.3) {
            spec.phone = Some(format!("+3538{:08}", number % 100_000_000));
        }
        if self.odd(0.10) {
            // Wrote once and never said who it is.
            return ContactSpec::lead();
        }
        if self.odd(0.03) {
            spec.email = None;
            spec.phone = Some(format!("+4366{:08}", number % 100_000_000));
        } else if self.odd(0.04) {
            spec.phone = Some("call me after six".to_owned());
        }
        if self.odd(0.03) {
            spec.email = Some("household@customers.sandbox-shop.co".to_owned());
            spec.phone = None;
        }
        if self.odd(0.1) {
            spec.role = Role::Lead;
            spec.external_id = None;
        }
        spec
    }

    /// What becomes of some contacts after all that: merged, archived.
    pub(super) fn later_fates(&mut self) {
        for index in self.contacts.clone() {
            let other = self.anybody();
            let live = self.model.contacts[index].fate == Fate::Live && self.model.contacts[other].fate == Fate::Live;
            if self.odd(0.02) && live && other != index && self.model.survivor(other) != index {
                self.model.contacts[index].fate = Fate::Merged(other);
            } else if self.odd(0.01) && live && !self.is_survivor(index) {
                self.model.contacts[index].fate = Fate::Gone;
            }
        }
    }

    fn is_survivor(&self, index: usize) -> bool {
        self.model.contacts.iter().any(|contact| contact.fate == Fate::Merged(index))
    }
}
