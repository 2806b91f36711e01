//! Why responses of live MP4 end, and what viewers begin with behind another header.

use super::{BOTH, Mp4Viewer, finish, send, start};
use crate::support::http::HttpReply;
use crate::support::process::{ServerProcess, fact};
use crate::support::{Client, free_addr};

/// What comes behind [`BOTH`] and ends a response, and what comes then; what a viewer gets of it that asks
/// again, and one that comes later.
type Row = (
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
    &'static [&'static str],
);

#[test]
fn behind_another_header_a_viewer_begins_with_what_can_still_be_decoded() {
    #[rustfmt::skip]
    let rows: [Row; 6] = [
        ("sound", &["A head 1 @50"], &["A sound 4 @60", "V inter 5 @80"], &["v!@0:1,3,5 s@60:4"]),
        ("sound, within a run", &["A head 1 @50", "A sound 4 @60", "V inter 5 @80"], &["V inter 6 @120"], &["v!@0:1,3,5 s@60:4", "v@120:6"]),
        ("sound, twice", &["A head 1 @50", "A sound 4 @60", "A head 2 @80"], &["A sound 5 @90", "V inter 6 @120"], &["v!@0:1,3,6 s@90:5"]),
        ("pictures", &["V head 2 @50", "A sound 4 @60"], &["V inter 5 @80", "V key 6 @120", "V inter 7 @160"], &["v!@120:6 s@60:4", "v@160:7"]),
        ("pictures that had ended, and sound", &["V end 0 @45", "V head 2 @50", "A head 1 @50"], &["A sound 4 @60", "V key 5 @80", "V inter 6 @120"], &["v!@80:5 s@60:4", "v@120:6"]),
        ("sound, while pictures had ended", &["V end 0 @45", "V head 1 @50", "A head 1 @50"], &["A sound 4 @60", "V key 5 @80", "V inter 6 @120"], &["v!@80:5 s@60:4", "v@120:6"]),
    ];
    for (what, change, after, want) in rows {
        println!("{what}");
        let server = start("");
        let mut publisher = server.publisher("x");
        send(&mut publisher, BOTH);
        let mut viewer = Mp4Viewer::playing(&server, "/live/x.mp4");
        viewer.expect(&["v!@0:1,3 s@0:2"]);
        send(&mut publisher, change);
        viewer.expect_end();
        let joining = Mp4Viewer::joining(&server, "/live/x.mp4");
        send(&mut publisher, after);
        let mut again = joining.join().expect("a viewer");
        let mut later = Mp4Viewer::playing(&server, "/live/x.mp4");
        again.expect(want);
        later.expect(want);
    }
}

#[test]
fn the_log_says_why_a_response_ended() {
    let rows: [(&[&str], &str); 4] = [
        (&["V head 2 @80"], "the tracks of the stream have changed"),
        (
            &["V inter 4 @6000", "V key 5 @900"],
            "the times of the stream went back",
        ),
        (
            &["A sound 4 @6000", "A sound 5 @900"],
            "the times of the stream went back",
        ),
        (&[], "stream over"),
    ];
    let media = free_addr();
    let server = ServerProcess::start(&format!("-merge 0 -http-listen {media}"));
    for (index, (change, how)) in rows.into_iter().enumerate() {
        let mut publisher = Client::publishing(server.addr, &format!("x{index}"));
        send(&mut publisher, BOTH);
        let path = format!("/live/x{index}.mp4");
        let mut viewer = Mp4Viewer::of(HttpReply::get(media, &path));
        viewer.expect(&["v!@0:1,3 s@0:2"]);
        send(&mut publisher, change);
        if change.is_empty() {
            finish(&mut publisher);
        }
        while viewer.fragment().expect("a whole end").is_some() {}
        let line = server.wait_for_line("player stopped");
        assert_eq!(fact(&line, "how"), Some(how), "{line}");
    }
}
