//! The bound of all memory together: who gives way when it is nearly used up, and what it costs them.

use crate::support::http::HttpReply;
use crate::support::process::ServerProcess;
use crate::support::real::real;
use crate::support::{Client, TestServer, wait_until};
use rtmp_server::amf0::Value;
use rtmp_server::rtmp::{Message, MessageType, StreamId, Timestamp};
use rtmp_server::stats::{LinkState, Totals};
use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const MIB: usize = 1 << 20;

/// The bound in these tests.
const MAX: usize = 8 * MIB;

/// What a connection may have beside it: what comes with one read, and one message more than its fair
/// share.
const BESIDE_LEN: usize = 2 * MIB;

/// A message of `len` bytes that begins with `start`.
pub fn of_len(kind: MessageType, start: &[u8], len: usize, time: u32) -> Message {
    let mut payload = start.to_vec();
    payload.resize(len, 7);
    Message {
        timestamp: Timestamp(time),
        kind,
        stream: StreamId(1),
        payload: payload.into(),
    }
}

/// A picture of H.264, of `len` bytes.
pub fn picture(is_keyframe: bool, len: usize, time: u32) -> Message {
    let first = if is_keyframe { 0x17 } else { 0x27 };
    of_len(MessageType::VIDEO, &[first, 1, 0, 0, 0], len, time)
}

/// The first bytes of a message that announces `len` bytes, in a chunk of its own.
pub fn unfinished(chunk_stream: u8, len: u32, sent: usize) -> Vec<u8> {
    let mut bytes = vec![chunk_stream, 0, 0, 0];
    bytes.extend_from_slice(&len.to_be_bytes()[1..]);
    bytes.push(MessageType::VIDEO.0);
    bytes.extend_from_slice(&1_u32.to_le_bytes());
    bytes.resize(bytes.len() + sent, 7);
    bytes
}

/// Has the server take chunks of `len` bytes.
pub fn long_chunks(client: &mut Client, len: usize) {
    let set_chunk_size = [2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0];
    client.send_bytes(&[&set_chunk_size[..], &(len as u32).to_be_bytes()].concat());
}

/// What strangers do, each with connections that stay open.
type Attack = fn(&TestServer) -> Vec<Client>;

/// Sends as far as the server lets it.
fn send_all(client: &mut Client, messages: impl IntoIterator<Item = Message>) {
    for message in messages {
        if client.try_send(&message).is_err() {
            return;
        }
    }
}

fn publishers(server: &TestServer, count: usize, mut act: impl FnMut(&mut Client)) -> Vec<Client> {
    let publishers = (0..count).map(|number| {
        let mut client = server.publisher(&format!("x{number}"));
        act(&mut client);
        client
    });
    publishers.collect()
}

fn unfinished_messages(server: &TestServer) -> Vec<Client> {
    publishers(server, 4, |client| {
        long_chunks(client, MIB);
        for chunk_stream in 10..14 {
            let part = unfinished(chunk_stream, 16_000_000, MIB);
            let _ = client.socket.write_all(&part);
        }
    })
}

fn pictures_after_one_keyframe(server: &TestServer) -> Vec<Client> {
    publishers(server, 4, |client| {
        let picture = |number: u32| picture(number == 0, 200 << 10, number * 40);
        send_all(client, (0..20).map(picture));
    })
}

fn headers_of_many_tracks(server: &TestServer) -> Vec<Client> {
    publishers(server, 4, |client| {
        let header = |track: u8| {
            let start = [0x96, 0x00, b'h', b'v', b'c', b'1', track];
            of_len(MessageType::VIDEO, &start, 190 << 10, 0)
        };
        send_all(client, (0..20).map(header));
    })
}

fn data_under_many_names(server: &TestServer) -> Vec<Client> {
    publishers(server, 4, |client| {
        let data = |number: usize| {
            let mut start = Vec::new();
            Value::text("@setDataFrame").encode(&mut start);
            Value::text(format!("on{number}")).encode(&mut start);
            of_len(MessageType::DATA, &start, 950 << 10, 0)
        };
        send_all(client, (0..4).map(data));
    })
}

/// Of two pictures that fit into no socket, one waits for the first viewer alone.
fn viewers_that_take_nothing(server: &TestServer) -> Vec<Client> {
    let mut all = publishers(server, 3, |client| {
        client.send(&picture(true, 100, 0));
    });
    let names = ["x0", "x1", "x2"];
    let viewers: Vec<_> = names.iter().map(|name| server.playing(name)).collect();
    for publisher in &mut all {
        let picture = |number: u32| picture(true, 2 * MIB, number * 40);
        send_all(publisher, (1..6).map(picture));
    }
    all.extend(viewers);
    all
}

