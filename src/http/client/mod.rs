//! A small HTTP client: one request, one reply, one deadline, no redirects. `http` is spoken
//! directly, `https` by the system's `curl`.

mod curl;
mod error;
mod plain;
mod post;
mod reply;

pub use error::{BODY_LEN_MAX, HEAD_LEN_MAX, PostError};
pub use reply::Reply;

use post::Method;

use super::HttpUrl;
use post::Post;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Longer timeouts are cut to this, so that a deadline can be reckoned.
const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// A web service that can be posted to.
#[derive(Clone, Debug)]
pub struct Endpoint {
    url: HttpUrl,
    /// What speaks TLS for us.
    curl: Option<PathBuf>,
}

impl Endpoint {
    /// Checks that `url` can be posted to. Nothing is sent.
    ///
    /// # Errors
    ///
    /// [`PostError::HttpUrl`], and [`PostError::NoCurl`] for an `https` URL without `curl` on `PATH`.
    pub fn new(url: &str) -> Result<Endpoint, PostError> {
        let url = HttpUrl::parse(url).map_err(PostError::HttpUrl)?;
        let curl = match url.https {
            true => Some(curl::find().ok_or(PostError::NoCurl)?),
            false => None,
        };
        Ok(Endpoint { url, curl })
    }

    /// The URL. What it shows of itself holds no secrets.
    pub fn url(&self) -> &HttpUrl {
        &self.url
    }

    /// Posts `body` and waits for the whole reply; all of it takes at most `timeout`. Redirects
    /// are not followed: they are replies like any other.
    ///
    /// # Errors
    ///
    /// Any [`PostError`] but those of [`new`](Endpoint::new).
    pub fn post(
        &self,
        headers: &[(&str, &str)],
        body: &str,
        timeout: Duration,
    ) -> Result<Reply, PostError> {
        self.send(Method::Post, headers, body, timeout)
    }

    /// Gets the URL with `query` behind its own, and waits for the whole reply, as
    /// [`post`](Endpoint::post) does.
    ///
    /// # Errors
    ///
    /// Any [`PostError`] but [`PostError::NoCurl`].
    pub fn get(&self, query: &str, timeout: Duration) -> Result<Reply, PostError> {
        let whole = self.url.reveal();
        let and = if whole.contains('?') { '&' } else { '?' };
        let url = HttpUrl::parse(&format!("{whole}{and}{query}")).map_err(PostError::HttpUrl)?;
        let curl = self.curl.clone();
        Endpoint { url, curl }.send(Method::Get, &[], "", timeout)
    }

