//! Demonstrations of TCP: scenarios on two hosts and virtual time ([`lab`], [`link`],
//! [`scenarios`]) or with the Linux kernel as one host ([`over_tun`]), recorded in a [`trace`] from
//! which everything is printed and drawn ([`report`], [`ladder`], [`picture`], [`classic`],
//! [`capture`], [`tutorial`]).

pub mod capture;
pub mod classic;
pub mod commands;
pub mod decode;
pub mod diagram;
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
