//! That the strict decoder is strict.

use super::wire::decode;

/// Bytes from a hex text with spaces.
fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pair = |pair: &[u8]| {
        let text = std::str::from_utf8(pair).expect("hex digits are text");
        u8::from_str_radix(text, 16).expect("two hex digits are a byte")
    };
    digits.chunks(2).map(pair).collect()
}

/// Chunks, the timestamps of the messages in them, and what is to be said against them.
const ROWS: &[(&str, &[u32], &[&str])] = &[
    // Format 0, then 1, 2 and 3 with a step of 5 each.
    (
        "07 000010 000001 09 01000000 aa 47 000005 000001 09 bb 87 000005 cc c7 dd",
        &[16, 21, 26, 31],
        &[],
    ),
    ("47 000010 000001 09 aa", &[16], &["csid 7 starts with"]),
    ("00 00 000000 000001 09 01000000 aa", &[0], &[]),
    ("01 ff00 000000 000001 09 01000000 aa", &[0], &["smallest"]),
    ("01 0001 000000 000001 09 01000000 aa", &[0], &[]),
    // A step of -1.
    (
        "07 000010 000001 09 01000000 aa 87 ffffff ffffffff bb",
        &[16, 15],
        &["backward"],
    ),
    ("07 ffffff 000001 09 01000000 00000005 aa", &[5], &["fits"]),
    (
        "07 ffffff 000001 09 01000000 00ffffff aa",
        &[0xff_ffff],
        &[],
    ),
    // Chunk size 1, then the extended time of a second chunk: repeated, altered.
    (
        "02 000000 000004 01 00000000 00000001 07 ffffff 000002 09 01000000 01000000 aa
         c7 01000000 bb",
        &[0, 0x100_0000],
        &[],
    ),
    (
        "02 000000 000004 01 00000000 00000001 07 ffffff 000002 09 01000000 01000000 aa
         c7 01000001 bb",
        &[0, 0x100_0000],
        &["after 0x1000000"],
    ),
    (
        "02 000000 000004 01 00000000 00000001 07 000000 000002 09 01000000 aa
         07 000000 000001 09 01000000 bb",
        &[0, 0],
        &["inside a message"],
    ),
    (
        "02 000000 000004 01 00000000 00000000",
        &[0],
        &["chunk size"],
    ),
    (
        "03 000000 000004 05 00000000 00000001",
        &[0],
        &["on csid 3"],
    ),
    (
        "02 000000 000004 05 01000000 00000001",
        &[0],
        &["on csid 2"],
    ),
    ("02 000000 000001 09 01000000 aa", &[0], &["on csid 2"]),
    // Audio where video was; another message stream.
    (
        "07 000000 000001 09 01000000 aa 07 000000 000001 08 01000000 aa",
        &[0, 0],
        &["csid 7 had"],
    ),
    (
        "07 000000 000001 09 01000000 aa 07 000000 000001 09 02000000 aa",
        &[0, 0],
        &["csid 7 had"],
    ),
    ("07 000000 000002 09 01000000 aa", &[], &["cut inside"]),
    (
        "02 000000 000004 01 00000000 00000001 07 000000 000002 09 01000000 aa",
        &[0],
        &["ends inside"],
    ),
];

#[test]
fn the_strict_decoder_complains_about_each_deviation_and_nothing_else() {
    for (hex, timestamps, complaints) in ROWS {
        let transcript = decode(&bytes(hex));
        let found: Vec<_> = transcript.messages.iter().map(|m| m.timestamp).collect();
        assert_eq!(&found, timestamps, "{hex}: {transcript:?}");
        let said = &transcript.complaints;
        assert_eq!(said.len(), complaints.len(), "{hex}: {said:?}");
        for (complaint, part) in said.iter().zip(*complaints) {
            assert!(
                complaint.contains(part),
                "{hex}: {complaint} without {part}"
            );
        }
    }
}
