//! A page in a browser must not reach an endpoint on the same machine.
//!
//! A page of another site says so in `Origin`. One that has had its own name point to this machine (DNS rebinding) gives
//! itself away by that name in `Host`. Programs that probe use an address or `localhost`.

use hyper::header::{HOST, HeaderValue, ORIGIN};
use hyper::{Request, StatusCode, Version};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Why this request is not answered, if it is not.
pub(super) fn refuse<B>(request: &Request<B>) -> Option<(StatusCode, &'static str)> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (_, Some(_)) => return Some((StatusCode::BAD_REQUEST, "more than one Host\n")),
        (None, _) if request.version() >= Version::HTTP_11 => {
            return Some((StatusCode::BAD_REQUEST, "HTTP/1.1 needs a Host\n"));
        }
        (host, None) => host.map(HeaderValue::as_bytes),
    };
    // The target's own authority stands above Host.
    let host = request.uri().authority().map(|authority| authority.as_str().as_bytes()).or(host);
    if host.is_some_and(|host| !is_local(host)) {
        return Some((StatusCode::FORBIDDEN, "Host must be an IP address or localhost\n"));
    }
    let foreign = |origin: &HeaderValue| {
        let own = origin.as_bytes().strip_prefix(b"http://").zip(host);
        !own.is_some_and(|(origin, host)| origin.eq_ignore_ascii_case(host))
    };
    let refused = request.headers().get_all(ORIGIN).iter().any(foreign);
    refused.then_some((StatusCode::FORBIDDEN, "pages of other sites are not answered\n"))
}

/// Whether `host` or `host:port` is an IP address or localhost.
fn is_local(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, port),
        _ => (host, ""),
    };
    let known = match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(v6) => v6.parse::<Ipv6Addr>().is_ok(),
        None => name.eq_ignore_ascii_case("localhost") || name.parse::<Ipv4Addr>().is_ok(),
    };
    known && port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn only_addresses_and_localhost_are_local() {
        let local = [
            "localhost",
            "LocalHost:80",
            "127.0.0.1",
            "10.1.2.3:8099",
            "[::1]",
            "[fe80::1]:65535",
            "localhost:",
        ];
        let foreign = [
            "",
            ":80",
            "example.org",
            "localhost.example.org",
            "127.0.0.1.example.org",
            "localhost.",
            "::1",
            "[::1",
            "localhost:80:80",
            "localhost:8O",
            "a@localhost",
            "localhost:800000",
            "[::1]x",
            "0x7f.1",
            "[localhost]",
            "127.0.0.1 example.org",
            "localhost:+80",
        ];
        for host in local {
            assert!(is_local(host.as_bytes()), "{host}");
        }
        for host in foreign {
            assert!(!is_local(host.as_bytes()), "{host}");
        }
        assert!(!is_local(b"localhost\xff"));
    }
}
