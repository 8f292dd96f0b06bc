//! Wire scripts: the behaviour of a TCP stack on the wire, step by step, on virtual time.
//!
//! | module | contents |
//! |---|---|
//! | [`script`] | the language: a syntax tree and its parser |
//! | [`runner`] | runs a script against a stack, on the stack's clock |
//! | [`target`] | the interface to a stack, and its implementations |
//! | [`suite`], [`heading`] | script files, and their heading comments |
//! | [`report`] | the output of a run |
//! | [`differential`] | random sequences against the engine and Linux |
//! | [`page`] | the list of all behaviours that have a script |

pub mod differential;
pub mod heading;
pub mod page;
pub mod report;
pub mod runner;
pub mod script;
pub mod suite;
pub mod target;
