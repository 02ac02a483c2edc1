//! `sandbox`: the two stand-in vendors alone.

use sandbox::{Sandbox, SandboxConfig};

use crate::args::SandboxArguments;
use crate::failure::Failure;
use crate::output::line;
use crate::shutdown::Signals;

/// Serves until Ctrl-C, and prints the environment that points `run` at it.
pub(crate) async fn sandbox(arguments: &SandboxArguments) -> Result<(), Failure> {
    let mut signals = Signals::register().map_err(Failure::bad)?;
    let config = SandboxConfig {
        intercom_listen: arguments.intercom_listen,
        klaviyo_listen: arguments.klaviyo_listen,
        ..SandboxConfig::default()
    };
    let (secret, token, key) = (config.client_secret.clone(), config.access_token.clone(), config.klaviyo_key.clone());
    let sandbox = Sandbox::start(config).await.map_err(|error| {
        Failure::configuration(format!("the sandbox cannot listen: {error}; choose other addresses or free the ports"))
    })?;
    sandbox.intercom().set_webhook(&arguments.webhook_url);
    sandbox.intercom().subscribe_all();
    line("# The stand-in vendors are up until Ctrl-C. In another shell:");
    line(format!("export INTERCOM_API_URL={}", sandbox.intercom_url()));
    line(format!("export INTERCOM_CLIENT_SECRET={secret}"));
    line(format!("export INTERCOM_ACCESS_TOKEN={token}"));
    line(format!("export KLAVIYO_API_URL={}", sandbox.klaviyo_url()));
    line(format!("export KLAVIYO_API_KEY={key}"));
    line(format!("# Notifications go to {}; both vendors answer GET /_sandbox/state.", arguments.webhook_url));
    signals.next().await;
    signals.end_at_once_on_next();
    sandbox.stop().await;
    Ok(())
}
