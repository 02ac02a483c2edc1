//! `connect`: from nothing to the first event, step by step.

mod words;

use std::io::{IsTerminal as _, stdin};

use app::connect::{Check, EnteredKeys, Health, Saved};
use http::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::{ask, doctor};
use crate::args::{ConnectArguments, ConsoleArguments};
use crate::connecting::MachineConnecting;
use crate::console_client::ConsoleClient;
use crate::environment::{ACCESS_TOKEN, CLIENT_SECRET, Environment, KLAVIYO_KEY};
use crate::failure::Failure;
use crate::output::{self, line};

/// Leads through it, or with `--from-env` does it without asking. Bad: a key that does not work.
pub(crate) async fn connect(arguments: &ConnectArguments) -> Result<(), Failure> {
    let (environment, problems) = Environment::load_leniently();
    if let Some(problem) = problems.first() {
        return Err(Failure::configuration(problem));
    }
    let asks = !arguments.from_env && !arguments.check;
    if asks && !stdin().is_terminal() {
        let sentence =
            "nobody is here to be asked: set the three keys in the environment and say --from-env, or --check to look";
        return Err(Failure::configuration(sentence));
    }
    let connecting = MachineConnecting::new(environment.clone(), &arguments.file);
    let url = arguments.region.as_deref().map(region_url);
    if asks {
        line(words::BEGINNING);
    }
    let keys = match asks {
        true => entered(&connecting, &environment, url).await?,
        false => EnteredKeys {
            client_secret: environment.client_secret_text.clone(),
            access_token: environment.access_token.clone(),
            klaviyo_key: environment.klaviyo_key.clone(),
            intercom_url: url,
        },
    };
    let missing = missing(&keys);
    if !missing.is_empty() && !arguments.check {
        return Err(Failure::configuration(format!("missing: {}", missing.join(", "))));
    }
    let checks = if asks { Vec::new() } else { connecting.checked(keys.clone()).await };
    let bad = checks.iter().filter(|check| check.health == Health::Bad).count() + missing.len();
    let saved = match (&arguments.aws_secret, arguments.check || bad > 0) {
        (None, false) => Some(save(&connecting, keys, arguments.overwrite)?),
        _ => None,
    };
    let seen = console_report(&environment).await;
    report(arguments, &Outcome { checks, missing, saved, seen })?;
    match bad {
        0 => Ok(()),
        _ => Err(Failure::bad("not connected: see what is missing or bad above")),
    }
}

/// What there is to tell at the end.
struct Outcome {
    checks: Vec<Check>,
    missing: Vec<&'static str>,
    saved: Option<Saved>,
    /// What the running process says, where one answers.
    seen: Option<Value>,
}

fn region_url(region: &str) -> String {
    match region {
        "eu" => "https://api.eu.intercom.io",
        "au" => "https://api.au.intercom.io",
        _ => "https://api.intercom.io",
    }
    .to_owned()
}

fn missing(keys: &EnteredKeys) -> Vec<&'static str> {
    let present = [
        (CLIENT_SECRET, keys.client_secret.is_some()),
        (ACCESS_TOKEN, keys.access_token.is_some()),
        (KLAVIYO_KEY, keys.klaviyo_key.is_some()),
    ];
    present.into_iter().filter(|(_, there)| !there).map(|(name, _)| name).collect()
}

