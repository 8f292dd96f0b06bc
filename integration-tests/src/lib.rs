//! What the tests in `tests/` share with nobody else: [`http`], a server for the programs. The
//! tests: `kernel` against the Linux kernel, `programs` with widely used programs, `scenarios`
//! between two stacks on virtual time. They stand on `millstream-testbed`.

pub mod http;
