//! Signed queries: what lets a client in, what does not, and what the log is told.

use crate::support::TestServer;
use proptest::prelude::*;
use rtmp_server::amf0::Value;
use rtmp_server::auth::{
    Action, LIFETIME_MAX_SECS, SKEW_SECS, Secrets, SignedKey, hmac_sha256, signed_query, unix_now,
};
use rtmp_server::rtmp::stream_key::StreamPath;

const SECRET: &str = "0123456789abcdef";
const EXP: u64 = 1_764_072_000;

fn secrets(texts: &[&str]) -> Secrets {
    Secrets::new(texts.iter().map(|text| (*text).to_owned()))
}

/// What comes of asking for `name` in `live` at `now`; empty: let in.
fn ask(secrets: &Secrets, action: Action, name: &str, ip: &str, now: u64) -> String {
    let path = StreamPath::new("live", name).unwrap();
    let checked = secrets.check(action, &path, ip.parse().unwrap(), now);
    checked.map_or_else(|fault| fault.to_string(), |()| String::new())
}

/// The signature of `text`, made by means of this test.
fn sign(secret: &str, text: &str) -> String {
    let code = hmac_sha256(secret.as_bytes(), text.as_bytes());
    let bits: String = code.iter().map(|byte| format!("{byte:08b}")).collect();
    let bits = format!("{bits}00");
    let alphabet: Vec<char> = ('A'..='Z')
        .chain('a'..='z')
        .chain('0'..='9')
        .chain(['-', '_'])
        .collect();
    let digits = (0..43).map(|at| usize::from_str_radix(&bits[6 * at..6 * at + 6], 2).unwrap());
    format!(
        "HS256-{}",
        digits.map(|digit| alphabet[digit]).collect::<String>()
    )
}

#[test]
fn what_openssl_signs_is_good() {
    // printf 'v1\npublish\nlive/cam1\n1764072000\n' | openssl dgst -sha256 -hmac 0123456789abcdef
    let publish = "HS256-PQFFhAmOwZAgmnU_J10luMiIxVhG2ci-jSLfQeZuM9o";
    // printf 'v1\nplay\nlive/*\n1764072000\nip=192.0.2.7' | …
    let bound = "HS256-eLY2hN6ZzTCIhhipsRYEgBufMn65CzmZYB7dPIEtlms";
    let all = secrets(&[SECRET]);
    let name = format!("cam1?exp={EXP}&sig={publish}");
    assert_eq!(ask(&all, Action::Publish, &name, "::1", EXP), "");
    let name = format!("a/b?for=live/*&exp={EXP}&ip=192.0.2.7&sig={bound}");
    assert_eq!(ask(&all, Action::Play, &name, "192.0.2.7", EXP), "");
    assert_eq!(
        sign(SECRET, &format!("v1\npublish\nlive/cam1\n{EXP}\n")),
        publish
    );
    let key = SignedKey::new("live/cam1").unwrap();
    let query = signed_query(SECRET, Action::Publish, &key, EXP);
    assert_eq!(query, format!("exp={EXP}&sig={publish}"));
}

#[test]
fn a_signature_lets_in_whom_it_is_for() {
    let table = include_str!("../../testdata/server/signed.txt").lines();
    let table = table.filter(|row| !row.is_empty() && !row.starts_with('#'));
    for row in table {
        let columns: Vec<&str> = row.split('|').map(str::trim).collect();
        let [key, extra, name, want] = columns[..] else {
            panic!("{row}")
        };
        let text = format!("v1\nplay\n{key}\n{EXP}\n{extra}");
        let (exp, signature) = (EXP.to_string(), sign(SECRET, &text));
        let name = name.replace("EXP", &exp).replace("SIG", &signature);
        let got = ask(&secrets(&[SECRET]), Action::Play, &name, "192.0.2.7", EXP);
        let fits = if want.is_empty() {
            got.is_empty()
        } else {
            got.starts_with(want)
        };
        assert!(fits, "{text:?} {name}: {got:?}");
        for from in ["::ffff:192.0.2.7", "192.0.2.7"] {
            let again = ask(&secrets(&[SECRET]), Action::Play, &name, from, EXP);
            assert_eq!(again, got, "{from}");
        }
        assert!(
            !got.contains(&signature[6..]) && !got.contains(SECRET),
            "{got}"
        );
    }
}

#[test]
fn a_signature_for_one_thing_is_not_for_the_other() {
    let key = SignedKey::new("live/cam").unwrap();
    for (signed, asked, name) in [
        (Action::Publish, Action::Play, "publish"),
        (Action::Play, Action::Publish, "play"),
    ] {
        let query = signed_query(SECRET, signed, &key, EXP);
        let name_with = format!("cam?{query}");
        let got = ask(&secrets(&[SECRET]), asked, &name_with, "::1", EXP);
        assert_eq!(got, format!("signature is for {name} alone"));
    }
}

