//! A TCP proxy that keeps what it carries, for the tests that look at the wire.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// What went one way.
#[derive(Clone, Default)]
pub struct Tape {
    /// Every byte.
    pub bytes: Vec<u8>,
    /// Why no more came, once that is so: `None` inside is the orderly end.
    pub end: Option<Option<String>>,
}

/// One connection, both ways.
#[derive(Default)]
pub struct Carried {
    /// What the client sent.
    pub to_server: Mutex<Tape>,
    /// What the server sent.
    pub to_client: Mutex<Tape>,
}

/// A proxy in front of `server`, for one client.
pub struct Proxy {
    /// Where the client is to connect.
    pub address: SocketAddr,
    connections: Arc<Mutex<Vec<Arc<Carried>>>>,
    closing: Arc<AtomicBool>,
}

/// A poisoned lock belongs to a thread that failed; what it holds is still whole.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Proxy {
    /// Listens on a free port and passes every connection on to `server`.
    pub fn start(server: SocketAddr) -> Result<Proxy, String> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| format!("proxy: {e}"))?;
        let address = listener.local_addr().map_err(|e| format!("proxy: {e}"))?;
        let connections = Arc::<Mutex<Vec<Arc<Carried>>>>::default();
        let closing = Arc::<AtomicBool>::default();
        let (made, stop) = (connections.clone(), closing.clone());
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let carried = Arc::<Carried>::default();
                lock(&made).push(carried.clone());
                carry(client, server, carried);
            }
        });
        Ok(Proxy {
            address,
            connections,
            closing,
        })
    }

    /// The one connection, once the client made it; an error if it made a second.
    pub fn connection(&self) -> Result<Option<Arc<Carried>>, String> {
        match lock(&self.connections).as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(one.clone())),
            more => Err(format!("connected {} times", more.len())),
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Relaxed);
        // Wakes the accepting thread; if this fails, its listener is gone already.
        let _ = TcpStream::connect(self.address);
    }
}

fn carry(client: TcpStream, server: SocketAddr, carried: Arc<Carried>) {
    let ends = TcpStream::connect(server).and_then(|server| {
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        Ok((client.try_clone()?, server.try_clone()?, server))
    });
    let (client_too, server_too, server) = match ends {
        Ok(ends) => ends,
        Err(error) => {
            lock(&carried.to_client).end = Some(Some(error.to_string()));
            return;
        }
    };
    let upward = carried.clone();
    thread::spawn(move || pump(client, server_too, &upward.to_server));
    thread::spawn(move || pump(server, client_too, &carried.to_client));
}

/// Passes bytes on until one side ends, and passes that on as well.
fn pump(mut from: TcpStream, mut to: TcpStream, tape: &Mutex<Tape>) {
    let mut buffer = vec![0; 64 << 10];
    let end = loop {
        match from.read(&mut buffer) {
            Ok(0) => break None,
            Ok(len) => {
                lock(tape).bytes.extend_from_slice(&buffer[..len]);
                if to.write_all(&buffer[..len]).is_err() {
                    // The receiver is gone; the other pump sees how.
                    break None;
                }
            }
            Err(error) => break Some(error.to_string()),
        }
    };
    // Either socket may be closed by now, which is what is wanted.
    let _ = to.shutdown(Shutdown::Write);
    if end.is_some() {
        let _ = from.shutdown(Shutdown::Both);
    }
    lock(tape).end = Some(end);
}
