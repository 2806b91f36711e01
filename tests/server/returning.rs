//! Publishers that are lost and come back: what viewers who stayed see of them.

use crate::support::TestServer;

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
