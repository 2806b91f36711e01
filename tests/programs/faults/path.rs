//! A network path between two addresses of this machine that delays, loses, reorders, doubles and
//! holds up packets. The kernel routes all that is for the far address to a TUN device; here each
//! packet gets its two addresses exchanged, and goes back as one from the far address to the near one.
//! So both ends are sockets of this machine, with the kernel's real TCP between them. An exchange of
//! addresses leaves the checksums right.

use crate::support::wait_until;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// What may wait in front of a slow path; more is lost, as in a router.
const BACKLOG_MAX: Duration = Duration::from_secs(1);

/// How much later than those behind it a packet comes that is overtaken.
const OVERTAKEN: Duration = Duration::from_millis(15);

/// What happens to packets, in each direction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Conditions {
    pub delay: Duration,
    /// Of a thousand packets.
    pub lost: u32,
    pub overtaken: u32,
    pub doubled: u32,
    /// Bits in a second of each connection; 0: no limit.
    pub rate: u64,
    /// Nothing comes through.
    pub cut: bool,
}

/// Such a path; dropping it removes it.
pub struct Path {
    socat: Child,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    near: IpAddr,
    far: IpAddr,
    files: [PathBuf; 2],
}

struct Shared {
    socket: UnixDatagram,
    packets: Mutex<Packets>,
    more: Condvar,
}

struct Packets {
    conditions: Conditions,
    waiting: BinaryHeap<Reverse<(Instant, u64, Vec<u8>)>>,
    /// When the line is free again, for each connection and direction.
    lines: HashMap<[u8; 4], Instant>,
    /// Packets so far, and those that were lost.
    count: u64,
    lost: u64,
    seed: u64,
    is_over: bool,
}

/// Whether there can be such paths here; says why not.
pub fn are_possible() -> bool {
    let has_socat = Command::new("socat")
        .arg("-V")
        .stdout(Stdio::null())
        .status();
    let why = match has_socat {
        Err(_) => "there is no socat",
        Ok(_) if !std::path::Path::new("/dev/net/tun").exists() => "there is no /dev/net/tun",
        Ok(_) => return super::as_root("networks that delay and lose packets"),
    };
    println!("networks that delay and lose packets are not shown, since {why}");
    false
}

impl Path {
    pub fn new(conditions: Conditions) -> Path {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // From the addresses that are for such tests (RFC 2544), four for each path.
        let process = std::process::id() % 512;
        let block = 0xc612_0000 + (process << 8) + ((number % 64) << 2);
        let [near, far] = [1, 2].map(|host| IpAddr::from(Ipv4Addr::from_bits(block + host)));
        let name = |side| std::env::temp_dir().join(format!("rtmp-path-{near}.{side}"));
        let files = ["device", "path"].map(name);
        files
            .iter()
            .for_each(|file| drop(std::fs::remove_file(file)));
        let socket = UnixDatagram::bind(&files[1]).expect("a socket");
        socket
            .set_read_timeout(Some(Duration::from_millis(100)))
            .expect("timeout");
        let device = format!("TUN:{near}/30,up,iff-no-pi,tun-type=tun");
        let other = format!(
            "UNIX-SENDTO:{},bind={}",
            files[1].display(),
            files[0].display()
        );
        let socat = Command::new("socat")
            .args([device, other])
            .spawn()
            .expect("socat");
        wait_until("the device", || {
            files[0].exists() && TcpListener::bind((near, 0)).is_ok()
        });
        socket.connect(&files[0]).expect("connect");
        let shared = Arc::new(Shared {
            socket,
            packets: Mutex::new(Packets {
                conditions,
                waiting: BinaryHeap::new(),
                lines: HashMap::new(),
                count: 0,
                lost: 0,
                seed: 0x9e37_79b9_7f4a_7c15 ^ u64::from(number),
                is_over: false,
            }),
            more: Condvar::new(),
        });
        let (taking, giving) = (shared.clone(), shared.clone());
        let threads = vec![
            thread::spawn(move || taking.take_all()),
            thread::spawn(move || giving.give_all()),
        ];
        Path {
            socat,
            shared,
            threads,
            near,
            far,
            files,
        }
    }

