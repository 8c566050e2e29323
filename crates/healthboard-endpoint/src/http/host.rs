//! Keeps web pages in a browser from reaching an endpoint on the same machine.
//!
//! A request from a page of another site has a foreign `Origin` or `Sec-Fetch-Site`. A request from a page whose own name
//! resolves to this machine (DNS rebinding) has that name in `Host`. Programs that probe use an address, `localhost`, or a
//! name that the operator has allowed.

use super::head::Head;
use crate::options::AllowedHosts;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Why a request that may come from a browser is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused<'a> {
    /// The request is for this host, which is not allowed.
    Host(&'a [u8]),
    /// The request was made by a page of another origin.
    Page,
}

impl Refused<'_> {
    pub(super) fn why(&self) -> &'static str {
        match self {
            Refused::Host(_) => "Host must be an IP address, localhost or one of `allowed_hosts`\n",
            Refused::Page => "pages of other sites are not answered\n",
        }
    }
}

/// Returns why this request is refused, if it is.
pub(super) fn refuse<'a>(head: &Head<'a>, allowed: &AllowedHosts) -> Option<Refused<'a>> {
    // The target's own authority takes precedence over Host.
    let host = head.target.authority.map(str::as_bytes).or(head.host);
    let local = host.is_none_or(is_local);
    if let Some(host) = host
        && !local
        && !name(host).is_some_and(|name| allowed.contain(name))
    {
        return Some(Refused::Host(host));
    }
    let foreign = |origin: &[u8]| {
        // A load balancer in front may speak TLS with the browser.
        let tls = || origin.strip_prefix(b"https://").filter(|_| !local);
        let own = origin.strip_prefix(b"http://").or_else(tls).zip(host);
        !own.is_some_and(|(origin, host)| origin.eq_ignore_ascii_case(host))
    };
    // `same-site` includes other ports of this machine, which belong to other programs.
    let elsewhere = |site: &[u8]| ![b"same-origin".as_slice(), b"none"].contains(&site);
    let page = head.values("origin").any(foreign) || head.values("sec-fetch-site").any(elsewhere);
    page.then_some(Refused::Page)
}

/// The name or address in `name` or `name:port`; `None` for anything else.
pub(super) fn name(host: &[u8]) -> Option<&str> {
    let host = std::str::from_utf8(host).ok()?;
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, port),
        _ => (host, ""),
    };
    (port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit())).then_some(name)
}

/// Whether `host` or `host:port` is an IP address or localhost.
fn is_local(host: &[u8]) -> bool {
    let Some(name) = name(host) else { return false };
    match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(v6) => v6.parse::<Ipv6Addr>().is_ok(),
        None => name.eq_ignore_ascii_case("localhost") || name.parse::<Ipv4Addr>().is_ok(),
    }
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
