//! The operations that a story is made of.

use proptest::prelude::*;

/// What a webhook is about. Each use makes a new conversation, ticket or part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Created,
    Reply,
    TwoReplies,
    Rating,
    Read,
    TicketCreated,
    TicketResolved,
    TicketReply,
    Ping,
    Unknown,
    Unreadable,
}

#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// A new fact arrives.
    Webhook { kind: Kind, contact: usize },
    /// An earlier webhook arrives again, to the byte.
    Duplicate { which: usize },
    /// One whole step of the consumer.
    Step,
    /// A step that is cut off after so many polls; its claims run out later.
    StepAndCrash { polls: usize },
    /// Two steps at the same time.
    TwoSteps { pattern: u64 },
    /// The chores.
    Housekeeping,
    /// Time passes.
    Wait { seconds: u32 },
    /// The next request to Klaviyo gets lost.
    LoseRequest,
    /// The next answer of Klaviyo gets lost.
    LoseResponse,
    /// The next write to the store is lost.
    LoseCommit,
    /// The next write to the store succeeds without the caller learning it.
    LoseStoreAnswer,
    /// The next call of the queue is lost; only where the queue is a service of its own.
    LoseQueueCall,
    /// The next call of the queue succeeds without the caller learning it; only there.
    LoseQueueAnswer,
    /// The queue hands everything out once more, whoever has it; only there.
    DeliverAgain,
    /// Klaviyo makes us wait from now on.
    Throttle,
    /// Klaviyo refuses the key from now on.
    RefuseKey,
    /// Klaviyo works again.
    HealKlaviyo,
    /// Intercom fails from now on.
    BreakIntercom,
    /// Intercom works again.
    HealIntercom,
    /// A contact gets a new address, its first or another one.
    ChangeEmail { contact: usize },
    /// A contact loses its address.
    LoseEmail { contact: usize },
    /// The webhook that tells of a contact's change.
    ContactChanged { contact: usize },
    /// One contact becomes another.
    Merge { from: usize, into: usize },
    /// The webhook that tells of a merge: it names the survivor and nobody else.
    MergeTold,
    /// Klaviyo refuses the event of an earlier webhook from now on.
    Poison { which: usize },
    /// A human replays all dead letters.
    ReplayAll,
}

pub(crate) const CONTACTS: usize = 4;

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        4 => Just(Kind::Created),
        3 => Just(Kind::Reply),
        2 => Just(Kind::TwoReplies),
        2 => Just(Kind::Rating),
        1 => Just(Kind::Read),
        3 => Just(Kind::TicketCreated),
        3 => Just(Kind::TicketResolved),
        2 => Just(Kind::TicketReply),
        1 => Just(Kind::Ping),
        1 => Just(Kind::Unknown),
        1 => Just(Kind::Unreadable),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let contact = 0..CONTACTS;
    prop_oneof![
        8 => (kind(), contact.clone()).prop_map(|(kind, contact)| Op::Webhook { kind, contact }),
        4 => (0..12usize).prop_map(|which| Op::Duplicate { which }),
        6 => Just(Op::Step),
        5 => (1..60usize).prop_map(|polls| Op::StepAndCrash { polls }),
        3 => any::<u64>().prop_map(|pattern| Op::TwoSteps { pattern }),
        1 => Just(Op::Housekeeping),
        4 => prop_oneof![1..5u32, 5..60u32, 290..400u32, 3_000..9_000u32].prop_map(|seconds| Op::Wait { seconds }),
        2 => Just(Op::LoseRequest),
        3 => Just(Op::LoseResponse),
        1 => Just(Op::LoseCommit),
        1 => Just(Op::LoseStoreAnswer),
        1 => Just(Op::LoseQueueCall),
        1 => Just(Op::LoseQueueAnswer),
        2 => Just(Op::DeliverAgain),
        1 => Just(Op::Throttle),
        1 => Just(Op::RefuseKey),
        2 => Just(Op::HealKlaviyo),
        1 => Just(Op::BreakIntercom),
        2 => Just(Op::HealIntercom),
        3 => contact.clone().prop_map(|contact| Op::ChangeEmail { contact }),
        1 => contact.clone().prop_map(|contact| Op::LoseEmail { contact }),
        2 => contact.clone().prop_map(|contact| Op::ContactChanged { contact }),
        1 => (contact.clone(), contact).prop_map(|(from, into)| Op::Merge { from, into }),
        1 => Just(Op::MergeTold),
        1 => (0..12usize).prop_map(|which| Op::Poison { which }),
        1 => Just(Op::ReplayAll),
    ]
}

pub(crate) fn ops() -> impl Strategy<Value = Vec<Op>> {
    proptest::collection::vec(op(), 1..40)
}
