//! Names behind the ids that payloads carry.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// A teammate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Intercom's admin id.
    pub id: String,
    /// Display name.
    pub name: Option<String>,
    /// The teammate's own address.
    pub email: Option<String>,
}

/// Admins, teams and tags by id. Whatever is unknown is left out of the event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directory {
    admins: HashMap<String, Person>,
    teams: HashMap<String, String>,
    tags: HashMap<String, String>,
}

impl Directory {
    /// Builds the three maps.
    pub fn new(admins: Vec<Person>, teams: Vec<(String, String)>, tags: Vec<(String, String)>) -> Self {
        Self {
            admins: admins.into_iter().map(|admin| (admin.id.clone(), admin)).collect(),
            teams: teams.into_iter().collect(),
            tags: tags.into_iter().collect(),
        }
    }

    /// The teammate with this id.
    pub fn admin(&self, id: &str) -> Option<&Person> {
        self.admins.get(id)
    }

    /// The team's name.
    pub fn team(&self, id: &str) -> Option<&str> {
        self.teams.get(id).map(String::as_str)
    }

    /// The tag's name.
    pub fn tag(&self, id: &str) -> Option<&str> {
        self.tags.get(id).map(String::as_str)
    }
}
