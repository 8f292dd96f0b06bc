//! The control bits.

use std::fmt;

bitflags::bitflags! {
    /// The control bits of a TCP header (RFC 9293 3.1, RFC 3168 6.1).
    ///
    /// `Display` prints tcpdump's letters: `S.` for a SYN with ACK, `none` for no bits.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Flags: u8 {
        /// The sender has finished.
        const FIN = 0x01;
        /// Synchronises sequence numbers.
        const SYN = 0x02;
        /// Resets the connection.
        const RST = 0x04;
        /// Asks the receiver to deliver the data now.
        const PSH = 0x08;
        /// The acknowledgment number is valid.
        const ACK = 0x10;
        /// The urgent pointer is valid.
        const URG = 0x20;
        /// ECN echo (RFC 3168).
        const ECE = 0x40;
        /// Congestion window reduced (RFC 3168).
        const CWR = 0x80;
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LETTERS: [(Flags, char); 8] = [
            (Flags::FIN, 'F'),
            (Flags::SYN, 'S'),
            (Flags::RST, 'R'),
            (Flags::PSH, 'P'),
            (Flags::ACK, '.'),
            (Flags::URG, 'U'),
            (Flags::ECE, 'E'),
            (Flags::CWR, 'W'),
        ];
        if self.is_empty() {
            return f.write_str("none");
        }
        LETTERS
            .iter()
            .filter(|(flag, _)| self.contains(*flag))
            .try_for_each(|(_, letter)| write!(f, "{letter}"))
    }
}
