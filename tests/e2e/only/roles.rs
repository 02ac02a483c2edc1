//! Every role has exactly what its function needs. Every scenario of the stack runs under these policies: what they do not grant is
//! refused. Here everything is used that they do grant.

use std::collections::{BTreeMap, BTreeSet};

use tests::emulator::Permission;

use crate::support::World;

#[test]
fn nothing_is_granted_that_is_not_used() {
    let mut world = World::start();
    world.hasten();
    let unused = unused(&world);
    panic!("{unused:#?}");
}

/// What is granted to each function, and neither called by it nor by AWS in its name.
fn unused(world: &World) -> BTreeMap<String, BTreeSet<Permission>> {
    let (stack, witness) = (world.product.stack(), world.product.emulator().witness());
    let used = witness.used();
    let mut left = stack.granted();
    for (function, permissions) in &mut left {
        let consumer = function == stack.output("ConsumerFunctionName");
        permissions
            .retain(|one| !used.get(function).is_some_and(|used| used.contains(one)) && !by_aws(&one.0, consumer));
    }
    left.retain(|_, permissions| !permissions.is_empty());
    left
}

/// Lambda writes the log of a function, and its event source takes from the queues, in the name of the function's role:
/// <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>.
fn by_aws(action: &str, consumer: bool) -> bool {
    let polled = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"];
    action.starts_with("logs:") || (consumer && polled.contains(&action))
}
