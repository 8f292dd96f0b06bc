//! Hashes with a secret key, so that no attacker can direct all entries of a table into one bucket.

use siphasher::sip::SipHasher13;

/// Makes the hashers of one table.
#[derive(Clone, Debug, Default)]
pub(crate) struct BuildKeyed {
    key: [u8; 16],
}

impl BuildKeyed {
    pub(crate) const fn new(key: [u8; 16]) -> Self {
        Self { key }
    }
}

impl std::hash::BuildHasher for BuildKeyed {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_key(&self.key)
    }
}
