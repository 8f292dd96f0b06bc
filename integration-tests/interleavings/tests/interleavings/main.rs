//! Models of the whole protocol between streams, drivers, shards and readers of the device.
#![cfg(shuttle)]

mod bulk;
mod echo;
mod endings;
mod halves;
mod shards;
