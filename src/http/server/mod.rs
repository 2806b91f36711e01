//! A small HTTP server: a listener, a thread for each connection, and limits for all of them. What
//! is answered is decided by a [`Service`].
//!
//! It speaks HTTP/1.1 within narrow bounds: requests whose body is thrown away, responses of known
//! length or in pieces, connections that last for several requests.

mod body;
mod conn;
mod connections;
mod host;
mod request;
mod response;
mod settings;
mod state;

pub use body::{BodyStream, Piece, StreamFraming};
pub(crate) use host::{HostNames, name_of};
pub use request::{HttpRequest, Method, RequestError, USER_AGENT_LEN_MAX};
pub use response::{LiveBody, LiveConnection, LiveEnd, Response};
pub use settings::{HttpHeaders, HttpLimits, HttpSettings};
pub use state::{Ends, Handler, NoRoom, Service};

use crate::log;
use crate::net::Acceptor;
use crate::sync::{RwLock, WaitGroup};
use conn::AdmitHttp;
use connections::HttpConnections;
use state::ServerState;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long the threads of connections may take to end when the server stops.
const STOP_LIMIT: Duration = Duration::from_secs(1);

/// A running server. Dropping it closes the socket and all connections, and waits for their
/// threads.
pub struct HttpServer {
    addr: SocketAddr,
    state: Arc<ServerState>,
    acceptor: Option<Acceptor>,
    threads: WaitGroup,
}

impl HttpServer {
    /// Prepares to serve on a socket that listens already; [`open`](Self::open) begins. Other processes
    /// may have the socket as well: it is not shut down in the end, only closed.
    ///
    /// # Errors
    ///
    /// When the socket cannot be set, or the thread that accepts cannot be started.
    pub fn start(
        listener: TcpListener,
        settings: HttpSettings,
        service: Arc<dyn Service>,
    ) -> io::Result<HttpServer> {
        let state = Arc::new(ServerState {
            connections: HttpConnections::new(settings.limits.connections),
            headers: RwLock::new(settings.headers.clone()),
            settings,
            service,
            closing: AtomicBool::new(false),
        });
        let threads = WaitGroup::default();
        let admit = AdmitHttp {
            state: Arc::clone(&state),
            threads: threads.clone(),
        };
        let acceptor = Acceptor::start(listener, "http-listener", admit)?;
        Ok(HttpServer {
            addr: acceptor.addr(),
            state,
            acceptor: Some(acceptor),
            threads,
        })
    }

    /// Begins to accept connections. To be called once.
    pub fn open(&self) {
        if let Some(acceptor) = &self.acceptor {
            acceptor.open();
        }
    }

    /// Sets the headers of every response from now on.
    pub fn set_headers(&self, headers: HttpHeaders) {
        *self.state.headers.write() = headers;
    }

    /// Accepts no connection any more. Those that there are go on, each until its next response.
    pub fn close(&mut self) {
        self.state.closing.store(true, Ordering::Relaxed);
        self.acceptor.take();
    }

