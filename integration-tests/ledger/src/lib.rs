//! The ledger: every requirement of RFC 9293 and every section of the other RFCs that the stack
//! implements, with the places in the code and the tests for it.
//!
//! The places are found by citations in comments: `MUST-12`, `SHLD-3`, `MAY-2` for a requirement of
//! RFC 9293, `RFC 5961 3.2` for a section. The demands, and the reasons for omissions, are in
//! `docs/ledger`.
//!
//! Besides, [`modules`] lists the modules of the library crates.

pub mod citation;
pub mod demand;
pub mod evidence;
pub mod modules;
pub mod page;
mod place;
pub mod tree;
