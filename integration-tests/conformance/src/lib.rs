//! Wire scripts: what a TCP stack does on the wire, step by step, on virtual time.
//!
//! | module | what lives there |
//! |---|---|
//! | [`script`] | the language: a tree, and the parser that makes it of text |
//! | [`runner`] | a script against a stack, on the stack's clock |
//! | [`target`] | what is asked of a stack, and the stacks that can be asked |
//! | [`suite`], [`heading`] | files of scripts, and what their comments say |
//! | [`report`], [`pcapng`] | what a run leaves behind |
//! | [`differential`] | random sequences against the engine and Linux at once |
//! | [`page`] | the list of all behaviours that have a script |

pub mod differential;
pub mod heading;
pub mod page;
pub mod pcapng;
pub mod report;
pub mod runner;
pub mod script;
pub mod suite;
pub mod target;
