//! Value in, value out.

mod source;
