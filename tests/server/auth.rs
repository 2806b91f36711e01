//! Authentication as a server uses it: tokens, files that change, and a real web service.

use crate::support::web_service::{Dir, Manner, WebService};
use crate::support::{TestServer, wait_until};
use rtmp_server::admin::AdminSource;
use rtmp_server::amf0::Value;
use rtmp_server::auth::{
    Action, AllowedAddresses, Answer, Authenticator, Gate, Passed, QUESTIONS_MAX, Rules,
};
use rtmp_server::json;
use rtmp_server::rtmp::stream_key::StreamPath;
use std::net::{Shutdown, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What comes of asking for `name` in `live`; empty: allowed.
fn ask(auth: &Authenticator, action: Action, name: &str) -> String {
    ask_from(auth, action, name, "192.0.2.1:5000", Answer::New)
}

/// The same for a client at an address.
fn ask_from(
    auth: &Authenticator,
    action: Action,
    name: &str,
    from: &str,
    answer: Answer,
) -> String {
    let address = StreamPath::new("live", name).unwrap();
    match auth.check(action, &address, from.parse().unwrap(), answer) {
        Ok(()) => String::new(),
        Err(denied) => denied.to_string(),
    }
}

#[test]
fn without_authentication_everyone_may() {
    assert_eq!(ask(&Authenticator::None, Action::Publish, "cam"), "");
}

#[test]
fn tokens_are_asked_for() {
    let entries = [("live/cam", "a=b c"), ("live/*", "other")];
    let entries = entries.map(|(key, token)| (key.to_owned(), token.to_owned()));
    let auth = Authenticator::token(&entries).unwrap();
    let rows = [
        ("cam?token=a=b%20c", ""),
        ("cam?x=1&token=a=b%20c", ""),
        ("cam?token=other", "token wrong"),
        ("cam?token=", "token missing"),
        ("cam", "token missing"),
        ("second?token=other", ""),
    ];
    for (name, want) in rows {
        assert_eq!(ask(&auth, Action::Publish, name), want, "{name}");
        assert_eq!(ask(&auth, Action::Play, name), want, "{name}");
    }
    assert_eq!(auth.reload().ok(), Some(false));
}

#[test]
fn a_file_is_read_again_and_a_bad_one_changes_nothing() {
    let dir = Dir::new("auth");
    let path = dir.write("tokens.json", r#"{"live/cam":{"publish":"p","play":"q"}}"#);
    let auth = Authenticator::file(Path::new(&path)).unwrap();
    assert_eq!(ask(&auth, Action::Publish, "cam?token=p"), "");
    assert_eq!(ask(&auth, Action::Publish, "cam?token=q"), "token wrong");
    assert_eq!(ask(&auth, Action::Play, "cam?token=q"), "");

    dir.write("tokens.json", r#"{"live/cam":"new"}"#);
    assert_eq!(ask(&auth, Action::Play, "cam?token=q"), "", "not read yet");
    assert_eq!(auth.reload().ok(), Some(true));
    assert_eq!(ask(&auth, Action::Play, "cam?token=q"), "token wrong");
    assert_eq!(ask(&auth, Action::Play, "cam?token=new"), "");

    dir.write("tokens.json", r#"{"live/cam":"hunter2""#);
    let error = auth.reload().unwrap_err().to_string();
    assert_eq!(error, "tokens: line 1: ends inside a value");
    assert_eq!(ask(&auth, Action::Play, "cam?token=new"), "");

    std::fs::remove_file(&path).unwrap();
    let error = auth.reload().unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("cannot read {path}: ")),
        "{error}"
    );
    assert_eq!(ask(&auth, Action::Play, "cam?token=new"), "");
    assert!(Authenticator::file(Path::new(&path)).is_err());
}

#[test]
fn a_web_service_is_asked() {
    let web = WebService::start(Manner::Status(200));
    let url = web.url("/check?key=hunter2");
    let auth = Authenticator::callback(&url, Duration::from_secs(5)).unwrap();
    assert_eq!(ask(&auth, Action::Publish, "cam?token=%22t&x=p%40s"), "");
    let (head, body) = web.request();
    assert!(
        head.starts_with("POST /check?key=hunter2 HTTP/1.1\r\n"),
        "{head}"
    );
    assert!(
        head.contains("\r\nContent-Type: application/json"),
        "{head}"
    );
    assert_eq!(
        body,
        r#"{"action":"publish","app":"live","stream_name":"cam","stream_key":"live/cam","token":"\"t","query":"token=%22t&x=p%40s","remote_addr":"192.0.2.1:5000"}"#
    );
    assert_eq!(ask(&auth, Action::Play, "cam"), "");
    let (_, body) = web.request();
    let question = json::parse(body.as_bytes()).unwrap();
    assert_eq!(question.get("action"), Some(&"play".into()));
    assert_eq!(question.get("token"), Some(&"".into()));
    assert!(!format!("{auth:?}").contains("hunter2"), "{auth:?}");
}

#[test]
fn whatever_a_web_service_does_but_200_denies() {
    let slow = Duration::from_millis(2);
    let rows = [
        (Manner::Status(200), ""),
        (Manner::Chunked(200), ""),
        (Manner::Slow(200, slow), ""),
        (Manner::Status(201), "callback answered 201"),
        (Manner::Status(204), "callback answered 204"),
        (Manner::Status(302), "callback answered 302"),
        (Manner::Status(403), "callback answered 403"),
        (Manner::Chunked(500), "callback answered 500"),
        (Manner::Hangs, "callback failed: timed out"),
        (
            Manner::Slow(200, Duration::from_millis(50)),
            "callback failed: timed out",
        ),
        (
            Manner::Closes,
            "callback failed: closed in the middle of the reply",
        ),
        (
            Manner::Garbage,
            "callback failed: reply is not HTTP/1.1: bad status line",
        ),
    ];
    for (manner, want) in rows {
        let web = WebService::start(manner);
        let auth = Authenticator::callback(&web.url("/"), Duration::from_millis(500)).unwrap();
        let start = Instant::now();
        assert_eq!(
            ask(&auth, Action::Publish, "cam?token=x"),
            want,
            "{manner:?}"
        );
        assert!(start.elapsed() < Duration::from_millis(1500), "{manner:?}");
    }
    let nobody = Authenticator::callback("http://127.0.0.1:1/", Duration::from_millis(500));
    let denied = ask(&nobody.unwrap(), Action::Publish, "cam");
    assert!(
        denied.starts_with("callback failed: cannot connect: "),
        "{denied}"
    );
    for url in ["", "ftp://a/", "http://", "live"] {
        assert!(
            Authenticator::callback(url, Duration::from_secs(1)).is_err(),
            "{url}"
        );
    }
}

#[test]
fn a_hanging_web_service_blocks_only_who_is_asked_about() {
    let web = WebService::start(Manner::Hangs);
    let auth = Authenticator::callback(&web.url("/"), Duration::from_millis(600)).unwrap();
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| ask(&auth, Action::Play, "cam"));
        }
    });
    assert!(
        start.elapsed() < Duration::from_millis(1500),
        "all at a time"
    );
    for _ in 0..8 {
        web.request();
    }
}

