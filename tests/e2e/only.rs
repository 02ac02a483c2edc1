//! What only the deployed stack can show. A deployment takes ten seconds, so each test tells a longer story.

mod answers;
mod books;
mod delivery;
mod desk;
mod killed;
mod levers;
mod page;
mod roles;
mod rotation;
mod trouble;