fn a_playlist(server: &TestServer) -> Vec<Client> {
    let mut all = publishers(server, 1, |client| {
        client.send(&real("V head 1 @0"));
        client.send_media(&["V key 1 @0"]);
    });
    let addr = server.media_addr();
    let request = format!("GET /live/x0/index.m3u8 HTTP/1.1\r\nHost: {addr}\r\n\r\n");
    let mut socket = TcpStream::connect(addr).expect("connect");
    socket.write_all(request.as_bytes()).expect("sent");
    for number in 1..100_u32 {
        let picture = picture(number.is_multiple_of(5), 150 << 10, number * 200);
        send_all(&mut all[0], [picture]);
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(socket);
    all
}

#[test]
fn the_greediest_give_way_whatever_they_hold() {
    /// What strangers do, and what counts that something gave way.
    type Row = (&'static str, Attack, fn(&Totals) -> u64);
    let rows: [Row; 5] = [
        ("unfinished messages", unfinished_messages, |totals| {
            totals.memory_hangups
        }),
        ("pictures", pictures_after_one_keyframe, |totals| {
            totals.memory_caches
        }),
        ("headers", headers_of_many_tracks, |totals| {
            totals.memory_hangups
        }),
        ("data", data_under_many_names, |totals| {
            totals.memory_hangups
        }),
        ("viewers", viewers_that_take_nothing, |totals| {
            totals.memory_hangups
        }),
    ];
    for (name, attack, gave_way) in rows {
        let server = TestServer::start("-max-memory 8m");
        let all = attack(&server);
        let memory = || server.server().snapshot().memory;
        let held = memory().held;
        println!("{name}: {held} bytes held");
        assert_eq!(memory().max, MAX);
        assert!(held < MAX + BESIDE_LEN, "{name}: {held}");
        let totals = || server.server().snapshot().totals;
        wait_until(name, || gave_way(&totals()) > 0 && memory().held < MAX);
        drop(all);
        wait_until(&format!("the end of {name}"), || memory().held == 0);
    }
}

/// A client that the server does not read from any more, and then hangs up on, is told so at once: its
/// system would otherwise wait for minutes for room that never comes.
#[test]
fn publishers_that_are_hung_up_on_can_send_no_more() {
    let send = || {
        let server = TestServer::start("-max-memory 8m");
        let mut publisher = server.publisher("x");
        long_chunks(&mut publisher, 16 * MIB);
        let limit = Some(Duration::from_secs(5));
        publisher.socket.set_write_timeout(limit).expect("a limit");
        let sent = (10..14).try_for_each(|chunk_stream| {
            let message = unfinished(chunk_stream, 16_000_000, 15_999_999);
            publisher.socket.write_all(&message)
        });
        assert_eq!(server.server().snapshot().totals.memory_hangups, 1);
        sent.expect_err("hung up on").kind()
    };
    // What the system had taken when it happened is not always the same.
    std::thread::scope(|scope| {
        let all = [(); 6].map(|()| scope.spawn(send));
        for error in all.map(|sent| sent.join().expect("no panic")) {
            let told = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
            assert!(told.contains(&error), "{error:?}");
        }
    });
}

/// The number of the first segment that a playlist names, and how many whole ones it names.
fn named_segments(addr: SocketAddr, path: &str) -> (u64, usize) {
    let playlist = HttpReply::get(addr, path).text();
    let mut lines = playlist.lines();
    let first = lines.find_map(|line| line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:"));
    let first = first.and_then(|number| number.parse().ok());
    let count = playlist.matches("#EXTINF").count();
    (first.unwrap_or_else(|| panic!("{playlist}")), count)
}

#[test]
fn a_playlist_loses_its_oldest_segments() {
    let server = TestServer::start("-max-memory 8m -http-listen 127.0.0.1:0 -gop-cache false");
    let all = a_playlist(&server);
    let snapshot = || server.server().snapshot();
    wait_until("a playlist that gives way", || {
        snapshot().totals.memory_playlists > 0
    });
    assert!(snapshot().memory.held < MAX + BESIDE_LEN);
    let index = HttpReply::get(server.media_addr(), "/live/x0/index.m3u8");
    assert_eq!(index.status, 200);
    // There were more than the eight that a playlist names.
    let (_, count) = named_segments(server.media_addr(), "/live/x0/stream.m3u8");
    assert!((1..8).contains(&count), "{count}");
    drop(all);
}

/// Bytes that the server's end of this connection has and the client has not taken, as Linux tells.
fn in_socket(client: &TcpStream) -> usize {
    let hex = |port: u16| format!(":{port:04X}");
    let own = hex(client.local_addr().expect("an address").port());
    let peer = hex(client.peer_addr().expect("an address").port());
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the table");
    let queues = table.lines().find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [_, local, remote, _, queues, ..] = fields[..] else {
            return None;
        };
        (local.ends_with(&peer) && remote.ends_with(&own)).then(|| queues.to_owned())
    });
    let queues = queues.expect("the connection");
    let (sending, _) = queues.split_once(':').expect("two numbers");
    usize::from_str_radix(sending, 16).expect("a number")
}

#[test]
fn little_lies_in_the_sockets_of_those_who_take_nothing() {
    let flags = "-max-memory 1g -max-connections 4096 -http-listen 127.0.0.1:0";
    let server = TestServer::start(flags);
    let mut publisher = server.publisher("x");
    publisher.send_media(&["V head 1 @0", "V key 1 @0", "A head 1 @0", "A sound 1 @0"]);
    let rtmp = server.playing("x").socket;
    let addr = server.media_addr();
    let flv = TcpStream::connect(addr).expect("connect");
    let request = format!("GET /live/x.flv HTTP/1.1\r\nHost: {addr}\r\n\r\n");
    (&flv).write_all(request.as_bytes()).expect("sent");
    publisher.send_media(&["V key 2 @1100"]);
    server.wait_for_count((3, 1, 2));
    for number in 30..150 {
        publisher.send(&picture(true, 100 << 10, number * 40));
        std::thread::sleep(Duration::from_millis(2));
    }
    for socket in [&rtmp, &flv] {
        let kept = in_socket(socket);
        println!("{kept} bytes in a socket");
        assert!((1..512 << 10).contains(&kept), "{kept}");
    }
}

/// The bytes that connections to `addr` have and its owner has not got, as Linux tells.
fn on_the_way_to(addr: SocketAddr) -> usize {
    let port = format!(":{:04X}", addr.port());
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the table");
    let queue = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [_, _, remote, _, queues, ..] = fields[..] else {
            return None;
        };
        let (sending, _) = queues.split_once(':').filter(|_| remote.ends_with(&port))?;
        usize::from_str_radix(sending, 16).ok()
    };
    table.lines().filter_map(queue).sum()
}