/// The address of one of many clients, each in a network of its own.
fn address_of(client: usize) -> String {
    format!("198.51.{}.{}:5000", client / 256, client % 256)
}

/// Has three times as many clients ask at once as may; what each was told, and how many asked.
fn ask_in_a_crowd(manner: Manner, timeout: Duration) -> (Vec<String>, usize) {
    let web = WebService::start(manner);
    let auth = Authenticator::callback(&web.url("/"), timeout).unwrap();
    let told = std::thread::scope(|scope| {
        let ask =
            |client: usize| ask_from(&auth, Action::Play, "cam", &address_of(client), Answer::New);
        let clients: Vec<_> = (0..3 * QUESTIONS_MAX)
            .map(|client| scope.spawn(move || ask(client)))
            .collect();
        let told = clients.into_iter().map(|client| client.join().unwrap());
        told.collect()
    });
    (told, web.requests.try_iter().count())
}

#[test]
fn a_crowd_is_asked_about_a_few_at_a_time() {
    let slow = Manner::Slow(200, Duration::from_millis(2));
    let (told, requests) = ask_in_a_crowd(slow, Duration::from_secs(10));
    assert!(
        told.iter().all(String::is_empty),
        "all wait their turn: {told:?}"
    );
    assert_eq!(requests, 3 * QUESTIONS_MAX);

    let web = WebService::start(Manner::Hangs);
    let limit = Duration::from_secs(3);
    let auth = Authenticator::callback(&web.url("/"), limit).unwrap();
    let began = Instant::now();
    std::thread::scope(|scope| {
        for client in 0..3 * QUESTIONS_MAX {
            let auth = &auth;
            scope.spawn(move || {
                let told = ask_from(auth, Action::Play, "cam", &address_of(client), Answer::New);
                assert!(told.starts_with("callback "), "{told}");
            });
        }
        for _ in 0..QUESTIONS_MAX {
            web.request();
        }
        // None of the first has been given up yet, so nobody else may ask.
        let more = web.requests.recv_timeout(Duration::from_millis(100));
        assert!(more.is_err(), "more than {QUESTIONS_MAX} at a time");
    });
    let took = began.elapsed();
    assert!(took < limit + limit / 2, "{took:?}");
}