    /// The address that it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.close();
        self.state.connections.hang_up();
        if !self.threads.wait(Instant::now() + STOP_LIMIT) {
            log!(Warn, "an HTTP connection did not end in time");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::SharedSocket;
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::sync::atomic::AtomicUsize;

    const LIMITS: HttpLimits = HttpLimits {
        connections: 8,
        head_len: 1 << 10,
        body_len: 0,
        first: Duration::from_secs(10),
        idle: Duration::from_secs(10),
        read: Duration::from_secs(10),
        write: Duration::from_millis(300),
    };

    /// Long enough that few pieces fill the buffers of a socket.
    const PIECE: &[u8] = &[b'x'; 256 << 10];

    #[derive(Default)]
    struct Streams {
        /// Pieces that were asked for.
        asked: AtomicUsize,
        dropped: AtomicUsize,
    }

    impl Streams {
        fn wait_dropped(&self, count: usize) {
            wait_for(&self.dropped, count);
        }
    }

    fn wait_for(counter: &AtomicUsize, count: usize) {
        let end = Instant::now() + Duration::from_secs(10);
        while counter.load(Ordering::Relaxed) < count {
            assert!(Instant::now() < end, "{counter:?} of {count}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// `/abc`: each letter is a piece; `/*`: pieces without end; `/-`: none ever comes.
    struct Letters(Arc<Streams>, Vec<u8>);

    impl BodyStream for Letters {
        fn next(&mut self, end: Instant) -> Piece<'_> {
            self.0.asked.fetch_add(1, Ordering::Relaxed);
            match self.1.pop() {
                None => Piece::End,
                Some(b'*') => {
                    self.1.push(b'*');
                    Piece::Bytes(PIECE)
                }
                Some(b'-') => {
                    self.1.push(b'-');
                    std::thread::sleep(end.saturating_duration_since(Instant::now()));
                    Piece::Pending
                }
                Some(letter) => {
                    let at = usize::from(letter - b'a');
                    Piece::Bytes(&b"abcdefghijklmnopqrstuvwxyz"[at..=at])
                }
            }
        }
    }

    impl Drop for Letters {
        fn drop(&mut self) {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// `/live/abc`: a response that takes its connection over.
    struct LiveLetters(String);

    impl LiveBody for LiveLetters {
        fn run(self: Box<Self>, connection: LiveConnection) -> LiveEnd {
            let LiveConnection {
                socket,
                head,
                framing,
            } = connection;
            if self.0.is_empty() {
                return LiveEnd::Instead(Response::line(404, "nothing"));
            }
            let (before, after) = match framing {
                StreamFraming::Chunked => ("3\r\n", "\r\n0\r\n\r\n"),
                StreamFraming::UntilClose => ("", ""),
            };
            let body = [before, &self.0, after].concat();
            let mut socket = &socket.0;
            let sent = socket.write_all(&[&head[..], body.as_bytes()].concat());
            match sent {
                Ok(()) => LiveEnd::Complete,
                Err(_) => LiveEnd::CutShort,
            }
        }
    }

    #[derive(Clone)]
    struct Alphabet(Arc<Streams>);

    impl Service for Alphabet {
        fn connect(&self, _: &Arc<SharedSocket>, _: Ends) -> Result<Box<dyn Handler>, NoRoom> {
            Ok(Box::new(self.clone()))
        }
    }

    impl Handler for Alphabet {
        fn answer(&mut self, request: &HttpRequest) -> Response {
            if let Some(letters) = request.path.strip_prefix("/live/") {
                return Response::live("text/plain", Box::new(LiveLetters(letters.to_owned())));
            }
            let mut letters = request.path.trim_start_matches('/').to_owned().into_bytes();
            letters.reverse();
            Response::stream(
                "text/plain",
                Box::new(Letters(Arc::clone(&self.0), letters)),
            )
        }
    }

    fn start() -> (HttpServer, Arc<Streams>) {
        let streams = Arc::new(Streams::default());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let service = Arc::new(Alphabet(Arc::clone(&streams)));
        let settings = HttpSettings {
            limits: LIMITS,
            headers: Vec::new(),
            error: Response::error,
        };
        let server = HttpServer::start(listener, settings, service).unwrap();
        server.open();
        (server, streams)
    }

    fn ask(server: &HttpServer, request: &str) -> TcpStream {
        let mut client = TcpStream::connect(server.addr()).unwrap();
        client
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        client.write_all(request.as_bytes()).unwrap();
        client
    }

    /// What comes until the connection ends, without the first head.
    fn rest(mut client: TcpStream) -> String {
        let mut reply = String::new();
        client.read_to_string(&mut reply).unwrap();
        let (head, rest) = reply.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        rest.to_owned()
    }

    #[test]
    fn a_stream_is_sent_as_the_client_understands_it() {
        let (server, streams) = start();
        let rows = [
            ("GET /abc HTTP/1.0\r\n\r\n", "abc"),
            ("GET /abc HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "abc"),
            (
                "GET /ab HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                "1\r\na\r\n1\r\nb\r\n0\r\n\r\n",
            ),
            (
                "HEAD /* HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                "",
            ),
        ];
        for (request, want) in rows {
            assert_eq!(rest(ask(&server, request)), want, "{request}");
        }
        streams.wait_dropped(rows.len());
        let two = "GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.0\r\n\r\n";
        let replies = rest(ask(&server, two));
        assert!(
            replies.starts_with("1\r\na\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n"),
            "{replies}"
        );
        assert!(replies.ends_with("\r\n\r\nb"), "{replies}");
    }

    #[test]
    fn a_live_response_has_its_connection_until_it_ends() {
        let (server, _) = start();
        let twice = "GET /live/abc HTTP/1.1\r\nHost: a\r\n\r\nGET /live/def HTTP/1.1\r\n\r\n";
        let rows = [
            ("GET /live/abc HTTP/1.0\r\n\r\n", "abc"),
            (
                "GET /live/abc HTTP/1.1\r\nHost: a\r\n\r\n",
                "3\r\nabc\r\n0\r\n\r\n",
            ),
            (twice, "3\r\nabc\r\n0\r\n\r\n"),
        ];
        for (request, want) in rows {
            assert_eq!(rest(ask(&server, request)), want, "{request}");
        }
        let mut reply = String::new();
        let mut client = ask(&server, "GET /live/ HTTP/1.1\r\nHost: a\r\n\r\n");
        client.read_to_string(&mut reply).unwrap();
        assert!(reply.starts_with("HTTP/1.1 404 Not Found\r\n"), "{reply}");
        assert!(
            reply.ends_with("Connection: close\r\n\r\nnothing\n"),
            "{reply}"
        );
        let head = "HEAD /live/abc HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        assert_eq!(rest(ask(&server, head)), "");
    }

    #[test]
    fn a_client_that_takes_nothing_is_asked_no_more_pieces_and_ended() {
        let (server, streams) = start();
        let client = ask(&server, "GET /* HTTP/1.1\r\nHost: a\r\n\r\n");
        streams.wait_dropped(1);
        let asked = streams.asked.load(Ordering::Relaxed);
        assert!(asked * PIECE.len() < 64 << 20, "{asked} pieces");
        drop(client);
    }

    #[test]
    fn a_stream_that_has_nothing_ends_with_its_client_or_the_server() {
        let (server, streams) = start();
        let clients = [(); 2].map(|()| ask(&server, "GET /a- HTTP/1.1\r\nHost: a\r\n\r\n"));
        let [gone, stays] = clients;
        wait_for(&streams.asked, 4);
        drop(gone);
        streams.wait_dropped(1);
        drop(server);
        assert_eq!(streams.dropped.load(Ordering::Relaxed), 2);
        assert_eq!(rest(stays), "1\r\na\r\n");
    }
}
