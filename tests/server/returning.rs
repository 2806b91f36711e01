//! Publishers that are lost and come back: what viewers who stayed see of them.

use crate::support::TestServer;
use rtmp_server::amf0::Value;

#[test]
fn viewers_go_on_where_the_last_publication_ended() {
    let rows = include_str!("../../testdata/server/returning.txt")
        .split("\n\n")
        .skip(1);
    for row in rows {
        let (name, rest) = row.trim().split_once('\n').expect("a name");
        println!("{name}");
        let (publications, want) = rest.split_once("\n=> ").expect("what is sent");
        let publications = publications.lines().map(|line| match line {
            "-" => Vec::new(),
            media => media.split(", ").collect(),
        });
        check(publications, &want.split(", ").collect::<Vec<_>>());
    }
}

fn check<'a>(mut publications: impl Iterator<Item = Vec<&'a str>>, want: &[&str]) {
    let server = TestServer::start("-grace 5s");
    let mut publisher = server.publisher("x");
    let first = publications.next().expect("a publication");
    publisher.send_media(&first);
    let mut player = server.playing("x");
    let last = first.last().and_then(|media| media.split(" @").next());
    player.lines_until(last.expect("media"));
    for media in publications {
        publisher.vanish();
        player.expect(&["dry 1"]);
        publisher = server.publisher("x");
        player.expect(&["begin 1"]);
        publisher.send_media(&media);
    }
    player.expect(want);
}

#[test]
fn a_publisher_that_begins_again_runs_no_time_back() {
    let server = TestServer::start("");
    let mut publisher = server.publisher("x");
    publisher.send_media(&["V head 1 @0", "V key 1 @5000", "V inter 2 @5040"]);
    let mut player = server.playing("x");
    player.lines_until("V inter 2");
    let arguments = vec![Value::text("x"), Value::text("live")];
    publisher.call(1, "publish", 0.0, arguments);
    publisher.expect(&["status@1 NetStream.Publish.Start"]);
    publisher.send_media(&["V head 1 @0", "V key 3 @0", "V inter 4 @40"]);
    player.expect(&["V head 1 @5080", "V key 3 @5080", "V inter 4 @5120"]);
}
