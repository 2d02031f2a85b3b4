//! The end-to-end tests: real function binaries, the real template, a simulated organization.

mod template;
