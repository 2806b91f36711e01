//! The PROXY protocol, versions 1 and 2: the header in which a proxy tells whose connection it hands
//! on. Without a socket: bytes in, a header out. What follows the header is never asked for.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// Longest header of version 1 in bytes, with its line end.
pub const LINE_LEN_MAX: usize = 107;

/// Most bytes after the fixed part of a header of version 2.
pub const BODY_LEN_MAX: usize = 2048;

/// Begins a header of version 2.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, command, family, length.
const FIXED_LEN: usize = 16;

/// Begins a header of version 1.
const WORD: &[u8] = b"PROXY ";

/// The shortest header of version 1 is `PROXY UNKNOWN` and a line end; no header is shorter.
const LEN_MIN: usize = 15;

/// Types of the fields behind the addresses of a header of version 2.
const UNIQUE_ID: u8 = 0x05;
const SSL: u8 = 0x20;

/// The bit of an SSL field's first byte that says that the client came by TLS.
const CLIENT_SSL: u8 = 0x01;

/// The first byte of an SSL field, and the result of verifying the client's certificate.
const SSL_LEN_MIN: usize = 5;

/// What a proxy tells of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Header {
    /// The proxy's own connection, such as a health check.
    Local,
    /// The connection of a client of the proxy.
    Client(Client),
}

/// What a proxy tells of its client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// Its address; `None`: the proxy does not know it, or it is none of IP.
    pub addr: Option<SocketAddr>,
    /// Whether it came by TLS.
    pub tls: bool,
    /// The id that the proxy gave the connection; empty: none.
    pub unique_id: Vec<u8>,
}

/// What is wrong with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// It begins as no header does.
    Foreign,
    /// The line of version 1 has no end within [`LINE_LEN_MAX`].
    LineTooLong,
    /// The line of version 1 does not say what it has to.
    Line,
    /// This version in a header that begins as one of version 2.
    Version(u8),
    /// A command that is none.
    Command(u8),
    /// An address family, or a transport other than a stream, that no RTMP client comes by.
    Family(u8),
    /// More bytes in version 2 than [`BODY_LEN_MAX`].
    BodyTooLong(usize),
    /// Fewer bytes in version 2 than its addresses take.
    BodyTooShort(usize),
    /// A field behind the addresses ends beyond the header, or is shorter than its kind.
    Field(u8),
}

impl std::error::Error for HeaderError {}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            HeaderError::Foreign => write!(f, "no PROXY header"),
            HeaderError::LineTooLong => {
                write!(f, "a PROXY line of more than {LINE_LEN_MAX} bytes")
            }
            HeaderError::Line => write!(f, "malformed PROXY line"),
            HeaderError::Version(version) => write!(f, "PROXY version {version}"),
            HeaderError::Command(command) => write!(f, "PROXY command {command}"),
            HeaderError::Family(family) => write!(f, "PROXY address family 0x{family:02x}"),
            HeaderError::BodyTooLong(len) => {
                write!(f, "PROXY header of {len} bytes, at most {BODY_LEN_MAX}")
            }
            HeaderError::BodyTooShort(len) => {
                write!(f, "PROXY header of {len} bytes, too few for its addresses")
            }
            HeaderError::Field(kind) => write!(f, "malformed PROXY field 0x{kind:02x}"),
        }
    }
}

/// How many bytes still belong to the header that begins with `bytes`, as far as these tell; 0: it
/// is complete. More than that are not to be read.
///
/// # Errors
///
/// [`HeaderError`]: it is no header, whatever follows.
pub fn missing(bytes: &[u8]) -> Result<usize, HeaderError> {
    if begins(bytes, &SIGNATURE) {
        return missing_of_body(bytes);
    }
    if begins(bytes, WORD) {
        return missing_of_line(bytes);
    }
    Err(HeaderError::Foreign)
}

/// Whether `bytes` and `start` are the same as far as both go.
fn begins(bytes: &[u8], start: &[u8]) -> bool {
    bytes.iter().zip(start).all(|(a, b)| a == b)
}

fn missing_of_line(line: &[u8]) -> Result<usize, HeaderError> {
    // A line end within or behind the line: neither a lone CR nor a lone LF may be in it.
    let (text, end) = match line.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
        Some(at) => line.split_at(at),
        None => (line, &[][..]),
    };
    match end {
        b"\r\n" => Ok(0),
        b"" if text.len() + 2 > LINE_LEN_MAX => Err(HeaderError::LineTooLong),
        b"" => Ok(LEN_MIN.saturating_sub(text.len()).max(2)),
        b"\r" => Ok(1),
        _ => Err(HeaderError::Line),
    }
}

fn missing_of_body(bytes: &[u8]) -> Result<usize, HeaderError> {
    if let Some(byte) = bytes.get(SIGNATURE.len()) {
        command(*byte)?;
    }
    let Some(fixed) = bytes.first_chunk::<FIXED_LEN>() else {
        // The first read stays within the shortest header of either version.
        let end = if bytes.len() < LEN_MIN {
            LEN_MIN
        } else {
            FIXED_LEN
        };
        return Ok(end - bytes.len());
    };
    let len = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if len > BODY_LEN_MAX {
        return Err(HeaderError::BodyTooLong(len));
    }
    Ok((FIXED_LEN + len).saturating_sub(bytes.len()))
}

