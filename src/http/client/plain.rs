//! HTTP spoken directly, over TCP. One deadline for all of it.

use super::error::PostError;
use super::post::{Method, Post};
use super::reply::Reply;
use crate::awake;
use crate::http::HttpUrl;
use crate::http::Timed;
use crate::net::{Socket, dial};
use std::io::{self, BufReader, Write};
use std::time::Instant;

/// Sends a request and reads the reply, until `end` at the latest.
pub(super) fn post(url: &HttpUrl, post: &Post, end: Instant) -> Result<Reply, PostError> {
    let socket = dial(&url.host, url.port, end, None).map_err(PostError::from)?;
    let socket = Socket::from(socket);
    let left = end.saturating_duration_since(Instant::now());
    let mut timed = Timed::new(&socket, awake::now() + left);
    let sent = timed.write_all(&request(url, post));
    if let Err(error) = &sent
        && error.kind() == io::ErrorKind::TimedOut
    {
        return Err(PostError::TimedOut);
    }
    // A server that did not read all of it may have answered nevertheless.
    let reply = Reply::read(&mut BufReader::new(timed));
    match (reply, sent) {
        (Err(PostError::Closed | PostError::Io(_)), Err(error)) => Err(PostError::Io(error)),
        (reply, _) => reply,
    }
}

fn request(url: &HttpUrl, post: &Post) -> Vec<u8> {
    let mut lines = vec![
        format!("{} {} HTTP/1.1", post.method.name(), url.target),
        format!("Host: {}", url.authority()),
        concat!("User-Agent: rtmp-server/", env!("CARGO_PKG_VERSION")).to_owned(),
        "Accept: */*".to_owned(),
        "Connection: close".to_owned(),
    ];
    if post.method == Method::Post {
        lines.push(format!("Content-Length: {}", post.body.len()));
    }
    if let Some(user_info) = &url.user_info {
        lines.push(format!("Authorization: Basic {}", base64(user_info)));
    }
    let headers = post.headers.iter();
    lines.extend(headers.map(|(name, value)| format!("{name}: {value}")));
    let mut request = lines.join("\r\n");
    request.push_str("\r\n\r\n");
    request.push_str(post.body);
    request.into_bytes()
}

/// Base64 with padding (RFC 4648 §4).
fn base64(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for index in 0..4 {
            let digit = (bits >> (18 - 6 * index)) as usize & 63;
            let there = index <= chunk.len();
            out.push(if there {
                char::from(ALPHABET[digit])
            } else {
                '='
            });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_encoded() {
        let rows = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("\u{fffd}>?", "77+9Pj8="),
        ];
        for (text, want) in rows {
            assert_eq!(base64(text), want);
        }
    }

    #[test]
    fn a_request_says_all_there_is_to_say() {
        let url = HttpUrl::parse("http://u:p@[::1]:8080/a?b=c").unwrap();
        let post = Post {
            method: Method::Post,
            headers: &[("Content-Type", "application/json")],
            body: "{}",
        };
        let want = concat!(
            "POST /a?b=c HTTP/1.1\r\nHost: [::1]:8080\r\nUser-Agent: rtmp-server/",
            env!("CARGO_PKG_VERSION"),
            "\r\nAccept: */*\r\nConnection: close\r\nContent-Length: 2\r\n\
             Authorization: Basic dTpw\r\nContent-Type: application/json\r\n\r\n{}"
        );
        assert_eq!(String::from_utf8(request(&url, &post)).unwrap(), want);
    }
}
