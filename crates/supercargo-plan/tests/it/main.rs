//! Value in, value out; and cargo itself, where it is what a fact must agree with.

mod configuration;
mod source;