/// A server that stands still takes no more than the receive buffer of its socket.
#[test]
fn little_lies_in_the_socket_of_a_relay_whose_server_takes_nothing() {
    let far = ServerProcess::start("");
    let flags = format!(
        "-max-memory 1g -max-connections 4096 -relay-to rtmp://{}/live",
        far.addr
    );
    let server = TestServer::start(&flags);
    let mut publisher = server.publisher("x");
    publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
    wait_until("the relay", || {
        let relays = server.server().snapshot().relays;
        relays[0].state == LinkState::Connected
    });
    let pid = far.pid().to_string();
    let stopped = Command::new("kill").args(["-STOP", &pid]).status();
    assert!(stopped.expect("kill").success());
    // More than the receive buffer takes.
    for number in 1..300 {
        publisher.send(&picture(true, 100 << 10, number * 40));
        std::thread::sleep(Duration::from_millis(2));
    }
    let kept = on_the_way_to(far.addr);
    println!("{kept} bytes in the socket of a relay");
    assert!((1..512 << 10).contains(&kept), "{kept}");
    // Nobody has to take leave of it then.
    drop(far);
}

/// A control group of its own for memory, of whichever version there is. Dropping it removes it.
struct MemoryGroup(PathBuf);

impl MemoryGroup {
    /// One of `limit` bytes; `None`: this system lets us make none.
    fn new(limit: usize) -> Option<MemoryGroup> {
        let name = format!("rtmp-server-test-{}", std::process::id());
        let files = [
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            ("/sys/fs/cgroup", "memory.max"),
        ];
        files.into_iter().find_map(|(root, file)| {
            let group = MemoryGroup(Path::new(root).join(&name));
            std::fs::create_dir(&group.0).ok()?;
            let has_limit = group.0.join(file).exists();
            let limited =
                has_limit && std::fs::write(group.0.join(file), limit.to_string()).is_ok();
            limited.then_some(group)
        })
    }

    fn procs(&self) -> String {
        self.0.join("cgroup.procs").display().to_string()
    }

