//! Other servers, as far as they go: they shake hands and say one thing.

use rtmp_server::amf0::Value;
use rtmp_server::rtmp::chunk::Encoder;
use rtmp_server::rtmp::{Message, StreamId, handshake, status};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

/// Shakes hands and answers nothing.
pub fn shake_hands(socket: &mut TcpStream) {
    let mut hello = [0; 1 + handshake::PACKET_LEN];
    socket.read_exact(&mut hello).expect("C0 C1");
    let theirs = hello.last_chunk().expect("C1");
    socket
        .write_all(&handshake::answer(theirs, 0, 5))
        .expect("S0 S1 S2");
}

/// Shakes hands, says this, and nothing more.
pub fn answer(mut socket: TcpStream, message: &Message) {
    shake_hands(&mut socket);
    let mut bytes = Vec::new();
    Encoder::default().encode(message, &mut bytes);
    socket.write_all(&bytes).expect("an answer");
    let _ = socket.read_to_end(&mut Vec::new());
}

/// A server that sends everybody to `to`, which may name the server itself.
pub fn redirecting(to: impl Fn(SocketAddr) -> String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("addr");
    let ex = Value::object([
        ("code", Value::Number(302.0)),
        ("redirect", Value::text(to(addr))),
    ]);
    let info = Value::object([
        ("level", Value::text("error")),
        ("code", Value::text("NetConnection.Connect.Rejected")),
        ("ex", ex),
    ]);
    let message = status::call(StreamId(0), "_error", 1.0, Value::Null, vec![info]);
    std::thread::spawn(move || {
        let sockets = listener.incoming().flatten();
        sockets.for_each(|socket| answer(socket, &message));
    });
    addr
}
