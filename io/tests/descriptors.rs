//! Running out of descriptors: accepting pauses and goes on when there are some again.

use bytes::BytesMut;
use corelane_io::{DriverKind, DriverSettings, ShardSettings, run};
use corelane_seam::{Completion, ListenerId, Now, Operation, Part, Shard};
use std::{fs::File, io::Read as _, net::TcpStream, time::Duration};

struct Greeter;

impl Shard for Greeter {
    type Message = ();
    fn start(&mut self, _now: Now, _out: &mut Vec<Operation<()>>) {}
    fn complete(&mut self, _now: Now, completion: Completion<()>, out: &mut Vec<Operation<()>>) {
        match completion {
            Completion::Accepted { connection, .. } => {
                out.push(Operation::Send { connection, parts: vec![Part::Bytes("hello".into())] });
            }
            Completion::Sent { connection } => {
                out.push(Operation::Receive { connection, buffer: BytesMut::new() });
            }
            Completion::Stop => out.push(Operation::Stopped),
            _ => {}
        }
    }
    fn end_of_turn(&mut self, _now: Now, _out: &mut Vec<Operation<()>>) {}
    fn busy_with(&self) -> String {
        "greeting".to_owned()
    }
}

fn limit_files(limit: u64) {
    let limit = libc::rlimit { rlim_cur: limit, rlim_max: 4096 };
    // SAFETY: the kernel reads one rlimit.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
}

#[test]
fn accepting_goes_on_when_descriptors_are_free_again() {
    // Before the driver starts: an accept that is armed keeps the limit of the moment at which it was asked for.
    limit_files(256);
    for driver in DriverKind::ALL {
        accepting_goes_on(driver);
    }
}

fn accepting_goes_on(driver: DriverKind) {
    let listens = vec![ShardSettings { listens: vec![ListenerId(0)], ..ShardSettings::default() }];
    let listeners = vec!["127.0.0.1:0".parse().expect("an address")];
    let settings = DriverSettings { driver, ..DriverSettings::new(listens, listeners) };
    let running = run(settings, vec![|| Greeter]).expect("it runs");
    let mut greeting = [0; 5];
    // A shard that has greeted someone opens nothing more by itself.
    let mut first = TcpStream::connect(running.addresses()[0]).expect("connected");
    first.read_exact(&mut greeting).expect("accepted");
    // All but one: the client gets it, the server none.
    let mut hoard: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    hoard.pop();
    let mut stream = TcpStream::connect(running.addresses()[0]).expect("connected: the backlog takes it");
    stream.set_read_timeout(Some(Duration::from_millis(300))).expect("a time-out");
    stream.read_exact(&mut greeting).expect_err("no descriptor to accept with");
    hoard.clear();
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out");
    stream.read_exact(&mut greeting).expect("accepted after all");
    assert_eq!(&greeting, b"hello");
    running.stop();
    running.join().expect("a clean end");
}
