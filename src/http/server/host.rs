//! Which hosts a server answers for.

use crate::http::HttpUrl;
use std::net::IpAddr;

/// The names that requests may be for, beside `localhost` and the address that they come in on.
#[derive(Clone, Debug, Default)]
pub(crate) struct HostNames(pub(crate) Vec<String>);

impl HostNames {
    /// Whether a request for `host` that came in on `local` is one for this server. A page whose
    /// name was made to stand for this machine has the browser name that, and could read
    /// everything. Only clients that are no browsers send no host.
    pub(crate) fn include(&self, host: Option<&str>, local: IpAddr) -> bool {
        let Some(host) = host else { return true };
        let Some(name) = name_of(host) else {
            return false;
        };
        let is_name = |known: &str| known.eq_ignore_ascii_case(&name);
        is_name("localhost")
            || self.0.iter().any(|known| is_name(known))
            || name
                .parse::<IpAddr>()
                .is_ok_and(|ip| ip.to_canonical() == local.to_canonical())
    }
}

/// A host without its port.
pub(crate) fn name_of(host: &str) -> Option<String> {
    let url = HttpUrl::parse(&format!("http://{host}")).ok()?;
    (!host.contains(['@', '/', '?', '#'])).then_some(url.host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_server_are_served() {
        let hosts = ["Stream.example", "203.0.113.9"].map(str::to_owned);
        let hosts = HostNames(hosts.to_vec());
        let rows = [
            ("127.0.0.1", Some("127.0.0.1:9090"), true),
            ("127.0.0.1", Some("127.0.0.1"), true),
            ("::1", Some("[::1]:9090"), true),
            ("::ffff:10.0.0.7", Some("10.0.0.7:9090"), true),
            ("10.0.0.7", Some("LocalHost:9090"), true),
            ("10.0.0.7", Some("stream.EXAMPLE:9090"), true),
            ("10.0.0.7", Some("203.0.113.9"), true),
            ("10.0.0.7", None, true),
            ("10.0.0.7", Some("10.0.0.8"), false),
            ("127.0.0.1", Some("evil.example"), false),
            ("127.0.0.1", Some("evil.example:9090"), false),
            ("127.0.0.1", Some("localhost.evil.example"), false),
            ("127.0.0.1", Some("x@localhost"), false),
            ("127.0.0.1", Some("localhost/x"), false),
            ("127.0.0.1", Some(""), false),
        ];
        for (local, host, want) in rows {
            let is_ours = hosts.include(host, local.parse().unwrap());
            assert_eq!(is_ours, want, "{host:?} on {local}");
        }
    }
}
