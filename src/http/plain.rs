//! HTTP spoken directly, over TCP. One deadline for all of it.

use super::reply::{self, Reply};
use super::url::Url;
use super::{Error, Post};
use std::io::{self, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// How many names may be looked up at a time: the system gives no way to end a look-up early.
const LOOKUPS_MAX: usize = 64;

static LOOKUPS: AtomicUsize = AtomicUsize::new(0);

/// Sends a request and reads the reply, until `end` at the latest.
pub fn post(url: &Url, post: &Post, end: Instant) -> Result<Reply, Error> {
    let socket = connect(&resolve(url, end)?, end)?;
    let mut timed = Timed {
        socket: &socket,
        end,
    };
    let sent = timed.write_all(&request(url, post));
    if let Err(error) = &sent
        && error.kind() == io::ErrorKind::TimedOut
    {
        return Err(Error::TimedOut);
    }
    // Whoever does not want to read it all may have answered nevertheless.
    let reply = reply::read(&mut BufReader::new(timed));
    match (reply, sent) {
        (Err(Error::Closed | Error::Io(_)), Err(error)) => Err(Error::Io(error)),
        (reply, _) => reply,
    }
}

/// The whole request.
fn request(url: &Url, post: &Post) -> Vec<u8> {
    let mut lines = vec![
        format!("POST {} HTTP/1.1", url.target),
        format!("Host: {}", url.authority()),
        concat!("User-Agent: rtmp-server/", env!("CARGO_PKG_VERSION")).to_owned(),
        "Accept: */*".to_owned(),
        "Connection: close".to_owned(),
        format!("Content-Length: {}", post.body.len()),
    ];
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

fn left_until(end: Instant) -> Result<Duration, Error> {
    let left = end.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(Error::TimedOut);
    }
    Ok(left)
}

/// The addresses of the host; names are looked up in a thread of their own.
fn resolve(url: &Url, end: Instant) -> Result<Vec<SocketAddr>, Error> {
    if let Ok(ip) = url.host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, url.port)]);
    }
    let permit = Lookup::begin().ok_or(Error::Busy)?;
    let (sender, found) = mpsc::sync_channel(1);
    let place = (url.host.clone(), url.port);
    let builder = thread::Builder::new().name("lookup".to_owned());
    let spawned = builder.spawn(move || {
        let addrs = place.to_socket_addrs().map(|addrs| addrs.collect());
        drop(permit);
        // Nobody may wait for it any more.
        let _ = sender.send(addrs);
    });
    spawned.map_err(Error::Io)?;
    match found.recv_timeout(left_until(end)?) {
        Ok(addrs) => addrs.map_err(Error::Resolve),
        Err(RecvTimeoutError::Timeout) => Err(Error::TimedOut),
        Err(RecvTimeoutError::Disconnected) => Err(Error::Busy),
    }
}

/// One of the [`LOOKUPS_MAX`].
struct Lookup;

impl Lookup {
    fn begin() -> Option<Lookup> {
        let before = LOOKUPS.fetch_add(1, Ordering::Relaxed);
        // Dropped at once, and counted off, when there are too many.
        Some(Lookup).filter(|_| before < LOOKUPS_MAX)
    }
}

impl Drop for Lookup {
    fn drop(&mut self) {
        LOOKUPS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Connects to the first address that answers. None of them may use up the time of the others.
fn connect(addrs: &[SocketAddr], end: Instant) -> Result<TcpStream, Error> {
    let mut last = Error::NoAddress;
    for (index, addr) in addrs.iter().enumerate() {
        let shares = (addrs.len() - index) as u32;
        let share = (left_until(end)? / shares).max(Duration::from_millis(1));
        match TcpStream::connect_timeout(addr, share) {
            Ok(socket) => {
                socket.set_nodelay(true).map_err(Error::Io)?;
                return Ok(socket);
            }
            Err(error) if error.kind() == io::ErrorKind::TimedOut => last = Error::TimedOut,
            Err(error) => last = Error::Connect(error),
        }
    }
    Err(last)
}

/// A socket that is done with at `end`, however slowly bytes trickle.
struct Timed<'a> {
    socket: &'a TcpStream,
    end: Instant,
}

impl Timed<'_> {
    fn left(&self) -> io::Result<Duration> {
        left_until(self.end).map_err(|_| io::ErrorKind::TimedOut.into())
    }
}

/// Unix says "would block" when a socket takes longer than it may.
fn timed_out(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => error,
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(Some(self.left()?))?;
        (&mut &*self.socket).read(out).map_err(timed_out)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(Some(self.left()?))?;
        (&mut &*self.socket).write(bytes).map_err(timed_out)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

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
        let url = Url::parse("http://u:p@[::1]:8080/a?b=c").unwrap();
        let post = Post {
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

    #[test]
    fn the_next_address_is_tried() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let open = listener.local_addr().unwrap();
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let closed = other.local_addr().unwrap();
        drop(other);
        let end = Instant::now() + Duration::from_secs(5);
        assert!(connect(&[closed, open], end).is_ok());
        assert!(matches!(connect(&[closed], end), Err(Error::Connect(_))));
        assert!(matches!(connect(&[], end), Err(Error::NoAddress)));
        let late = connect(&[open], Instant::now());
        assert!(matches!(late, Err(Error::TimedOut)));
    }
}