    fn send(
        &self,
        method: Method,
        headers: &[(&str, &str)],
        body: &str,
        timeout: Duration,
    ) -> Result<Reply, PostError> {
        let plain = |text: &str| text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        let all_plain = headers
            .iter()
            .all(|(name, value)| plain(name) && plain(value));
        if !all_plain || body.contains('\0') {
            return Err(PostError::Unsendable);
        }
        let end = Instant::now() + timeout.min(TIMEOUT_MAX);
        let post = Post {
            method,
            headers,
            body,
        };
        match &self.curl {
            Some(curl) => curl::post(curl, &self.url, &post, end),
            None => plain::post(&self.url, &post, end),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::HttpUrlError;
    use crate::net::DialError;
    use std::fs;
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::process;
    use std::thread::{self, JoinHandle};

    type Talk = fn(TcpStream);

    /// A server for one connection; `talk` has it, and what it returns is what the thread does.
    fn serve<T: Send + 'static>(
        ip: &str,
        talk: impl FnOnce(TcpStream) -> T + Send + 'static,
    ) -> (String, JoinHandle<T>) {
        let listener = TcpListener::bind((ip, 0)).unwrap();
        let place = listener.local_addr().unwrap().to_string();
        let thread = thread::spawn(move || talk(listener.accept().unwrap().0));
        (place, thread)
    }

    /// Reads until the request is there: its body ends with `}`.
    fn request(socket: &mut TcpStream) -> String {
        let mut request = Vec::new();
        let mut byte = [0];
        while !request.ends_with(b"}") && socket.read(&mut byte).unwrap() > 0 {
            request.push(byte[0]);
        }
        String::from_utf8(request).unwrap()
    }

    fn post(url: &str, timeout_ms: u64) -> Result<Reply, PostError> {
        let headers = [("Content-Type", "application/json")];
        let timeout = Duration::from_millis(timeout_ms);
        Endpoint::new(url)?.post(&headers, "{\"a\":1}", timeout)
    }

    #[test]
    fn a_post_is_answered() {
        for ip in ["127.0.0.1", "::1"] {
            if TcpListener::bind((ip, 0)).is_err() {
                continue; // no IPv6 here
            }
            let (place, server) = serve(ip, |mut socket| {
                let request = request(&mut socket);
                let reply = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok";
                socket.write_all(reply).unwrap();
                request
            });
            let reply = post(&format!("http://{place}/hook?x=1"), 5000).unwrap();
            assert_eq!((reply.status, &*reply.body), (201, &b"ok"[..]));
            let request = server.join().unwrap();
            let line = "POST /hook?x=1 HTTP/1.1\r\n";
            assert!(request.starts_with(line), "{request}");
            let host = format!("\r\nHost: {place}\r\n");
            assert!(request.contains(&host), "{request}");
            assert!(request.contains("\r\nContent-Length: 7\r\n"), "{request}");
            assert!(request.ends_with("\r\n\r\n{\"a\":1}"), "{request}");
        }
    }

    #[test]
    fn names_are_looked_up() {
        let (place, server) = serve("127.0.0.1", |mut socket| {
            let _ = request(&mut socket);
            let _ = socket.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        });
        let port = place.rsplit_once(':').unwrap().1;
        let reply = post(&format!("http://localhost:{port}/"), 5000);
        assert_eq!(reply.unwrap().status, 200);
        server.join().unwrap();
        let missing = post("http://name.invalid/", 5000);
        assert!(matches!(
            missing,
            Err(PostError::Dial(DialError::Resolve(_)) | PostError::TimedOut)
        ));
    }

    #[test]
    fn a_get_has_its_query_behind_that_of_the_url() {
        for (target, want) in [("/a", "/a?x=1&y=%20"), ("/a?b=c", "/a?b=c&x=1&y=%20")] {
            let (place, server) = serve("127.0.0.1", |mut socket| {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    socket.read_exact(&mut byte).unwrap();
                    head.push(byte[0]);
                }
                let _ = socket.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
                String::from_utf8(head).unwrap()
            });
            let endpoint = Endpoint::new(&format!("http://{place}{target}")).unwrap();
            let reply = endpoint.get("x=1&y=%20", Duration::from_secs(5));
            assert_eq!(reply.unwrap().status, 200);
            let head = server.join().unwrap();
            let line = format!("GET {want} HTTP/1.1\r\n");
            assert!(head.starts_with(&line), "{head}");
            assert!(!head.contains("Content-Length"), "{head}");
        }
    }

    #[test]
    fn a_redirect_is_a_reply() {
        let (place, server) = serve("127.0.0.1", |mut socket| {
            let _ = request(&mut socket);
            let reply = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n";
            socket.write_all(reply).unwrap();
        });
        let reply = post(&format!("http://{place}/"), 5000);
        let reply = reply.unwrap();
        let location = reply.location.as_deref();
        assert_eq!((reply.status, location), (302, Some("http://127.0.0.1:1/")));
        server.join().unwrap();
    }