    /// Where a server has to listen.
    pub fn near(&self) -> IpAddr {
        self.near
    }

    /// The way over this path to a port of the near address.
    pub fn to(&self, addr: SocketAddr) -> SocketAddr {
        SocketAddr::new(self.far, addr.port())
    }

    /// Lets nothing through any more, or all again.
    pub fn set_cut(&self, cut: bool) {
        self.shared.packets().conditions.cut = cut;
    }

    /// Packets so far, and those that were lost.
    pub fn counts(&self) -> (u64, u64) {
        let packets = self.shared.packets();
        (packets.count, packets.lost)
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        self.shared.packets().is_over = true;
        self.shared.more.notify_all();
        let _ = self.socat.kill();
        let _ = self.socat.wait();
        self.threads
            .drain(..)
            .for_each(|thread| drop(thread.join()));
        self.files
            .iter()
            .for_each(|file| drop(std::fs::remove_file(file)));
    }
}

impl Shared {
    fn packets(&self) -> MutexGuard<'_, Packets> {
        self.packets.lock().expect("packets")
    }

    fn take_all(&self) {
        let mut buffer = [0; 2048];
        loop {
            let len = match self.socket.recv(&mut buffer) {
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                Err(_) => return,
            };
            let mut packets = self.packets();
            if packets.is_over {
                return;
            }
            // IPv4 and TCP, without options of IP.
            if len >= 40 && buffer[0] == 0x45 && buffer[9] == 6 {
                packets.take(&buffer[..len]);
                self.more.notify_all();
            }
        }
    }

    fn give_all(&self) {
        let mut packets = self.packets();
        while !packets.is_over {
            let now = Instant::now();
            let next = packets.waiting.peek().map(|Reverse((due, ..))| *due);
            match next {
                Some(due) if due <= now => {
                    let Some(Reverse((.., packet))) = packets.waiting.pop() else {
                        continue;
                    };
                    drop(packets);
                    // It fails when the device is gone.
                    let _ = self.socket.send(&packet);
                    packets = self.packets();
                }
                _ => {
                    let wait = next.map_or(Duration::from_secs(1), |due| due - now);
                    packets = self.more.wait_timeout(packets, wait).expect("packets").0;
                }
            }
        }
    }
}

impl Packets {
    /// True for so many of a thousand.
    fn chance(&mut self, of_thousand: u32) -> bool {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % 1000 < u64::from(of_thousand)
    }

    fn take(&mut self, packet: &[u8]) {
        let conditions = self.conditions;
        self.count += 1;
        let Some(sent) = self.time_sent(packet) else {
            self.lost += 1;
            return;
        };
        if conditions.cut || self.chance(conditions.lost) {
            self.lost += 1;
            return;
        }
        let late = match self.chance(conditions.overtaken) {
            true => OVERTAKEN,
            false => Duration::ZERO,
        };
        let due = sent + conditions.delay + late;
        let exchanged = [
            &packet[..12],
            &packet[16..20],
            &packet[12..16],
            &packet[20..],
        ]
        .concat();
        for copy in 0..=u64::from(self.chance(conditions.doubled)) {
            let order = self.count * 2 + copy;
            self.waiting.push(Reverse((due, order, exchanged.clone())));
        }
    }

    /// When the line has sent the packet; `None`: too much waits in front of it.
    fn time_sent(&mut self, packet: &[u8]) -> Option<Instant> {
        let now = Instant::now();
        if self.conditions.rate == 0 {
            return Some(now);
        }
        let ports = [packet[20], packet[21], packet[22], packet[23]];
        let free = self.lines.entry(ports).or_insert(now);
        let begins = (*free).max(now);
        if begins - now > BACKLOG_MAX {
            return None;
        }
        let bits = packet.len() as u64 * 8;
        *free = begins + Duration::from_micros(bits * 1_000_000 / self.conditions.rate);
        Some(*free)
    }
}
