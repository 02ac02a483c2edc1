//! What is kept of a person, taken away.

use std::collections::BTreeSet;

use domain::support::{Home, Record, home_key, nameless_key, profile_key};
use domain::{ContactId, Identity};

use super::SupportBook;
use crate::ports::{RecordWrite, StoreResult, SupportStates};

/// Empties the records of these contacts and addresses: who comes to one later starts anew. It may be repeated; if we die in
/// between, what is left is emptied the next time. Gives how many records held something.
pub(crate) async fn forget<S: SupportStates>(store: &S, contacts: &[ContactId], emails: &[String]) -> StoreResult<u64> {
    let book = SupportBook::new(store, 0, 0);
    let address = |email: &String| profile_key(&Identity { email: Some(email.clone()), ..Identity::default() });
    let mut keys: BTreeSet<String> = emails.iter().filter_map(address).collect();
    let mut theirs: BTreeSet<ContactId> = contacts.iter().cloned().collect();
    for (_, (home, _)) in book.homes(contacts).await? {
        keys.insert(home.record);
        keys.extend(home.leaving);
    }
    let keys: Vec<String> = keys.into_iter().collect();
    let mut emptied = 0;
    for (key, record) in book.look(&keys).await? {
        theirs.extend(record.members.keys().cloned());
        emptied += u64::from(record.identity.is_known() || !record.members.is_empty());
        let empty = |record: &mut Record| {
            // Whether the profile was ever told stays.
            let mut emptied = Record::default();
            emptied.untold = record.untold;
            std::mem::replace(record, emptied.clone()) != emptied
        };
        book.change(&key, empty).await?;
    }
    let theirs: Vec<ContactId> = theirs.into_iter().collect();
    for (contact, (_, version)) in book.homes(&theirs).await? {
        // The name of a record is made of the address.
        let body = Home::new(nameless_key(&contact), None).to_text();
        book.save(RecordWrite { key: home_key(&contact), body, expected: Some(version) }).await?;
    }
    Ok(emptied)
}
