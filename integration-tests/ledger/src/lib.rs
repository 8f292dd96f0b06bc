//! The ledger: every requirement of RFC 9293 and every section of the other RFCs that the stack is built from,
//! with the places in the code that do it and the tests that show it.
//!
//! The places are found by the citations in comments: `MUST-12`, `SHLD-3`, `MAY-2` for a requirement of RFC 9293,
//! `RFC 5961 3.2` for a section. What is asked for, and the reasons for what is not done, stand in `docs/ledger`.

pub mod citation;
pub mod demand;
pub mod evidence;
pub mod page;
mod place;
pub mod tree;
