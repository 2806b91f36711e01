//! Clients of every protocol that show what is secret, in the right places and in wrong ones.

use crate::support::{Client, free_addr};
use rtmp_server::amf0::Value;
use rtmp_server::rtmp::{StreamId, status};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Where the server listens.
pub struct Ports {
    pub rtmp: SocketAddr,
    pub media: SocketAddr,
    pub admin: SocketAddr,
    pub tls: SocketAddr,
}

impl Ports {
    pub fn free() -> Ports {
        Ports {
            rtmp: free_addr(),
            media: free_addr(),
            admin: free_addr(),
            tls: free_addr(),
        }
    }

    /// As a configuration has them.
    pub fn flags(&self) -> String {
        format!(
            "listen {}\nhttp-listen {}\nmetrics-addr {}\ntls-listen {}\n",
            self.rtmp, self.media, self.admin, self.tls
        )
    }
}

/// Apps and names with secrets, in the right places and in wrong ones; `Q` is a query that lets in.
const NAMES: [(&str, &str); 17] = [
    ("live", "cam?token=s3cr-wrong"),
    ("live", "cam?exp=1&sig=HS256-s3cr"),
    ("live", "cam&token=s3cr-wrong"),
    ("live", "cam%26token%3Ds3cr-wrong"),
    ("live", "cam%3Ftoken%3Ds3cr-wrong"),
    ("live", "cam&user=me&pass=s3cr-wrong"),
    ("live", "cam?Q&more=s3cr"),
    ("live", "two?token=s3cr-others"),
    ("live", "two&token=s3cr-others"),
    ("live?token=s3cr-token", "cam"),
    ("live&token=s3cr-token", "cam"),
    ("live/cam?", "token=s3cr-token"),
    ("live", "../cam?token=s3cr"),
    ("live", "c\u{1}m?token=s3cr"),
    ("live", "?token=s3cr"),
    ("live", "pulled?token=s3cr-others"),
    ("live?user=s3cr&", "token=s3cr"),
];

/// A client that is connected to `app` and says secret things of itself.
fn connected(ports: &Ports, app: &str) -> Client {
    let mut client = Client::shake_hands(ports.rtmp);
    let object = Value::object([
        ("app", Value::text(app)),
        (
            "tcUrl",
            Value::text("rtmp://s3cr:s3cr@127.0.0.1/live?token=s3cr"),
        ),
        (
            "pageUrl",
            Value::text("http://s3cr:s3cr@127.0.0.1/?token=s3cr"),
        ),
        (
            "swfUrl",
            Value::text("http://s3cr:s3cr@127.0.0.1/?token=s3cr"),
        ),
        ("flashVer", Value::text("test")),
        ("capsEx", Value::Number(1.0)),
    ]);
    client.send(&status::call(StreamId(0), "connect", 1.0, object, vec![]));
    client.lines_until("_result 1");
    client.create_stream();
    client
}

/// Publishes, and has sent something.
pub fn publish(ports: &Ports, name: &str) -> Client {
    let mut client = connected(ports, "live");
    client.call(1, "publish", 0.0, vec![Value::text(name)]);
    let told = client.lines_until("status@1");
    let last = told.last().map(String::as_str);
    assert_eq!(last, Some("status@1 NetStream.Publish.Start"));
    client.send_media(&[
        "A head 1 @0",
        "V head 1 @0",
        "V key 1 @0",
        "A sound 1 @0",
        "V key 2 @40",
    ]);
    client
}

/// Says everything that has a name in it, with secrets.
pub fn speak(ports: &Ports, publish: &str, play: &str) {
    // A viewer that is let in.
    let mut viewer = connected(ports, "live");
    let name = format!("cam?{play}");
    viewer.call(1, "play", 0.0, vec![Value::text(&*name)]);
    viewer.lines_until("V key");
    for (app, name) in NAMES {
        for (verb, query) in [("publish", publish), ("play", play)] {
            let mut client = connected(ports, app);
            let name = name.replace('Q', query);
            let commands = [
                (0, "releaseStream"),
                (0, "FCPublish"),
                (0, "FCUnpublish"),
                (0, "getStreamLength"),
                (0, "nonsense"),
                (1, verb),
                (1, "seek"),
                (0, "closeStream"),
            ];
            for (stream, command) in commands {
                let named = vec![Value::text(&*name)];
                let call = status::call(StreamId(stream), command, 0.0, Value::Null, named);
                // One that is refused is hung up on.
                let _ = client.try_send(&call);
            }
            let limit = Some(Duration::from_millis(30));
            let _ = client.socket.set_read_timeout(limit);
            let _ = client.socket.read(&mut [0; 4096]);
        }
    }
}

/// What is at a path, or as much of it as comes in a moment.
pub fn ask(addr: SocketAddr, method: &str, path: &str, headers: &str) -> String {
    let mut socket = TcpStream::connect(addr).expect("connect");
    // Longer than -wait-stream; what HLS waits for does not come.
    let limit = Duration::from_millis(500);
    socket.set_read_timeout(Some(limit)).expect("timeout");
    let request = format!("{method} {path} HTTP/1.0\r\nHost: {addr}\r\n{headers}\r\n");
    socket.write_all(request.as_bytes()).expect("send");
    let mut reply = vec![0; 1 << 20];
    let mut len = 0;
    while let Ok(more @ 1..) = socket.read(&mut reply[len..]) {
        len += more;
        socket
            .set_read_timeout(Some(Duration::from_millis(20)))
            .expect("timeout");
    }
    String::from_utf8_lossy(&reply[..len]).into_owned()
}

/// Asks for media and for what the server shows, with secrets in the right places and in wrong ones.
pub fn browse(ports: &Ports, play: &str) {
    let queries = [play, "token=s3cr-wrong", "sig=HS256-s3cr&exp=1"];
    let names = [
        "cam",
        "cam.flv",
        "cam.mp4",
        "cam/index.m3u8",
        "cam/x.m4s",
        "../x",
        "none.flv",
    ];
    std::thread::scope(|scope| {
        for query in queries {
            scope.spawn(move || {
                for name in names {
                    for mark in ["?", "&", "%3F"] {
                        let path = format!("/live/{name}{mark}{query}");
                        ask(ports.media, "GET", &path, "");
                    }
                }
            });
        }
    });
    ask(
        ports.media,
        "POST",
        "/live/cam?token=s3cr",
        "Authorization: Bearer s3cr\r\n",
    );
    ask(ports.media, "GET", "/live/cam ?token=s3cr", "");
    let bearers = [
        "Authorization: Bearer s3cr-api\r\n",
        "Authorization: Bearer s3cr-wrong\r\n",
    ];
    for bearer in bearers {
        for path in [
            "streams/live/none",
            "streams/live/cam%3Ftoken=s3cr",
            "connections/c9?s3cr",
        ] {
            ask(ports.admin, "DELETE", &format!("/api/{path}"), bearer);
            ask(
                ports.admin,
                "GET",
                &format!("/api/{path}&token=s3cr"),
                bearer,
            );
        }
        let foreign = format!("{bearer}X-Forwarded-For: 192.0.2.1\r\n");
        ask(
            ports.admin,
            "DELETE",
            "/api/streams/live/none?token=s3cr",
            &foreign,
        );
    }
}
