//! What is ours in the queries of requests.

/// What carries a client's session.
pub(super) const SESSION: &str = "_session";

/// Directives of Low-Latency HLS begin with this; other names that do are not ours to pass on either.
pub(super) const DIRECTIVE: &str = "_HLS_";

/// The part of a query that belongs to the stream, as it was sent: what decides about a client is not
/// asked about the rest.
pub(super) fn query_of_stream(query: &str) -> String {
    let is_ours = |pair: &&str| {
        let name = pair.split('=').next().unwrap_or_default();
        name == SESSION || name.starts_with(DIRECTIVE)
    };
    let pairs: Vec<&str> = query.split('&').filter(|pair| !is_ours(pair)).collect();
    pairs.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ours_is_not_the_streams() {
        let rows = [
            ("", ""),
            ("token=a%20b&_session=0&x", "token=a%20b&x"),
            ("_HLS_msn=7&token=x&_HLS_part=2&_session", "token=x"),
            ("a=_session&_sessions=1", "a=_session&_sessions=1"),
        ];
        for (query, want) in rows {
            assert_eq!(query_of_stream(query), want, "{query}");
        }
    }
}
