//! Why there is no TLS connection, read from what `openssl` says.

use crate::process::launcher::CANNOT_BECOME;
use crate::process::program::NotFound;
use crate::text::shown;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::{error, fmt, io};

/// Why there is no TLS connection. Nothing in it is secret.
#[derive(Debug)]
pub(crate) enum TlsFault {
    /// There is no program that speaks TLS.
    NotFound(NotFound),
    /// The program cannot be started.
    Start(io::Error),
    /// The program does not know an argument.
    TooOld,
    /// The program was ended by somebody else.
    Ended(ExitStatus),
    /// The name of the host cannot be looked up; in the words of the system.
    LookUp(String),
    /// No address of the host could be connected to.
    Connect(io::Error),
    /// No connection, or no handshake, by the deadline.
    TimedOut,
    /// What the server answers is not TLS.
    NotTls,
    /// The server closed in the handshake.
    Closed,
    /// The server's certificate is not accepted.
    Certificate(CertificateFault),
    /// The handshake, or the connection after it, failed; in the words of the program.
    Tls(String),
}

/// Why the server's certificate is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CertificateFault {
    /// It is for another name or address.
    OtherHost,
    /// Its time is over.
    Expired,
    /// Its time has not begun.
    NotYetValid,
    /// The server has signed it itself.
    SelfSigned,
    /// Nobody whom this machine trusts has signed it.
    UnknownAuthority,
    /// In the words of the program.
    Other(String),
}

impl TlsFault {
    /// The layer, as logs name it.
    pub(crate) fn layer(&self) -> &'static str {
        match self {
            TlsFault::TimedOut => "timeout",
            TlsFault::NotTls | TlsFault::Closed | TlsFault::Certificate(_) | TlsFault::Tls(_) => {
                "handshake"
            }
            _ => "io",
        }
    }
}

impl fmt::Display for TlsFault {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            TlsFault::NotFound(error) => write!(f, "{error}"),
            TlsFault::Start(error) => write!(f, "cannot start openssl: {error}"),
            TlsFault::TooOld => write!(f, "openssl on PATH is older than version 3.0"),
            TlsFault::Ended(status) => write!(f, "openssl was ended: {status}"),
            TlsFault::LookUp(why) => write!(f, "cannot look up host: {why}"),
            TlsFault::Connect(error) => write!(f, "cannot connect: {error}"),
            TlsFault::TimedOut => write!(f, "timed out"),
            TlsFault::NotTls => write!(f, "server does not speak TLS on this port"),
            TlsFault::Closed => write!(
                f,
                "server closed in the TLS handshake; it may not speak TLS on this port"
            ),
            TlsFault::Certificate(fault) => write!(f, "certificate {fault}"),
            TlsFault::Tls(why) => write!(f, "TLS failed: {why}"),
        }
    }
}

impl error::Error for TlsFault {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            TlsFault::NotFound(error) => Some(error),
            TlsFault::Start(error) | TlsFault::Connect(error) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for CertificateFault {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            CertificateFault::OtherHost => "is for another host",
            CertificateFault::Expired => "has expired",
            CertificateFault::NotYetValid => "is not valid yet",
            CertificateFault::SelfSigned => "is self-signed",
            CertificateFault::UnknownAuthority => "is from an unknown authority",
            CertificateFault::Other(why) => return write!(f, "is not accepted: {why}"),
        })
    }
}

impl error::Error for CertificateFault {}

/// How the program ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ending {
    Itself(ExitStatus),
    /// We killed it: it was still at work.
    Killed,
}

/// Finds the reason in `words`, the program's standard error. `None`: there was a connection, and it
/// ended as connections do.
pub(super) fn diagnose(words: &str, ending: Ending) -> Option<TlsFault> {
    let killed = match ending {
        Ending::Itself(status) if status.signal().is_some() => Some(TlsFault::Ended(status)),
        Ending::Itself(status) if status.code() == Some(CANNOT_BECOME) => {
            Some(TlsFault::Start(io::Error::other(shown(words.trim()))))
        }
        _ => None,
    };
    if let Some(fault) = certificate_fault(words) {
        return Some(TlsFault::Certificate(fault));
    }
    let reason = tls_reason(words);
    if was_verified(words) {
        // Many servers end without a word of TLS.
        let reason = reason.filter(|reason| !is_end(reason));
        return killed.or(reason.map(|reason| TlsFault::Tls(shown(reason))));
    }
    let before = connect_fault(words).or_else(|| reason.map(handshake_fault));
    let unknown = words.contains("nknown option");
    let old = || unknown.then_some(TlsFault::TooOld);
    let slow = || matches!(ending, Ending::Killed).then_some(TlsFault::TimedOut);
    before
        .or(killed)
        .or_else(old)
        .or_else(slow)
        .or(Some(TlsFault::Closed))
}

/// Whether the chain was accepted down to the server's own certificate.
fn was_verified(words: &str) -> bool {
    let mut lines = words.lines();
    let leaf = |line: &str| line.starts_with("depth=0 ");
    lines.any(leaf) && lines.next() == Some("verify return:1")
}

/// The first `verify error:num=NUMBER:TEXT`. The numbers are those of openssl-verification-options(1)
/// and x509_vfy.h.
fn certificate_fault(words: &str) -> Option<CertificateFault> {
    let mut lines = words.lines();
    let rest = lines.find_map(|line| line.strip_prefix("verify error:num="))?;
    let (number, text) = rest.split_once(':')?;
    Some(match number {
        "62" | "64" => CertificateFault::OtherHost,
        "10" => CertificateFault::Expired,
        "9" => CertificateFault::NotYetValid,
        "18" => CertificateFault::SelfSigned,
        "2" | "19" | "20" | "21" => CertificateFault::UnknownAuthority,
        _ => CertificateFault::Other(shown(text)),
    })
}

