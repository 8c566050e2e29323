//! Answers the health of a service over HTTP, on TCP and unix sockets.
//!
//! ```
//! use healthboard::Settings;
//! # use std::io::{Read, Write};
//! # let dir = std::env::temp_dir().join(format!("healthboard-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&dir)?;
//! # let socket = dir.join("health.sock");
//!
//! let mut settings = Settings::new("my-service");
//! # settings.set("runtime_dir", dir.to_str().unwrap())?;
//! # let uri = format!("unix://{}", socket.display());
//! # let _ = stringify! {
//! let uri = "unix:///run/my-service/health.sock";
//! # };
//! settings.set("uri", &uri)?;
//! healthboard_endpoint::start(settings);
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
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Of all processes of a service one answers, from the boards of all; when it dies, another one takes over with the sockets
//! it had. `docs/openapi.yaml` says what is answered to what.

mod boards;
mod changes;
mod connection;
mod handover;
mod holder;
mod http;
mod listen;
mod lock;
mod options;
mod pauses;
mod places;
mod reactor;
mod server;
mod standby;
#[cfg(test)]
mod testing;
mod tune;

pub use options::{AllowedHosts, HttpOptions};

/// Starts recording in this process and answering for its service; see [`healthboard::start`].
///
/// Returns `false`, and does nothing, where the settings name no endpoint or health has been started already.
pub fn start(settings: healthboard::Settings) -> bool {
    healthboard::start(settings, holder::run)
}

/// Starts it in the processes that this one forks, and not in this one; see [`healthboard::start_in_children`].
pub fn start_in_children(settings: healthboard::Settings) -> bool {
    healthboard::start_in_children(settings, holder::run)
}

/// Reads bytes as the head of a request, in every way they could arrive. Panics where that makes a difference.
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub fn fuzz_head(bytes: &[u8]) {
    http::fuzz_head(bytes);
}
