//! The write cache of the data directory's disks.

use super::{Item, Outcome, of_each_disk};
use crate::{Readings, Remedy, Verdict};

pub(super) const ITEM: Item = Item {
    name: "write-cache",
    why: "Nothing is acknowledged before it is flushed. A disk with a cache that a power cut empties (`write back`) must \
          empty it to the medium at each flush, and on disks for the desk that takes milliseconds. A disk with \
          power-loss protection has nothing to empty: it reports `write through`, and a flush costs next to nothing. \
          This is a matter of which disk one buys more than of a setting.",
    change: "# best: a disk with power-loss protection (its data sheet says PLP)\n\
             # else switch the disk's own cache off and measure; some disks become slower by it\n\
             nvme set-feature /dev/DISK -f 6 -v 0    # NVMe\n\
             hdparm -W 0 /dev/DISK                   # SATA\n\
             sdparm --clear=WCE /dev/DISK            # SAS\n\
             # NEVER write `write through` into /sys/block/DISK/queue/write_cache: the cache stays on,\n\
             # the kernel no longer flushes it, and a power cut loses what was acknowledged",
    undo: "nvme set-feature /dev/DISK -f 6 -v 1    # NVMe\n\
           hdparm -W 1 /dev/DISK                   # SATA\n\
           sdparm --set=WCE /dev/DISK              # SAS",
    remedy: Remedy::ByHand("a matter of which disk one has; measure before a cache is switched off"),
    check,
};

const WANTED: &str = "write through";

fn check(readings: &dyn Readings) -> Outcome {
    judge(readings).unwrap_or_else(|reason| Outcome::cannot_tell(WANTED, reason))
}

fn judge(readings: &dyn Readings) -> Result<Outcome, String> {
    let caches = of_each_disk(readings, "write_cache")?;
    let found = caches.iter().map(|(disk, cache)| format!("{cache} ({disk})")).collect::<Vec<_>>().join(", ");
    if let Some((disk, cache)) =
        caches.iter().find(|(_, cache)| !["write back", WANTED].contains(&cache.as_str()))
    {
        let verdict =
            Verdict::CannotTell(format!("{disk} has a write cache {cache:?}, which is not known here"));
        return Ok(Outcome { found, wanted: WANTED.into(), verdict });
    }
    Ok(Outcome::judged(found, WANTED, caches.iter().all(|(_, cache)| cache == WANTED)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    fn outcome(caches: &[(&str, &str)]) -> Outcome {
        let names: Vec<_> = caches.iter().map(|(name, _)| *name).collect();
        check(&caches.iter().fold(Fake::new().with_disks(&names), |machine, (name, cache)| {
            machine.with(&format!("/sys/block/{name}/queue/write_cache"), cache)
        }))
    }

    #[test]
    fn write_through_is_good() {
        let outcome = outcome(&[("nvme0n1", "write through")]);
        assert_eq!((outcome.found.as_str(), outcome.verdict), ("write through (nvme0n1)", Verdict::Good));
    }

    #[test]
    fn one_cache_to_be_emptied_could_be_better() {
        let outcome = outcome(&[("sda", "write through"), ("sdb", "write back")]);
        assert_eq!(outcome.found, "write through (sda), write back (sdb)");
        assert_eq!(outcome.verdict, Verdict::CouldBeBetter);
    }

    #[test]
    fn an_unknown_kind_of_cache_cannot_be_told() {
        assert!(matches!(outcome(&[("sda", "write sideways")]).verdict, Verdict::CannotTell(_)));
    }
}
