//! What TCP does, made to happen: the founding document's scenarios on two hosts and virtual time
//! ([`lab`], [`link`], [`scenarios`]), recorded in a [`trace`] from which everything is printed, and tools to look
//! at packets of one's own.

pub mod capture;
pub mod commands;
pub mod document;
mod errors;
pub mod lab;
pub mod ladder;
pub mod link;
pub mod over_tun;
pub mod report;
pub mod scenarios;
pub mod segment;
pub mod trace;
