//! What TCP does, made to happen: the founding document's scenarios on two hosts and virtual time
//! ([`lab`], [`link`], [`scenarios`]) or with the Linux kernel as the other host ([`over_tun`]), recorded in a [`trace`]
//! from which everything is printed and drawn ([`report`], [`ladder`], [`picture`], [`document`], [`capture`], [`tutorial`]).

pub mod capture;
pub mod commands;
pub mod decode;
pub mod diagram;
pub mod document;
mod errors;
pub mod lab;
pub mod ladder;
pub mod link;
pub mod over_tun;
pub mod picture;
pub mod plot;
pub mod report;
pub mod scenarios;
pub mod segment;
pub mod trace;
pub mod tutorial;
