//! The callbacks of nginx-rtmp: what is told, in which order, and what the answers do.

use crate::support::http::HttpReply;
use crate::support::web_service::{Dir, Manner, WebService};
use crate::support::{Client, TestServer, render, wait_until};
use rtmp_server::amf0::Value;
use rtmp_server::rtmp::{StreamId, status};
use std::time::{Duration, Instant};

/// Publishes `name` in `live`; the first thing that comes back.
fn publish(server: &TestServer, name: &str) -> (String, Client) {
    let mut client = server.connected();
    let arguments = vec![Value::text(name), Value::text("live")];
    client.call(1, "publish", 5.0, arguments);
    (client.next_line(), client)
}

/// Flags that send these calls to a service.
fn flags(web: &WebService, calls: &[&str]) -> String {
    let flag = |call: &&str| format!("-notify {call}={} ", web.url(&format!("/{call}")));
    calls.iter().map(flag).collect()
}

/// The next call: its path, and the form without what all begin with.
fn call(web: &WebService) -> (String, String) {
    let (head, body) = web.request();
    let path = head.split(' ').nth(1).unwrap().trim_start_matches('/');
    let (base, rest) = body.split_once("&addr=127.0.0.1&").expect("an address");
    assert!(base.starts_with("app=live&flashver="), "{base}");
    (path.to_owned(), rest.to_owned())
}

#[test]
fn a_publisher_and_a_player_are_told_of_in_order() {
    let dir = Dir::new("notify");
    let web = WebService::start(Manner::Status(204));
    let calls = [
        "on_connect",
        "on_publish",
        "on_play",
        "on_publish_done",
        "on_play_done",
        "on_done",
        "on_record_done",
        "on_disconnect",
    ];
    let record = format!("-record-all true -record-dir {}", dir.as_ref().display());
    let server = TestServer::start(&format!("{} {record}", flags(&web, &calls)));
    let (told, mut publisher) = publish(&server, "cam?token=a%20b&x=1");
    assert_eq!(told, "begin 1");
    publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
    let next = || call(&web);
    let (path, form) = next();
    assert_eq!(path, "on_connect");
    assert!(
        form.starts_with("epoch=") && form.ends_with("&call=connect"),
        "{form}"
    );
    let (path, form) = next();
    let want = "clientid=1&call=publish&name=cam&type=live&token=a%20b&x=1";
    assert_eq!((path.as_str(), form.as_str()), ("on_publish", want));

    let mut player = server.connected();
    let arguments = vec![Value::text("cam?y=%2F"), Value::Number(-2000.0)];
    player.call(1, "play", 4.0, arguments);
    assert_eq!(next().0, "on_connect");
    let want = "clientid=2&call=play&name=cam&start=4294965296&duration=0&reset=0&y=%2F";
    assert_eq!(next(), ("on_play".to_owned(), want.to_owned()));
    wait_until("the player plays", || server.server().count().2 == 1);
    player.vanish();
    for (path, want) in [
        ("on_play_done", "clientid=2&call=play_done&name=cam&y=%2F"),
        ("on_done", "clientid=2&call=done&name=cam&y=%2F"),
        ("on_disconnect", "clientid=2&call=disconnect&app=live"),
    ] {
        assert_eq!(next(), (path.to_owned(), want.to_owned()));
    }
    drop(publisher);
    let told: Vec<_> = (0..4).map(|_| next()).collect();
    let (recorded, others): (Vec<_>, Vec<_>) = told
        .into_iter()
        .partition(|(path, _)| path == "on_record_done");
    let forms: Vec<_> = others.iter().map(|(_, form)| form.as_str()).collect();
    let query = "name=cam&token=a%20b&x=1";
    let want = [
        format!("clientid=1&call=publish_done&{query}"),
        format!("clientid=1&call=done&{query}"),
        "clientid=1&call=disconnect&app=live".to_owned(),
    ];
    assert_eq!(forms, want);
    let want = format!(
        "clientid=1&call=record_done&recorder=&name=cam&path={}/live_cam_",
        dir.as_ref().display()
    );
    assert!(recorded[0].1.starts_with(&want), "{recorded:?}");
    assert!(
        recorded[0].1.ends_with(".flv&token=a%20b&x=1"),
        "{recorded:?}"
    );
}

/// A publisher whose stream is over publishes no more, even if its connection is still there.
#[test]
fn the_end_of_a_publication_is_told_at_once() {
    let web = WebService::start(Manner::Status(204));
    let calls = flags(&web, &["on_publish_done", "on_done"]);
    let server = TestServer::start(&format!("-metrics-addr 127.0.0.1:0 {calls}"));
    let of = |clientid| format!("clientid={clientid}&call=publish_done&name=cam&of={clientid}");
    let done = |clientid| {
        let start = Instant::now();
        assert_eq!(call(&web), ("on_publish_done".to_owned(), of(clientid)));
        assert_eq!(call(&web).0, "on_done");
        assert!(start.elapsed() < Duration::from_millis(1000), "{clientid}");
    };
    let _taken_over = server.publisher("cam?of=1");
    let _ended = server.publisher("cam?of=2");
    done(1);
    let api = server.server().web_addrs()[0];
    let delete = format!("DELETE /api/streams/live/cam HTTP/1.1\r\nHost: {api}\r\n\r\n");
    let answer = HttpReply::to(api, &delete).status;
    assert_eq!(answer, 200);
    done(2);
    let last = server.publisher("cam?of=3");
    drop(last);
    done(3);
}