/// What a header of version 2 is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Command {
    Local,
    Proxy,
}

fn command(byte: u8) -> Result<Command, HeaderError> {
    match (byte >> 4, byte & 0x0f) {
        (2, 0) => Ok(Command::Local),
        (2, 1) => Ok(Command::Proxy),
        (2, command) => Err(HeaderError::Command(command)),
        (version, _) => Err(HeaderError::Version(version)),
    }
}

/// Reads a header of which no byte is [`missing`].
///
/// # Errors
///
/// [`HeaderError`]; also for one that is not complete, or goes on.
pub fn parse(bytes: &[u8]) -> Result<Header, HeaderError> {
    match bytes.strip_prefix(&SIGNATURE) {
        Some([command_byte, family, high, low, body @ ..]) => {
            let len = usize::from(u16::from_be_bytes([*high, *low]));
            if len != body.len() {
                return Err(HeaderError::BodyTooShort(body.len()));
            }
            parse_body(command(*command_byte)?, *family, body)
        }
        Some(_) => Err(HeaderError::BodyTooShort(0)),
        None => parse_line(bytes),
    }
}

fn parse_line(bytes: &[u8]) -> Result<Header, HeaderError> {
    let line = bytes
        .strip_prefix(WORD)
        .ok_or(HeaderError::Foreign)?
        .strip_suffix(b"\r\n")
        .filter(|_| bytes.len() <= LINE_LEN_MAX)
        .and_then(|line| str::from_utf8(line).ok())
        .ok_or(HeaderError::Line)?;
    // What follows UNKNOWN is to be ignored.
    if line == "UNKNOWN" || line.starts_with("UNKNOWN ") {
        return Ok(Header::Client(Client::default()));
    }
    let fields: Vec<&str> = line.split(' ').collect();
    let addr = match fields[..] {
        ["TCP4", from, to, from_port, to_port] => addr::<Ipv4Addr>(from, to, from_port, to_port),
        ["TCP6", from, to, from_port, to_port] => addr::<Ipv6Addr>(from, to, from_port, to_port),
        _ => None,
    };
    let addr = addr.ok_or(HeaderError::Line)?;
    Ok(Header::Client(Client {
        addr: Some(addr),
        ..Client::default()
    }))
}

/// The client's address of two of the same family; the other has to be right as well.
fn addr<T: FromStr + Into<IpAddr>>(
    from: &str,
    to: &str,
    from_port: &str,
    to_port: &str,
) -> Option<SocketAddr> {
    to.parse::<T>().ok()?;
    port(to_port)?;
    let ip: IpAddr = from.parse::<T>().ok()?.into();
    Some(SocketAddr::new(ip.to_canonical(), port(from_port)?))
}

/// Digits only, none in front that says nothing.
fn port(text: &str) -> Option<u16> {
    let plain = text == "0" || (!text.starts_with(['0', '+']));
    text.parse().ok().filter(|_| plain)
}

fn parse_body(command: Command, family: u8, body: &[u8]) -> Result<Header, HeaderError> {
    if command == Command::Local {
        return Ok(Header::Local);
    }
    let addrs_len = match family {
        0x00 => 0,
        0x11 => 12,
        0x21 => 36,
        0x31 => 216,
        other => return Err(HeaderError::Family(other)),
    };
    let (addrs, fields) = body
        .split_at_checked(addrs_len)
        .ok_or(HeaderError::BodyTooShort(body.len()))?;
    let mut client = Client {
        addr: client_addr(addrs),
        ..Client::default()
    };
    parse_fields(&mut client, fields)?;
    Ok(Header::Client(client))
}

/// The source among the addresses of a header, if it is one of IP: address, address, port, port.
fn client_addr(addrs: &[u8]) -> Option<SocketAddr> {
    let (ip, ports): (IpAddr, &[u8]) = match addrs.len() {
        12 => ((*addrs.first_chunk::<4>()?).into(), &addrs[8..]),
        36 => ((*addrs.first_chunk::<16>()?).into(), &addrs[32..]),
        _ => return None,
    };
    let port = u16::from_be_bytes(*ports.first_chunk()?);
    Some(SocketAddr::new(ip.to_canonical(), port))
}

fn parse_fields(client: &mut Client, mut fields: &[u8]) -> Result<(), HeaderError> {
    while let Some((kind, rest)) = fields.split_first() {
        let malformed = HeaderError::Field(*kind);
        let (len, rest) = rest.split_first_chunk().ok_or(malformed)?;
        let len = usize::from(u16::from_be_bytes(*len));
        let (value, rest) = rest.split_at_checked(len).ok_or(malformed)?;
        match *kind {
            SSL if value.len() < SSL_LEN_MIN => return Err(malformed),
            SSL => client.tls = value[0] & CLIENT_SSL != 0,
            UNIQUE_ID => client.unique_id = value.to_vec(),
            _ => {}
        }
        fields = rest;
    }
    Ok(())
}
