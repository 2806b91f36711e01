//! What a viewer has shown to be let in.

use crate::ip_range::network;
use crate::rtmp::stream_key::StreamPath;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::LazyLock;

/// Parts of a query that let a client in. Where there is none of them, it is the whole query.
const CREDENTIALS: [&str; 2] = ["token", "sig"];

/// The key of the hashes, so that nobody can look for credentials with the same.
static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// The credentials of a viewer, as hashes, and where it came from.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    address: IpAddr,
    hashes: Vec<u64>,
}

impl Shown {
    /// What a client at `ip` has shown for the stream at `path`.
    pub(super) fn new(ip: IpAddr, path: &StreamPath) -> Shown {
        let parts = CREDENTIALS.into_iter();
        let mut hashes: Vec<u64> = parts
            .filter_map(|name| Some(KEY.hash_one((name, path.query(name)?))))
            .collect();
        if hashes.is_empty() {
            hashes.push(KEY.hash_one(path.whole_query()));
        }
        Shown {
            address: network(ip),
            hashes,
        }
    }

    pub(super) fn is_from(&self, other: &Shown) -> bool {
        self.address == other.address
    }

    /// Whether the other comes from the same address with one of the same credentials.
    pub(super) fn is_like(&self, other: &Shown) -> bool {
        self.is_from(other) && self.hashes.iter().any(|hash| other.hashes.contains(hash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_credentials_are_known_whatever_is_around_them() {
        let rows = [
            ("192.0.2.1", "token=a", true),
            ("192.0.2.1", "b=1&token=%61&sig=x", true),
            ("::ffff:192.0.2.1", "token=a", true),
            ("192.0.2.2", "token=a", false),
            ("192.0.2.1", "token=b", false),
            ("192.0.2.1", "sig=a", false),
            ("192.0.2.1", "", false),
        ];
        let shown = |ip: &str, query: &str| {
            let path = StreamPath::new("live", &format!("cam?{query}")).unwrap();
            Shown::new(ip.parse().unwrap(), &path)
        };
        let first = shown("192.0.2.1", "token=a");
        for (ip, query, want) in rows {
            assert_eq!(first.is_like(&shown(ip, query)), want, "{ip} {query}");
        }
        let (one, other) = (shown("192.0.2.1", "key=1"), shown("192.0.2.1", "key=2"));
        assert!(one.is_like(&one) && !one.is_like(&other));
    }
}
