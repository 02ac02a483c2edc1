//! Queues, state and secrets on AWS.
