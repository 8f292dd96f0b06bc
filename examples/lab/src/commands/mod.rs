//! The commands of `millstream-lab`: for each its arguments and what it does.

pub mod list;
pub mod run;
pub mod tutorial;
