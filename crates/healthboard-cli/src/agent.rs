//! `healthboard agent`: serves what the boards of this host say.

use crate::arguments;
use crate::output::UNKNOWN;
use healthboard_endpoint::AllowedHosts;
use healthboard_endpoint::agent::{Agent, host_name};

/// Serves until it is told to end; returns the exit code.
pub(crate) fn run(asked: arguments::Agent) -> u8 {
    let allowed_hosts = match AllowedHosts::parse(&asked.allowed_hosts) {
        Ok(allowed) => allowed,
        Err(expected) => {
            eprintln!(
                "error: invalid value '{}' for '--allowed-hosts': expected {expected}",
                asked.allowed_hosts
            );
            return UNKNOWN;
        }
    };
    let agent = Agent {
        listen: asked.listen,
        boards: asked.boards.roots(),
        expect: asked
            .expect
            .into_iter()
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty())
            .collect(),
        host: asked.host.unwrap_or_else(host_name),
        allowed_hosts,
        web_config: asked.web_config,
        insecure: asked.insecure,
        socket_mode: asked.socket_mode,
    };
    // The priority that systemd reads from the beginning of a line: warning or notice.
    let mut log = |warning, line| eprintln!("<{}>{line}", if warning { 4 } else { 5 });
    match agent.run(&mut log) {
        Ok(()) => 0,
        Err(why) => {
            eprintln!("<3>error: {why}");
            UNKNOWN
        }
    }
}
