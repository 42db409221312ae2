//! For your own tests.