/// Asks for the keys one after the other; each is checked before the next, and asked for again when it does not work.
async fn entered(
    connecting: &MachineConnecting,
    environment: &Environment,
    url: Option<String>,
) -> Result<EnteredKeys, Failure> {
    line(words::INTERCOM);
    let intercom_url = url.or_else(|| match ask::line("Region of the workspace (us, eu, au) [us]: ").as_str() {
        "eu" => Some(region_url("eu")),
        "au" => Some(region_url("au")),
        // What was set before, a stand-in for example, stays.
        _ => None,
    });
    let mut keys = EnteredKeys { intercom_url, ..EnteredKeys::default() };
    keys.client_secret = Some(secret("Client secret", environment.client_secret_text.as_ref())?);
    loop {
        let access_token = Some(secret("Access token", environment.access_token.as_ref())?);
        let asked = EnteredKeys { access_token, intercom_url: keys.intercom_url.clone(), ..EnteredKeys::default() };
        if works(connecting, asked.clone(), "Intercom", "Is this the workspace?").await? {
            keys.access_token = asked.access_token;
            break;
        }
    }
    line(words::klaviyo());
    loop {
        let klaviyo_key = Some(secret("Private key", environment.klaviyo_key.as_ref())?);
        let asked = EnteredKeys { klaviyo_key, ..EnteredKeys::default() };
        if works(connecting, asked.clone(), "Klaviyo", "Is this the account?").await? {
            keys.klaviyo_key = asked.klaviyo_key;
            return Ok(keys);
        }
    }
}

/// A key that is not shown while it is typed. Nothing typed means the one that is there.
fn secret(name: &str, there: Option<&SecretString>) -> Result<SecretString, Failure> {
    let hint = if there.is_some() { " [keep what is set]" } else { "" };
    for _ in 0..3 {
        let typed = ask::hidden(&format!("{name}{hint}: ")).map_err(Failure::bad)?;
        match (typed.expose_secret().is_empty(), there) {
            (false, _) => return Ok(typed),
            (true, Some(there)) => return Ok(there.clone()),
            (true, None) => {}
        }
    }
    Err(Failure::bad("nothing was entered"))
}

/// Shows what a vendor says of its key, and has the person confirm that it is the right one.
async fn works(
    connecting: &MachineConnecting,
    keys: EnteredKeys,
    vendor: &str,
    question: &str,
) -> Result<bool, Failure> {
    let checks = connecting.checked(keys).await;
    let about: Vec<&Check> = checks.iter().filter(|check| check.name.contains(vendor)).collect();
    about.iter().for_each(|check| line(doctor::in_words(check)));
    if about.iter().any(|check| check.health == Health::Bad) {
        line("That did not work; enter it again, or press Ctrl-C.");
        return Ok(false);
    }
    Ok(!matches!(ask::line(&format!("{question} [Y/n] ")).as_str(), "n" | "N" | "no"))
}

fn save(connecting: &MachineConnecting, keys: EnteredKeys, overwrite: bool) -> Result<Saved, Failure> {
    let saved = match connecting.saved(keys.clone(), overwrite) {
        Saved::Differs { variables } => {
            let question = format!("The file has other values for {}. Replace them?", variables.join(", "));
            let otherwise = format!("the file has other values for {}: say --overwrite", variables.join(", "));
            ask::confirm(&question, &otherwise, "nothing was written")?;
            connecting.saved(keys, true)
        }
        saved => saved,
    };
    match saved {
        Saved::Refused { error } => Err(Failure::bad(error)),
        saved => Ok(saved),
    }
}

/// What the process that runs here has heard so far. Nobody has to run yet.
async fn console_report(environment: &Environment) -> Option<Value> {
    let console = ConsoleClient::new(environment, &ConsoleArguments { url: None, json: false }).ok()?;
    console.ask(Method::GET, "/api/connect").await.ok()
}

fn report(arguments: &ConnectArguments, outcome: &Outcome) -> Result<(), Failure> {
    if arguments.json {
        return output::json(&json!({
            "checks": outcome.checks, "missing": outcome.missing, "saved": outcome.saved, "running": outcome.seen,
        }));
    }
    outcome.checks.iter().for_each(|check| line(doctor::in_words(check)));
    for missing in &outcome.missing {
        line(format!("BAD   {missing} is missing"));
    }
    if let Some(Saved::Written { file, variables }) = &outcome.saved {
        line(format!("written to {file} (mode 600): {}", variables.join(", ")));
    }
    if let Some(secret) = &arguments.aws_secret {
        line(words::aws(secret));
    }
    line(words::topics(outcome.seen.as_ref()));
    line(words::ending(outcome.seen.is_some()));
    Ok(())
}
