//! Names of the records of all tables: 32 bits that also serve as the keys of timers.

/// The kind and index of a record (datagrams under reassembly and the reports about groups have
/// timers but no four-tuple). Three bits of kind and 29 bits of index; also the key of the record's
/// timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Connection(u32),
    HalfOpen(u32),
    TimeWait(u32),
    Reassembly(u32),
    Membership,
}

const INDEX_BITS: u32 = 29;
const INDEX_MASK: u32 = (1 << INDEX_BITS) - 1;

impl Place {
    pub(crate) const fn key(self) -> u32 {
        match self {
            Self::Connection(index) => index,
            Self::HalfOpen(index) => 1 << INDEX_BITS | index,
            Self::TimeWait(index) => 2 << INDEX_BITS | index,
            Self::Reassembly(index) => 3 << INDEX_BITS | index,
            Self::Membership => 4 << INDEX_BITS,
        }
    }

    pub(crate) const fn from_key(key: u32) -> Self {
        let index = key & INDEX_MASK;
        match key >> INDEX_BITS {
            0 => Self::Connection(index),
            1 => Self::HalfOpen(index),
            2 => Self::TimeWait(index),
            3 => Self::Reassembly(index),
            _ => Self::Membership,
        }
    }
}
