//! Damage to a frame, of the kinds that hostile or broken peers do.

use crate::values::Values;

/// What breaks decoders most: extremes of lengths and counts, in both their encodings.
const EXTREMES: [&[u8]; 10] = [
    &[0x00],
    &[0x01],
    &[0x7f],
    &[0xff],
    &[0x7f, 0xff],
    &[0x7f, 0xff, 0xff, 0xff],
    &[0xff, 0xff, 0xff, 0xfe],
    &[0x00, 0x01, 0x00, 0x00],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0x80, 0x80, 0x80, 0x80, 0x08],
];

/// One to four changes somewhere behind key and version.
pub fn mutate(random: &mut Values, frame: &mut Vec<u8>) {
    for _ in 0..=random.below(4) {
        let at = 4 + random.below(frame.len().saturating_sub(4).max(1));
        let at = at.min(frame.len());
        match random.below(5) {
            0 => {
                if let Some(byte) = frame.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
            1 | 2 => {
                let extreme = EXTREMES[random.below(EXTREMES.len())];
                let end = (at + extreme.len()).min(frame.len());
                frame[at..end].copy_from_slice(&extreme[..end - at]);
            }
            3 => {
                let end = (at + random.below(16)).min(frame.len());
                frame.drain(at..end);
            }
            _ => {
                let filler = EXTREMES[random.below(EXTREMES.len())][0];
                let many = if random.below(20) == 0 { 40_000 } else { random.below(64) };
                frame.splice(at..at, std::iter::repeat_n(filler, many));
            }
        }
    }
}
