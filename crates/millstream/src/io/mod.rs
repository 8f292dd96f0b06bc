//! Frames between the device and the engine: receiving, sending, and the memory for both.

pub(crate) mod arena;
pub(crate) mod credit;
pub(crate) mod frame;
pub(crate) mod receive;
pub(crate) mod segmentation;
pub(crate) mod send;
pub(crate) mod written;
