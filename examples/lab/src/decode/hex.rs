//! Bytes written as hexadecimal digits, as people paste them.

use anyhow::{Context as _, Result, bail, ensure};

/// Most bytes taken: the largest IP packet, with some room for a link header.
const MAX: usize = 65_535 + 64;

/// The bytes of `text`: pairs of digits with or without spaces, colons, commas, dashes and `0x`; the offsets of
/// `tcpdump -x` (`0x0010:` at the beginning of a line) are left out.
///
/// # Errors
/// What is not hexadecimal, or half a byte, with what to do about it.
pub fn parse(text: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for line in text.lines() {
        let line = line.trim();
        let line = match line.split_once(char::is_whitespace) {
            Some((offset, rest)) if offset.starts_with("0x") && offset.ends_with(':') => rest,
            _ => line,
        };
        for word in line.split([' ', '\t', ':', ',', '-', ';']) {
            read_word(word, &mut bytes)?;
        }
        ensure!(bytes.len() <= MAX, "more than {MAX} bytes: give one packet");
    }
    ensure!(
        !bytes.is_empty(),
        "no bytes: give a packet as hexadecimal digits (45 00 00 28 ..) or a capture file"
    );
    Ok(bytes)
}

fn read_word(word: &str, bytes: &mut Vec<u8>) -> Result<()> {
    let digits = word.strip_prefix("0x").unwrap_or(word);
    if let Some(wrong) = digits.chars().find(|c| !c.is_ascii_hexdigit()) {
        bail!(
            "{wrong:?} in {word:?} is no hexadecimal digit, and there is no file of that name: give the bytes of a packet \
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
