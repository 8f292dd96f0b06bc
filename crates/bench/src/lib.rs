//! An engine driven by function calls, shared by the benchmark program and the benchmarks of the
//! engine.

pub mod rig;
