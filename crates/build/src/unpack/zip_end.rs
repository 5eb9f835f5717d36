//! The end of a zip: whether every reader finds the same directory (APPNOTE.TXT 4.3.14 to 4.3.16).
//!
//! Readers search the end record from the back and differ in what they take for one, so a zip with two of
//! them, or with data before or behind, shows different files to different tools. Package indexes refuse
//! such wheels too. The `zip` crate forgives them; here they are refused before it looks.

use std::io::{Read, Seek, SeekFrom};

const LOCAL: &[u8] = b"PK\x03\x04";
const END: &[u8] = b"PK\x05\x06";
const END_64: &[u8] = b"PK\x06\x06";
const LOCATOR_64: &[u8] = b"PK\x06\x07";
const END_SIZE: u64 = 22;
const LOCATOR_SIZE: u64 = 20;
const END_64_SIZE: u64 = 56;

/// Checks that the file begins with an entry, ends with the one end record and an empty comment, and that
/// the directory lies right before that.
pub(super) fn check(file: &mut (impl Read + Seek)) -> std::io::Result<Result<(), String>> {
    let length = file.seek(SeekFrom::End(0))?;
    let refuse = |why: &str| Ok(Err(why.to_owned()));
    if length < END_SIZE {
        return refuse("this is no zip archive");
    }
    if !at(file, 0, 4)?.starts_with(LOCAL) {
        return refuse("this is no zip archive, or data lies before it");
    }
    let place = length - END_SIZE;
    let end = at(file, place, END_SIZE)?;
    if !end.starts_with(END) || u16_at(&end, 20) != 0 {
        return refuse("the zip archive is cut off, or data lies behind it");
    }
    let (mut size, mut offset) = (u64::from(u32_at(&end, 12)), u64::from(u32_at(&end, 16)));
    let mut directory_end = place;
    let wants_64 =
        u16_at(&end, 10) == u16::MAX || size == u64::from(u32::MAX) || offset == u64::from(u32::MAX);
    if place >= LOCATOR_SIZE {
        let locator = at(file, place - LOCATOR_SIZE, LOCATOR_SIZE)?;
        if locator.starts_with(LOCATOR_64) {
            let record_place = u64_at(&locator, 8);
            if record_place.checked_add(END_64_SIZE) != Some(place - LOCATOR_SIZE) {
                return refuse("the zip archive's 64-bit end record is not where it must be");
            }
            let record = at(file, record_place, END_64_SIZE)?;
            if !record.starts_with(END_64) || u64_at(&record, 4) != END_64_SIZE - 12 {
                return refuse("the zip archive's 64-bit end record is broken");
            }
            let (size_64, offset_64) = (u64_at(&record, 40), u64_at(&record, 48));
            let agree = |short: u64, long: u64| short == long || short == u64::from(u32::MAX);
            if !agree(size, size_64) || !agree(offset, offset_64) {
                return refuse("the zip archive has two directories");
            }
            (size, offset, directory_end) = (size_64, offset_64, record_place);
        } else if wants_64 {
            return refuse("the zip archive's 64-bit end record is missing");
        }
    }
    if offset.checked_add(size) != Some(directory_end) {
        return refuse("the zip archive's directory does not lie right before its end record");
    }
    Ok(Ok(()))
}

fn at(file: &mut (impl Read + Seek), place: u64, count: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(count).unwrap_or_default()];
    file.seek(SeekFrom::Start(place))?;
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::try_from(number(bytes, at, 2)).unwrap_or_default()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::try_from(number(bytes, at, 4)).unwrap_or_default()
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    number(bytes, at, 8)
}

fn number(bytes: &[u8], at: usize, count: usize) -> u64 {
    bytes.iter().skip(at).take(count).rev().fold(0, |sum, b| sum << 8 | u64::from(*b))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// An entry's 30 bytes, a directory's 46, and end records that tell of them.
    fn archive(size: u32, offset: u32, with_64: Option<(u64, u64)>) -> Vec<u8> {
        let mut bytes = LOCAL.to_vec();
        bytes.resize(30 + 46, 0);
        let place = bytes.len() as u64;
        if let Some((size, offset)) = with_64 {
            bytes.extend(END_64);
            bytes.extend(44u64.to_le_bytes());
            bytes.resize(bytes.len() + 28, 0);
            bytes.extend(size.to_le_bytes());
            bytes.extend(offset.to_le_bytes());
            bytes.extend(LOCATOR_64);
            bytes.extend([0; 4]);
            bytes.extend(place.to_le_bytes());
            bytes.extend([1, 0, 0, 0]);
        }
        bytes.extend(END);
        bytes.extend([0; 8]);
        bytes.extend(size.to_le_bytes());
        bytes.extend(offset.to_le_bytes());
        bytes.extend([0; 2]);
        bytes
    }

    fn judged(bytes: &[u8]) -> Result<(), String> {
        check(&mut Cursor::new(bytes)).unwrap()
    }

    #[test]
    fn one_directory_right_before_the_end_is_fine() {
        judged(&archive(46, 30, None)).unwrap();
        judged(&archive(46, 30, Some((46, 30)))).unwrap();
        judged(&archive(u32::MAX, u32::MAX, Some((46, 30)))).unwrap();
    }

    #[test]
    fn two_directories_or_none_are_refused() {
        for bytes in [
            archive(45, 30, None),
            archive(46, 29, None),
            archive(u32::MAX, u32::MAX, None),
            archive(46, 30, Some((45, 31))),
            archive(46, 30, Some((46, 29))),
            archive(u32::MAX, u32::MAX, Some((u64::MAX, 30))),
            archive(u32::MAX, u32::MAX, Some((46, u64::MAX))),
        ] {
            assert!(judged(&bytes).is_err());
        }
        let mut moved = archive(u32::MAX, u32::MAX, Some((46, 30)));
        let locator = moved.len() - 42;
        moved[locator + 8] ^= 1;
        assert!(judged(&moved).unwrap_err().contains("64-bit end record"));
    }
}
