//! Where an endpoint listens: `tcp://host:port` or `unix:///path`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The most bytes of a path that fit into a unix socket's address, without the terminating NUL.
const LONGEST_PATH: usize = 107;

/// The address of an endpoint. It prints as a value of the option `uri`, which parses back to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Uri {
    /// `tcp://127.0.0.1:80`, `tcp://[::1]:80`, `tcp://localhost:80`. Names are not resolved, since an endpoint must also
    /// come up while DNS is down.
    Tcp {
        /// An IP address without brackets, or `localhost`.
        host: String,
        /// The port; 0 means any free port.
        port: u16,
    },
    /// `unix:///absolute/path`, taken literally.
    Unix(PathBuf),
}

impl Uri {
    /// The addresses to listen on or to connect to. `localhost` stands for `127.0.0.1` and `::1`. Empty for a unix socket.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let Uri::Tcp { host, port } = self else { return Vec::new() };
        match host.parse::<IpAddr>() {
            Ok(ip) => vec![(ip, *port).into()],
            Err(_) => vec![(Ipv4Addr::LOCALHOST, *port).into(), (Ipv6Addr::LOCALHOST, *port).into()],
        }
    }
}

impl FromStr for Uri {
    /// The expected form.
    type Err = String;

    fn from_str(text: &str) -> Result<Uri, String> {
        if let Some(path) = text.strip_prefix("unix://") {
            unix(path)
        } else if let Some(address) = text.strip_prefix("tcp://") {
            tcp(address)
        } else {
            Err("`tcp://ADDRESS:PORT` or `unix:///PATH`".to_owned())
        }
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Uri::Tcp { host, port } if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            Uri::Tcp { host, port } => write!(f, "tcp://{host}:{port}"),
            Uri::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

/// Parses a comma list. An empty text is an empty list; overlapping addresses are an error.
pub(super) fn parse_list(text: &str) -> Result<Vec<Uri>, String> {
    let mut uris: Vec<Uri> = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let uri: Uri = part.parse().map_err(|expected| match text.contains(',') {
            true => format!("{expected} instead of `{}`", crate::scrub(part, 120)),
            false => expected,
        })?;
        add(&mut uris, uri)?;
    }
    Ok(uris)
}

/// Adds an address. The error describes what was expected.
pub(super) fn add(uris: &mut Vec<Uri>, uri: Uri) -> Result<(), String> {
    if let Some(other) = uris.iter().find(|other| overlap(other, &uri)) {
        return Err(format!("every address once, and `{uri}` overlaps with `{other}`"));
    }
    uris.push(uri);
    Ok(())
}

impl Uri {
    /// The URI that its text parses to. A URI that was not parsed may have any content. The error describes what was
    /// expected.
    pub(super) fn checked(&self) -> Result<Uri, String> {
        match self {
            Uri::Unix(path) if path.to_str().is_none() => Err("a path in UTF-8".to_owned()),
            uri => uri.to_string().parse(),
        }
    }
}

fn overlap(a: &Uri, b: &Uri) -> bool {
    let same = |a: &SocketAddr, b: &SocketAddr| {
        let all = a.ip().is_unspecified() || b.ip().is_unspecified();
        a.port() == b.port() && a.port() != 0 && (a.ip() == b.ip() || all && a.is_ipv4() == b.is_ipv4())
    };
    a == b || a.addresses().iter().any(|address| b.addresses().iter().any(|other| same(address, other)))
}

fn tcp(address: &str) -> Result<Uri, String> {
    let address = address.strip_suffix('/').unwrap_or(address);
    let (host, port) = address.rsplit_once(':').ok_or("a port after the address, `tcp://127.0.0.1:8099`")?;
    let number = port.bytes().all(|b| b.is_ascii_digit()).then(|| port.parse().ok()).flatten();
    let port = number.ok_or("a port from 0 (any that is free) to 65535")?;
    let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(v6) => v6.parse::<Ipv6Addr>().ok().map(|ip| ip.to_string()),
        None if host.eq_ignore_ascii_case("localhost") => Some("localhost".to_owned()),
        None => host.parse::<Ipv4Addr>().ok().map(|ip| ip.to_string()),
    };
    let host =
        host.ok_or("an IPv4 address, an IPv6 address in brackets, or localhost (names are not resolved)")?;
    Ok(Uri::Tcp { host, port })
}

fn unix(path: &str) -> Result<Uri, String> {
    if !Path::new(path).is_absolute() {
        return Err("an absolute path, with three slashes: `unix:///run/nova/health.sock`".to_owned());
    }
    if path.chars().any(char::is_control) {
        return Err("a path without control characters".to_owned());
    }
    if path.ends_with('/') || path.ends_with("/.") || path.ends_with("/..") {
        return Err("the path of a socket, not of a directory".to_owned());
    }
    if path.len() > LONGEST_PATH {
        return Err(format!("a path of at most {LONGEST_PATH} bytes, and this one has {}", path.len()));
    }
    Ok(Uri::Unix(path.into()))
}
