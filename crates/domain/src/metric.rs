//! The metrics, under Klaviyo's own English names, so that people who know the native integration find their way.

/// What arises in Klaviyo. The first nine are those of Klaviyo's own integration; the rest are off by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Metric {
    /// A contact starts a conversation.
    CreatedConversation,
    /// A contact rates a conversation.
    RatedConversation,
    /// A contact reads a conversation.
    ReadConversation,
    /// A contact replies to a conversation.
    RepliedToConversation,
    /// A ticket comes into being.
    CreatedTicket,
    /// A ticket's state enters the category `submitted`.
    SubmittedTicket,
    /// A contact replies to a ticket.
    RepliedToTicket,
    /// A ticket's state enters the category `waiting_on_customer`.
    MarkedTicketOnHold,
    /// A ticket's state enters the category `resolved`.
    ResolvedTicket,
    /// A teammate replies to a conversation.
    TeammateRepliedToConversation,
    /// A bot replies to a conversation.
    BotRepliedToConversation,
    /// A teammate replies to a ticket.
    TeammateRepliedToTicket,
}

impl Metric {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 12] = [
        Self::CreatedConversation,
        Self::RatedConversation,
        Self::ReadConversation,
        Self::RepliedToConversation,
        Self::CreatedTicket,
        Self::SubmittedTicket,
        Self::RepliedToTicket,
        Self::MarkedTicketOnHold,
        Self::ResolvedTicket,
        Self::TeammateRepliedToConversation,
        Self::BotRepliedToConversation,
        Self::TeammateRepliedToTicket,
    ];

    /// The name without prefix.
    pub fn name(self) -> &'static str {
        match self {
            Self::CreatedConversation => "Created Conversation",
            Self::RatedConversation => "Rated Conversation",
            Self::ReadConversation => "Read Conversation",
            Self::RepliedToConversation => "Replied to Conversation",
            Self::CreatedTicket => "Created Ticket",
            Self::SubmittedTicket => "Submitted Ticket",
            Self::RepliedToTicket => "Replied to Ticket",
            Self::MarkedTicketOnHold => "Marked Ticket On Hold",
            Self::ResolvedTicket => "Resolved Ticket",
            Self::TeammateRepliedToConversation => "Teammate Replied to Conversation",
            Self::BotRepliedToConversation => "Bot Replied to Conversation",
            Self::TeammateRepliedToTicket => "Teammate Replied to Ticket",
        }
    }

    /// The name of its on/off switch in the settings.
    pub fn setting(self) -> &'static str {
        match self {
            Self::CreatedConversation => "created_conversation",
            Self::RatedConversation => "rated_conversation",
            Self::ReadConversation => "read_conversation",
            Self::RepliedToConversation => "replied_to_conversation",
            Self::CreatedTicket => "created_ticket",
            Self::SubmittedTicket => "submitted_ticket",
            Self::RepliedToTicket => "replied_to_ticket",
            Self::MarkedTicketOnHold => "marked_ticket_on_hold",
            Self::ResolvedTicket => "resolved_ticket",
            Self::TeammateRepliedToConversation => "teammate_replied_to_conversation",
            Self::BotRepliedToConversation => "bot_replied_to_conversation",
            Self::TeammateRepliedToTicket => "teammate_replied_to_ticket",
        }
    }

    /// Whether it is on unless a setting says otherwise: the nine are, replies of teammates and bots are not.
    pub fn on_by_default(self) -> bool {
        self <= Self::ResolvedTicket
    }
}
