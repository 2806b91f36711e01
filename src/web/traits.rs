//! By what a viewer is known.

use crate::ip_range::network;
use crate::rtmp::stream_key::{StreamKey, StreamPath};
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::LazyLock;

/// Parts of a query that many viewers have in common: they do not tell who one is.
const COMMON: [&str; 6] = ["tracks", "video", "audio", "exp", "for", "ip"];

/// Most parts of a query by which a viewer is known. One with more means to hide among them, and is
/// known by its network alone.
const PARTS_MAX: usize = 16;

/// The key of the hashes, so that nobody can look for credentials with the same.
static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// By what a viewer is known that comes back, whatever protocol it speaks.
#[derive(Clone, Debug)]
pub struct Traits {
    /// The stream, as the viewer calls it.
    key: StreamKey,
    pub(super) network: IpAddr,
    /// What it has shown: the parts of its query, as hashes. `None`: too many.
    shown: Option<Box<[u64]>>,
    /// What it calls itself, as a hash.
    agent: u64,
}

impl Traits {
    /// Those of a client at `ip` that calls itself `agent` and asks for the stream at `path`.
    pub fn new(ip: IpAddr, path: &StreamPath, agent: &str) -> Traits {
        let pairs = path.query_pairs();
        let telling = pairs.filter(|(name, _)| !COMMON.contains(&&**name));
        let hashes = telling.map(|pair| KEY.hash_one(pair));
        let hashes: Vec<u64> = hashes.take(PARTS_MAX + 1).collect();
        Traits {
            key: path.key.clone(),
            network: network(ip),
            shown: (hashes.len() <= PARTS_MAX).then(|| hashes.into()),
            agent: KEY.hash_one(agent),
        }
    }

    /// Whether this is taken for the one that was ended: it comes from the same network, and shows
    /// something that the other has shown; where that showed nothing, it calls itself the same.
    pub fn is_of(&self, ended: &Traits) -> bool {
        (&self.key, self.network) == (&ended.key, ended.network)
            && match (&ended.shown, &self.shown) {
                (None, _) | (_, None) => true,
                (Some(shown), _) if shown.is_empty() => self.agent == ended.agent,
                (Some(before), Some(now)) => before.iter().any(|hash| now.contains(hash)),
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many parts as are not looked at.
    const MANY: &str = "cam?a=1&a=2&a=3&a=4&a=5&a=6&a=7&a=8&a&b&c&d&e&f&g&h&i";

    fn traits(ip: &str, name: &str, agent: &str) -> Traits {
        let path = StreamPath::new("live", name).unwrap();
        Traits::new(ip.parse().unwrap(), &path, agent)
    }

    #[test]
    fn one_that_was_ended_is_known_whatever_it_changes() {
        let rows = [
            // What it shows is the same, whatever is around it.
            ("cam?token=a", "192.0.2.1", "cam?token=a", "VLC", true),
            (
                "cam?token=a",
                "::ffff:192.0.2.1",
                "cam?b=1&token=%61&sig=x",
                "other",
                true,
            ),
            (
                "cam?user=me",
                "192.0.2.1",
                "cam?token=junk&user=me",
                "VLC",
                true,
            ),
            (
                "cam?token=junk&user=me",
                "192.0.2.1",
                "cam?token=other&user=me",
                "VLC",
                true,
            ),
            ("cam?token=a", "192.0.2.2", "cam?token=a", "VLC", false),
            ("cam?token=a", "192.0.2.1", "cam?token=b", "VLC", false),
            ("cam?token=a", "192.0.2.1", "cam?sig=a", "VLC", false),
            ("cam?token=a", "192.0.2.1", "cam", "VLC", false),
            ("cam?token=a", "192.0.2.1", "two?token=a", "VLC", false),
            // Many have these in common.
            (
                "cam?exp=9&sig=a&tracks=all",
                "192.0.2.1",
                "cam?exp=9&sig=b&tracks=all",
                "VLC",
                false,
            ),
            // It has shown nothing: then its name counts.
            ("cam", "192.0.2.1", "cam", "VLC", true),
            ("cam", "192.0.2.1", "cam?token=junk", "VLC", true),
            ("cam?video=1", "192.0.2.1", "cam", "VLC", true),
            ("cam", "192.0.2.1", "cam", "other", false),
            ("cam", "192.0.2.2", "cam", "VLC", false),
            ("cam?token=a", "192.0.2.1", MANY, "other", true),
            (MANY, "192.0.2.1", "cam", "other", true),
            (MANY, "192.0.2.2", "cam", "VLC", false),
        ];
        for (ended, ip, name, agent, want) in rows {
            let newcomer = traits(ip, name, agent);
            let is_of = newcomer.is_of(&traits("192.0.2.1", ended, "VLC"));
            assert_eq!(is_of, want, "{ended}: {ip} {name} {agent}");
        }
    }
}
