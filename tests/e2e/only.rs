//! What only the deployed stack can show. A deployment takes ten seconds, so each test tells a longer story.

mod answers;
mod delivery;
mod killed;
mod levers;
mod roles;
mod rotation;
mod trouble;
