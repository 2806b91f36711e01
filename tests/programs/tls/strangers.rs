//! What clients can hold who say nothing, or stay when they have been hung up on: room, and the end
//! of the server.

use super::front::{Front, TlsClient, get};
use super::{BEGINNING, fact, signal, wait_until};
use rtmp_server::amf0::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// What a client waits for at most that is served at once, on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(5);

/// Connections without a byte: so many, less those that are refused at once.
fn silent(tls: SocketAddr, count: usize) -> Vec<TcpStream> {
    (0..count).flat_map(|_| TcpStream::connect(tls)).collect()
}

/// How many of them are still open, some time after they were made.
fn open(sockets: &[TcpStream]) -> usize {
    let is_open = |socket: &&TcpStream| {
        let mut socket = *socket;
        socket.set_nonblocking(true).expect("no waiting");
        socket
            .read(&mut [0])
            .is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    };
    sockets.iter().filter(is_open).count()
}

/// Sockets that a process has.
pub fn sockets(pid: u32) -> usize {
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("its files");
    let links = files
        .flatten()
        .filter_map(|file| std::fs::read_link(file.path()).ok());
    let is_socket = |link: &std::path::PathBuf| link.to_string_lossy().starts_with("socket:");
    links.filter(is_socket).count()
}

/// Hangs up on this many, once the list names them all: it may be a moment old.
fn hang_up_on_all(web: SocketAddr, count: usize) {
    let mut list = String::new();
    wait_until("the list", || {
        list = get(web, "/api/connections");
        list.matches("\"id\":").count() == count
    });
    for part in list.split("\"id\":\"").skip(1) {
        let id = part.split('"').next().expect("a number");
        let mut request = TcpStream::connect(web).expect("connect");
        let head = format!("DELETE /api/connections/{id} HTTP/1.0\r\nAuthorization: Bearer word");
        write!(request, "{head}\r\n\r\n").expect("a request");
        let mut answer = String::new();
        request.read_to_string(&mut answer).expect("an answer");
        assert!(answer.contains(" 20"), "{answer}");
    }
}

#[test]
fn a_client_that_stays_when_it_is_hung_up_on_is_closed() {
    let front = Front::start("stays", "-max-connections 4 -api-token word");
    let helper = front.helper();
    let before = sockets(helper);
    let mut stayed: Vec<TlsClient> = Vec::new();
    for _ in 0..2 {
        let pair = [front.client(), front.client()];
        pair.iter().for_each(TlsClient::freeze);
        hang_up_on_all(front.web, pair.len());
        wait_until("their hang-up", || {
            get(front.web, "/metrics").contains("\nrtmp_connections_active 0\n")
        });
        stayed.extend(pair);
    }
    let began = Instant::now();
    drop(front.client());
    assert!(
        began.elapsed() < AT_ONCE,
        "not at once beside those that stay"
    );
    wait_until("their end", || sockets(helper) <= before);
}

#[test]
fn silent_connections_leave_room_for_others() {
    let front = Front::start("silent", "-max-connections 2");
    front.helper();
    let silent = silent(front.tls, 60);
    let began = Instant::now();
    front.client().publish("cam");
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    assert_eq!(open(&silent), 60);
    // They have the time for a handshake and no more.
    let end = Duration::from_secs(13);
    while open(&silent) > 0 {
        assert!(began.elapsed() < end, "{} are left", open(&silent));
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// HAProxy has 66 places here. An address that takes three quarters of them with connections without a
/// byte gets no more of them, so that others get theirs.
#[test]
fn one_address_does_not_take_all_places_before_tls() {
    let front = Front::start_with("ulimit -n 232", "crowd", "-listen 127.0.0.1:0");
    front.helper();
    let silent = silent(front.tls, 120);
    let began = Instant::now();
    front.client_from("127.0.0.2").publish("cam");
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    wait_until("the refusals", || open(&silent) <= 50);
}

/// Where the server listens for HAProxy: the port of its own that it tells nobody.
fn inner_port(front: &Front) -> u16 {
    let pid = front.server.pid();
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("its files");
    let links = files
        .flatten()
        .filter_map(|file| std::fs::read_link(file.path()).ok());
    let inodes: Vec<String> = links
        .map(|link| link.to_string_lossy().into_owned())
        .collect();
    let known = [front.server.addr, front.tls, front.web].map(|addr| addr.port());
    let table = std::fs::read_to_string(format!("/proc/{pid}/net/tcp")).expect("sockets");
    let listening = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let ours = inodes.contains(&format!("socket:[{}]", fields[9]));
        let (_, port) = fields[1].split_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        (ours && fields[3] == "0A" && !known.contains(&port)).then_some(port)
    });
    let ports: Vec<u16> = listening.collect();
    assert_eq!(ports.len(), 1, "{ports:?}");
    ports[0]
}

