//! Transparent huge pages.

use super::{Item, Outcome, chosen};
use crate::{Change, Readings, Remedy};

pub(super) const ITEM: Item = Item {
    name: "transparent-huge-pages",
    why: "With `always`, any page fault of any process may be answered with 2 MiB that must be found and zeroed first, \
          and khugepaged joins and moves pages behind the program's back. Both stop a shard for up to milliseconds, the \
          more the longer the machine has run and the more its memory is in pieces. With `madvise` only programs that \
          ask for huge pages get them.",
    change: "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled\n\
             # lasts until the next boot; to keep it: transparent_hugepage=madvise on the kernel's command line",
    undo: "echo always > /sys/kernel/mm/transparent_hugepage/enabled",
    remedy: Remedy::Files(changes),
    check,
};

const WANTED: &str = "madvise or never";

fn check(readings: &dyn Readings) -> Outcome {
    let path = "/sys/kernel/mm/transparent_hugepage/enabled";
    let text = match readings.text(path) {
        Ok(text) => text,
        Err(reason) => return Outcome::cannot_tell(WANTED, reason),
    };
    match chosen(&text) {
        Some(mode) => Outcome::judged(mode.into(), WANTED, ["madvise", "never"].contains(&mode)),
        None => Outcome::cannot_tell(WANTED, format!("{path} holds {text:?}, with nothing chosen")),
    }
}

fn changes(readings: &dyn Readings) -> Result<Vec<Change>, String> {
    Ok(vec![Change::of(readings, "/sys/kernel/mm/transparent_hugepage/enabled".into(), "madvise")?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Verdict, fake::Fake};

    fn outcome(text: &str) -> Outcome {
        check(&Fake::new().with("/sys/kernel/mm/transparent_hugepage/enabled", text))
    }

    #[test]
    fn madvise_and_never_are_good() {
        assert_eq!(outcome("always [madvise] never").verdict, Verdict::Good);
        assert_eq!(outcome("always madvise [never]").verdict, Verdict::Good);
    }

    #[test]
    fn always_could_be_better() {
        let outcome = outcome("[always] madvise never");
        assert_eq!((outcome.found.as_str(), outcome.verdict), ("always", Verdict::CouldBeBetter));
    }

    #[test]
    fn a_text_without_a_choice_cannot_be_told() {
        assert!(matches!(outcome("always madvise never").verdict, Verdict::CannotTell(_)));
    }
}
