//! Productions: what released messages become for the platforms that review them.

pub mod verify;
