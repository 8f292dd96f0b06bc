//! The signatures of every public method, stated once and checked for both modules: they cannot
//! drift apart.
//!
//! A list is a set of functions that call the methods with values of the stated types and return
//! the stated types. Method pointers would not do for what is generic or asynchronous.
