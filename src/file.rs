//! Reading files that flags name: never more than they may hold, and never for good.

use crate::sys::{self, Woken};
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a pipe or a device is read: nobody may ever write to it, or end it.
pub(crate) const PIPE_LIMIT: Duration = Duration::from_secs(5);

/// Reads the file at `path`, of up to `len_max` bytes. What is no regular file, such as a pipe, has to
/// end within [`PIPE_LIMIT`].
///
/// # Errors
///
/// Those of the system; [`ErrorKind::FileTooLarge`], [`ErrorKind::TimedOut`].
pub(crate) fn read(path: &Path, len_max: u64) -> io::Result<Vec<u8>> {
    read_within(path, len_max, PIPE_LIMIT)
}

fn read_within(path: &Path, len_max: u64, limit: Duration) -> io::Result<Vec<u8>> {
    let file = sys::open_at_once(path)?;
    let kind = file.metadata()?.file_type();
    let mut file = file.take(len_max + 1);
    let mut bytes = Vec::new();
    match kind.is_file() || kind.is_dir() {
        true => file.read_to_end(&mut bytes).map(drop)?,
        false => read_pipe(file, &mut bytes, limit)?,
    }
    match bytes.len() as u64 > len_max {
        true => Err(io::Error::new(
            ErrorKind::FileTooLarge,
            format!("longer than {len_max} bytes"),
        )),
        false => Ok(bytes),
    }
}

fn read_pipe(mut file: io::Take<File>, bytes: &mut Vec<u8>, limit: Duration) -> io::Result<()> {
    let end = Instant::now() + limit;
    loop {
        match sys::wait_readable(file.get_ref().as_fd(), None, end)? {
            Woken::Ready | Woken::Stopped => {}
            Woken::TimedOut => {
                let text = format!("no regular file, and has not ended within {limit:?}");
                return Err(io::Error::new(ErrorKind::TimedOut, text));
            }
        }
        // All that there is now: an end, or that there is no more for now.
        match file.read_to_end(bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            done => return done.map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync;
    use std::io::Write;
    use std::os::fd::AsRawFd;

    /// Much longer than a test may take.
    const LONG: Duration = Duration::from_secs(60);

    fn failure(path: &str, limit: Duration) -> String {
        read_within(Path::new(path), 1000, limit)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn what_never_ends_is_not_read_for_good() {
        let (reader, writer) = io::pipe().unwrap();
        // What opens it here is the pipe itself.
        let path = format!("/proc/self/fd/{}", reader.as_raw_fd());
        let limit = Duration::from_millis(20);
        let slow = "no regular file, and has not ended within 20ms";
        let rows = [
            (&*path, limit, slow),
            ("/dev/zero", LONG, "longer than 1000 bytes"),
            ("/", LONG, "Is a directory (os error 21)"),
            ("/nowhere", LONG, "No such file or directory (os error 2)"),
        ];
        for (path, limit, want) in rows {
            assert_eq!(failure(path, limit), want, "{path}");
        }
        (&writer).write_all(b"a part").unwrap();
        assert_eq!(failure(&path, limit), slow);
        (&writer).write_all(&[b'x'; 1001]).unwrap();
        assert_eq!(failure(&path, LONG), "longer than 1000 bytes");
    }

    #[test]
    fn what_ends_is_read_whole() {
        let (reader, writer) = io::pipe().unwrap();
        let path = format!("/proc/self/fd/{}", reader.as_raw_fd());
        let writes = sync::spawn("writes", sync::SHALLOW_STACK_LEN, move || {
            for _ in 0..10 {
                (&writer).write_all(&[b'x'; 100]).unwrap();
                std::thread::yield_now();
            }
        });
        let read = read_within(Path::new(&path), 1000, LONG).unwrap();
        assert_eq!(read, [b'x'; 1000]);
        writes.unwrap().join().unwrap();
        assert_eq!(read_within(Path::new("/dev/null"), 0, LONG).unwrap(), []);
    }
}
