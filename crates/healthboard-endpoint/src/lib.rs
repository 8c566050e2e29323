//! Answers the health of a service over HTTP, on TCP and unix sockets.
//!
//! ```
//! use healthboard::Service;
//! use healthboard_endpoint::Start;
//! # use std::io::{Read, Write};
//! # let dir = std::env::temp_dir().join(format!("healthboard-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&dir)?;
//! # let socket = dir.join("health.sock");
//! # let uri = format!("unix://{}", socket.display());
//! # let _ = stringify! {
//! let uri = "unix:///run/my-service/health.sock";
//! # };
//! let builder = Service::builder("my-service").uri(uri.parse()?);
//! # let builder = builder.runtime_dir(&dir);
//! let health = builder.start()?;
//! for endpoint in health.endpoints() {
//!     println!("health at {endpoint}");
//! }
//! // curl --unix-socket /run/my-service/health.sock http://localhost/health
//! # let mut probe = (0..500)
//! #     .find_map(|_| {
//! #         std::thread::sleep(std::time::Duration::from_millis(10));
//! #         std::os::unix::net::UnixStream::connect(&socket).ok()
//! #     })
//! #     .expect("an endpoint");
//! # probe.write_all(b"GET /health HTTP/1.0\r\n\r\n")?;
//! # let mut answer = String::new();
//! # probe.read_to_string(&mut answer)?;
//! # assert!(answer.contains("200 OK") && answer.contains(r#"{"status":"OK""#), "{answer}");
//! # std::fs::remove_dir_all(&dir)?;
//! # health.goodbye();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! One process of a service answers, from the boards of all processes. When it dies, another process takes over its
//! sockets. `docs/openapi.yaml` describes the requests and answers.

#[cfg(feature = "agent")]
pub mod agent;
mod ancestors;
mod boards;
mod changes;
mod connection;
mod entry;
mod frozen;
mod handover;
mod holder;
mod http;
mod listen;
mod lock;
mod options;
mod pauses;
mod peer;
mod places;
mod reactor;
mod server;
mod standby;
mod systemd;
#[cfg(test)]
mod testing;
mod transport;
mod trust;
mod tune;

pub use options::{AllowedHosts, Backend, HealthcheckOptions, HttpOptions, Network};

use healthboard::{Builder, Handle, StartError};
use std::sync::Mutex;
use systemd::Systemd;

/// Starts a service together with its endpoints.
pub trait Start {
    /// Starts recording in this process and in all processes that it forks, and serves the endpoints.
    ///
    /// Costs about a millisecond. Waits at most two seconds for the board and two for the endpoints.
    ///
    /// # Errors
    ///
    /// The error says what could not be started. Everything else still runs: see [`StartError::handle`].
    fn start(self) -> Result<Handle, StartError>;
}

impl Start for Builder {
    fn start(self) -> Result<Handle, StartError> {
        Prepared::of(self).start()
    }
}

/// A service whose options have all been parsed.
pub struct Prepared {
    builder: Builder,
    options: HttpOptions,
    /// What can have no effect in the options.
    problems: Vec<String>,
}

impl Prepared {
    /// Parses the options that belong to the endpoints.
    pub fn of(builder: Builder) -> Prepared {
        let mut options = HttpOptions::default();
        let builder = builder.claim(&HttpOptions::NAMES, |option, value| options.try_set(option, value));
        let problems = options.healthcheck.problems(builder.uris());
        Prepared { builder, options, problems }
    }

    /// Takes a line for each value that was refused or can have no effect. They then do not appear as notices in the
    /// service's log.
    pub fn take_refused(&mut self) -> Vec<String> {
        let refused = self.builder.take_refused();
        refused.iter().map(ToString::to_string).chain(self.problems.drain(..)).collect()
    }

    /// The options for answers.
    pub fn options(&self) -> &HttpOptions {
        &self.options
    }

    /// See [`Start::start`].
    ///
    /// # Errors
    ///
    /// As for [`Start::start`].
    pub fn start(self) -> Result<Handle, StartError> {
        let Prepared { builder, options, mut problems } = self;
        let variable = |name: &str| std::env::var(name).ok();
        let (systemd, refused) = Systemd::from_env(variable, std::process::id(), ancestors::is_ancestor);
        // Never `lock` this: a child that was forked while another thread held it would wait indefinitely.
        problems.extend(refused);
        let problems = Mutex::new(problems);
        builder.start_with(move |keeper| {
            if let Ok(mut problems) = problems.try_lock() {
                problems.drain(..).for_each(|line| keeper.say(true, line));
            }
            holder::run(keeper, &options, systemd.as_ref());
        })
    }
}

/// Parses bytes as the head of a request, whole and in prefixes. Panics if the results differ.
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub fn fuzz_head(bytes: &[u8]) {
    http::fuzz_head(bytes);
}

/// The code on the pages.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../../README.md")]
    struct Readme;
    #[doc = include_str!("../../../docs/rust.md")]
    struct Rust;
}
