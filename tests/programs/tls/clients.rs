//! Programs of others that publish and play over TLS, and a real HAProxy before `-proxy-listen`.

use super::front::{Front, TlsClient, get};
use super::{BEGINNING, Client, ServerProcess, fact, wait_until};
use crate::support::free_addr;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

/// A program that is killed when this is dropped.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Running {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null());
        Running(command.spawn().expect("the program"))
    }

    fn succeeds(&mut self) -> bool {
        self.0.wait().expect("an end").success()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ffmpeg(args: &str) -> Running {
    let mut command = Command::new("ffmpeg");
    Running::start(command.args(["-v", "error"]).args(args.split(' ')))
}

/// A second of video and sound at the pace of its timestamps, again and again.
const PICTURES: &str = "-re -f lavfi -i testsrc=size=64x64:rate=25 -f lavfi -i sine -g 25 \
                        -c:v flv -c:a aac -t 20 -f flv";

/// Plays a second of the stream into nothing.
fn plays(url: &str) -> bool {
    ffmpeg(&format!("-i {url} -t 1 -f null -")).succeeds()
}

/// The publisher of `key`, and whether its player saw it, are of the same machine, by TLS.
fn expect_tls_publisher(front: &Front, key: &str) {
    let line = front.server.wait_for_line("publisher started");
    assert_eq!(fact(&line, "stream_key"), Some(key));
    wait_until("the list", || {
        let list = get(front.web, "/api/connections");
        list.contains("\"tls\":true") && list.contains("\"role\":\"publisher\"")
    });
}

#[test]
fn ffmpeg_publishes_and_plays() {
    let front = Front::start("ffmpeg", "");
    let url = format!("rtmps://{}/live/ffmpeg", front.tls);
    let _publisher = ffmpeg(&format!("{PICTURES} {url}"));
    expect_tls_publisher(&front, "live/ffmpeg");
    assert!(plays(&url));
    assert!(plays(&format!("rtmp://{}/live/ffmpeg", front.server.addr)));
}

#[test]
fn gstreamer_publishes_and_plays() {
    let front = Front::start("gstreamer", "");
    let url = format!("rtmps://{}/live/gst", front.tls);
    let file = front.dir.path("pictures.flv");
    let made = PICTURES.replace("-re ", "").replace("-t 20", "-t 3");
    let made = made.replace("-c:v flv", "-c:v libx264");
    assert!(ffmpeg(&format!("{made} {file}")).succeeds());
    let gst = |pipeline: &str| {
        let mut command = Command::new("gst-launch-1.0");
        Running::start(command.arg("-q").args(pipeline.split(' ')))
    };
    let mut publisher = gst(&format!(
        "filesrc location={file} ! flvdemux name=in flvmux name=out streamable=true ! \
         rtmp2sink tls-validation-flags=0 location={url} \
         in.video ! queue ! out.video in.audio ! queue ! out.audio"
    ));
    expect_tls_publisher(&front, "live/gst");
    let played = front.dir.path("played.flv");
    let mut player = gst(&format!(
        "rtmp2src tls-validation-flags=0 location={url} ! filesink location={played}"
    ));
    assert!(publisher.succeeds() && player.succeeds());
    let len = std::fs::metadata(&played).expect("a file").len();
    assert!(len > 10_000, "{len} bytes played");
}

/// HAProxy as somebody has it in front, with versions 1 and 2 of the header, and its health checks.
#[test]
fn haproxy_before_proxy_listen() {
    let flags = "-proxy-listen 127.0.0.1:0 -log-level debug -merge 0";
    let server = ServerProcess::start(flags);
    let line = server.wait_for_line("listening");
    let to: SocketAddr = fact(&line, "addr").unwrap().parse().unwrap();
    let dir = super::Dir::new("before");
    for (index, send) in ["send-proxy", "send-proxy-v2"].into_iter().enumerate() {
        let addr = free_addr();
        let config = format!(
            "defaults\nmode tcp\ntimeout connect 5s\ntimeout client 2m\ntimeout server 2m\n\
             listen rtmp\nbind {addr}\nserver rtmp {to} {send} check inter 100ms\n"
        );
        let path = dir.path("haproxy.cfg");
        std::fs::write(&path, config).expect("a configuration");
        let search = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("haproxy");
        let command = command.args(["-db", "-f", &path]);
        let command = command.env("PATH", format!("{search}:/usr/sbin"));
        let _haproxy = Running::start(command.stderr(Stdio::null()));
        wait_until("haproxy", || TcpStream::connect(addr).is_ok());
        server.wait_for_line("connection closed unused");
        let socket = TcpStream::connect(addr).expect("connect");
        let own = socket.local_addr().expect("an address").to_string();
        socket
            .set_read_timeout(Some(crate::support::PATIENCE))
            .expect("a timeout");
        let mut client = Client::shake_hands_over(socket, |_, s1| *s1);
        client.connect("live");
        client.create_stream();
        let line = server.wait_for_line("client connected");
        assert_eq!(fact(&line, "peer_addr"), Some(&*own), "{send}: {line}");
        let name = format!("cam{index}");
        let mut publisher = server.publisher(&name);
        publisher.send_media(&BEGINNING);
        let values = vec![rtmp_server::amf0::Value::text(&name)];
        client.call(1, "play", 0.0, values);
        client.expect(&["begin 1", "status@1 NetStream.Play.Start"]);
        client.expect(&BEGINNING);
        for line in server.lines_until("connection closed unused") {
            assert!(
                !line.contains("\"warn\"") && !line.contains("refused"),
                "{line}"
            );
        }
    }
}

/// Another server takes a stream from here by `rtmps://`, and gives it back.
#[test]
fn another_of_ours_relays_to_it_and_pulls_from_it() {
    let front = Front::start("relay", "-merge 0");
    let port = front.tls.port();
    let near = ServerProcess::start_with(
        &format!("export SSL_CERT_FILE={}", front.dir.path("first-ca.pem")),
        &format!(
            "-merge 0 -relay-to live/cam=rtmps://localhost:{port}/live/there \
             -pull live/back=rtmps://127.0.0.1:{port}/live/origin"
        ),
    );
    let mut publisher = near.publisher("cam");
    publisher.send_media(&BEGINNING);
    near.wait_for_line("relay started");
    let mut viewer: TlsClient = front.client();
    viewer.play("there");
    viewer.client.expect(&BEGINNING);
    let mut origin = front.client();
    origin.publish("origin");
    origin.client.send_media(&BEGINNING);
    near.wait_for_line("pull started");
    near.playing("back").expect(&BEGINNING);
}
