//! Ranges of IP addresses, as flags have them: `192.0.2.0/24`, `2001:db8::/32`, or a single address.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// All addresses that begin with the same bits. An address of IPv4 that is mapped into IPv6 is one of
/// IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpRange {
    /// The first address of the range.
    first: IpAddr,
    /// How many bits are the same.
    bits: u8,
}

/// A text that is no range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpRangeError {
    /// Not an address, or not with a number of bits that it has.
    Malformed,
    /// The address has bits beyond those that are the same; the range that may be meant.
    Bits(IpRange),
}

impl std::error::Error for IpRangeError {}

impl fmt::Display for IpRangeError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            IpRangeError::Malformed => {
                write!(f, "must be an address or a range such as 192.0.2.0/24")
            }
            IpRangeError::Bits(range) => {
                write!(
                    f,
                    "has address bits behind the prefix; the range is {range}"
                )
            }
        }
    }
}

impl IpRange {
    /// The addresses of this machine's loopback.
    pub const LOOPBACK: [IpRange; 2] = [
        IpRange {
            first: IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 0)),
            bits: 8,
        },
        IpRange {
            first: IpAddr::V6(Ipv6Addr::LOCALHOST),
            bits: 128,
        },
    ];

    /// Whether `ip` is in the range.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        ip.is_ipv4() == self.first.is_ipv4() && first_of(ip, self.bits) == self.first
    }
}

/// What an address is counted as: one of IPv4, or a network of IPv6, of which a client has all addresses.
pub fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        ip @ IpAddr::V4(_) => ip,
        ip @ IpAddr::V6(_) => first_of(ip, 64),
    }
}

/// The first address of those that have the leading `bits` of `ip`.
fn first_of(ip: IpAddr, bits: u8) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => {
            let rest = u32::MAX.checked_shr(bits.into()).unwrap_or(0);
            IpAddr::V4((ip.to_bits() & !rest).into())
        }
        IpAddr::V6(ip) => {
            let rest = u128::MAX.checked_shr(bits.into()).unwrap_or(0);
            IpAddr::V6((ip.to_bits() & !rest).into())
        }
    }
}

impl FromStr for IpRange {
    type Err = IpRangeError;

    fn from_str(text: &str) -> Result<IpRange, IpRangeError> {
        let (ip, bits) = match text.split_once('/') {
            Some((ip, bits)) => (ip, Some(bits)),
            None => (text, None),
        };
        let given: IpAddr = ip.parse().map_err(|_| IpRangeError::Malformed)?;
        let most = if given.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => {
                bits.parse().map_err(|_| IpRangeError::Malformed)?
            }
            Some(_) => return Err(IpRangeError::Malformed),
            None => most,
        };
        // Of a mapped address, the first 96 bits are the mapping.
        let ip = given.to_canonical();
        let mapping = if ip.is_ipv4() == given.is_ipv4() {
            0
        } else {
            96
        };
        if bits > most || bits < mapping {
            return Err(IpRangeError::Malformed);
        }
        let bits = bits - mapping;
        let range = IpRange {
            first: first_of(ip, bits),
            bits,
        };
        match range.first == ip {
            true => Ok(range),
            false => Err(IpRangeError::Bits(range)),
        }
    }
}

impl fmt::Display for IpRange {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_have_the_addresses_that_begin_alike() {
        let rows: [(&str, &[&str], &[&str]); 8] = [
            (
                "192.0.2.0/24",
                &["192.0.2.0", "192.0.2.255", "::ffff:192.0.2.7"],
                &["192.0.3.0", "::1"],
            ),
            ("192.0.2.7", &["192.0.2.7"], &["192.0.2.6", "192.0.2.8"]),
            (
                "0.0.0.0/0",
                &["0.0.0.0", "255.255.255.255"],
                &["::", "2001:db8::1"],
            ),
            ("10.0.0.0/9", &["10.127.0.0"], &["10.128.0.0"]),
            ("2001:db8::/32", &["2001:db8:ffff::1"], &["2001:db9::"]),
            (
                "::/0",
                &["::1", "ffff::"],
                &["127.0.0.1", "::ffff:127.0.0.1"],
            ),
            ("::1", &["::1"], &["::", "::2"]),
            ("::ffff:10.0.0.0/104", &["10.1.2.3"], &["11.0.0.0"]),
        ];
        for (text, inside, outside) in rows {
            let range: IpRange = text.parse().unwrap();
            let has = |ip: &&str| range.contains(ip.parse().unwrap());
            assert!(inside.iter().all(has), "{text}");
            assert!(!outside.iter().any(has), "{text}");
            assert_eq!(range.to_string().parse(), Ok(range), "{text}");
        }
        let loopback = |ip: &str| {
            IpRange::LOOPBACK
                .iter()
                .any(|range| range.contains(ip.parse().unwrap()))
        };
        assert!(loopback("127.1.2.3") && loopback("::1") && loopback("::ffff:127.0.0.1"));
        assert!(!loopback("128.0.0.1") && !loopback("::2"));
    }

    #[test]
    fn other_texts_are_refused() {
        let malformed = "must be an address or a range such as 192.0.2.0/24";
        let rows = [
            ("", malformed),
            ("localhost", malformed),
            ("192.0.2.0/", malformed),
            ("192.0.2.0/33", malformed),
            ("192.0.2.0/+8", malformed),
            ("192.0.2.0/999", malformed),
            ("192.0.2/24", malformed),
            ("2001:db8::/129", malformed),
            ("::ffff:10.0.0.0/8", malformed),
            (
                "192.0.2.7/24",
                "has address bits behind the prefix; the range is 192.0.2.0/24",
            ),
            (
                "2001:db8::1/32",
                "has address bits behind the prefix; the range is 2001:db8::/32",
            ),
        ];
        for (text, want) in rows {
            let error = text.parse::<IpRange>().unwrap_err();
            assert_eq!(error.to_string(), want, "{text}");
        }
    }
}
