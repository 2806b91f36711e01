//! Ranges of addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Addresses with the same first bits, written `10.0.0.0/8`, `2001:db8::/32`, or as one address.
///
/// An IPv4 address that came as IPv6 (`::ffff:10.0.0.1`) is the IPv4 address, in ranges as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRange {
    /// Zero behind its first `len` bits.
    first: IpAddr,
    len: u8,
}

/// Bits in front of an IPv4 address that is written as IPv6.
const MAPPED_BITS: u8 = 96;

/// Why a text is not a range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressRangeError {
    /// What stands before the slash, or all of it, is not an address.
    NoAddress,
    /// What stands behind the slash is not a number of bits that such an address has.
    NoLength {
        /// The bits of such an address.
        bits: u8,
    },
    /// The address has bits behind the length. One of the two is probably a mistake, and a guess would
    /// let in many addresses that are not meant.
    HostBits {
        /// The range of that length.
        range: AddressRange,
        /// The range of this address alone.
        alone: IpAddr,
    },
}

impl fmt::Display for AddressRangeError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            AddressRangeError::NoAddress => {
                write!(f, "must be an address, or ADDRESS/BITS such as 10.0.0.0/8")
            }
            AddressRangeError::NoLength { bits } => {
                write!(f, "must have a number from 0 to {bits} behind the slash")
            }
            AddressRangeError::HostBits { range, alone } => write!(
                f,
                "the address goes on behind the length: write {range}, or {alone} for it alone"
            ),
        }
    }
}

impl std::error::Error for AddressRangeError {}

impl AddressRange {
    /// The addresses that begin with the first `len` bits of `addr`. `None`: it has fewer bits.
    fn new(addr: IpAddr, len: u8) -> Option<AddressRange> {
        let first = match addr {
            IpAddr::V4(addr) => {
                let hidden = u32::BITS.checked_sub(u32::from(len))?;
                let mask = u32::MAX.checked_shl(hidden).unwrap_or(0);
                Ipv4Addr::from_bits(addr.to_bits() & mask).into()
            }
            IpAddr::V6(addr) => {
                let hidden = u128::BITS.checked_sub(u32::from(len))?;
                let mask = u128::MAX.checked_shl(hidden).unwrap_or(0);
                Ipv6Addr::from_bits(addr.to_bits() & mask).into()
            }
        };
        Some(AddressRange { first, len })
    }

    /// The same addresses, those of IPv4 as IPv4.
    fn canonical(self) -> AddressRange {
        match self.first.to_canonical() {
            first @ IpAddr::V4(_) if self.first.is_ipv6() && self.len >= MAPPED_BITS => {
                let len = self.len - MAPPED_BITS;
                AddressRange { first, len }
            }
            _ => self,
        }
    }

    /// Whether `addr` is in the range.
    pub fn contains(&self, addr: IpAddr) -> bool {
        let addr = addr.to_canonical();
        addr.is_ipv4() == self.first.is_ipv4()
            && AddressRange::new(addr, self.len).is_some_and(|range| range.first == self.first)
    }
}

impl FromStr for AddressRange {
    type Err = AddressRangeError;

    fn from_str(text: &str) -> Result<AddressRange, AddressRangeError> {
        let (addr, len) = match text.split_once('/') {
            Some((addr, len)) => (addr, Some(len)),
            None => (text, None),
        };
        let written: IpAddr = addr.parse().map_err(|_| AddressRangeError::NoAddress)?;
        let bits = bits(written);
        let no_length = AddressRangeError::NoLength { bits };
        let len = match len {
            Some(len) => number(len).ok_or(no_length)?,
            None => bits,
        };
        let range = AddressRange::new(written, len).ok_or(no_length)?;
        let range = range.canonical();
        let addr = written.to_canonical();
        // What is left of a mapped address depends on its length.
        match range.first == addr || range.first == written {
            true => Ok(range),
            false => Err(AddressRangeError::HostBits { range, alone: addr }),
        }
    }
}

/// The range as it is parsed.
impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.len == bits(self.first) {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}/{}", self.first, self.len),
        }
    }
}

/// How many bits such an address has.
fn bits(addr: IpAddr) -> u8 {
    match addr {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// A number of digits alone, where Rust takes a plus sign and zeros in front as well.
fn number(text: &str) -> Option<u8> {
    let number = text.parse::<u8>().ok()?;
    (number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_the_addresses_that_begin_like_them() {
        let rows = [
            ("10.0.0.0/8", "10.255.1.2", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("10.0.0.0/8", "::10.1.2.3", false),
            ("::ffff:10.0.0.0/104", "10.1.2.3", true),
            ("::ffff:10.0.0.0/104", "::ffff:11.1.2.3", false),
            ("::ffff:0:0/96", "192.0.2.1", true),
            ("::ffff:10.0.0.1", "10.0.0.1", true),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.6", false),
            ("192.0.2.6/31", "192.0.2.7", true),
            ("192.0.2.7/32", "192.0.2.8", false),
            ("0.0.0.0/0", "255.255.255.255", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "10.0.0.1", false),
            ("::/0", "::ffff:10.0.0.1", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::", false),
            ("fe80::1", "fe80::1", true),
            ("::1/128", "::2", false),
        ];
        for (range, addr, want) in rows {
            let parsed: AddressRange = range.parse().unwrap();
            let got = parsed.contains(addr.parse().unwrap());
            assert_eq!(got, want, "{range} {addr}");
        }
    }

    #[test]
    fn what_is_written_wrongly_is_refused() {
        let no_length = "must have a number from 0 to 32 behind the slash";
        let rows = [
            ("", "must be an address"),
            ("localhost", "must be an address"),
            ("10.0.0", "must be an address"),
            ("10.0.0.0.0/8", "must be an address"),
            ("010.0.0.0/8", "must be an address"),
            (" 10.0.0.0/8", "must be an address"),
            ("10.0.0.1:1935", "must be an address"),
            ("fe80::1%eth0", "must be an address"),
            ("[::1]", "must be an address"),
            ("/8", "must be an address"),
            ("10.0.0.0/", no_length),
            ("10.0.0.0/33", no_length),
            ("10.0.0.0/+8", no_length),
            ("10.0.0.0/08", no_length),
            ("10.0.0.0/8/8", no_length),
            ("10.0.0.0/255.0.0.0", no_length),
            ("::/129", "a number from 0 to 128"),
            ("::/300", "a number from 0 to 128"),
            ("10.1.2.3/8", "write 10.0.0.0/8, or 10.1.2.3 for it alone"),
            ("2001:db8::1/32", "write 2001:db8::/32, or 2001:db8::1"),
            ("::ffff:10.1.2.3/104", "write 10.0.0.0/8, or 10.1.2.3"),
            ("::ffff:10.0.0.0/90", "write ::ffc0:0:0/90, or 10.0.0.0 for"),
        ];
        for (text, want) in rows {
            let error = text.parse::<AddressRange>().unwrap_err().to_string();
            assert!(error.contains(want), "{text}: {error}");
        }
    }

    #[test]
    fn ranges_are_shown_as_they_are_written() {
        let rows = [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("192.0.2.7/32", "192.0.2.7"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("2001:DB8:0::/48", "2001:db8::/48"),
            ("::1", "::1"),
        ];
        for (text, want) in rows {
            let shown = text.parse::<AddressRange>().unwrap().to_string();
            assert_eq!(shown, want, "{text}");
        }
    }
}
