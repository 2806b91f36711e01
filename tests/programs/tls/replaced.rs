//! HAProxy and openssl that are removed while they run, killed, and put back, as when they are upgraded.

use super::front::Front;
use super::{BEGINNING, ServerProcess, children, signal, wait_until};
use std::os::unix::fs::symlink;
use std::path::Path;

/// Where a program is on this machine.
fn find(name: &str) -> String {
    let folders = ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/bin"];
    let mut paths = folders.map(|folder| format!("{folder}/{name}")).into_iter();
    let path = paths.find(|path| Path::new(path).exists());
    path.expect("a program")
}

#[test]
fn helpers_may_be_killed_removed_and_put_back() {
    let dir = std::env::temp_dir().join(format!("rtmp-helpers-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory");
    let names = ["haproxy", "openssl"];
    let put = || names.map(|name| symlink(find(name), dir.join(name)).expect("a link"));
    put();
    let path = format!("PATH={}", dir.display());
    let front = Front::start_with(&path, "replaced", "-merge 0");
    let authority = front.dir.path("first-ca.pem");
    let near = ServerProcess::start_with(
        &format!("{path}; export SSL_CERT_FILE={authority}"),
        &format!(
            "-merge 0 -relay-to rtmps://localhost:{}/live",
            front.tls.port()
        ),
    );
    let mut publisher = near.publisher("cam");
    publisher.send_media(&BEGINNING);
    near.wait_for_line("relay started");
    let mut plain = front.server.publisher("other");
    plain.send_media(&BEGINNING);
    let mut viewer = front.server.playing("other");
    viewer.expect(&BEGINNING);

    let openssl = children(near.pid(), "openssl");
    for name in names {
        std::fs::remove_file(dir.join(name)).expect("remove");
    }
    signal("-KILL", openssl[0]);
    let line = near.wait_for_line("relay failed");
    println!("{line}");
    let line = near.wait_for_line("relay failed");
    assert!(line.contains("not on PATH"), "{line}");
    signal("-KILL", front.helper());
    let line = front.server.wait_for_line("TLS helper ended");
    assert!(line.contains("SIGKILL"), "{line}");
    let line = front.server.wait_for_line("TLS helper ended");
    println!("{line}");
    plain.send_media(&["V inter 2 @40"]);
    viewer.expect(&["V inter 2 @40"]);

    put();
    near.wait_for_line("relay started");
    let mut there = front.server.playing("cam");
    there.lines_until(BEGINNING[1]);
    wait_until("the helper", || {
        children(front.server.pid(), "haproxy").len() == 1
    });
    std::fs::remove_dir_all(&dir).expect("remove");
}
