//! `doctor`: is everything there that `run` needs, and does it work? For each thing: good, or what is wrong and what to do.
//!
//! It only reads, with one exception: to see whether the Klaviyo key may write events it sends a request that Klaviyo refuses.

mod disk;
pub(crate) mod intercom;
pub(crate) mod klaviyo;
mod public;

use app::connect::{Check, Health};
use app::ports::Clock as _;
use serde_json::json;

use crate::args::DoctorArguments;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::output::{self, line};
use crate::web::{self, Answer};
use clients::time::SystemClock;

/// Looks at everything; bad when anything is.
pub(crate) async fn doctor(arguments: &DoctorArguments) -> Result<(), Failure> {
    let (environment, problems) = Environment::load_leniently();
    let mut checks = environment_checks(&environment, problems);
    checks.extend(disk::checks(&environment.data_dir));
    match web::client() {
        Ok(client) => {
            checks.extend(intercom::checks(&client, &environment).await);
            checks.extend(klaviyo::checks(&client, &environment).await);
            if let Some(url) = &arguments.public {
                checks.extend(public::checks(&client, url, environment.client_secrets.as_ref()).await);
            }
        }
        Err(problem) => checks.push(Check::bad("HTTPS", problem, "install the package ca-certificates")),
    }
    let bad = checks.iter().filter(|check| check.health == Health::Bad).count();
    if arguments.json {
        output::json(&json!({ "good": bad == 0, "checks": checks }))?;
    } else {
        checks.iter().for_each(|check| line(in_words(check)));
    }
    match bad {
        0 => Ok(()),
        1 => Err(Failure::bad("1 thing is wrong")),
        several => Err(Failure::bad(format!("{several} things are wrong"))),
    }
}

fn environment_checks(environment: &Environment, problems: Vec<String>) -> Vec<Check> {
    let mut checks: Vec<Check> = problems
        .into_iter()
        .map(|problem| Check::bad("environment", problem, "mend it: `run` refuses to start"))
        .collect();
    for missing in environment.missing() {
        let todo = "set it: until then `run` is in set-up mode and the webhook answers 503";
        checks.push(Check::bad("environment", format!("{missing} is missing"), todo));
    }
    if checks.is_empty() {
        checks.push(Check::good("environment", "every variable is there, and the settings are valid"));
    }
    if environment.console_token.is_none() {
        let todo = "set it to use the console from other machines";
        checks.push(Check::note(
            "console",
            "CONSOLE_TOKEN is not set: `run` makes a token, for this machine only",
            todo,
        ));
    }
    checks
}

pub(crate) fn in_words(check: &Check) -> String {
    let health = match check.health {
        Health::Good => "good",
        Health::Note => "note",
        Health::Bad => "BAD ",
    };
    match &check.todo {
        Some(todo) => format!("{health}  {}: {}\n      → {todo}", check.name, check.found),
        None => format!("{health}  {}: {}", check.name, check.found),
    }
}

/// Vendors sign nothing with the time, but event times and limit windows are wrong when ours is.
fn clock_check(vendor: &str, answer: &Answer) -> Check {
    const WORST: i64 = 300;
    let name = format!("clock against {vendor}");
    let Some(theirs) = answer.date() else {
        return Check::note(name, "the answer carried no date", "compare the machine's clock by hand");
    };
    let ahead = SystemClock.now().as_second() - theirs.as_second();
    match ahead.abs() {
        0..=WORST => Check::good(name, format!("{} seconds apart", ahead.abs())),
        off => {
            let way = if ahead > 0 { "ahead" } else { "behind" };
            Check::bad(name, format!("this machine is {off} seconds {way}"), "turn on time synchronisation (NTP)")
        }
    }
}

#[cfg(test)]
mod tests;
