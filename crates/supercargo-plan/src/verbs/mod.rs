//! The verbs: facts in, plan out. None imports another.

pub mod build;
pub mod gate;
