//! What the benchmark program and the benchmarks of the engine share: an engine that is driven by hand.

pub mod rig;
