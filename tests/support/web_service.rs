//! A web server on loopback whose manners each test chooses, and a directory to work in.
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

/// How a connection is treated once its request was read.
#[derive(Clone, Copy, Debug)]
pub enum Manner {
    /// Answers with this status.
    Status(u16),
    /// The same, in chunks.
    Chunked(u16),
    /// The same, with this pause after each byte.
    Slow(u16, Duration),
    /// Answers with 302 and this location.
    Redirect(&'static str),
    /// Says nothing, for as long as the client waits.
    Hangs,
    /// Closes.
    Closes,
    /// Answers with what is no HTTP.
    Garbage,
}

/// A server that runs until the test process ends.
pub struct WebService {
    /// Where it listens.
    pub addr: SocketAddr,
    /// The requests, whole, in order of arrival.
    pub requests: Receiver<String>,
}

impl WebService {
    /// A server with these manners.
    pub fn start(manner: Manner) -> WebService {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (sender, requests) = mpsc::channel();
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let sender = sender.clone();
                thread::spawn(move || {
                    let mut socket = socket;
                    if let Some(request) = read_request(&mut socket) {
                        let _ = sender.send(request);
                        let _ = answer(&mut socket, manner);
                    }
                });
            }
        });
        WebService { addr, requests }
    }

    /// The address of a page on it.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// The next request: its head and its body.
    pub fn request(&self) -> (String, String) {
        let request = self.requests.recv_timeout(Duration::from_secs(10)).unwrap();
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }
}

fn read_request(socket: &mut TcpStream) -> Option<String> {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("Content-Length: "))
                .unwrap_or("0");
            if body.len() >= length.parse::<usize>().ok()? {
                return Some(text);
            }
        }
        match socket.read(&mut buffer).ok()? {
            0 => return None,
            len => request.extend_from_slice(&buffer[..len]),
        }
    }
}

fn answer(socket: &mut TcpStream, manner: Manner) -> std::io::Result<()> {
    let sized = |status: u16| format!("HTTP/1.1 {status} X\r\nContent-Length: 2\r\n\r\nok");
    match manner {
        Manner::Status(status) => socket.write_all(sized(status).as_bytes()),
        Manner::Redirect(location) => {
            let head = format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\n");
            socket.write_all((head + "Content-Length: 0\r\n\r\n").as_bytes())
        }
        Manner::Chunked(status) => {
            let head = format!("HTTP/1.1 {status} X\r\nTransfer-Encoding: chunked\r\n\r\n");
            socket.write_all((head + "1\r\no\r\n1\r\nk\r\n0\r\n\r\n").as_bytes())
        }
        Manner::Slow(status, pause) => {
            for byte in sized(status).bytes() {
                thread::sleep(pause);
                socket.write_all(&[byte])?;
            }
            Ok(())
        }
        Manner::Hangs => socket.read_to_end(&mut Vec::new()).map(drop),
        Manner::Closes => Ok(()),
        Manner::Garbage => socket.write_all(b"\x00\xff\x16garbage\n\n"),
    }
}

/// A new directory; removed when dropped.
pub struct Dir(PathBuf);

impl Dir {
    /// One whose name holds `name`.
    pub fn new(name: &str) -> Dir {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let id = std::process::id();
        let dir = std::env::temp_dir().join(format!("rtmp-{name}-{id}-{number}"));
        fs::create_dir_all(&dir).unwrap();
        Dir(dir)
    }

    /// The path of a file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file, and returns its path.
    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// The lines of a file; none if there is no such file.
    pub fn lines(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

impl AsRef<Path> for Dir {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Looks until `condition` holds; fails with `what` after ten seconds.
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < end, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}
