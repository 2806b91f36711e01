//! Clients with several message streams, as the lists show them.

use crate::support::http::HttpReply;
use crate::support::{Client, TestServer, wait_until};
use rtmp_server::amf0::Value;

fn play(client: &mut Client, stream: u32, name: &str) {
    client.call(stream, "play", 0.0, vec![Value::text(name)]);
}

/// Ends what a message stream does, and waits until that is done.
fn delete(client: &mut Client, stream: u32) {
    let stream = Value::Number(f64::from(stream));
    client.call(0, "deleteStream", 0.0, vec![stream]);
    client.call(0, "settle", 9.0, vec![]);
    client.expect(&["_error 9"]);
}

/// Whatever a client does besides, it is shown as what it is.
#[test]
fn a_client_with_several_message_streams_is_shown_as_what_it_is() {
    type Beginning<'a> = &'a dyn Fn(&TestServer) -> Client;
    let publisher_of_two = |server: &TestServer| {
        let mut client = server.publisher("x");
        client.create_stream();
        client
    };
    let refused = |server: &TestServer| {
        let mut client = publisher_of_two(server);
        play(&mut client, 2, "nope");
        client.expect(&["error@2 NetStream.Play.StreamNotFound"]);
        client
    };
    let both = |server: &TestServer| {
        let mut client = publisher_of_two(server);
        play(&mut client, 2, "other");
        client.expect(&["begin 2", "status@2 NetStream.Play.Start"]);
        client
    };
    let deleted = |server: &TestServer| {
        let mut client = server.playing("other");
        client.create_stream();
        play(&mut client, 2, "other");
        client.expect(&["begin 2", "status@2 NetStream.Play.Start"]);
        delete(&mut client, 2);
        client
    };
    let over = |server: &TestServer| {
        let mut client = publisher_of_two(server);
        delete(&mut client, 1);
        client
    };
    #[rustfmt::skip]
    let rows: [(&str, Beginning, &str, &str, &[&str]); 5] = [
        ("publishes, and waited for another in vain", &refused, "publisher", "\"live/x\"", &["live/x publisher"]),
        ("publishes, and plays another", &both, "publisher", "\"live/x\"", &["live/x publisher", "live/other subscriber"]),
        ("plays twice, and ended one", &deleted, "subscriber", "\"live/other\"", &["live/other subscriber"]),
        ("published", &over, "publisher", "null", &[]),
        ("has done nothing", &|server| server.connected(), "none", "null", &[]),
    ];
    for (what, begin, role, key, streams) in rows {
        let server = TestServer::start("-metrics-addr 127.0.0.1:0 -wait-stream 1ms");
        let api = server.server().web_addrs()[0];
        let get = |path: &str| HttpReply::get(api, path).text();
        let _other = server.publisher("other");
        let _client = begin(&server);
        let want = format!("\"role\":\"{role}\",\"stream_key\":{key},");
        // What is shown may be a moment old.
        wait_until(what, || get("/api/connections/c000002").contains(&want));
        for stream in ["live/x", "live/other"] {
            let whole = get(&format!("/api/streams/{stream}"));
            let shown = whole.split(r#"{"id":"c000002""#).nth(1);
            let used = streams.iter().find_map(|used| used.strip_prefix(stream));
            assert_eq!(shown.is_some(), used.is_some(), "{what}: {whole}");
            let want = used.map(|role| {
                let role = role.trim();
                format!("\"role\":\"{role}\",\"stream_key\":\"{stream}\"")
            });
            let is_right = shown
                .zip(want)
                .is_none_or(|(shown, want)| shown.contains(&want));
            assert!(is_right, "{what}: {whole}");
        }
    }
}
