//! Which requests may end streams and connections.

use crate::auth;
use crate::http::server::{HttpRequest, name_of};
use std::net::IpAddr;

/// Whether a request from `peer` may end streams and connections: it has the token, or it comes
/// from this machine, neither from a foreign page in a browser here nor through a proxy.
///
/// A browser names the page in `Origin`. A page whose name was made to stand for this machine
/// names itself in `Host`, which is why only addresses and `localhost` count.
pub(super) fn may_hang_up(token: Option<&str>, peer: IpAddr, request: &HttpRequest) -> bool {
    if let Some(bearer) = &request.bearer {
        return token.is_some_and(|token| auth::same(bearer.as_bytes(), token.as_bytes()));
    }
    let host = request.host.as_deref().unwrap_or("");
    let of_ours = |origin: &String| origin.eq_ignore_ascii_case(&format!("http://{host}"));
    peer.to_canonical().is_loopback()
        && !request.forwarded
        && names_no_domain(host)
        && request.origin.as_ref().is_none_or(of_ours)
}

/// Whether `host`, perhaps with a port, is an address or `localhost`.
fn names_no_domain(host: &str) -> bool {
    name_of(host).is_some_and(|name| {
        name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::LIMITS;

    #[test]
    fn only_the_machine_itself_and_who_knows_the_token_may() {
        let rows = [
            ("127.0.0.1", "Host: 127.0.0.1:80", true),
            ("127.9.9.9", "Host: 10.0.0.1", true),
            ("::1", "Host: [::1]:80", true),
            ("::ffff:127.0.0.1", "Host: LOCALHOST:80", true),
            ("10.0.0.1", "Host: 127.0.0.1:80", false),
            ("::ffff:10.0.0.1", "Host: localhost", false),
            ("127.0.0.1", "Host: evil.example:80", false),
            ("127.0.0.1", "Host: localhost.evil.example", false),
            ("127.0.0.1", "Host: a@localhost", false),
            ("127.0.0.1", "Host: localhost/x", false),
            ("127.0.0.1", "Host: ", false),
            ("127.0.0.1", "Host: ::1", false),
            (
                "127.0.0.1",
                "Host: localhost:8\r\nOrigin: http://localhost:8",
                true,
            ),
            (
                "127.0.0.1",
                "Host: localhost:8\r\nOrigin: http://localhost:9",
                false,
            ),
            (
                "127.0.0.1",
                "Host: localhost:8\r\nOrigin: https://localhost:8",
                false,
            ),
            (
                "127.0.0.1",
                "Host: localhost:8\r\nOrigin: http://evil.example",
                false,
            ),
            ("127.0.0.1", "Host: localhost:8\r\nOrigin: null", false),
            ("127.0.0.1", "Host: localhost:8\r\nOrigin: ", false),
            (
                "127.0.0.1",
                "Host: localhost\r\nX-Forwarded-For: 10.0.0.1",
                false,
            ),
            ("10.0.0.1", "Host: a\r\nAuthorization: Bearer s3cret", true),
            ("10.0.0.1", "Host: a\r\nAuthorization: Bearer s3cre", false),
            ("10.0.0.1", "Host: a\r\nAuthorization: Bearer ", false),
            ("10.0.0.1", "Host: a\r\nAuthorization: Basic s3cret", false),
            (
                "127.0.0.1",
                "Host: localhost\r\nAuthorization: Bearer wrong",
                false,
            ),
        ];
        for (peer, headers, want) in rows {
            let text = format!("DELETE / HTTP/1.1\r\n{headers}\r\n\r\n");
            let request = HttpRequest::read(&mut text.as_bytes(), &LIMITS).unwrap();
            let peer = peer.parse().unwrap();
            let with = may_hang_up(Some("s3cret"), peer, &request);
            assert_eq!(with, want, "{peer} {headers}");
            let without = may_hang_up(None, peer, &request);
            assert_eq!(
                without,
                want && request.bearer.is_none(),
                "{peer} {headers}"
            );
        }
    }
}
