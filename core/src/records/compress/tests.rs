use super::*;
use proptest::prelude::*;

fn pack(codec: Codec, plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    compress(codec, &mut &plain[..], &mut out).expect("memory to memory");
    out
}

fn unpack_within(codec: Codec, body: &[u8], bound: usize) -> Result<Vec<u8>, DecompressFault> {
    let mut scratch = Scratch::new();
    let mut out = Vec::new();
    let mut reader = scratch.decompress(codec, body, bound)?;
    reader.read_to_end(&mut out).map_err(|error| fault_of(error, codec))?;
    Ok(out)
}

fn unpack(codec: Codec, body: &[u8]) -> Result<Vec<u8>, DecompressFault> {
    unpack_within(codec, body, decompressed_bytes_max(body.len()))
}

fn sample(bytes: usize) -> Vec<u8> {
    (0_u32..).flat_map(|n| format!("line {} of text\n", n % 997).into_bytes()).take(bytes).collect()
}

#[test]
fn every_codec_gives_back_what_it_was_given() {
    for codec in Codec::ALL {
        for bytes in [1, 100, 32 * 1024, 64 * 1024, 64 * 1024 + 1, 1_000_000] {
            let plain = sample(bytes);
            assert!(unpack(codec, &pack(codec, &plain)) == Ok(plain), "{codec:?} of {bytes}");
        }
    }
}

#[test]
fn contexts_serve_one_batch_after_another_and_after_damage() {
    let mut scratch = Scratch::new();
    let plain = sample(100_000);
    for codec in Codec::ALL.into_iter().chain(Codec::ALL) {
        let packed = pack(codec, &plain);
        let damaged = &packed[..packed.len() / 2];
        if let Ok(mut reader) = scratch.decompress(codec, damaged, 1 << 20) {
            let _ = reader.read_to_end(&mut Vec::new());
        }
        let mut out = Vec::new();
        let mut reader = scratch.decompress(codec, &packed, 1 << 20).expect("opens");
        reader.read_to_end(&mut out).expect("whole");
        assert!(out == plain, "{codec:?}");
    }
}

#[test]
fn output_ends_at_the_bound() {
    let plain = sample(200_000);
    for codec in Codec::ALL {
        let packed = pack(codec, &plain);
        assert!(unpack_within(codec, &packed, plain.len()).is_ok());
        let bound = plain.len() - 1;
        assert_eq!(
            unpack_within(codec, &packed, bound),
            Err(DecompressFault::TooLarge { bound }),
            "{codec:?}"
        );
    }
}

#[test]
fn a_cut_off_body_is_damage() {
    let plain = sample(200_000);
    for codec in [Codec::Gzip, Codec::Lz4, Codec::Zstd] {
        let packed = pack(codec, &plain);
        for cut in [1, 5, packed.len() / 2, packed.len() - 1] {
            let fault = unpack(codec, &packed[..packed.len() - cut]);
            assert!(matches!(fault, Err(DecompressFault::Damaged { .. })), "{codec:?} less {cut}");
        }
    }
}

#[test]
fn snappy_is_read_bare_and_framed() {
    let plain = sample(100_000);
    let bare = snap::raw::Encoder::new().compress_vec(&plain).expect("small");
    assert!(unpack(Codec::Snappy, &bare) == Ok(plain.clone()));
    let framed = pack(Codec::Snappy, &plain);
    assert!(framed.starts_with(b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01"));
    // Streams may follow each other.
    assert!(
        unpack(Codec::Snappy, &[&framed[..], &framed[..]].concat()) == Ok([&plain[..], &plain[..]].concat())
    );
}

#[test]
fn seven_bytes_of_snappy_do_not_get_4_gib() {
    let claim = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0];
    let mut scratch = Scratch::new();
    let mut reader = scratch.decompress(Codec::Snappy, &claim, usize::MAX).expect("opens");
    assert!(reader.read_to_end(&mut Vec::new()).is_err());
    drop(reader);
    assert_eq!(scratch.snappy_block.capacity(), 0);
    // Within the bound, but more than such a block can hold.
    assert!(matches!(unpack(Codec::Snappy, &[0x80, 0x80, 0x80, 1, 0]), Err(DecompressFault::Damaged { .. })));
}

#[test]
fn the_expansion_that_is_allowed_for_snappy_is_what_it_can_reach() {
    let zeros = vec![0; 1_000_000];
    assert!(unpack(Codec::Snappy, &pack(Codec::Snappy, &zeros)) == Ok(zeros));
}

#[test]
fn lz4_that_java_clients_cannot_read_is_refused() {
    let plain = sample(200_000);
    let good = pack(Codec::Lz4, &plain);
    let refused = |body: &[u8], why: &str| match unpack(Codec::Lz4, body) {
        Err(DecompressFault::Damaged { detail, .. }) => assert!(detail.contains(why), "{detail}"),
        other => panic!("{why}: {:?}", other.map(|plain| plain.len())),
    };
    let frame = lz4_flex::frame::FrameInfo::new().block_mode(lz4_flex::frame::BlockMode::Linked);
    let mut linked = lz4_flex::frame::FrameEncoder::with_frame_info(frame, Vec::new());
    linked.write_all(&plain).expect("memory");
    refused(&linked.finish().expect("memory"), "linked");
    refused(&[&good[..], &good[..]].concat(), "behind");
    refused(&good[..good.len() - 4], "end mark");
    refused(&[&0x184C_2102_u32.to_le_bytes()[..], &good[4..]].concat(), "not an LZ4 frame");
    refused(&[], "header");
}

#[test]
fn a_zstd_context_that_a_large_window_blew_up_is_not_kept() {
    let mut packed = Vec::new();
    let mut encoder = zstd::stream::write::Encoder::new(&mut packed, 1).expect("context");
    encoder.window_log(25).expect("allowed");
    encoder.write_all(&sample(1_000)).expect("memory");
    encoder.finish().expect("memory");
    let mut scratch = Scratch::new();
    let mut reader = scratch.decompress(Codec::Zstd, &packed, 1 << 20).expect("opens");
    reader.read_to_end(&mut Vec::new()).expect("whole");
    drop(reader);
    assert!(scratch.zstd.as_ref().expect("used").sizeof() > ZSTD_KEPT_BYTES_MAX);
    scratch.give_back_excess();
    assert!(scratch.zstd.is_none());
}

proptest! {
    #[test]
    fn no_bytes_make_a_decoder_panic_or_pass_its_bound(
        codec in 0_usize..5, noise in prop::collection::vec(any::<u8>(), 0..300), edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4)
    ) {
        let codec = Codec::ALL[codec];
        let _ = unpack_within(codec, &noise, 1_000);
        let mut packed = pack(codec, &sample(3_000));
        for (at, byte) in edits {
            let at = at.index(packed.len());
            packed[at] = byte;
        }
        if let Ok(plain) = unpack_within(codec, &packed, 4_000) {
            prop_assert!(plain.len() <= 4_000);
        }
    }
}
