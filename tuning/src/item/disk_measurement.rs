//! Whether the disk was measured.

use super::{Item, Outcome};
use crate::{Measurement, Readings, Remedy, device_identity};

pub(super) const ITEM: Item = Item {
    name: "disk-measurement",
    why: "How much the journal writes before it flushes, how much may wait in front of it, and how large it may grow so that \
          a restart stays short depend on the disk. A broker that finds a measurement of its disk takes these from it; \
          else it takes values that fit most disks.",
    change: "# with the broker stopped; takes about half a minute\n\
             corelane tune measure --dir DIRECTORY\n\
             # the broker reads it at its next start, and says so",
    undo: "rm DIRECTORY/disk.properties    # and restart",
    remedy: Remedy::ByHand("run `corelane tune measure` while the broker is stopped"),
    check,
};

const WANTED: &str = "of this device";

fn check(readings: &dyn Readings) -> Outcome {
    match readings.measurement() {
        Measurement::Missing => Outcome::judged("none".into(), WANTED, false),
        Measurement::Damaged(reason) => Outcome::judged(format!("damaged: {reason}"), WANTED, false),
        Measurement::Taken { device, unix_s } => {
            let age = told_age(readings.probe().clock.unix_ms / 1000 - unix_s);
            match device_identity(readings) {
                Ok(present) if present == *device => {
                    Outcome::judged(format!("{age}, of this device"), WANTED, true)
                }
                Ok(_) => Outcome::judged(format!("{age}, of another device"), WANTED, false),
                Err(reason) => Outcome::cannot_tell(WANTED, reason),
            }
        }
    }
}

fn told_age(seconds: i64) -> String {
    let days = seconds / (24 * 3600);
    match seconds {
        i64::MIN..0 => "of a later time than now".into(),
        0..172_800 => format!("{} hours old", seconds / 3600),
        172_800.. => format!("{days} days old"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Verdict, fake::Fake};

    /// Measured on a disk with the serial `A`, ten days before now.
    fn machine(serial: &str, measurement: Measurement) -> Fake {
        let disk = Fake::new().with_disks(&["vda"]).with("/sys/block/vda/serial", serial);
        let mut machine = disk.with("/sys/block/vda/size", "8");
        machine.probe.clock.unix_ms = 864_000_000;
        machine.measurement = measurement;
        machine
    }

    fn taken() -> Measurement {
        Measurement::Taken { device: "A of 8 sectors".into(), unix_s: 0 }
    }

    #[test]
    fn one_of_this_device_is_good_and_its_age_is_told() {
        let outcome = check(&machine("A", taken()));
        assert_eq!((outcome.found.as_str(), outcome.verdict), ("10 days old, of this device", Verdict::Good));
        assert_eq!(told_age(7200), "2 hours old");
        assert_eq!(told_age(-1), "of a later time than now");
    }

    #[test]
    fn one_of_another_device_could_be_better() {
        let outcome = check(&machine("B", taken()));
        assert_eq!(outcome.found, "10 days old, of another device");
        assert_eq!(outcome.verdict, Verdict::CouldBeBetter);
    }

    #[test]
    fn none_and_a_damaged_one_could_be_better() {
        assert_eq!(check(&machine("A", Measurement::Missing)).verdict, Verdict::CouldBeBetter);
        let outcome = check(&machine("A", Measurement::Damaged("it has no version".into())));
        assert_eq!(outcome.found, "damaged: it has no version");
        assert_eq!(outcome.verdict, Verdict::CouldBeBetter);
    }

    #[test]
    fn of_an_unknown_device_nothing_can_be_told() {
        let mut machine = Fake::new();
        machine.measurement = taken();
        assert!(matches!(check(&machine).verdict, Verdict::CannotTell(_)));
    }
}
