//! The record as bytes: each mark is its length and its fields, little-endian.

use super::{Change, FileId, Mark, Trace};
use std::{
    ffi::OsString,
    io,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
};

pub(super) fn encode(mark: &Mark) -> Vec<u8> {
    let mut out = Writer(vec![0; 4]);
    match mark {
        Mark::Begun { at, change } => {
            out.number(*at);
            encode_change(change, &mut out);
        }
        Mark::Finished { at, change, ok } => {
            out.number(*at);
            out.0.push(FINISHED);
            out.number(*change);
            out.0.push(u8::from(*ok));
        }
    }
    let mut bytes = out.0;
    let len = u32::try_from(bytes.len() - 4).expect("a mark is as large as one write, far below 4 GiB");
    bytes[..4].copy_from_slice(&len.to_le_bytes());
    bytes
}

const FINISHED: u8 = 0;

fn encode_change(change: &Change, out: &mut Writer) {
    match change {
        Change::Found { path, file, content } => out.tag(1).path(path).file(*file).bytes(content),
        Change::Create { path, file, durable } => {
            out.tag(2).path(path).file(*file).number(u64::from(*durable))
        }
        Change::Write { file, offset, data } => out.tag(3).file(*file).number(*offset).bytes(data),
        Change::Flush { file } => out.tag(4).file(*file),
        Change::Zero { file, offset, len } => out.tag(5).file(*file).number(*offset).number(*len),
        Change::SetLength { file, len } => out.tag(6).file(*file).number(*len),
        Change::Replace { path, data } => out.tag(7).path(path).bytes(data),
        Change::Remove { path } => out.tag(8).path(path),
        Change::Rename { from, to } => out.tag(9).path(from).path(to),
        Change::WriteThrough { file, offset, data } => out.tag(11).file(*file).number(*offset).bytes(data),
        Change::Lengthen { file, to } => out.tag(10).file(*file).number(*to),
    };
}

pub(super) fn decode(mut bytes: &[u8]) -> io::Result<Trace> {
    let mut marks = Vec::new();
    while let Some((len, rest)) = bytes.split_first_chunk::<4>() {
        let len = u32::from_le_bytes(*len) as usize;
        let Some((body, rest)) = rest.split_at_checked(len) else { break };
        let mark = decode_mark(&mut Reader(body)).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, format!("mark {} is no mark", marks.len()))
        })?;
        marks.push(mark);
        bytes = rest;
    }
    Ok(Trace { marks })
}

fn decode_mark(from: &mut Reader<'_>) -> Option<Mark> {
    let at = from.number()?;
    let change = match from.tag()? {
        FINISHED => return Some(Mark::Finished { at, change: from.number()?, ok: from.tag()? == 1 }),
        1 => Change::Found { path: from.path()?, file: from.file()?, content: from.bytes()? },
        2 => Change::Create { path: from.path()?, file: from.file()?, durable: from.number()? == 1 },
        3 => Change::Write { file: from.file()?, offset: from.number()?, data: from.bytes()? },
        4 => Change::Flush { file: from.file()? },
        5 => Change::Zero { file: from.file()?, offset: from.number()?, len: from.number()? },
        6 => Change::SetLength { file: from.file()?, len: from.number()? },
        7 => Change::Replace { path: from.path()?, data: from.bytes()? },
        8 => Change::Remove { path: from.path()? },
        9 => Change::Rename { from: from.path()?, to: from.path()? },
        10 => Change::Lengthen { file: from.file()?, to: from.number()? },
        11 => Change::WriteThrough { file: from.file()?, offset: from.number()?, data: from.bytes()? },
        _ => return None,
    };
    Some(Mark::Begun { at, change })
}

struct Writer(Vec<u8>);

impl Writer {
    fn tag(&mut self, tag: u8) -> &mut Writer {
        self.0.push(tag);
        self
    }

    fn number(&mut self, number: u64) -> &mut Writer {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    fn file(&mut self, file: FileId) -> &mut Writer {
        self.number(file.0)
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Writer {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    fn path(&mut self, path: &Path) -> &mut Writer {
        self.bytes(path.as_os_str().as_bytes())
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn tag(&mut self) -> Option<u8> {
        let (tag, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*tag)
    }

    fn number(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*number))
    }

    fn file(&mut self) -> Option<FileId> {
        self.number().map(FileId)
    }

    fn bytes(&mut self) -> Option<Vec<u8>> {
        let len = usize::try_from(self.number()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes.to_vec())
    }

    fn path(&mut self) -> Option<PathBuf> {
        self.bytes().map(|bytes| PathBuf::from(OsString::from_vec(bytes)))
    }
}