/// The first one's file is complete when the second one has its stream.
#[test]
fn a_file_is_told_of_as_of_the_client_that_sent_it() {
    let dir = Dir::new("taken-over");
    let web = WebService::start(Manner::Status(204));
    let record = format!("-record-all true -record-dir {}", dir.as_ref().display());
    let calls = flags(&web, &["on_record_done"]);
    let server = TestServer::start(&format!("{calls} {record}"));
    let mut first = server.publisher("cam?of=first");
    first.send_media(&["A head 1 @0", "A sound 1 @0"]);
    let mut second = server.publisher("cam?of=second");
    second.send_media(&["A head 1 @0", "A sound 1 @0"]);
    let form = call(&web).1;
    let of_first = form.starts_with("clientid=1&") && form.ends_with("&of=first");
    assert!(of_first, "{form}");
    drop(second);
    let form = call(&web).1;
    let of_second = form.starts_with("clientid=2&") && form.ends_with("&of=second");
    assert!(of_second, "{form}");
}

#[test]
fn a_service_that_does_not_let_in_refuses() {
    let rows = [
        ("on_publish", Manner::Status(403)),
        ("on_publish", Manner::Status(500)),
        ("on_publish", Manner::Closes),
        ("on_publish", Manner::Garbage),
        ("on_publish", Manner::Redirect("")),
        ("on_publish", Manner::Redirect("rtmp://127.0.0.1/live/x")),
        ("on_publish", Manner::Redirect("a/../b")),
        ("on_play", Manner::Status(404)),
    ];
    for (calls, manner) in rows {
        let web = WebService::start(manner);
        let server = TestServer::start(&flags(&web, &[calls]));
        let (told, wanted) = match calls {
            "on_publish" => (
                publish(&server, "cam").0,
                "error@1 NetStream.Publish.Denied",
            ),
            _ => {
                let mut client = server.connected();
                client.call(1, "play", 5.0, vec![Value::text("cam")]);
                (client.next_line(), "error@1 NetStream.Play.Failed")
            }
        };
        assert_eq!(told, wanted, "{calls} {manner:?}");
        let totals = server.server().snapshot().totals;
        assert_eq!(
            (totals.auth_failures, totals.publishers),
            (1, 0),
            "{manner:?}"
        );
    }
}

/// The answer comes when the service has decided, not before; then the client can read why.
#[test]
fn a_connection_is_answered_by_the_service() {
    let slow = |status| Manner::Slow(status, Duration::from_millis(10));
    let refused = "_error 1 null error NetConnection.Connect.Rejected on 0";
    #[rustfmt::skip]
    let rows = [
        (slow(204), "window 2500000", 1),
        (slow(403), refused, 0),
        (Manner::Status(500), refused, 0),
        (Manner::Closes, refused, 0),
        (Manner::Garbage, refused, 0),
        (Manner::Redirect(""), refused, 0),
        (Manner::Redirect("rtmp://127.0.0.1/live"), refused, 0),
    ];
    for (manner, want, calls_at_end) in rows {
        let web = WebService::start(manner);
        let server = TestServer::start(&flags(&web, &["on_connect", "on_disconnect"]));
        let mut client = server.client();
        let object = Value::object([("app", Value::text("live"))]);
        let start = Instant::now();
        client.send(&status::call(StreamId(0), "connect", 1.0, object, vec![]));
        let told = client.receive().expect("an answer");
        assert_eq!(render::message(&told), want, "{manner:?}");
        if let Manner::Slow(..) = manner {
            assert!(start.elapsed() >= Duration::from_millis(300), "too early");
        }
        if want == refused {
            assert!(told.payload.ends_with(b"\0\x0eAccess denied.\0\0\x09"));
            // Nothing else is said, and we are hung up on.
            assert!(client.receive().is_none(), "{manner:?}");
            assert_eq!(server.server().snapshot().totals.auth_failures, 1);
        }
        drop(client);
        server.wait_for_count((0, 0, 0));
        assert_eq!(call(&web).0, "on_connect");
        // Of one that was never connected no end is told.
        let more = web.requests.recv_timeout(Duration::from_millis(100));
        assert_eq!(more.iter().count(), calls_at_end, "{manner:?}");
    }
}