/// Why there is no connection under TLS: `connect:errno=NUMBER`, where 0 means that the name was not
/// found, and a line before says why.
fn connect_fault(words: &str) -> Option<TlsFault> {
    let mut lines = words.lines();
    let number = lines.find_map(|line| line.strip_prefix("connect:errno="))?;
    match number.trim().parse() {
        Ok(0) | Err(_) => {
            let mut errors = error_lines(words);
            let why = errors.find_map(|fields| fields.last().copied());
            Some(TlsFault::LookUp(shown(why.unwrap_or("name not known"))))
        }
        Ok(number) => Some(TlsFault::Connect(io::Error::from_raw_os_error(number))),
    }
}

/// Lines such as `407E:error:0A00010B:SSL routines:function:reason:file:line:more`, by field.
fn error_lines(words: &str) -> impl Iterator<Item = Vec<&str>> {
    let lines = words.lines().map(|line| line.split(':').collect());
    lines.filter(|fields: &Vec<&str>| fields.len() > 5 && fields[1] == "error")
}

/// What went wrong in TLS itself.
fn tls_reason(words: &str) -> Option<&str> {
    let mut errors = error_lines(words).filter(|fields| fields[3] == "SSL routines");
    errors.next().map(|fields| fields[5])
}

fn is_end(reason: &str) -> bool {
    reason.contains("unexpected eof")
}

fn handshake_fault(reason: &str) -> TlsFault {
    let not_tls = [
        "wrong version number",
        "packet length too long",
        "http request",
        "bad record type",
        "unknown protocol",
    ];
    match reason {
        reason if is_end(reason) => TlsFault::Closed,
        reason if not_tls.contains(&reason) => TlsFault::NotTls,
        reason => TlsFault::Tls(shown(reason)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAIN: &str = "depth=1 CN = CA\nverify return:1\ndepth=0 CN = a\n";

    fn exit(code: i32) -> Ending {
        Ending::Itself(ExitStatus::from_raw(code << 8))
    }

    fn ssl(reason: &str) -> String {
        format!("40A7:error:0A00010B:SSL routines:f:{reason}:x.c:350:\n")
    }

    fn check(words: &str, ending: Ending, want: &str) {
        let got = diagnose(words, ending).map_or(String::new(), |fault| fault.to_string());
        assert_eq!(got, want, "{words}");
    }

    #[test]
    fn the_fault_of_a_certificate_is_told_by_its_number() {
        let rows = [
            (62, "certificate is for another host"),
            (64, "certificate is for another host"),
            (10, "certificate has expired"),
            (9, "certificate is not valid yet"),
            (18, "certificate is self-signed"),
            (19, "certificate is from an unknown authority"),
            (20, "certificate is from an unknown authority"),
            (21, "certificate is from an unknown authority"),
            (66, "certificate is not accepted: some text"),
        ];
        for (number, want) in rows {
            let failed = ssl("certificate verify failed");
            let words = format!("{CHAIN}verify error:num={number}:some text\n{failed}");
            check(&words, exit(1), want);
        }
    }

    #[test]
    fn the_telling_line_is_found_before_there_is_a_connection() {
        let closed = "server closed in the TLS handshake; it may not speak TLS on this port";
        let refused = "4017:error:8000006F:system library:BIO_connect:Connection refused:b.c:117:calling connect()\n\
                       4017:error:10000067:BIO routines:BIO_connect:connect error:b.c:119:\n\
                       connect:errno=111\n";
        let unknown = "4017:error:10080002:BIO routines:BIO_lookup_ex:system lib:b.c:746:Name or service not known\n\
                       connect:errno=0\n";
        let not_tls = "server does not speak TLS on this port";
        let alert = "TLS failed: tlsv1 alert internal error";
        let rows = [
            (refused, "cannot connect: Connection refused (os error 111)"),
            (
                "connect:errno=113\n",
                "cannot connect: No route to host (os error 113)",
            ),
            (unknown, "cannot look up host: Name or service not known"),
            (&ssl("wrong version number"), not_tls),
            (&ssl("unexpected eof while reading"), closed),
            ("write:errno=104\n", closed),
            ("", closed),
            (&ssl("tlsv1 alert internal error"), alert),
            (
                "s_client: Unknown option: -nocommands\n",
                "openssl on PATH is older than version 3.0",
            ),
        ];
        for (words, want) in rows {
            check(words, exit(1), want);
        }
        check("", Ending::Killed, "timed out");
        let start = "Permission denied (os error 13)\n";
        check(
            start,
            exit(127),
            &format!("cannot start openssl: {}", start.trim()),
        );
    }

    #[test]
    fn a_connection_that_ends_as_others_do_has_no_fault_of_its_own() {
        let rows = [
            (String::new(), exit(0), ""),
            (String::new(), Ending::Killed, ""),
            (ssl("unexpected eof while reading"), exit(1), ""),
            ("read:errno=104\n".to_owned(), exit(1), ""),
            (
                ssl("tlsv13 alert certificate required"),
                exit(1),
                "TLS failed: tlsv13 alert certificate required",
            ),
            (
                String::new(),
                Ending::Itself(ExitStatus::from_raw(9)),
                "openssl was ended: signal: 9 (SIGKILL)",
            ),
        ];
        for (words, ending, want) in rows {
            check(&format!("{CHAIN}verify return:1\n{words}"), ending, want);
        }
    }
}
