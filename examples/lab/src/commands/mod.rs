//! The commands of `millstream-lab`: for each its arguments and what it does.

pub mod decode;
pub mod diagram;
pub mod list;
pub mod plot;
pub mod run;
pub mod tutorial;