#[test]
fn a_signature_holds_for_its_time() {
    let far = "signature expires in more than ten years: exp is in seconds, not milliseconds";
    let rows = [
        (EXP, EXP - 1000, ""),
        (EXP, EXP, ""),
        (EXP, EXP + SKEW_SECS, ""),
        (EXP, EXP + SKEW_SECS + 1, "signature expired 31s ago"),
        (EXP, EXP + 100_000, "signature expired 100000s ago"),
        (EXP + LIFETIME_MAX_SECS, EXP, ""),
        (EXP + LIFETIME_MAX_SECS + 1, EXP, far),
        (EXP * 1000, EXP, far),
        (u64::MAX, EXP, far),
        (0, EXP, "signature expired 1764072000s ago"),
        (0, 30, ""),
    ];
    let key = SignedKey::new("live/cam").unwrap();
    for (exp, now, want) in rows {
        let name = format!("cam?{}", signed_query(SECRET, Action::Play, &key, exp));
        let got = ask(&secrets(&[SECRET]), Action::Play, &name, "::1", now);
        assert_eq!(got, want, "{exp} {now}");
    }
}

#[test]
fn any_of_the_secrets_may_have_signed() {
    let key = SignedKey::new("live/*").unwrap();
    let name = |secret| format!("cam?{}", signed_query(secret, Action::Play, &key, EXP));
    let ask = |texts: &[&str], name: &str| ask(&secrets(texts), Action::Play, name, "::1", EXP);
    for texts in [&["old", "new"][..], &["new", "old"], &["new"]] {
        assert_eq!(ask(texts, &name("new")), "", "{texts:?}");
    }
    assert_eq!(ask(&["new"], &name("old")), "signature wrong");
    assert_eq!(ask(&[], &name("old")), "signature wrong");
    let shown = format!("{:?}", secrets(&["old", "new"]));
    assert_eq!(shown, "Secrets(2)");
    assert!(name("new").contains("&for=live%2F*&"), "{}", name("new"));
}

#[test]
fn a_server_asks_for_signatures() {
    let server = TestServer::start(&format!("-auth-mode signed -auth-secret {SECRET}"));
    let key = SignedKey::new("live/cam").unwrap();
    let query = |action| signed_query(SECRET, action, &key, unix_now() + 60);
    let publish = |query: &str| {
        let mut client = server.connected();
        let arguments = vec![Value::text(format!("cam?{query}")), Value::text("live")];
        client.call(1, "publish", 5.0, arguments);
        (client.next_line(), client)
    };
    let denied = "error@1 NetStream.Publish.Denied";
    assert_eq!(publish(&query(Action::Play)).0, denied);
    assert_eq!(publish("").0, denied);
    let (told, _publisher) = publish(&query(Action::Publish));
    assert_eq!(told, "begin 1");
    let _player = server.playing(&format!("cam?{}", query(Action::Play)));
    let totals = server.server().snapshot().totals;
    assert_eq!((totals.auth_successes, totals.auth_failures), (2, 2));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever single byte of the query, the name, or the secret is another one: nobody is let in.
    #[test]
    fn every_damaged_byte_refuses(
        secret in "[!-~]{1,80}",
        name in "[a-z0-9]{1,12}",
        below in any::<bool>(),
        publish in any::<bool>(),
        other in b'!'..=b'~',
    ) {
        let action = if publish { Action::Publish } else { Action::Play };
        let key = if below { "live/*".to_owned() } else { format!("live/{name}") };
        let query = signed_query(&secret, action, &SignedKey::new(&key).unwrap(), EXP);
        // Of a percent sequence, %2f is as good as %2F.
        let query = query.replace("%2F", "/");
        let ask = |secret: &str, name: &str| ask(&secrets(&[secret]), action, name, "::1", EXP);
        prop_assert_eq!(ask(&secret, &format!("{name}?{query}")), "");
        for at in 0..query.len() {
            let mut damaged = query.clone().into_bytes();
            if damaged[at] != other {
                damaged[at] = other;
                let damaged = String::from_utf8(damaged).unwrap();
                prop_assert_ne!(ask(&secret, &format!("{name}?{damaged}")), "", "{}", damaged);
            }
        }
        prop_assert_ne!(ask(&format!("{secret}x"), &format!("{name}?{query}")), "");
        if !below {
            prop_assert_eq!(ask(&secret, &format!("{name}x?{query}")), "signature wrong");
        }
    }
}