/// Rules for clients from everywhere.
fn rules(authenticator: Authenticator) -> Rules {
    Rules {
        allowed: AllowedAddresses::default(),
        authenticator,
    }
}

#[test]
fn addresses_are_asked_before_anything_else() {
    let ranges = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    let tokens = [("live/cam".to_owned(), "t".to_owned())];
    let gate = Gate::new(Rules {
        allowed: AllowedAddresses {
            publish: ranges(&["10.0.0.0/8", "2001:db8::/32"]),
            play: ranges(&[]),
        },
        authenticator: Authenticator::token(&tokens).unwrap(),
    });
    let (publish, play) = (Action::Publish, Action::Play);
    let rows = [
        (publish, "10.1.2.3:1", "cam?token=t", ""),
        (publish, "[::ffff:10.1.2.3]:1", "cam?token=t", ""),
        (publish, "[2001:db8::9]:1", "cam?token=t", ""),
        (publish, "10.1.2.3:1", "cam?token=x", "token wrong"),
        (publish, "11.1.2.3:1", "cam?token=t", "address not allowed"),
        (publish, "11.1.2.3:1", "cam?token=x", "address not allowed"),
        (publish, "[::1]:1", "cam?token=t", "address not allowed"),
        (play, "11.1.2.3:1", "cam?token=t", ""),
        (play, "[::1]:1", "cam?token=t", ""),
        (play, "[::1]:1", "cam", "token missing"),
    ];
    for (action, addr, name, want) in rows {
        let path = StreamPath::new("live", name).unwrap();
        let checked = gate.check(action, &path, addr.parse().unwrap(), Answer::New);
        let got = checked.map_or_else(|denied| denied.to_string(), |_| String::new());
        assert_eq!(got, want, "{action:?} {addr} {name}");
    }
}

#[test]
fn a_client_from_elsewhere_is_refused() {
    let server = TestServer::start("-allow-publish 192.0.2.0/24 -allow-play 127.0.0.0/8");
    let mut publisher = server.connected();
    let arguments = vec![Value::text("cam"), Value::text("live")];
    publisher.call(1, "publish", 5.0, arguments);
    publisher.lines_until("error@1 NetStream.Publish.Denied");
    let _player = server.player("cam");
    wait_until("the player waits", || server.server().count().2 == 1);
    let totals = server.server().snapshot().totals;
    assert_eq!((totals.auth_failures, totals.auth_successes), (1, 0));
}

/// New rules hold at once, also while a web service is asked by the old ones.
#[test]
fn rules_are_replaced_while_a_service_is_asked() {
    let web = WebService::start(Manner::Slow(200, Duration::from_millis(10)));
    let url = web.url("/");
    let callback = Authenticator::callback(&url, Duration::from_secs(5)).unwrap();
    let gate = Gate::new(rules(callback));
    let path = StreamPath::new("live", "cam?token=t").unwrap();
    let from: SocketAddr = "192.0.2.1:5000".parse().unwrap();
    let check = || gate.check(Action::Play, &path, from, Answer::New);
    std::thread::scope(|scope| {
        let asked = scope.spawn(check);
        web.request();
        let entries = [("live/cam".to_owned(), "t".to_owned())];
        let authenticator = Authenticator::token(&entries).unwrap();
        gate.replace(Arc::new(rules(authenticator)));
        assert_eq!(check().ok(), Some(Passed::Checked));
        assert!(!asked.is_finished(), "the service takes its time");
        assert_eq!(asked.join().unwrap().ok(), Some(Passed::Asked));
    });
    gate.replace(Arc::new(rules(Authenticator::None)));
    assert_eq!(check().ok(), Some(Passed::Open));
    assert_eq!(gate.reload().ok(), Some(false));
}

