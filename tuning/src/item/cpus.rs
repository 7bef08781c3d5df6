//! Sets of CPUs as the kernel writes them: lists (`0-3,8`) and masks (`ff,0000000f`).

use crate::Readings;
use std::collections::BTreeSet;

/// The CPUs that are up, in order.
pub(super) fn online(readings: &dyn Readings) -> Result<Vec<usize>, String> {
    let path = "/sys/devices/system/cpu/online";
    let text = readings.text(path)?;
    match of_list(&text) {
        Some(cpus) if !cpus.is_empty() => Ok(cpus),
        Some(_) | None => Err(format!("{path} holds {text:?}, not CPUs")),
    }
}

/// More CPUs than any kernel is built for: what names more is no list of CPUs.
const CPUS_MAX: usize = 1 << 16;

/// The members of a list, in order. NUMA nodes are listed in the same way.
pub(super) fn of_list(text: &str) -> Option<Vec<usize>> {
    let mut cpus = BTreeSet::new();
    for part in text.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        if last >= CPUS_MAX {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus.into_iter().collect())
}

/// The members of a mask, in order.
pub(super) fn of_mask(text: &str) -> Option<Vec<usize>> {
    let digits = text.trim().chars().filter(|char| *char != ',').rev();
    let mut cpus = Vec::new();
    for (index, digit) in digits.enumerate() {
        let bits = digit.to_digit(16)?;
        cpus.extend((0..4).filter(|bit| bits & (1 << bit) != 0).map(|bit| index * 4 + bit));
    }
    Some(cpus)
}

/// The mask of these CPUs, with as many digits as `like` has, as the kernel will show it.
pub(super) fn to_mask(cpus: &[usize], like: &str) -> String {
    let wanted = like.chars().filter(char::is_ascii_hexdigit).count();
    let needed = cpus.iter().max().map_or(1, |cpu| cpu / 4 + 1);
    let mut mask = String::new();
    for index in (0..wanted.max(needed)).rev() {
        let bits: u32 = (0..4).filter(|bit| cpus.contains(&(index * 4 + bit))).map(|bit| 1 << bit).sum();
        mask.push(char::from_digit(bits, 16).expect("four bits"));
        if index > 0 && index.is_multiple_of(8) {
            mask.push(',');
        }
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_with_its_ranges() {
        assert_eq!(of_list("0-3,8,10-11\n"), Some(vec![0, 1, 2, 3, 8, 10, 11]));
        assert_eq!(of_list(""), Some(vec![]));
        for text in ["a", "3-", "0-4294967295", "99999999999999999999"] {
            assert_eq!(of_list(text), None, "{text}");
        }
    }

    #[test]
    fn a_mask_is_read_whatever_its_width() {
        assert_eq!(of_mask("3"), Some(vec![0, 1]));
        assert_eq!(of_mask("00000001,80000001"), Some(vec![0, 31, 32]));
        assert_eq!(of_mask("0"), Some(vec![]));
        assert_eq!(of_mask("x"), None);
    }

    #[test]
    fn a_mask_is_written_as_the_kernel_will_show_it() {
        assert_eq!(to_mask(&[0, 1], "0"), "3");
        assert_eq!(to_mask(&[0, 1], "00"), "03");
        assert_eq!(to_mask(&[0, 31, 32], "0000,00000000"), "0001,80000001");
        assert_eq!(to_mask(&[4], "0"), "10", "wider where it must be");
        assert_eq!(to_mask(&[], "00"), "00");
    }

    #[test]
    fn a_machine_that_hides_its_cpus_is_told() {
        let fake = crate::fake::Fake::new();
        assert!(online(&fake).is_err());
        assert!(online(&fake.with("/sys/devices/system/cpu/online", "")).is_err());
    }
}