    /// The most memory that it has had, in bytes, where it says so.
    fn most(&self) -> usize {
        let files = ["memory.max_usage_in_bytes", "memory.peak"];
        let mut read = files
            .iter()
            .filter_map(|file| std::fs::read_to_string(self.0.join(file)).ok());
        read.next()
            .and_then(|most| most.trim().parse().ok())
            .unwrap_or(0)
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // The last process may still be on its way out.
        for _ in 0..100 {
            if std::fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Without a flag, the bound follows from the group: a quarter of it.
#[test]
fn in_a_small_control_group_the_kernel_kills_nothing() {
    let Some(group) = MemoryGroup::new(64 * MIB) else {
        println!("no control group can be made here: nothing was tried");
        return;
    };
    let join = format!("echo $$ > {}", group.procs());
    let server = ServerProcess::start_with(&join, "-merge 0");
    let mut all: Vec<Client> = (0..8)
        .map(|number| {
            let mut client = server.publisher(&format!("x{number}"));
            client.send_media(&["V head 1 @0", "V key 1 @0"]);
            client
        })
        .collect();
    let viewers: Vec<Client> = (0..40)
        .map(|number| server.playing(&format!("x{}", number % 4)))
        .collect();
    for client in &mut all[..4] {
        let picture = |number: u32| picture(true, 2 * MIB, number * 40);
        send_all(client, (1..10).map(picture));
    }
    for client in &mut all[4..] {
        long_chunks(client, MIB);
        for chunk_stream in 10..34 {
            let _ = client
                .socket
                .write_all(&unfinished(chunk_stream, 16_000_000, MIB));
        }
    }
    server.wait_for_line("memory is short");
    let _alive = server.publisher("y");
    println!("the group had {} MiB of 64", group.most() / MIB);
    drop((all, viewers, server));
}

/// A client that a proxy says is at `ip`.
fn client_at(server: &TestServer, ip: &str) -> Client {
    let proxied = server.server().addrs()[1];
    let mut socket = TcpStream::connect(proxied).expect("connect");
    let header = format!("PROXY TCP4 {ip} 192.0.2.1 4711 1935\r\n");
    socket.write_all(header.as_bytes()).expect("sent");
    Client::shake_hands_over(socket, |_, s1| *s1)
}

/// One address holds a little with each of many connections, again and again. A stream from elsewhere that
/// has viewers holds more than any of these, and loses nothing.
#[test]
fn what_an_address_holds_counts_together() {
    let flags = "-proxy-listen 127.0.0.1:0 -http-listen 127.0.0.1:0 -max-memory 8m -merge 0";
    let server = TestServer::start(flags);
    let mut publisher = client_at(&server, "192.0.2.3");
    publisher.connect("live");
    publisher.create_stream();
    let name = vec![Value::text("cam"), Value::text("live")];
    publisher.call(1, "publish", 0.0, name);
    publisher.lines_until("status@1 NetStream.Publish.Start");
    publisher.send(&real("V head 1 @0"));
    publisher.send_media(&["V key 1 @0"]);
    let mut viewer = server.playing("cam").socket;
    std::thread::spawn(move || std::io::copy(&mut viewer, &mut std::io::sink()));
    let addr = server.media_addr();
    let request = format!("GET /live/cam/index.m3u8 HTTP/1.1\r\nHost: {addr}\r\n\r\n");
    let mut asking = TcpStream::connect(addr).expect("connect");
    asking.write_all(request.as_bytes()).expect("sent");
    for number in 1..20_u32 {
        let is_keyframe = number.is_multiple_of(10);
        publisher.send(&picture(is_keyframe, 100 << 10, number * 200));
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(HttpReply::get(addr, "/live/cam/index.m3u8").status, 200);
    let path = "/live/cam/stream.m3u8";
    let (first, _) = named_segments(addr, path);
    let cached = || {
        let snapshot = server.server().snapshot();
        (snapshot.streams[0].cached_messages, snapshot.totals)
    };
    wait_until("pictures", || cached().0 == 10);
    let mut attack = |round: u32| {
        let strangers: Vec<_> = (0..150)
            .map(|number| {
                if number % 10 == 0 {
                    publisher.send(&picture(false, 100, (20 + 15 * round + number / 10) * 200));
                }
                let mut client = client_at(&server, "192.0.2.2");
                long_chunks(&mut client, MIB);
                let _ = client
                    .socket
                    .write_all(&unfinished(10, 16_000_000, 60 << 10));
                client
            })
            .collect();
        std::thread::sleep(Duration::from_millis(200));
        strangers.len()
    };
    for round in 0..2 {
        attack(round);
        let want = 25 + 15 * round as usize;
        let (cached, totals) = cached();
        println!("{round}: {cached} messages cached, {totals:?}");
        assert!(totals.memory_hangups > 0, "{round}");
        assert_eq!(
            (cached, totals.memory_caches, totals.memory_playlists),
            (want, 0, 0),
            "{round}"
        );
    }
    assert_eq!(named_segments(addr, path).0, first);
}
