//! The bench itself, in its short form: it works, and the services lose nothing under its load.

mod quick;
