//! `healthboard agent`: one process that answers for all services of a host, from their boards.
//!
//! It can report what no process can report about itself: that all of a service is dead or frozen, or was never started. It
//! only reads, and changes nothing.

mod site;
mod tally;
mod users;
mod web_config;

use crate::connection::Limits;
use crate::http::Answers;
use crate::listen;
use crate::options::{AllowedHosts, HttpOptions};
use crate::pauses::Pauses;
use crate::server::Server;
use crate::transport::tls::Tls;
use crate::tune::tune;
use healthboard::{Host, Uri, now_ns};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{flag, low_level::pipe};
use site::AgentSite;
use std::collections::BTreeSet;
use std::io::{ErrorKind, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tally::Tally;
use web_config::WebConfig;

/// How often the configuration files and the clock are checked.
const TICK: Duration = Duration::from_secs(1);

/// How often the dates of the certificate are checked.
const DATES_INTERVAL: Duration = Duration::from_secs(60);

/// The most log lines about problems within [`LINES_PER`].
const MAX_LINES: usize = 1000;

/// See [`MAX_LINES`].
const LINES_PER: Duration = Duration::from_secs(600);

/// For how long an agent that is about to end still answers.
const END_WITHIN: Duration = Duration::from_millis(500);

/// The options of an agent.
#[derive(Clone, Debug)]
pub struct Agent {
    /// Where it listens.
    pub listen: Vec<Uri>,
    /// The runtime directories: see [`Host::new`].
    pub boards: Vec<PathBuf>,
    /// Services that must run.
    pub expect: Vec<String>,
    /// The name of this host, in answers.
    pub host: String,
    /// The names that a `Host` header may contain, besides addresses and `localhost`.
    pub allowed_hosts: AllowedHosts,
    /// The file with certificates and users.
    pub web_config: Option<PathBuf>,
    /// Whether to listen without TLS on addresses that are not loopback.
    pub insecure: bool,
    /// Permissions of unix sockets.
    pub socket_mode: u32,
}

impl Agent {
    /// Serves until SIGTERM or SIGINT. SIGHUP makes it reload the configuration, which also happens when one of the
    /// configuration files changes. `log` is called with each log line and with whether it is a warning.
    ///
    /// # Errors
    ///
    /// It cannot start or continue. The text says what was found and what was expected.
    pub fn run(self, log: &mut dyn FnMut(bool, String)) -> Result<(), String> {
        let config = self.read_config()?;
        self.check_addresses(config.as_ref())?;
        raise_descriptor_limit();
        let failed = |what: &str, error: std::io::Error| format!("{what}: {error}");
        let (wake, mut woken) = UnixStream::pair().map_err(|error| failed("cannot wake", error))?;
        for end in [&wake, &woken] {
            end.set_nonblocking(true).map_err(|error| failed("cannot wake", error))?;
        }
        let (end, reload) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        for (signal, flag) in [(SIGTERM, &end), (SIGINT, &end), (SIGHUP, &reload)] {
            let registered =
                flag::register(signal, flag.clone()).and_then(|_| pipe::register(signal, wake.try_clone()?));
            registered.map_err(|error| failed("cannot handle signals", error))?;
        }

        let options = HttpOptions { allowed_hosts: self.allowed_hosts.clone(), ..HttpOptions::default() };
        let cannot_serve = |error| failed("cannot serve", error);
        let mut server = Server::new(Answers::new(&options), Limits::DEFAULT).map_err(cannot_serve)?;
        server.watch_wakes(&woken).map_err(cannot_serve)?;
        let mut listeners = Vec::new();
        for uri in &self.listen {
            let cannot = |error| failed(&format!("cannot listen on {uri}"), error);
            for listener in listen::bind(uri, self.socket_mode).map_err(cannot)? {
                tune(&listener);
                server.listen(listener.as_fd()).map_err(cannot)?;
                let uri = listener.local_uri().map_err(cannot)?;
                log(false, format!("listening on {uri}"));
                listeners.push(listener);
            }
        }
        if config.as_ref().is_some_and(|config| config.tls.is_none() && !config.users.is_empty())
            && let Some(uri) = self.open_uri()
        {
            log(true, format!("{uri} takes passwords without TLS: anybody on the way can read them"));
        }
        let host = Host::new(self.boards.clone(), self.expect.clone());
        let mut site = AgentSite::new(host, self.host.clone(), options);
        let mut config = self.apply(config, &mut server, &mut site, &wake)?;
        let mut pauses = Pauses::default();
        let mut said = BTreeSet::new();
        let (mut lines, mut lines_since) = (0, Instant::now());
        let mut failures = Tally::default();
        let wrong = |count| format!("wrong passwords: {count}");
        let mut refused_config: Option<String> = None;
        let (mut expired, mut dates_seen) = (Vec::new(), None::<Instant>);
        let mut next = Instant::now();
        while !end.load(Ordering::Relaxed) {
            let is_due = Instant::now() >= next;
            if is_due {
                next = Instant::now() + TICK;
                site.set_moment(pauses.at(now_ns()));
                if dates_seen.is_none_or(|seen| seen.elapsed() > DATES_INTERVAL) {
                    (expired, dates_seen) =
                        (config.as_ref().map(WebConfig::expired).unwrap_or_default(), Some(Instant::now()));
                }
                let mut problems = site.problems().clone();
                problems.extend(expired.clone());
                if lines_since.elapsed() > LINES_PER {
                    (lines, lines_since) = (0, Instant::now());
                }
                // Each problem is logged once, and again if it comes back.
                said.retain(|problem| problems.contains(problem));
                let new: Vec<String> =
                    problems.difference(&said).take(MAX_LINES + 1 - lines).cloned().collect();
                for problem in new {
                    lines += 1;
                    match lines > MAX_LINES {
                        false => {
                            log(true, problem.clone());
                            said.insert(problem);
                        }
                        true => log(
                            true,
                            "there are more problems; they are not logged for ten minutes".to_owned(),
                        ),
                    }
                }
                if let Some(host) = server.take_refused_host() {
                    log(
                        true,
                        format!(
                            "a request for the host `{host}` was refused, since a page in a browser could have sent it; to have such \
                         requests answered, give `--allowed-hosts {host}`"
                        ),
                    );
                }
                if let Some(count) = failures.due(site.failed_passwords(), Instant::now()) {
                    log(true, wrong(count));
                }
            }
            let is_told = reload.swap(false, Ordering::Relaxed);
            if is_told || is_due && config.as_ref().is_some_and(WebConfig::has_changed) {
                match self.read_again(config.as_ref(), is_told) {
                    Ok(read) => {
                        config = self.apply(read, &mut server, &mut site, &wake)?;
                        // Requests that wait for a password check are evaluated again, with the new users.
                        server.wake();
                        (refused_config, dates_seen) = (None, None);
                        log(false, "read the configuration again".to_owned());
                    }
                    Err(why) => {
                        if is_told || refused_config.as_ref() != Some(&why) {
                            log(true, format!("{why}; the configuration from before stays"));
                        }
                        refused_config = Some(why);
                    }
                }
            } else if is_due {
                refused_config = None;
            }
            match woken.read(&mut [0; 64]) {
                // The bytes that were read here no longer wake the next turn.
                Ok(_) => server.wake(),
                Err(error)
                    if error.kind() != ErrorKind::WouldBlock && error.kind() != ErrorKind::Interrupted =>
                {
                    return Err(failed("cannot wake", error));
                }
                Err(_) => {}
            }
            site.set_moment(pauses.at(now_ns()));
            server.turn(next, &mut site).map_err(cannot_serve)?;
        }
        if let Some(count) = failures.rest(site.failed_passwords()) {
            log(true, wrong(count));
        }
        drop(listeners);
        let until = Instant::now() + END_WITHIN;
        while Instant::now() < until && server.connections() > 0 && server.turn(until, &mut site).is_ok() {}
        Ok(())
    }

    fn read_config(&self) -> Result<Option<WebConfig>, String> {
        self.web_config.as_deref().map(WebConfig::read).transpose()
    }

    /// Reads the configuration again. One that is weaker than `before` is accepted only after a SIGHUP (`is_told`).
    fn read_again(&self, before: Option<&WebConfig>, is_told: bool) -> Result<Option<WebConfig>, String> {
        let read = self.read_config()?;
        self.check_addresses(read.as_ref())?;
        let lacking = read.as_ref().zip(before).and_then(|(read, before)| read.lacks(before));
        match lacking {
            Some(what) if !is_told => {
                Err(format!("--web.config.file: {what} is gone; SIGHUP makes the agent go on without it"))
            }
            _ => Ok(read),
        }
    }

    fn apply(
        &self,
        config: Option<WebConfig>,
        server: &mut Server,
        site: &mut AgentSite,
        wake: &UnixStream,
    ) -> Result<Option<WebConfig>, String> {
        server.set_tls(config.as_ref().and_then(|config| config.tls.clone()).map(Tls));
        let hashes = config.as_ref().map(|config| config.users.clone()).unwrap_or_default();
        site.set_users(hashes, wake).map_err(|error| format!("cannot check passwords: {error}"))?;
        Ok(config)
    }

    /// The first address that other hosts can reach.
    fn open_uri(&self) -> Option<&Uri> {
        self.listen.iter().find(|uri| !uri.addresses().iter().all(|address| address.ip().is_loopback()))
    }

    /// Fails if the agent would answer on a network without TLS, unless `insecure` allows that.
    fn check_addresses(&self, config: Option<&WebConfig>) -> Result<(), String> {
        if self.insecure || config.is_some_and(|config| config.tls.is_some()) {
            return Ok(());
        }
        self.open_uri().map_or(Ok(()), |uri| {
            Err(format!(
                "found `{uri}`, which is not a loopback address, without TLS; expected --web.config.file with \
                 `tls_server_config`, or --insecure"
            ))
        })
    }
}

/// The name of this host, as `uname -n` prints it.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Raises the limit on descriptors, since the board of every living process is kept open.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    // If it cannot be raised, boards that cannot be opened are reported as problems.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
