//! Who may change something, as far as a browser can tell: the `Origin` and `Host` of a request.
//!
//! A page of another site can send requests to a server on loopback; a name that resolves to loopback can make itself
//! our neighbour (DNS rebinding). Both carry headers that the page cannot forge. Pure; knows no HTTP library.
//! Must never decide about reads of what is public to whoever reaches the port.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// Scheme, host and port of a site, in lower case and with the port filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    scheme: String,
    authority: Authority,
}

/// A host and, if it is named, a port.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Authority {
    host: Host,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    Ip(IpAddr),
    Name(String),
}

/// Why a text is no origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an origin is a scheme, a host and perhaps a port, as in https://jobs.example.org:8443")]
pub struct OriginError;

/// What the headers of a request say of where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// No browser, or a page of ours.
    Ours,
    /// A page of an allowed origin: it gets CORS.
    Allowed,
    /// Anything else: it changes nothing.
    Foreign,
}

/// The rules: where we listen, and who else is allowed.
#[derive(Debug, Clone)]
pub struct Gate {
    listen: SocketAddr,
    allowed: Vec<Origin>,
}

impl Gate {
    /// Makes the rules for the address that is really listened on.
    pub fn new(listen: SocketAddr, allowed: Vec<Origin>) -> Gate {
        Gate { listen, allowed }
    }

    /// Judges a request by its headers; a missing one is no sign of a browser.
    pub fn judge(&self, host: Option<&str>, origin: Option<&str>) -> Verdict {
        let host = host.map(str::parse::<Authority>);
        let host_fits = match &host {
            None => true,
            Some(Ok(host)) => self.is_our_host(host) || self.allowed.iter().any(|it| it.authority.host == host.host),
            Some(Err(_)) => false,
        };
        if !host_fits {
            return Verdict::Foreign;
        }
        match origin.map(str::parse::<Origin>) {
            None => Verdict::Ours,
            Some(Ok(origin)) if self.allowed.contains(&origin) => Verdict::Allowed,
            Some(Ok(origin)) if self.is_our_origin(&origin, host.and_then(Result::ok)) => Verdict::Ours,
            Some(_) => Verdict::Foreign,
        }
    }

    /// Names of loopback, the address we listen on, and, listening on all addresses, any address: an address, unlike
    /// a name, cannot be made to point at us.
    fn is_our_host(&self, authority: &Authority) -> bool {
        match &authority.host {
            Host::Name(name) => name == "localhost" || name.ends_with(".localhost"),
            Host::Ip(ip) => ip.is_loopback() || self.listen.ip() == *ip || self.listen.ip().is_unspecified(),
        }
    }

    /// The same site as the request's host (also through a forwarded port), or a name of ours with our port.
    fn is_our_origin(&self, origin: &Origin, host: Option<Authority>) -> bool {
        let same_site = host.is_some_and(|host| origin.authority.is_at(&host, origin.port()));
        let by_name = self.is_our_host(&origin.authority) && origin.port() == Some(self.listen.port());
        origin.scheme == "http" && (same_site || by_name)
    }
}

impl Origin {
    fn port(&self) -> Option<u16> {
        let of_scheme = match self.scheme.as_str() {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        };
        self.authority.port.or(of_scheme)
    }
}

impl Authority {
    fn is_at(&self, host: &Authority, port: Option<u16>) -> bool {
        self.host == host.host && port == Some(host.port.unwrap_or(80))
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Origin, OriginError> {
        let (scheme, authority) = text.split_once("://").ok_or(OriginError)?;
        let scheme = scheme.to_ascii_lowercase();
        if scheme.is_empty() || !scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) {
            return Err(OriginError);
        }
        let mut origin = Origin { scheme, authority: authority.parse()? };
        origin.authority.port = origin.port();
        Ok(origin)
    }
}

impl FromStr for Authority {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Authority, OriginError> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Authority { host: Host::Ip(address.ip()), port: Some(address.port()) });
        }
        if let Ok(ip) = text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            return Ok(Authority { host: Host::Ip(ip), port: None });
        }
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) => (name, Some(port.parse().map_err(|_| OriginError)?)),
            None => (text, None),
        };
        let fits = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
        if fits { Ok(Authority { host: Host::Name(name.to_ascii_lowercase()), port }) } else { Err(OriginError) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme)?;
        match &self.authority.host {
            Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]")?,
            Host::Ip(IpAddr::V4(ip)) => write!(f, "{ip}")?,
            Host::Name(name) => f.write_str(name)?,
        }
        match self.authority.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(listen: &str) -> Gate {
        let allowed = vec!["https://jobs.example.org".parse().expect("an origin")];
        Gate::new(listen.parse().expect("an address"), allowed)
    }

    fn judge(host: &str, origin: Option<&str>) -> Verdict {
        gate("127.0.0.1:7878").judge(Some(host), origin)
    }

    #[test]
    fn a_client_without_an_origin_is_no_browser_and_is_welcome() {
        assert_eq!(judge("127.0.0.1:7878", None), Verdict::Ours);
        assert_eq!(gate("127.0.0.1:7878").judge(None, None), Verdict::Ours);
    }

    #[test]
    fn our_own_pages_are_ours_by_any_name_of_loopback_and_through_a_forwarded_port() {
        for (host, origin) in [
            ("127.0.0.1:7878", "http://127.0.0.1:7878"),
            ("localhost:7878", "http://localhost:7878"),
            ("127.0.0.1:7878", "http://localhost:7878"),
            ("[::1]:7878", "http://[::1]:7878"),
            ("LOCALHOST:9000", "http://localhost:9000"),
        ] {
            assert_eq!(judge(host, Some(origin)), Verdict::Ours, "{host} {origin}");
        }
    }

    #[test]
    fn pages_of_other_sites_and_of_other_ports_are_foreign() {
        for origin in ["http://evil.example", "http://localhost:3000", "https://localhost:7878", "null", "", "file://"]
        {
            assert_eq!(judge("127.0.0.1:7878", Some(origin)), Verdict::Foreign, "{origin}");
        }
    }

    #[test]
    fn a_name_that_was_made_to_point_at_us_is_foreign() {
        assert_eq!(judge("evil.example:7878", Some("http://evil.example:7878")), Verdict::Foreign);
        assert_eq!(judge("evil.example:7878", None), Verdict::Foreign);
        assert_eq!(judge("10.0.0.1:7878", None), Verdict::Foreign);
    }

    #[test]
    fn allowed_origins_may_come_from_elsewhere_and_stand_before_us() {
        assert_eq!(judge("127.0.0.1:7878", Some("https://jobs.example.org")), Verdict::Allowed);
        assert_eq!(judge("127.0.0.1:7878", Some("https://jobs.example.org:443")), Verdict::Allowed);
        assert_eq!(judge("jobs.example.org", None), Verdict::Ours);
        assert_eq!(judge("127.0.0.1:7878", Some("https://jobs.example.org:444")), Verdict::Foreign);
    }

    #[test]
    fn listening_everywhere_any_address_is_ours_and_a_name_is_not() {
        let gate = gate("0.0.0.0:7878");
        assert_eq!(gate.judge(Some("192.168.1.5:7878"), Some("http://192.168.1.5:7878")), Verdict::Ours);
        assert_eq!(gate.judge(Some("nas.local:7878"), None), Verdict::Foreign);
    }
}
