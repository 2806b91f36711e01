//! The vectors that are replies of ours come from the code that replies.

use super::chunks::decoded;
use super::table::rows;
use rtmp_server::rtmp::status::{self, StatusLevel, code};
use rtmp_server::rtmp::{Message, StreamId};

#[test]
fn replies_are_their_vectors() {
    let connection = StreamId::CONTROL;
    let one = StreamId(1);
    let id = rtmp_server::amf0::Value::Number;
    let taken = "cap1 is already being published.";
    let (url, why) = (
        "rtmp://b.example/live",
        "The streaming server is undergoing updates.",
    );
    let play = |at: usize| status::play_start(one, "src", true).swap_remove(at);
    let end = |at: usize| status::play_end(one, "src")[at].clone();
    let replies: [(&str, Message); 18] = [
        ("E02-begin1", play(0)),
        ("E03-eof1", end(0)),
        ("G06-result-connect-ertmp", status::connect_result(1.0, 15)),
        (
            "G07-error-connect",
            status::error(
                connection,
                1.0,
                code::CONNECT_REJECTED,
                "Unknown application",
            ),
        ),
        ("G11-result-createStream", status::result(4.0, id(1.0))),
        ("G13-publish-start", status::publish_start(one, "cap1")),
        (
            "G14-publish-badname",
            status::on_status(one, StatusLevel::Error, code::BAD_NAME, taken),
        ),
        ("G22-play-reset", play(1)),
        ("G23-play-start", play(2)),
        ("G23-play-start", status::play_again(one, "src")[1].clone()),
        ("G24-notfound", status::not_found(one, "src")),
        ("G25-unpublish-notify", end(1)),
        ("G29-result-length", status::result(3.0, id(12.5))),
        (
            "G35-call-failed",
            status::error(connection, 9.0, code::CALL_FAILED, "Method not found: foo"),
        ),
        ("G51-onFCPublish", status::on_fc_publish("cap1")),
        ("G52-onFCUnpublish", status::on_fc_unpublish("cap1")),
        ("G53-unpublish", status::publish_end(one, "cap1")),
        ("G40-reconnect", status::reconnect_request(Some(url), why)),
    ];
    let rows = rows();
    for (id, reply) in replies {
        let row = &rows[id];
        let chunk_size = if row.meaning.starts_with("chunk 4096") {
            4096
        } else {
            128
        };
        assert_eq!(decoded(chunk_size, &row.bytes), Ok(vec![reply]), "{id}");
    }
}

#[test]
fn connect_is_answered_with_the_capabilities_both_have() {
    let offered = [
        (0, 0.0),
        (1, 1.0),
        (2, 2.0),
        (15, 15.0),
        (0xffff_fff0, 0.0),
        (0x18, 8.0),
    ];
    for (caps_ex, want) in offered {
        let reply = status::connect_result(1.0, caps_ex);
        let values = rtmp_server::amf0::decode(&reply.payload).expect("AMF0");
        let got = values[2].get("capsEx").and_then(|value| value.as_number());
        assert_eq!(got, Some(want), "{caps_ex:#x}");
    }
}
