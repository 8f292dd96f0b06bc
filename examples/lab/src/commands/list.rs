//! `millstream-lab list`: the scenarios.

use anyhow::Result;
use clap::Args;

use crate::scenarios::ALL;

/// Lists the scenarios.
#[derive(Args, Clone, Copy, Debug)]
pub struct List {}

impl List {
    /// Prints a line for each.
    ///
    /// # Errors
    /// None today; every command may have some.
    pub fn run(&self) -> Result<()> {
        for scenario in ALL {
            anstream::println!("{:4} {}", scenario.id, scenario.title);
        }
        Ok(())
    }
}
