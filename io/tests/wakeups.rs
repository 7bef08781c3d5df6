//! Lost wake-ups: one thing at a time goes round between shards by all the ways on which a shard is woken (messages, its
//! timer, helper threads, files, sockets), with pauses as long as it takes to fall asleep. Nothing else wakes anyone, so
//! a wake-up that is lost stops it for good.

use bytes::{Bytes, BytesMut};
use corelane_io::{DriverKind, DriverSettings, Running, ShardSettings, bind};
use corelane_seam::{
    Completion, ConnectionId, FileHandle, FileOperation, FileResult, ListenerId, Now, OpenHow, Operation,
    Part, Shard, ShardId, Token,
};
use std::{
    env,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

/// Longer than any pause that a loaded machine causes.
const SILENCE: Duration = Duration::from_secs(10);

/// How the thing goes on.
#[derive(Clone, Copy, Debug)]
enum Way {
    Message,
    Timer,
    Helper,
    File,
    Socket,
}

/// What all shards of a round know.
struct Round {
    shards: u16,
    steps: AtomicU64,
    last: Mutex<Option<(u16, Way)>>,
}

/// A shard that passes on whatever comes to it.
struct Passer {
    me: u16,
    round: Arc<Round>,
    random: u64,
    address: mpsc::Receiver<SocketAddr>,
    path: PathBuf,
    file: Option<FileHandle>,
    outgoing: Option<ConnectionId>,
    ready: mpsc::Sender<u16>,
}

impl Passer {
    fn below(&mut self, bound: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % bound
    }

    fn tell_when_ready(&self) {
        if self.file.is_some() && self.outgoing.is_some() {
            self.ready.send(self.me).expect("the test waits");
        }
    }

    fn pass_on(&mut self, now: Now, out: &mut Vec<Operation<()>>) {
        self.round.steps.fetch_add(1, Ordering::Relaxed);
        let begun = Instant::now();
        let work = Duration::from_micros(self.below(30));
        while begun.elapsed() < work {
            std::hint::spin_loop();
        }
        let (Some(file), Some(connection)) = (self.file.clone(), self.outgoing) else {
            unreachable!("ready")
        };
        let token = Token(2);
        let (way, operation) = match self.below(10) {
            0..5 => {
                let to = (u64::from(self.me) + 1 + self.below(u64::from(self.round.shards) - 1)) as u16;
                (Way::Message, Operation::Message { to: ShardId(to % self.round.shards), message: () })
            }
            5 => {
                let at = now.monotonic + Duration::from_micros(self.below(300));
                (Way::Timer, Operation::Timer { at })
            }
            6 => {
                let operation = FileOperation::Space { path: self.path.clone() };
                (Way::Helper, Operation::File { token, operation })
            }
            7 => {
                let operation = FileOperation::Read { file, offset: 0, len: 100 };
                (Way::File, Operation::File { token, operation })
            }
            _ => {
                let parts = vec![Part::Bytes(Bytes::from_static(b"x"))];
                (Way::Socket, Operation::Send { connection, parts })
            }
        };
        *self.round.last.lock().expect("no panic") = Some((self.me, way));
        out.push(operation);
    }
}

impl Shard for Passer {
    type Message = ();
    fn start(&mut self, _now: Now, out: &mut Vec<Operation<()>>) {
        let address = self.address.recv().expect("it is told");
        let (host, port) = (address.ip().to_string(), address.port());
        out.push(Operation::Connect { token: Token(0), host, port });
        let operation = FileOperation::Open { path: self.path.clone(), how: OpenHow::Read };
        out.push(Operation::File { token: Token(1), operation });
    }

    fn complete(&mut self, now: Now, completion: Completion<()>, out: &mut Vec<Operation<()>>) {
        match completion {
            Completion::Connected { result, .. } => {
                self.outgoing = Some(result.expect("connected"));
                self.tell_when_ready();
            }
            Completion::File { result: FileResult::Opened(opened), .. } => {
                self.file = Some(opened.expect("opened").0);
                self.tell_when_ready();
            }
            Completion::Accepted { connection, .. } => {
                out.push(Operation::Receive { connection, buffer: BytesMut::new() });
            }
            Completion::Received { bytes: 0, .. } | Completion::Sent { .. } | Completion::Closed { .. } => {}
            Completion::Received { connection, mut buffer, .. } => {
                buffer.clear();
                out.push(Operation::Receive { connection, buffer });
                // The first byte of all is the test's: whoever got it says so.
                self.pass_on(now, out);
            }
            Completion::Message { .. } | Completion::Timer | Completion::File { .. } => {
                self.pass_on(now, out)
            }
            Completion::Stop => out.push(Operation::Stopped),
        }
    }

    fn end_of_turn(&mut self, _now: Now, _out: &mut Vec<Operation<()>>) {}
    fn busy_with(&self) -> String {
        "passing on".to_owned()
    }
}

/// Shards among which one thing goes round.
struct World {
    running: Running,
    round: Arc<Round>,
    _directory: tempfile::TempDir,
    _first: std::net::TcpStream,
    name: String,
}

impl World {
    fn start(driver: DriverKind, shards: u16, one_on_glommio: bool, seed: u64) -> World {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let path = directory.path().join("file");
        std::fs::write(&path, [7; 200]).expect("written");
        let listens = vec![ListenerId(0)];
        let mut all = vec![ShardSettings { listens, ..ShardSettings::default() }; usize::from(shards)];
        all[usize::from(shards) - 1].on_glommio = one_on_glommio;
        let settings = DriverSettings::new(all, vec!["127.0.0.1:0".parse().expect("an address")]);
        let bound = bind(DriverSettings { driver, ..settings }).expect("bound");
        let address = bound.addresses()[0];
        let round = Arc::new(Round { shards, steps: AtomicU64::new(0), last: Mutex::default() });
        let (ready, is_ready) = mpsc::channel();
        let make: Vec<_> = (0..shards)
            .map(|me| {
                let (tell, told) = mpsc::channel();
                tell.send(address).expect("kept");
                let (round, path, ready) = (Arc::clone(&round), path.clone(), ready.clone());
                let random = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(me + 1);
                move || Passer { me, round, random, address: told, path, file: None, outgoing: None, ready }
            })
            .collect();
        let running = bound.run(make).expect("it runs");
        assert_eq!(is_ready.iter().take(usize::from(shards)).count(), usize::from(shards));
        // The thing: one byte from outside.
        let mut first = std::net::TcpStream::connect(address).expect("connected");
        std::io::Write::write_all(&mut first, b"x").expect("sent");
        let name = format!("{driver}, {shards} shards, one on glommio: {one_on_glommio}");
        World { running, round, _directory: directory, _first: first, name }
    }

    /// Waits until so many steps were made, or until this time.
    ///
    /// # Panics
    /// When no step is made for a long time.
    fn watch(&self, steps: u64, until: Option<Instant>) -> u64 {
        let (mut seen, mut moved) = (0, Instant::now());
        loop {
            let now = self.round.steps.load(Ordering::Relaxed);
            if now >= steps || until.is_some_and(|until| until <= Instant::now()) {
                return now;
            }
            if now != seen {
                (seen, moved) = (now, Instant::now());
            }
            let last = || *self.round.last.lock().expect("no panic");
            assert!(moved.elapsed() < SILENCE, "{}: lost after {now} steps, on {:?}", self.name, last());
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn end(self) {
        self.running.stop();
        self.running.join().expect("a clean end");
    }
}

fn no_wake_up_is_lost(driver: DriverKind, one_on_glommio: bool) {
    for shards in [2, 3] {
        let world = World::start(driver, shards, one_on_glommio, u64::from(shards));
        world.watch(10_000, None);
        world.end();
    }
}

#[test]
fn no_wake_up_is_lost_on_glommio() {
    no_wake_up_is_lost(DriverKind::Glommio, false);
}

#[test]
fn no_wake_up_is_lost_on_rings() {
    no_wake_up_is_lost(DriverKind::Ring, false);
}

#[test]
fn no_wake_up_is_lost_between_rings_and_glommio() {
    no_wake_up_is_lost(DriverKind::Ring, true);
}

#[test]
fn no_wake_up_is_lost_on_the_portable_driver() {
    no_wake_up_is_lost(DriverKind::Portable, false);
}

/// `cargo xtask soak wakeups`.
#[test]
#[ignore = "for as long as CORELANE_SOAK_SECONDS says"]
fn soak_of_wake_ups() {
    let number = |name| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seconds = number("CORELANE_SOAK_SECONDS").expect("CORELANE_SOAK_SECONDS");
    let name = env::var("CORELANE_TEST_DRIVER").expect("CORELANE_TEST_DRIVER");
    let driver = DriverKind::ALL.into_iter().find(|kind| kind.to_string() == name).expect("a driver");
    let seed = std::process::id().into();
    println!("seed {seed}");
    let worlds = [(2, false), (3, false), (3, driver == DriverKind::Ring)]
        .map(|(shards, one_on_glommio)| World::start(driver, shards, one_on_glommio, seed));
    let until = Instant::now() + Duration::from_secs(seconds);
    // Each has a watcher of its own, so that none is looked at late.
    thread::scope(|scope| {
        for world in worlds {
            scope.spawn(move || {
                println!("{}: {} steps", world.name, world.watch(u64::MAX, Some(until)));
                world.end();
            });
        }
    });
}