/// Programs of this machine find the port to which HAProxy hands connections on. Whoever says nothing
/// there keeps nobody from TLS, and whoever speaks for a client is not believed.
#[test]
fn other_programs_of_the_machine_keep_nobody_from_tls() {
    let front = Front::start("inner", "-max-connections 6");
    front.helper();
    let inner = SocketAddr::from(([127, 0, 0, 1], inner_port(&front)));
    let mut publisher = front.client();
    publisher.publish("cam");
    let held = silent(inner, 20);
    let began = Instant::now();
    let mut viewer = front.client();
    viewer.play("cam");
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    publisher.client.send_media(&BEGINNING);
    viewer.client.expect(&BEGINNING);
    assert_eq!(open(&held), 4, "the others gave way");
    let mut liar = TcpStream::connect(inner).expect("connect");
    write!(liar, "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n").expect("a header");
    liar.read_to_end(&mut Vec::new()).expect("the end");
    front.server.wait_for_line("not from the TLS helper");
}

#[test]
fn an_address_is_bounded_before_tls_as_well() {
    let config = std::env::temp_dir().join(format!("rtmp-tls-{}.conf", std::process::id()));
    let write = |text: &str| std::fs::write(&config, text).expect("a configuration");
    write("max-connections-per-ip 2\n");
    let front = Front::start("per-ip", &format!("-config {}", config.display()));
    front.helper();
    let few = silent(front.tls, 60);
    wait_until("the refusals", || open(&few) <= 10);
    assert_eq!(open(&few), 10, "two, and those that may be on their way");
    drop(few);
    let mut many = Vec::new();
    write("max-connections-per-ip 100\n");
    signal("-HUP", front.server.pid());
    for line in front.server.lines_until("TLS helper follows") {
        assert!(!line.contains("[WARNING]"), "{line}");
    }
    wait_until("another limit", || {
        many = silent(front.tls, 60);
        std::thread::sleep(Duration::from_millis(100));
        open(&many) == 60
    });
    front.client().publish("cam");
    let _ = std::fs::remove_file(config);
}

/// Who is there when the server stops, and does nothing more.
#[derive(Clone, Copy, Debug)]
enum Idle {
    Tcp,
    Tls,
    Refused,
    Publisher,
    Viewer,
    /// HAProxy itself, which does not end when it is asked to.
    Helper,
}

#[test]
fn a_stop_ends_well_whoever_stays() {
    let all = [
        Idle::Tcp,
        Idle::Tls,
        Idle::Refused,
        Idle::Publisher,
        Idle::Viewer,
        Idle::Helper,
    ];
    std::thread::scope(|scope| {
        for idle in all {
            scope.spawn(move || stop_beside(idle));
        }
    });
}

fn stop_beside(idle: Idle) {
    let flags = "-merge 0 -auth-mode token -auth-token live/cam=good";
    let mut front = Front::start(&format!("stop-{idle:?}"), flags);
    let mut publisher = None;
    let mut silent = Vec::new();
    let mut client = None;
    let helper = front.helper();
    match idle {
        Idle::Tcp => {
            silent.push(TcpStream::connect(front.tls).expect("connect"));
            // Accepted after it.
            drop(front.client());
        }
        _ => client = Some(front.client()),
    }
    match (idle, &mut client) {
        (Idle::Refused, Some(client)) => {
            let values = vec![Value::text("cam?token=bad"), Value::text("live")];
            client.client.call(1, "publish", 0.0, values);
            client.client.lines_until("error@1");
        }
        (Idle::Publisher, Some(client)) => client.publish("cam?token=good"),
        (Idle::Viewer, Some(client)) => {
            let source = publisher.insert(front.server.publisher("cam?token=good"));
            source.send_media(&BEGINNING);
            client.play("cam?token=good");
            client.client.expect(&BEGINNING);
        }
        (Idle::Helper, _) => signal("-STOP", helper),
        _ => {}
    }
    // Its socket stays open from now on, whatever it is told.
    client.iter().for_each(TlsClient::freeze);
    signal("-TERM", front.server.pid());
    front.server.wait_for_line("TLS has ended");
    assert_eq!(front.server.wait(), Some(0), "{idle:?}");
    let Some(mut client) = client.filter(|_| matches!(idle, Idle::Viewer)) else {
        return;
    };
    client.go_on();
    let lines = client.client.lines_until("end");
    let told = |what: &str| lines.iter().any(|line| line.starts_with(what));
    assert!(told("status@1 NetStream.Play.UnpublishNotify"), "{lines:?}");
    assert!(told("eof 1"), "{lines:?}");
}

#[test]
fn a_helper_that_stands_still_is_followed_by_another() {
    let front = Front::start("frozen", "");
    let helper = front.helper();
    signal("-STOP", helper);
    let end = Instant::now() + Duration::from_secs(15);
    let line = front.server.wait_for_line_until("TLS helper ended", end);
    assert_eq!(fact(&line, "reason"), Some("stopped for 10 s"), "{line}");
    // What the API shows may be a moment old.
    wait_until("another", || front.helper() != helper);
    front.client().publish("cam");
}
