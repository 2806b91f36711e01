//! What a holder has, and whose that is.

use crate::ip_range::network;
use std::net::IpAddr;

/// Whose memory something is: the address of a client, of IPv6 its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(IpAddr);

impl Owner {
    /// The owner of what a client at `ip` makes the server hold.
    pub fn new(ip: IpAddr) -> Owner {
        Owner(network(ip))
    }
}

/// Where bytes come from that many have, such as a stream: by what those know that they have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source(usize);

impl Source {
    /// The source that is at this place in memory.
    pub fn at<T: ?Sized>(place: &T) -> Source {
        Source(std::ptr::from_ref(place).addr())
    }
}

/// What a holder has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holding {
    /// Whose it is; `None`: nobody's but the holder's own, such as what waits for another server.
    pub owner: Option<Owner>,
    /// The bytes that it would give back.
    pub bytes: usize,
    /// Those of them that other holders of this owner may have as well, and their source.
    pub shared: Option<(Source, usize)>,
    /// How many other owners it is of use to.
    pub others: usize,
}

impl Holding {
    /// Bytes of `owner` that nobody shares or needs.
    pub fn own(owner: Option<Owner>, bytes: usize) -> Holding {
        Holding {
            owner,
            bytes,
            ..Holding::default()
        }
    }
}