/// A service that hangs is asked about a crowd of one address; others are still asked about at once.
#[test]
fn one_address_does_not_keep_others_waiting() {
    let web = WebService::start(Manner::Hangs);
    let auth = Authenticator::callback(&web.url("/"), Duration::from_millis(700)).unwrap();
    let ask = |from: &str| ask_from(&auth, Action::Play, "cam", from, Answer::New);
    std::thread::scope(|scope| {
        for port in 1..=3 * QUESTIONS_MAX {
            scope.spawn(move || ask(&format!("192.0.2.1:{port}")));
        }
        for _ in 0..QUESTIONS_MAX / 2 {
            web.request();
        }
        let more = web.requests.recv_timeout(Duration::from_millis(100));
        assert!(more.is_err(), "more than half of the questions");
        scope.spawn(|| ask("192.0.2.2:1"));
        let (_, body) = web.request();
        assert!(body.contains("192.0.2.2:1"), "{body}");
    });
}

/// Each row: what is asked for, and whether the service was asked. Players that open many connections
/// take an answer of a moment ago, if everything but the port is the same.
#[test]
fn answers_are_kept_for_those_that_ask_often() {
    let (publish, play) = (Action::Publish, Action::Play);
    let rows = [
        (play, "cam?token=t", "192.0.2.1:1", Answer::Recent, true),
        (play, "cam?token=t", "192.0.2.1:2", Answer::Recent, false),
        (
            play,
            "/cam?token=t",
            "[::ffff:192.0.2.1]:3",
            Answer::Recent,
            false,
        ),
        (play, "cam?token=t", "192.0.2.1:4", Answer::New, true),
        (play, "cam?token=u", "192.0.2.1:5", Answer::Recent, true),
        (play, "cam?token=t&x=1", "192.0.2.1:5", Answer::Recent, true),
        (play, "cam2?token=t", "192.0.2.1:5", Answer::Recent, true),
        (play, "cam?token=t", "192.0.2.2:5", Answer::Recent, true),
        (publish, "cam?token=t", "192.0.2.1:6", Answer::Recent, true),
        (publish, "cam?token=t", "192.0.2.1:7", Answer::New, true),
        (play, "cam?token=t", "192.0.2.1:8", Answer::Recent, false),
    ];
    for status in [200, 403] {
        let web = WebService::start(Manner::Status(status));
        let auth = Authenticator::callback(&web.url("/"), Duration::from_secs(5)).unwrap();
        for (action, name, from, answer, want) in rows {
            let told = ask_from(&auth, action, name, from, answer);
            assert_eq!(told.is_empty(), status == 200, "{name} {from}: {told}");
            let asked = web.requests.try_recv().is_ok();
            assert_eq!(asked, want, "{action:?} {name} {from} {answer:?}");
        }
    }
    // A failure is not an answer.
    let web = WebService::start(Manner::Closes);
    let auth = Authenticator::callback(&web.url("/"), Duration::from_secs(5)).unwrap();
    for _ in 0..2 {
        let told = ask_from(&auth, play, "cam", "192.0.2.1:1", Answer::Recent);
        assert!(told.starts_with("callback failed"), "{told}");
        web.request();
    }
}

/// A client leaves, or is hung up on, while the service is asked whether it may publish.
#[test]
fn a_publisher_that_has_left_gets_no_stream() {
    type Leave = fn(&TestServer, &crate::support::Client);
    let rows: [(&str, Leave); 2] = [
        ("closed", |_, client| {
            _ = client.socket.shutdown(Shutdown::Both);
        }),
        ("hung up on", |server, _| {
            let id = server.server().snapshot().connections[0].id.clone();
            assert!(server.server().watch().hang_up_connection(&id.to_string()));
        }),
    ];
    for (row, leave) in rows {
        let web = WebService::start(Manner::Slow(200, Duration::from_millis(10)));
        let flags = format!("-auth-mode callback -auth-callback {}", web.url("/"));
        let server = TestServer::start(&flags);
        let mut client = server.connected();
        let arguments = vec![Value::text("x"), Value::text("live")];
        client.call(1, "publish", 5.0, arguments);
        web.request();
        leave(&server, &client);
        server.wait_for_count((0, 0, 0));
        let totals = server.server().snapshot().totals;
        assert_eq!((totals.publishers, totals.auth_successes), (0, 1), "{row}");
    }
}
