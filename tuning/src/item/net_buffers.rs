//! How much a connection may have on its way.

use super::{Item, Outcome, number, size};
use crate::{Change, Readings, Remedy};

pub(super) const ITEM: Item = Item {
    name: "net-buffers",
    why: "A connection has no more on its way than the smaller of both ends' buffers: with too little a fetch of a megabyte \
          takes several round trips, and a follower far away falls behind whatever the line could carry. The kernel lets a \
          buffer grow as needed up to the third number of tcp_rmem and tcp_wmem. One that a program asks for \
          (socket.receive.buffer.bytes of Kafka's clients) it cuts to rmem_max or wmem_max without a word.",
    change: "sysctl -w net.ipv4.tcp_rmem='4096 131072 6291456' net.ipv4.tcp_wmem='4096 16384 4194304'\n\
             sysctl -w net.core.rmem_max=2097152 net.core.wmem_max=2097152\n\
             # to keep it: write all four as lines into /etc/sysctl.d/93-corelane.conf",
    undo: "# NUMBERS as they were before, in the undo that `tune apply` prints\n\
           sysctl -w net.ipv4.tcp_rmem='NUMBERS' net.ipv4.tcp_wmem='NUMBERS'\n\
           sysctl -w net.core.rmem_max=NUMBER net.core.wmem_max=NUMBER\n\
           rm -f /etc/sysctl.d/93-corelane.conf",
    remedy: Remedy::Files(changes),
    check,
};

/// What 10 gigabits a second hold in three milliseconds; the kernel's own default of sending.
const GROWS_TO_LEAST: u64 = 4 << 20;
/// What Kafka's documentation asks for where brokers are far apart, and twice that.
const ASKED_LEAST: u64 = 2 << 20;

const GROWN: [&str; 2] = ["/proc/sys/net/ipv4/tcp_rmem", "/proc/sys/net/ipv4/tcp_wmem"];
const ASKED: [&str; 2] = ["/proc/sys/net/core/rmem_max", "/proc/sys/net/core/wmem_max"];

/// Least, first and most of a buffer that grows.
fn three(readings: &dyn Readings, path: &str) -> Result<[u64; 3], String> {
    let text = readings.text(path)?;
    let numbers: Option<Vec<u64>> = text.split_whitespace().map(|number| number.parse().ok()).collect();
    let numbers = numbers.and_then(|numbers| <[u64; 3]>::try_from(numbers).ok());
    numbers.ok_or_else(|| format!("{path} holds {text:?}, not three numbers"))
}

fn check(readings: &dyn Readings) -> Outcome {
    let wanted = format!("{} grown, {} asked for", size(GROWS_TO_LEAST), size(ASKED_LEAST));
    judge(readings, &wanted).unwrap_or_else(|reason| Outcome::cannot_tell(wanted, reason))
}

fn judge(readings: &dyn Readings, wanted: &str) -> Result<Outcome, String> {
    let [receive, send] = [three(readings, GROWN[0])?[2], three(readings, GROWN[1])?[2]];
    let mut found = format!("{}, {} grown", size(receive), size(send));
    let mut is_good = receive.min(send) >= GROWS_TO_LEAST;
    // A network namespace of its own does not show them: the host's hold.
    if let [Ok(receive), Ok(send)] = ASKED.map(|path| number(readings, path)) {
        found += &format!("; {}, {} asked for", size(receive), size(send));
        is_good &= receive.min(send) >= ASKED_LEAST;
    }
    Ok(Outcome::judged(found, wanted, is_good))
}

fn changes(readings: &dyn Readings) -> Result<Vec<Change>, String> {
    let mut changes = Vec::new();
    for path in GROWN {
        let [least, first, most] = three(readings, path)?;
        if most < GROWS_TO_LEAST {
            let value = format!("{least} {first} {GROWS_TO_LEAST}");
            changes.push(Change::of(readings, path.into(), &value)?);
        }
    }
    for path in ASKED {
        if number(readings, path).is_ok_and(|most| most < ASKED_LEAST) {
            changes.push(Change::of(readings, path.into(), &ASKED_LEAST.to_string())?);
        }
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Verdict, fake::Fake};

    fn machine(receive: &str, send: &str) -> Fake {
        Fake::new().with(GROWN[0], receive).with(GROWN[1], send)
    }

    #[test]
    fn the_kernels_usual_growth_is_good_and_its_usual_bound_could_be_better() {
        let machine = machine("4096\t131072\t6291456", "4096\t16384\t4194304");
        let outcome = check(&machine);
        assert_eq!((outcome.found.as_str(), outcome.verdict), ("6 MiB, 4 MiB grown", Verdict::Good));
        let bounded = machine.with(ASKED[0], "212992").with(ASKED[1], "4194304");
        let outcome = check(&bounded);
        assert_eq!(outcome.found, "6 MiB, 4 MiB grown; 208 KiB, 4 MiB asked for");
        assert_eq!(outcome.verdict, Verdict::CouldBeBetter);
        let changes = changes(&bounded).expect("offered");
        assert_eq!(changes.len(), 1, "{changes:?}");
        assert_eq!((changes[0].to.value.as_str(), changes[0].undo.value.as_str()), ("2097152", "212992"));
    }

    #[test]
    fn small_growth_could_be_better_and_only_the_last_number_is_raised() {
        let machine = machine("4096\t87380\t1048576", "4096\t16384\t4194304");
        assert_eq!(check(&machine).verdict, Verdict::CouldBeBetter);
        let changes = changes(&machine).expect("offered");
        assert_eq!(changes[0].to.value, "4096 87380 4194304");
        assert_eq!(changes[0].undo.value, "4096 87380 1048576");
    }

    #[test]
    fn other_than_three_numbers_cannot_be_told() {
        assert!(matches!(check(&machine("4096 87380", "1 2 3")).verdict, Verdict::CannotTell(_)));
        assert!(matches!(check(&machine("1 2 3", "a b c")).verdict, Verdict::CannotTell(_)));
    }
}
