//! Measures the driver: an echo server of one shard, and so many round trips from so many connections, while
//! `strace -fc` or `perf` looks on. `cargo run --example echo -- <connections> <rounds> <idle seconds> <driver>`.

use bytes::BytesMut;
use corelane_io::{DriverKind, DriverSettings, ShardSettings, run};
use corelane_seam::{Completion, ListenerId, Now, Operation, Part, Shard};
use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

struct Echo;

impl Shard for Echo {
    type Message = ();
    fn start(&mut self, _now: Now, _out: &mut Vec<Operation<()>>) {}
    fn complete(&mut self, _now: Now, completion: Completion<()>, out: &mut Vec<Operation<()>>) {
        match completion {
            Completion::Accepted { connection, .. } | Completion::Sent { connection } => {
                out.push(Operation::Receive { connection, buffer: BytesMut::with_capacity(4096) });
            }
            Completion::Received { connection, bytes: 0, .. } => out.push(Operation::Close { connection }),
            Completion::Received { connection, buffer, .. } => {
                out.push(Operation::Send { connection, parts: vec![Part::Bytes(buffer.freeze())] });
            }
            Completion::Stop => out.push(Operation::Stopped),
            Completion::Connected { .. }
            | Completion::Closed { .. }
            | Completion::File { .. }
            | Completion::Message { .. }
            | Completion::Timer => {}
        }
    }
    fn end_of_turn(&mut self, _now: Now, _out: &mut Vec<Operation<()>>) {}
    fn busy_with(&self) -> String {
        "echo".to_owned()
    }
}

fn cpu_seconds() -> f64 {
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    // SAFETY: `rusage` is plain data for which zero is valid; the kernel writes one.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        seconds(usage.ru_utime) + seconds(usage.ru_stime)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = std::env::args().nth(4).unwrap_or_else(|| DriverKind::default().to_string());
    let driver = DriverKind::ALL.into_iter().find(|kind| kind.to_string() == name).ok_or("no such driver")?;
    let mut arguments = std::env::args().skip(1).take(3).map(|argument| argument.parse::<u64>());
    let mut next = |default| arguments.next().transpose().map(|number| number.unwrap_or(default));
    let (connections, rounds, idle) = (next(16)?, next(1_000)?, next(0)?);
    let shards = vec![ShardSettings { listens: vec![ListenerId(0)], ..ShardSettings::default() }];
    let settings = DriverSettings::new(shards, vec!["127.0.0.1:0".parse()?]);
    let running = run(DriverSettings { driver, ..settings }, vec![|| Echo])?;
    let mut streams = Vec::new();
    for _ in 0..connections {
        let stream = TcpStream::connect(running.addresses()[0])?;
        stream.set_nodelay(true)?;
        streams.push(stream);
    }
    let (begun, cpu_before) = (Instant::now(), cpu_seconds());
    let mut buffer = [7; 128];
    for _ in 0..rounds {
        for stream in &mut streams {
            stream.write_all(&buffer)?;
        }
        for stream in &mut streams {
            stream.read_exact(&mut buffer)?;
        }
    }
    let requests = (rounds * connections) as f64;
    println!(
        "{requests} requests, {:.1} µs each; the process, its client included, used {:.1} µs of CPU each",
        begun.elapsed().as_secs_f64() * 1e6 / requests,
        (cpu_seconds() - cpu_before) * 1e6 / requests
    );
    if idle > 0 {
        std::thread::sleep(Duration::from_secs(2));
        let before = cpu_seconds();
        std::thread::sleep(Duration::from_secs(idle));
        println!("idle: {:.2} % of a core", (cpu_seconds() - before) / idle as f64 * 100.0);
    }
    running.stop();
    running.join()?;
    Ok(())
}
