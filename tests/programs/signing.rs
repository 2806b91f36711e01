//! Signed queries with openssl, and as the program prints them.

use crate::support::Client;
use crate::support::process::ServerProcess;
use crate::support::web_service::Dir;
use rtmp_server::amf0::Value;
use rtmp_server::auth::{hmac_sha256, sha256};
use std::io::Write;
use std::process::{Command, Stdio};

fn output(command: &mut Command, input: &[u8]) -> Vec<u8> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("it runs");
    child
        .stdin
        .take()
        .expect("piped")
        .write_all(input)
        .expect("write");
    let output = child.wait_with_output().expect("wait");
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

/// Lengths around the ends of blocks, of messages and of keys.
#[test]
fn openssl_hashes_and_signs_the_same() {
    let bytes: Vec<u8> = (0..300u32).map(|at| (at * 7 + at / 13) as u8).collect();
    for len in [
        0, 1, 3, 54, 55, 56, 57, 63, 64, 65, 119, 120, 127, 128, 129, 300,
    ] {
        let message = &bytes[..len];
        let digest = output(
            Command::new("openssl").args(["dgst", "-sha256", "-binary"]),
            message,
        );
        assert_eq!(digest, sha256(message), "{len}");
        let key = &bytes[..len.max(1)];
        let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        let key_option = format!("hexkey:{hex}");
        let args = [
            "dgst",
            "-sha256",
            "-mac",
            "HMAC",
            "-macopt",
            &key_option,
            "-binary",
        ];
        let code = output(Command::new("openssl").args(args), message);
        assert_eq!(code, hmac_sha256(key, message), "{len}");
    }
}

/// The lines of the README that sign with openssl, for this file of the secret.
fn recipe(secret_file: &str) -> String {
    let readme = include_str!("../../README.md");
    let at = readme.find("    EXP=$((").expect("the recipe");
    let lines = readme[at..]
        .lines()
        .take_while(|line| line.starts_with("    "));
    let script: Vec<&str> = lines.collect();
    script
        .join("\n")
        .replace("/etc/rtmp-server.secret", secret_file)
}

/// What the program prints for these flags.
fn printed(flags: &[&str]) -> String {
    let program = env!("CARGO_BIN_EXE_rtmp-server");
    let text = output(Command::new(program).args(flags), b"");
    let text = String::from_utf8(text).expect("text");
    text.strip_suffix('\n').expect("one line").to_owned()
}

/// One secret takes the place of another, without anyone being let in by a wrong one.
#[test]
fn a_hangup_signal_reads_the_secret_again() {
    let dir = Dir::new("secrets");
    let old = "0123456789abcdef-old";
    let path = dir.write("secret", old);
    let flags =
        format!("-auth-mode signed -auth-secret @{path} -auth-secret fixed-0123456789abcdef");
    let server = ServerProcess::start(&flags);
    let query = |secret: &str| {
        let flags = [
            "-sign",
            "publish:live/*",
            "-sign-for",
            "1m",
            "-auth-secret",
            secret,
        ];
        printed(&flags)
    };
    let new = "0123456789abcdef-new";
    let let_in = |secret| publishes(&server, &format!("x{}?{}", secret, query(secret)));
    assert_eq!([let_in(old), let_in(new)], [true, false]);
    dir.write("secret", new);
    let pid = server.pid().to_string();
    let sent = Command::new("kill").args(["-HUP", &pid]).status();
    assert!(sent.expect("kill").success());
    server.wait_for_line("reloaded");
    assert_eq!(
        [let_in(old), let_in(new), let_in("fixed-0123456789abcdef")],
        [false, true, true]
    );
}

fn publishes(server: &ServerProcess, name: &str) -> bool {
    let mut client = Client::connected(server.addr);
    client.call(1, "publish", 0.0, vec![Value::text(name)]);
    client.next_line() == "begin 1"
}

#[test]
fn queries_are_signed_as_the_readme_says() {
    let dir = Dir::new("signing");
    let secret = "0123456789abcdef0123456789abcdef";
    let path = dir.write("secret", &format!("{secret}\n"));
    let at_path = format!("@{path}");
    let server = ServerProcess::start(&format!("-auth-mode signed -auth-secret {at_path}"));
    let by_openssl = output(Command::new("sh").args(["-c", &recipe(&path)]), b"");
    let by_openssl = String::from_utf8(by_openssl).expect("text");
    let sign = |request| {
        printed(&[
            "-sign",
            request,
            "-sign-for",
            "2h",
            "-auth-secret",
            &at_path,
        ])
    };
    let (publish, play) = (sign("publish:live/cam1"), sign("play:live/cam1"));
    let any = sign("publish:live/*");
    assert!(publish.starts_with("exp=") && any.contains("&for=live%2F*&sig=HS256-"));
    let rows = [
        (by_openssl.trim_end(), "cam1", true),
        (&publish, "cam1", true),
        (&publish, "cam2", false),
        (&play, "cam1", false),
        (&any, "cam2", true),
        ("exp=1&sig=x", "cam1", false),
    ];
    for (query, name, want) in rows {
        let name = format!("{name}?{query}");
        assert_eq!(publishes(&server, &name), want, "{name}");
    }
    let millis = format!("cam1?{}000&sig=x", publish.split('&').next().unwrap());
    assert!(!publishes(&server, &millis));
    let line = server.wait_for_line("signature is for play alone");
    assert!(
        line.contains("access denied") && !line.contains("HS256"),
        "{line}"
    );
}
