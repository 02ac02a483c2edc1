//! Now and then something happens in the stand-in Intercom.

use std::time::Duration;

use sandbox::IntercomSandbox;
use sandbox::intercom::{ActionError, Category, ContactSpec};

const PAUSE: Duration = Duration::from_secs(2);

/// Goes on until it is dropped.
pub(super) async fn trickle(intercom: &IntercomSandbox) -> Result<(), ActionError> {
    let ada = intercom.add_contact(ContactSpec::user("ada.byron@customers.sandbox-shop.co", "Ada Byron"));
    loop {
        let conversation = intercom.start_conversation(&ada, "Where is my parcel?")?.id;
        tokio::time::sleep(PAUSE).await;
        intercom.admin_replies(&conversation, "It left this morning.")?;
        intercom.contact_reads(&conversation)?;
        tokio::time::sleep(PAUSE).await;
        intercom.contact_replies(&conversation, "Thank you!")?;
        intercom.request_rating(&conversation)?;
        tokio::time::sleep(PAUSE).await;
        intercom.rate(&conversation, 5, Some("Quick and friendly"))?;
        intercom.close_conversation(&conversation)?;
        tokio::time::sleep(PAUSE).await;
        let ticket = intercom.create_ticket(&ada, "Order problem", "Broken lamp")?.id;
        tokio::time::sleep(PAUSE).await;
        intercom.set_ticket_state(&ticket, Category::Resolved)?;
        tokio::time::sleep(PAUSE).await;
    }
}
