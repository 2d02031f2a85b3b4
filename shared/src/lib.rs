//! Root-task sessions and what they are for.
