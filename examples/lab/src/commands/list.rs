//! `millstream-lab list`: lists the scenarios.

use std::io::Write as _;

use anyhow::Result;
use clap::Args;

use crate::scenarios::ALL;

/// Lists the scenarios.
#[derive(Args, Clone, Copy, Debug)]
pub struct List {}

impl List {
    /// Prints a line for each scenario.
    ///
    /// # Errors
    /// If printing fails.
    pub fn run(&self) -> Result<()> {
        let mut out = anstream::stdout().lock();
        for scenario in ALL {
            writeln!(out, "{:4} {}", scenario.id, scenario.title)?;
        }
        Ok(())
    }
}
