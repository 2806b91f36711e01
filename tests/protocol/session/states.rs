//! Every command in every state, with an answer wanted and without.

use super::{Failures, Peer};

/// The states a session is put into, in the order of the columns below.
const STATES: [&str; 5] = ["new", "connected", "idle", "publishing", "playing"];

fn in_state(state: &str) -> Peer {
    let mut peer = Peer::new();
    let mut calls = vec![(0, r#""connect", 1, {app: "live"}"#)];
    calls.push((0, r#""createStream", 2, null"#));
    match state {
        "publishing" => calls.push((1, r#""publish", 0, null, "cam", "live""#)),
        "playing" => calls.push((1, r#""play", 0, null, "cam", -2"#)),
        _ => {}
    }
    calls.truncate(match state {
        "new" => 0,
        "connected" => 1,
        _ => calls.len(),
    });
    for (stream, call) in calls {
        peer.called(stream, call).expect("no violation");
    }
    peer.accepts(1);
    peer
}

const NOTHING: &str = "";
const FAILED_ON_0: &str = "> _error 7 null error NetConnection.Call.Failed on 0";
const FAILED: &str = "> _error 7 null error NetConnection.Call.Failed on 1";
const UNSERVED: &str = "ignored: call that cannot be served";
const NO_STREAM: &str =
    "refused NetStream.Failed; > onStatus 0 null error NetStream.Failed on 1; close";
const BAD_NAME: &str = "refused NetStream.Publish.BadName; > onStatus 0 null error NetStream.Publish.BadName on 1; close";
const NOT_FOUND: &str = "refused NetStream.Play.StreamNotFound; > onStatus 0 null error NetStream.Play.StreamNotFound on 1; close";
const PLAY_FAILED: &str = "> onStatus 0 null error NetStream.Play.Failed on 1";
const SEEK_FAILED: &str = "> _error 7 null error NetStream.Seek.Failed on 1";
const SEEK_FAILED_0: &str = "> _error 0 null error NetStream.Seek.Failed on 1";
const RESULT: &str = "> _result 7 null null on 0";
const UNPUBLISHED: &str = "> onStatus 0 null status NetStream.Unpublish.Success on 1";
const NO_PUBLISH: &str = "ignored: publish without a name and without a stream";
const END_PUBLISH: &str = "ended 1; > onStatus 0 null status NetStream.Unpublish.Success on 1";
const ONLY_ON_FC_PUBLISH: &str = "> onFCPublish 0 null status NetStream.Publish.Start on 0";
const ON_FC_PUBLISH: &str =
    "> _result 7 null null on 0; > onFCPublish 0 null status NetStream.Publish.Start on 0";
const ONLY_ON_FC_UNPUBLISH: &str = "> onFCUnpublish 0 null status NetStream.Unpublish.Success on 0";
const ON_FC_UNPUBLISH: &str =
    "> _result 7 null null on 0; > onFCUnpublish 0 null status NetStream.Unpublish.Success on 0";
const ENDED_BY_FC: &str = "ended 1; > _result 7 null null on 0; > onFCUnpublish 0 null status NetStream.Unpublish.Success on 0";
const LENGTH: &str = "> _result 7 null 0 on 0";
const ENDED: &str = "ended 1";
const NO_ID: &str = "ignored: deleteStream without an id";
const PUBLISH: &str = "publish live/cam on 1";
const PLAY: &str = "play live/cam on 1";
const END_PLAY: &str = "ended 1; play live/cam on 1";
const REJECTED: &str = "refused NetConnection.Connect.Rejected; > _error 1 null error NetConnection.Connect.Rejected on 0; close";

/// The answer to `connect` with transaction `$id`, which is whatever the client sent.
macro_rules! connected {
    ($id:literal) => {
        concat!(
            r#"connect live/inst "me"; > window 2500000; > bandwidth 2500000 hard; > set-chunk-size 4096; > begin 0; > _result "#,
            $id,
            r#" {fmsVer: "FMS/3,0,1,123", capabilities: 31, fourCcList: ["*"], "#,
            r#"videoFourCcInfoMap: {"*": 4}, audioFourCcInfoMap: {"*": 4}, capsEx: 6} "#,
            "status NetConnection.Connect.Success on 0",
        )
    };
}

const CONNECTED: &str = connected!("1");
const CONNECTED_7: &str = connected!("7");
const REJECTED_7: &str = "refused NetConnection.Connect.Rejected; > _error 7 null error NetConnection.Connect.Rejected on 0; close";

/// The stream a call arrives on, the call, and what follows in each of the [`STATES`].
type Row = (u32, &'static str, [&'static str; 5]);

/// Everything with an answer wanted, by transaction 7.
#[rustfmt::skip]
const ANSWERED: [Row; 51] = [
    (0, r#""connect", 1, {app: "live/inst?k=v", flashVer: "me", capsEx: 22}"#, [CONNECTED, REJECTED, REJECTED, REJECTED, REJECTED]),
    (0, r#""connect", 7, {app: "live/inst?k=v", flashVer: "me", capsEx: 22}"#, [CONNECTED_7, REJECTED_7, REJECTED_7, REJECTED_7, REJECTED_7]),
    (0, r#""connect", 0.5, {app: 7}"#, ["refused NetConnection.Connect.Rejected; > _error 0.5 null error NetConnection.Connect.Rejected on 0; close"; 5]),
    (0, r#""connect", 1, {flashVer: "me"}"#, [REJECTED; 5]),
    (0, r#""connect", 1, {app: 7}"#, [REJECTED; 5]),
    (0, r#""connect", 1"#, [REJECTED; 5]),
    (0, r#""createStream", 7, null"#, [FAILED_ON_0, "> _result 7 null 1 on 0", "> _result 7 null 2 on 0", "> _result 7 null 2 on 0", "> _result 7 null 2 on 0"]),
    (0, r#""deleteStream", 7, null, 1"#, [FAILED_ON_0, NOTHING, NOTHING, ENDED, ENDED]),
    (0, r#""deleteStream", 7, null, 9"#, [FAILED_ON_0, NOTHING, NOTHING, NOTHING, NOTHING]),
    (0, r#""deleteStream", 7, null, "cam""#, [FAILED_ON_0, NO_ID, NO_ID, ENDED, ENDED]),
    (0, r#""deleteStream", 7, null, "mp4:cam?k=v""#, [FAILED_ON_0, NO_ID, NO_ID, ENDED, ENDED]),
    (0, r#""deleteStream", 7, null, "other""#, [FAILED_ON_0, NO_ID, NO_ID, NO_ID, NO_ID]),
    (1, r#""deleteStream", 7, null"#, [FAILED, NOTHING, NOTHING, ENDED, ENDED]),
    (0, r#""deleteStream", 7, null, nan"#, [FAILED_ON_0, NO_ID, NO_ID, NO_ID, NO_ID]),
    (0, r#""deleteStream", 7"#, [FAILED_ON_0, NO_ID, NO_ID, NO_ID, NO_ID]),
    (1, r#""closeStream", 7, null"#, [FAILED, NOTHING, NOTHING, ENDED, ENDED]),
    (0, r#""closeStream", 7, null, 1"#, [FAILED_ON_0, NOTHING, NOTHING, ENDED, ENDED]),
    (0, r#""closeStream", 7, null, 2"#, [FAILED_ON_0, NOTHING, NOTHING, NOTHING, NOTHING]),
    (0, r#""closeStream", 7, null, "cam""#, [FAILED_ON_0, NOTHING, NOTHING, ENDED, ENDED]),
    (0, r#""closeStream", 7, null"#, [FAILED_ON_0, NOTHING, NOTHING, NOTHING, NOTHING]),
    (1, r#""publish", 7, null, "cam", "live""#, [FAILED, NO_STREAM, PUBLISH, "> onStatus 0 null status NetStream.Publish.Start on 1; published again 1", "ended 1; publish live/cam on 1"]),
    (0, r#""publish", 7, null, "cam?k=v""#, [FAILED_ON_0, "refused NetStream.Failed; > onStatus 0 null error NetStream.Failed on 0; close", PUBLISH, "> onStatus 0 null status NetStream.Publish.Start on 1; published again 1", "ended 1; publish live/cam on 1"]),
    (1, r#""publish", 7, null, "other", "record""#, [FAILED, NO_STREAM, "publish live/other on 1", "ended 1; publish live/other on 1", "ended 1; publish live/other on 1"]),
    (1, r#""publish", 7, null, false"#, [FAILED, NO_PUBLISH, UNPUBLISHED, END_PUBLISH, UNPUBLISHED]),
    (1, r#""publish", 7, null, null"#, [FAILED, NO_PUBLISH, UNPUBLISHED, END_PUBLISH, UNPUBLISHED]),
    (0, r#""publish", 7, null, undefined"#, [FAILED_ON_0, NO_PUBLISH, UNPUBLISHED, END_PUBLISH, UNPUBLISHED]),
    (1, r#""publish", 7, null, "", """#, [FAILED, NO_STREAM, "publish live on 1", END_PUBLISH, "ended 1; publish live on 1"]),
    (1, r#""publish", 7, null, true"#, [FAILED, NO_STREAM, BAD_NAME, BAD_NAME, BAD_NAME]),
    (1, r#""publish", 7, null"#, [FAILED, NO_STREAM, BAD_NAME, BAD_NAME, BAD_NAME]),
    (1, r#""publish", 7, null, "../cam""#, [FAILED, NO_STREAM, BAD_NAME, BAD_NAME, BAD_NAME]),
    (0, r#""FCUnpublish", 7, null, "cam""#, [FAILED_ON_0, ON_FC_UNPUBLISH, ON_FC_UNPUBLISH, ENDED_BY_FC, ON_FC_UNPUBLISH]),
    (0, r#""FCUnpublish", 7, null, "cam?k=v""#, [FAILED_ON_0, ON_FC_UNPUBLISH, ON_FC_UNPUBLISH, ENDED_BY_FC, ON_FC_UNPUBLISH]),
    (0, r#""FCUnpublish", 7, null, "mp4:%63am""#, [FAILED_ON_0, ON_FC_UNPUBLISH, ON_FC_UNPUBLISH, ENDED_BY_FC, ON_FC_UNPUBLISH]),
    (0, r#""FCUnpublish", 7, null, "other""#, [FAILED_ON_0, ON_FC_UNPUBLISH, ON_FC_UNPUBLISH, ON_FC_UNPUBLISH, ON_FC_UNPUBLISH]),
    (0, r#""FCUnpublish", 7"#, [FAILED_ON_0, ON_FC_UNPUBLISH, ON_FC_UNPUBLISH, ON_FC_UNPUBLISH, ON_FC_UNPUBLISH]),
    (1, r#""play", 7, null, "cam", -2"#, [FAILED, NO_STREAM, PLAY, END_PLAY, END_PLAY]),
    (0, r#""play", 7, null, "cam""#, [FAILED_ON_0, "refused NetStream.Failed; > onStatus 0 null error NetStream.Failed on 0; close", PLAY, END_PLAY, END_PLAY]),
    (1, r#""play", 7, null, "cam", -2, -1, false"#, [FAILED, NO_STREAM, PLAY, END_PLAY, PLAY_FAILED]),
    (1, r#""play", 7, null"#, [FAILED, NO_STREAM, NOT_FOUND, NOT_FOUND, NOT_FOUND]),
    (1, r#""play2", 7, null, {}"#, [FAILED, PLAY_FAILED, PLAY_FAILED, PLAY_FAILED, PLAY_FAILED]),
    (1, r#""seek", 7, null, 9000"#, [FAILED, SEEK_FAILED, SEEK_FAILED, SEEK_FAILED, SEEK_FAILED]),
    (1, r#""pause", 7, null, true, 1500"#, [FAILED, FAILED, FAILED, FAILED, "> onStatus 0 null status NetStream.Pause.Notify on 1; pause 1 true"]),
    (1, r#""pauseRaw", 7, null, false, 1500"#, [FAILED, FAILED, FAILED, FAILED, "> onStatus 0 null status NetStream.Unpause.Notify on 1; pause 1 false"]),
    (1, r#""receiveAudio", 7, null, false"#, [FAILED, FAILED, FAILED, FAILED, "receive 1 Audio false"]),
    (1, r#""receiveVideo", 7, null, true"#, [FAILED, FAILED, FAILED, FAILED, "> onStatus 0 null status NetStream.Seek.Notify on 1; > onStatus 0 null status NetStream.Play.Start on 1; receive 1 Video true"]),
    (0, r#""getStreamLength", 7, null, "cam""#, [FAILED_ON_0, LENGTH, LENGTH, LENGTH, LENGTH]),
    (0, r#""releaseStream", 7, null, "cam""#, [FAILED_ON_0, RESULT, RESULT, RESULT, RESULT]),
    (0, r#""FCPublish", 7, null, "cam""#, [FAILED_ON_0, ON_FC_PUBLISH, ON_FC_PUBLISH, ON_FC_PUBLISH, ON_FC_PUBLISH]),
    (0, r#""FCSubscribe", 7, null, "cam""#, [FAILED_ON_0, RESULT, RESULT, RESULT, RESULT]),
    (0, r#""foo", 7, null"#, [FAILED_ON_0; 5]),
    (1, r#""Publish", 7, null, "cam""#, [FAILED; 5]),
];

/// With transaction 0 no call is answered; a status is no answer.
#[rustfmt::skip]
const UNANSWERED: [Row; 23] = [
    (0, r#""createStream", 0, null"#, [UNSERVED, NOTHING, NOTHING, NOTHING, NOTHING]),
    (0, r#""deleteStream", 0, null, 1"#, [UNSERVED, NOTHING, NOTHING, ENDED, ENDED]),
    (1, r#""closeStream", 0, null"#, [UNSERVED, NOTHING, NOTHING, ENDED, ENDED]),
    (1, r#""publish", 0, null, "cam", "live""#, [UNSERVED, NO_STREAM, PUBLISH, "> onStatus 0 null status NetStream.Publish.Start on 1; published again 1", "ended 1; publish live/cam on 1"]),
    (0, r#""FCUnpublish", 0, null, "cam""#, [UNSERVED, ONLY_ON_FC_UNPUBLISH, ONLY_ON_FC_UNPUBLISH, "ended 1; > onFCUnpublish 0 null status NetStream.Unpublish.Success on 0", ONLY_ON_FC_UNPUBLISH]),
    (1, r#""play", 0, null, "cam", 0, 3000"#, [UNSERVED, NO_STREAM, PLAY, END_PLAY, END_PLAY]),
    (1, r#""play", 0, null, "cam", -1, -1, true"#, [UNSERVED, NO_STREAM, PLAY, END_PLAY, END_PLAY]),
    (1, r#""play", 0, null, "cam", -2, -1, 0"#, [UNSERVED, NO_STREAM, PLAY, END_PLAY, PLAY_FAILED]),
    (1, r#""play2", 0, null, {}"#, [UNSERVED, PLAY_FAILED, PLAY_FAILED, PLAY_FAILED, PLAY_FAILED]),
    (1, r#""seek", 0, null, 9000"#, [UNSERVED, SEEK_FAILED_0, SEEK_FAILED_0, SEEK_FAILED_0, SEEK_FAILED_0]),
    (1, r#""pause", 0, null, true, 1500"#, [UNSERVED, UNSERVED, UNSERVED, UNSERVED, "> onStatus 0 null status NetStream.Pause.Notify on 1; pause 1 true"]),
    (0, r#""pause", 0, null, true, 1500"#, [UNSERVED; 5]),
    (1, r#""receiveAudio", 0, null, true"#, [UNSERVED, UNSERVED, UNSERVED, UNSERVED, "> onStatus 0 null status NetStream.Seek.Notify on 1; > onStatus 0 null status NetStream.Play.Start on 1; receive 1 Audio true"]),
    (1, r#""receiveVideo", 0, null, false"#, [UNSERVED, UNSERVED, UNSERVED, UNSERVED, "receive 1 Video false"]),
    (0, r#""getStreamLength", 0, null, "cam""#, [UNSERVED, NOTHING, NOTHING, NOTHING, NOTHING]),
    (0, r#""releaseStream", 0, null, "cam""#, [UNSERVED, NOTHING, NOTHING, NOTHING, NOTHING]),
    (0, r#""FCPublish", 0, null, "cam""#, [UNSERVED, ONLY_ON_FC_PUBLISH, ONLY_ON_FC_PUBLISH, ONLY_ON_FC_PUBLISH, ONLY_ON_FC_PUBLISH]),
    (0, r#""FCSubscribe", 0, null, "cam""#, [UNSERVED, NOTHING, NOTHING, NOTHING, NOTHING]),
    (0, r#""foo", 0, null"#, [UNSERVED; 5]),
    (0, r#""_result", 7, null, 1"#, [NOTHING; 5]),
    (0, r#""_error", 7, null, {level: "error"}"#, [NOTHING; 5]),
    (1, r#""onStatus", 0, null, {level: "status"}"#, [NOTHING; 5]),
    (1, r#""onStatus", 7, null"#, [NOTHING; 5]),
];

#[test]
fn every_command_in_every_state() {
    let mut failures = Failures::default();
    for (stream, call, wants) in ANSWERED.into_iter().chain(UNANSWERED) {
        for (state, want) in STATES.iter().zip(wants) {
            let got = in_state(state).called(stream, call).expect("no violation");
            failures.compare(&format!("{state}: {call} on {stream}"), &got, want);
        }
    }
    failures.check();
}

/// Messages that are no commands, in each of the [`STATES`].
#[rustfmt::skip]
const OTHERS: [(&str, [&str; 5]); 14] = [
    ("audio 1 @40 af 01", [EARLY, STRAY, STRAY, "audio @40 2 bytes on 1", STRAY]),
    ("video 1 @40 17 01", [EARLY, STRAY, STRAY, "video @40 2 bytes on 1", STRAY]),
    (r#"data 1 @40 "onTextData""#, [EARLY, STRAY, STRAY, "data @40 13 bytes on 1", STRAY]),
    (r#"data3 1 @40 "onTextData""#, [EARLY, STRAY, STRAY, "data @40 13 bytes on 1", STRAY]),
    ("audio 0 @40 af 01", [EARLY, STRAY, STRAY, STRAY, STRAY]),
    ("audio 2 @40 af 01", [EARLY, STRAY, STRAY, STRAY, STRAY]),
    ("aggregate 1 @40 audio @7 af | video @9 17", ["ignored: media before connect; ignored: media before connect", TWO_STRAYS, TWO_STRAYS, "audio @40 1 bytes on 1; video @42 1 bytes on 1", TWO_STRAYS]),
    ("aggregate 1 @40 command3 @0 1", [UNSPLIT; 5]),
    ("window 5000", [NOTHING; 5]),
    ("ping 9", ["> pong 9"; 5]),
    ("pong 9", [NOTHING; 5]),
    ("buffer-length 1 3000", [NOTHING; 5]),
    ("bandwidth 5000 hard", ["> window 5000"; 5]),
    ("bandwidth 2500000 hard", ["> window 2500000", NOTHING, NOTHING, NOTHING, NOTHING]),
];

const EARLY: &str = "ignored: media before connect";
const STRAY: &str = "ignored: media on a stream that does not publish";
const TWO_STRAYS: &str = concat!(
    "ignored: media on a stream that does not publish; ",
    "ignored: media on a stream that does not publish",
);
const UNSPLIT: &str = "ignored: aggregate that cannot be split";

#[test]
fn every_other_message_in_every_state() {
    let mut failures = Failures::default();
    for (message, wants) in OTHERS {
        for (state, want) in STATES.iter().zip(wants) {
            let got = in_state(state).hears(message).expect("no violation");
            failures.compare(&format!("{state}: {message}"), &got, want);
        }
    }
    failures.check();
}
