//! What comes from outside and should not: wrong signatures, unreadable bodies, greedy senders.

mod bodies;
mod greedy;
mod signatures;
