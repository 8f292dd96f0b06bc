//! What the fuzz targets share: values for options, a peer that answers what a stack has said, and what holds of a stack
//! at any time.

pub mod odd;
pub mod options;
pub mod peer;
pub mod referee;
pub mod stack;
