//! Hexadecimal digits in the forms that users paste.

use anyhow::{Context as _, Result, bail, ensure};

/// The maximum number of bytes: the largest IP packet, with room for a link header.
const MAX: usize = 65_535 + 64;

/// The number of bytes in a dump's row if no following row shows it.
const ROW: usize = 16;

/// The bytes of `text`: pairs of digits with or without spaces, colons, commas, dashes and `0x`; or
/// a dump of tcpdump, Wireshark, xxd or hexdump, whose offsets, text columns and lines without an
/// offset are ignored.
///
/// # Errors
/// If the text is not hexadecimal, has an odd number of digits, or has several packets; with
/// advice.
pub fn parse(text: &str) -> Result<Vec<u8>> {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let is_dump = lines
        .next()
        .is_some_and(|line| Row::of(line, true).offset == Some(0));
    let rows: Vec<_> = text.lines().map(|line| Row::of(line, is_dump)).collect();
    let bytes = if rows.iter().any(|row| row.offset.is_some()) {
        read_dump(&rows)?
    } else {
        read_digits(&rows)?
    };
    ensure!(
        !bytes.is_empty(),
        "no bytes: give a packet as hexadecimal digits (45 00 00 28 ..) or a capture file"
    );
    Ok(bytes)
}

fn read_digits(rows: &[Row<'_>]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for row in rows {
        read_words(row.rest, &mut bytes)?;
        ensure!(bytes.len() <= MAX, "more than {MAX} bytes: give one packet");
    }
    Ok(bytes)
}

/// Lines without an offset are the dumping program's description of the packet.
fn read_dump(rows: &[Row<'_>]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut length = ROW;
    let mut first = None;
    for (number, row) in rows.iter().enumerate() {
        let Some(offset) = row.offset else { continue };
        let first = *first.get_or_insert(offset);
        ensure!(
            offset.checked_sub(first) == Some(bytes.len()),
            "the row at {offset:#06x} does not follow those before it: give one packet, in whole rows"
        );
        let next = rows.get(number + 1).and_then(|row| row.offset);
        length = next
            .and_then(|next| next.checked_sub(offset))
            .filter(|length| *length > 0)
            .unwrap_or(length);
        read_row(row.rest, length, &mut bytes)?;
        ensure!(bytes.len() <= MAX, "more than {MAX} bytes: give one packet");
    }
    Ok(bytes)
}

/// A line, which may be a row of a dump.
struct Row<'a> {
    /// The offset in the packet of its first byte.
    offset: Option<usize>,
    rest: &'a str,
}

impl<'a> Row<'a> {
    /// A colon marks an offset; a word without one is an offset only if the text `is_dump`, that
    /// is, if its first row begins at 0.
    fn of(line: &'a str, is_dump: bool) -> Self {
        let line = line.trim();
        let (first, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim_start();
        let bare = is_dump && is_byte_first(rest);
        let offset = offset(first).filter(|_| first.ends_with(':') || bare);
        match offset {
            Some(_) => Self { offset, rest },
            None => Self { offset, rest: line },
        }
    }
}

/// Parses `0x0010:`, `00000010:` or `0010`: a byte never has as many digits.
fn offset(word: &str) -> Option<usize> {
    let digits = word.strip_suffix(':').unwrap_or(word);
    let digits = digits.strip_prefix("0x").unwrap_or(digits);
    let offset = usize::from_str_radix(digits, 16).ok()?;
    (digits.len() >= 4 && offset <= MAX).then_some(offset)
}

/// Whether a line continues with a byte of two digits, as in a dump without colons.
fn is_byte_first(rest: &str) -> bool {
    rest.split_whitespace().take(1).all(|word| word.len() == 2)
}

/// Reads the bytes of a dump's row with at most `length` bytes. The text column begins after them,
/// or after a gap if the row is shorter; hexdump has a gap of two spaces in the middle of the
/// bytes.
fn read_row(mut rest: &str, length: usize, bytes: &mut Vec<u8>) -> Result<()> {
    let end = bytes.len() + length;
    while bytes.len() < end && !rest.is_empty() {
        let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
        read_word(word, bytes)?;
        rest = after.trim_start();
        let gap = 1 + after.len() - rest.len();
        let middle = bytes.len() + length / 2 == end;
        if gap > 2 || gap == 2 && !middle {
            break;
        }
    }
    Ok(())
}

fn read_words(line: &str, bytes: &mut Vec<u8>) -> Result<()> {
    for word in line.split([' ', '\t', ':', ',', '-', ';']) {
        read_word(word, bytes)?;
    }
    Ok(())
}

fn read_word(word: &str, bytes: &mut Vec<u8>) -> Result<()> {
    let digits = word.strip_prefix("0x").unwrap_or(word);
    if let Some(wrong) = digits.chars().find(|c| !c.is_ascii_hexdigit()) {
        bail!(
            "{wrong:?} in {word:?} is not a hexadecimal digit, and there is no file of that name: give the bytes of a packet \
             (45 00 00 28 ..) or a capture file"
        );
    }
    ensure!(
        digits.len().is_multiple_of(2),
        "{word:?} has an odd number of digits: write each byte with two"
    );
    for at in (0..digits.len()).step_by(2) {
        let byte = u8::from_str_radix(&digits[at..at + 2], 16);
        bytes.push(byte.context("two hexadecimal digits")?);
    }
    Ok(())
}