    #[test]
    fn no_server_holds_us_longer_than_we_allow() {
        let rows: [(&str, Talk); 4] = [
            ("says nothing", |mut socket| {
                let _ = socket.read_to_end(&mut Vec::new());
            }),
            ("answers byte by byte", |mut socket| {
                for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" {
                    thread::sleep(Duration::from_millis(20));
                    if socket.write_all(&[*byte]).is_err() {
                        return;
                    }
                }
            }),
            ("never ends its head", |mut socket| {
                let _ = socket.write_all(b"HTTP/1.1 200 OK\r\n");
                while socket.write_all(b"A: b\r\n").is_ok() {
                    thread::sleep(Duration::from_millis(20));
                }
            }),
            ("never ends its body", |mut socket| {
                let _ = socket.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
                while socket.write_all(b"x").is_ok() {
                    thread::sleep(Duration::from_millis(20));
                }
            }),
        ];
        for (what, talk) in rows {
            let (place, server) = serve("127.0.0.1", talk);
            let start = Instant::now();
            let reply = post(&format!("http://{place}/"), 300);
            let took = start.elapsed().as_millis();
            assert!(
                matches!(reply, Err(PostError::TimedOut)),
                "{what}: {reply:?}"
            );
            assert!((290..1000).contains(&took), "{what}: {took} ms");
            server.join().unwrap();
        }
    }

    #[test]
    fn a_slow_reply_within_the_time_is_a_reply() {
        let (place, server) = serve("127.0.0.1", |mut socket| {
            let _ = request(&mut socket);
            for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" {
                thread::sleep(Duration::from_millis(2));
                socket.write_all(&[*byte]).unwrap();
            }
        });
        let reply = post(&format!("http://{place}/"), 10_000);
        assert_eq!(reply.unwrap().body, b"ok");
        server.join().unwrap();
    }

    #[test]
    fn bad_servers_are_told_apart() {
        let rows: [(&str, Talk); 4] = [
            ("closed in the middle of the reply", drop),
            ("closed in the middle of the reply", |mut socket| {
                let _ = request(&mut socket);
                let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab");
            }),
            ("reply is not HTTP/1.1: bad status line", |mut socket| {
                let _ = request(&mut socket);
                let _ = socket.write_all(&[0xff; 100]);
                let _ = socket.write_all(b"\n");
            }),
            ("head of the reply exceeds 16384 bytes", |mut socket| {
                let _ = request(&mut socket);
                let _ = socket.write_all(&[b'x'; 20_000]);
                let _ = socket.shutdown(Shutdown::Write);
                let _ = socket.read_to_end(&mut Vec::new());
            }),
        ];
        for (want, talk) in rows {
            let (place, server) = serve("127.0.0.1", talk);
            let error = post(&format!("http://{place}/"), 5000).unwrap_err();
            // A socket that is closed with the request unread may be reset instead.
            let reset = want.starts_with("closed") && matches!(error, PostError::Io(_));
            assert!(reset || error.to_string() == want, "{want}: {error}");
            server.join().unwrap();
        }
        let (place, server) = serve("127.0.0.1", drop);
        drop(TcpStream::connect(&place));
        server.join().unwrap();
        let refused = post(&format!("http://{place}/"), 5000);
        assert!(
            matches!(refused, Err(PostError::Dial(DialError::Connect(_)))),
            "{refused:?}"
        );
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        let endpoint = Endpoint::new("http://127.0.0.1:1/").unwrap();
        let rows: [(&[(&str, &str)], &str); 3] = [
            (&[("A", "b\r\nC: d")], "{}"),
            (&[("A\n", "b")], "{}"),
            (&[], "a\0b"),
        ];
        for (headers, body) in rows {
            let reply = endpoint.post(headers, body, Duration::from_secs(1));
            let refused = matches!(reply, Err(PostError::Unsendable));
            assert!(refused, "{headers:?} {body:?}");
        }
        let other = Endpoint::new("ftp://a");
        assert!(matches!(
            other,
            Err(PostError::HttpUrl(HttpUrlError::Scheme))
        ));
    }

    /// Our children that run curl, as anyone on this machine can see them.
    fn visible_curls() -> Vec<String> {
        let ours = format!("PPid:\t{}\n", process::id());
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let dirs = processes.map(|entry| entry.path());
        let ours = dirs.filter(|dir| {
            let status = fs::read_to_string(dir.join("status"));
            status.is_ok_and(|status| status.contains(&ours) && !status.contains("State:\tZ"))
        });
        let lines = ours.filter_map(|dir| fs::read(dir.join("cmdline")).ok());
        let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
        lines.filter(|line| line.contains("curl")).collect()
    }

    /// What a server returns, also one that nobody has connected to.
    fn join<T>(place: &str, server: JoinHandle<T>) -> T {
        drop(TcpStream::connect(place));
        server.join().unwrap()
    }

    #[test]
    fn curl_shows_no_secrets_ends_in_time_and_says_why() {
        if curl::find().is_none() {
            eprintln!("no curl on PATH: nothing tested");
            return;
        }
        let (place, server) = serve("127.0.0.1", |mut socket| {
            // The handshake is begun, and never answered.
            let _ = socket.read_exact(&mut [0; 1]);
            let seen = visible_curls();
            let _ = socket.read_to_end(&mut Vec::new());
            seen
        });
        let start = Instant::now();
        let url = format!("https://user:hunter2@{place}/hook?token=hunter2");
        let reply = post(&url, 2000);
        assert!(matches!(reply, Err(PostError::TimedOut)), "{reply:?}");
        assert!(start.elapsed() < Duration::from_secs(4));
        let seen = join(&place, server);
        assert_eq!(seen.len(), 1, "{seen:?}");
        assert!(seen[0].ends_with("/curl --disable --config - "), "{seen:?}");
        assert_eq!(visible_curls(), [""; 0], "ended with the request");

        let (place, server) = serve("127.0.0.1", |mut socket| {
            let _ = socket.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            let _ = socket.read(&mut [0; 1000]);
        });
        let url = format!("https://{place}/");
        let error = post(&url, 10_000).unwrap_err().to_string();
        assert_eq!(error, "curl: exit code 35 (TLS handshake failed)");
        join(&place, server);
        let error = post(&url, 5000).unwrap_err().to_string();
        assert_eq!(error, "curl: exit code 7 (cannot connect)");
    }
}
