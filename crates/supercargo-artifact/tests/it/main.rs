//! Formats against the tools that make and read them.

mod programs;
