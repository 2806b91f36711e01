//! Headers of the PROXY protocol: `testdata/proxy.txt`, cut in every way, followed by anything, and
//! with every byte damaged.

use rtmp_server::net::proxy::{
    self, BODY_LEN_MAX, Client, Header, HeaderError, LINE_LEN_MAX, missing,
};

/// Longest header of either version.
const LEN_MAX: usize = 16 + BODY_LEN_MAX;

struct Row {
    name: &'static str,
    bytes: Vec<u8>,
    says: &'static str,
}

fn rows() -> Vec<Row> {
    let (_, text) = include_str!("../../testdata/proxy.txt")
        .split_once("\n\n")
        .expect("rows");
    let lines: Vec<&str> = text.lines().collect();
    let row = |pair: &[&'static str]| {
        let (hex, says) = pair[1].split_once(" | ").expect("two columns");
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
        Row {
            name: pair[0].trim_start_matches("# "),
            bytes: (0..hex.len()).step_by(2).map(byte).collect(),
            says,
        }
    };
    lines.chunks_exact(2).map(row).collect()
}

/// What a header says, as the rows have it.
fn said(header: Result<Header, HeaderError>) -> String {
    let client = match header {
        Ok(Header::Local) => return "local".to_owned(),
        Ok(Header::Client(client)) => client,
        Err(error) => return format!("error: {error}"),
    };
    let Client {
        addr,
        tls,
        unique_id,
    } = client;
    let mut text = addr.map_or("unknown".to_owned(), |addr| addr.to_string());
    if tls {
        text.push_str(" tls");
    }
    if !unique_id.is_empty() {
        text.push_str(" id ");
        text.push_str(str::from_utf8(&unique_id).unwrap_or("?"));
    }
    text
}

/// Reads a header from a stream of which each read gives at most `piece` bytes, and returns how many
/// bytes were taken. `None`: the stream ends within the header.
fn read(stream: &[u8], piece: usize) -> Option<(usize, Result<Header, HeaderError>)> {
    let mut taken = 0;
    loop {
        let wanted = match missing(&stream[..taken]) {
            Ok(0) => return Some((taken, proxy::parse(&stream[..taken]))),
            Ok(wanted) => wanted,
            Err(error) => return Some((taken, Err(error))),
        };
        assert!(taken + wanted <= LEN_MAX, "asks for {wanted} more");
        let len = wanted.min(piece).min(stream.len() - taken);
        if len == 0 {
            return None;
        }
        taken += len;
    }
}

#[test]
fn every_header_says_what_its_row_says_however_it_is_cut() {
    let mut count = 0;
    for Row { name, bytes, says } in rows() {
        let whole = [&bytes[..], &[3; 1537]].concat();
        for piece in 1..=bytes.len() + 1 {
            let (taken, header) = read(&whole, piece).expect("all of it");
            assert_eq!(said(header.clone()), says, "{name}, {piece} at a time");
            if header.is_ok() {
                assert_eq!(taken, bytes.len(), "{name}: takes what is not the header's");
            }
        }
        count += 1;
    }
    assert!(count > 50);
}

#[test]
fn a_header_that_is_cut_off_is_waited_for() {
    for Row { name, bytes, says } in rows() {
        if says.starts_with("error") {
            continue;
        }
        for len in 0..bytes.len() {
            assert_eq!(read(&bytes[..len], LEN_MAX), None, "{name}, {len} bytes");
            assert!(
                proxy::parse(&bytes[..len]).is_err(),
                "{name}, {len} bytes taken for all"
            );
        }
        let longer = [&bytes[..], b"x"].concat();
        assert!(proxy::parse(&longer).is_err(), "{name} and one more");
    }
}

/// Each byte with each of its bits turned, and as the lowest and the highest.
#[test]
fn a_damaged_byte_does_no_harm() {
    for Row { name, bytes, says } in rows() {
        if says.starts_with("error") {
            continue;
        }
        let start = if bytes[0] == b'\r' { 12 } else { 6 };
        let mut damaged = [&bytes[..], &[3; LEN_MAX]].concat();
        for at in 0..bytes.len() {
            let turned = (0..8).map(|bit| bytes[at] ^ (1 << bit));
            for other in turned.chain([0, u8::MAX]).filter(|it| *it != bytes[at]) {
                damaged[at] = other;
                let (_, header) = read(&damaged, LEN_MAX).expect("decided within the limits");
                if at < start {
                    let error = Err(HeaderError::Foreign);
                    assert_eq!(header, error, "{name}, byte {at} is {other}");
                }
            }
            damaged[at] = bytes[at];
        }
    }
}

#[test]
fn a_line_may_be_as_long_as_the_longest_and_no_longer() {
    let line = |len: usize| {
        let text = format!("PROXY UNKNOWN {}", "x".repeat(len - 16));
        [text.as_bytes(), b"\r\n"].concat()
    };
    assert_eq!(
        said(read(&line(LINE_LEN_MAX), 7).expect("whole").1),
        "unknown"
    );
    let (taken, header) = read(&line(LINE_LEN_MAX + 1), 7).expect("whole");
    assert_eq!(header, Err(HeaderError::LineTooLong));
    assert!(taken <= LINE_LEN_MAX, "{taken} taken");
}