#[test]
fn a_stream_goes_on_under_another_name_and_services_know_the_old_one() {
    let dir = Dir::new("renamed");
    let rows = [
        ("public", "live/public"),
        ("http://127.0.0.1/auth/public", "live/public"),
        ("/a/b?x=1", "live/a/b"),
    ];
    for (location, key) in rows {
        let asked = WebService::start(Manner::Redirect(location));
        let told = WebService::start(Manner::Status(200));
        let record = format!("-record-all true -record-dir {}", dir.as_ref().display());
        let done = flags(&told, &["on_record_done", "on_publish_done"]);
        let server = TestServer::start(&format!(
            "{} {done} {record}",
            flags(&asked, &["on_publish"])
        ));
        let (begun, mut publisher) = publish(&server, "s3cret?q=1");
        assert_eq!(begun, "begin 1");
        publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
        let snapshot = server.server().snapshot();
        let keys: Vec<_> = snapshot
            .streams
            .iter()
            .map(|stream| stream.key.as_str())
            .collect();
        assert_eq!(keys, [key]);
        let _player = server.playing(key.strip_prefix("live/").unwrap());
        drop(publisher);
        let mut forms: Vec<_> = (0..2).map(|_| call(&told).1).collect();
        forms.sort();
        assert_eq!(forms[0], "clientid=1&call=publish_done&name=s3cret&q=1");
        let file = key.replace('/', "_");
        assert!(
            forms[1].contains("&call=record_done&recorder=&name=s3cret&path="),
            "{forms:?}"
        );
        assert!(forms[1].contains(&format!("/{file}_")), "{forms:?}");
    }
}

#[test]
fn a_player_and_an_app_are_renamed_too() {
    let web = WebService::start(Manner::Redirect("public"));
    let server = TestServer::start(&flags(&web, &["on_play"]));
    let (_, _publisher) = publish(&server, "public");
    let _player = server.playing("key?token=t");
    let snapshot = server.server().snapshot();
    assert_eq!(
        (snapshot.streams.len(), snapshot.streams[0].viewers),
        (1, 1)
    );

    let web = WebService::start(Manner::Redirect("studio"));
    let server = TestServer::start(&flags(&web, &["on_connect"]));
    let (_, _publisher) = publish(&server, "cam");
    assert_eq!(server.server().snapshot().streams[0].key, "studio/cam");
}

#[test]
fn on_update_ends_a_session() {
    for (status, goes_on) in [(200, true), (302, true), (404, false), (500, false)] {
        let web = WebService::start(Manner::Status(status));
        let calls = flags(&web, &["on_update"]);
        let server = TestServer::start(&format!("{calls} -notify-update 100ms"));
        let (_, mut publisher) = publish(&server, "cam?t=1");
        publisher.send_media(&["V head 1 @0", "V key 1 @0", "V inter 2 @40"]);
        let start = Instant::now();
        let (_, form) = call(&web);
        let want = "clientid=1&call=update_publish&time=0&timestamp=";
        assert!(
            form.starts_with(want) && form.ends_with("&name=cam&t=1"),
            "{form}"
        );
        if goes_on {
            assert!(call(&web).1.starts_with(want));
            assert!(start.elapsed() >= Duration::from_millis(190));
            assert_eq!(server.server().count().1, 1);
        } else {
            server.wait_for_count((0, 0, 0));
        }
    }
}

#[test]
fn both_the_authentication_and_the_service_have_to_let_in() {
    let rows = [
        (200, "right", "begin 1"),
        (403, "right", "error@1 NetStream.Publish.Denied"),
        (200, "wrong", "error@1 NetStream.Publish.Denied"),
    ];
    for (status, token, want) in rows {
        let web = WebService::start(Manner::Status(status));
        let auth = "-auth-mode token -auth-token live/cam=right";
        let server = TestServer::start(&format!("{auth} {}", flags(&web, &["on_publish"])));
        assert_eq!(publish(&server, &format!("cam?token={token}")).0, want);
        // Who is refused already is not asked about.
        assert_eq!(
            web.requests.try_iter().count(),
            usize::from(token == "right")
        );
    }
}

#[test]
fn fields_can_be_sent_behind_the_url() {
    let web = WebService::start(Manner::Status(200));
    let url = web.url("/check?key=1");
    let flags = format!("-notify on_publish={url} -notify-method get");
    let server = TestServer::start(&flags);
    assert_eq!(publish(&server, "my cam?a=b c").0, "begin 1");
    let (head, body) = web.request();
    assert!(
        head.starts_with("GET /check?key=1&app=live&flashver="),
        "{head}"
    );
    let want = "&clientid=1&call=publish&name=my%20cam&type=live&a=b%20c HTTP/1.1\r\n";
    assert!(head.contains(want) && body.is_empty(), "{head}");
}

/// A service that takes its time with what is over holds up nobody.
#[test]
fn a_hanging_service_delays_neither_media_nor_clients() {
    let web = WebService::start(Manner::Hangs);
    let calls = ["on_publish_done", "on_done", "on_disconnect"];
    let server = TestServer::start(&flags(&web, &calls));
    let start = Instant::now();
    for _ in 0..6 {
        let (told, publisher) = publish(&server, "cam");
        assert_eq!(told, "begin 1");
        drop(publisher);
    }
    assert!(start.elapsed() < Duration::from_secs(2));
}
